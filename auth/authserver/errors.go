package authserver

import (
	"errors"

	"github.com/ory/fosite"

	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/refusal"
)

// Reasons, beside those of packages dpop, guard and keyring. They travel as the member "reason" of an RFC 6749 error.
const (
	// ReasonMethod: not a POST.
	ReasonMethod = "method_not_allowed"
	// ReasonContentType: not application/x-www-form-urlencoded.
	ReasonContentType = "content_type"
	// ReasonForm: the form is too long or malformed, or a parameter stands in the URL.
	ReasonForm = "form_malformed"
	// ReasonParameterDuplicate: a parameter has two values.
	ReasonParameterDuplicate = "parameter_duplicate"
	// ReasonGrantType: not client_credentials.
	ReasonGrantType = "grant_type_unsupported"
	// ReasonClientMethod: another way of client authentication, alone or beside the assertion.
	ReasonClientMethod = "client_auth_method"
	// ReasonClientID: the client_id is not an acceptable metadata document URL.
	ReasonClientID = "client_id_refused"
	// ReasonClientMetadata: the document at client_id is not one that the profile accepts.
	ReasonClientMetadata = "client_metadata_refused"
	// ReasonClientMetadataID: the document's client_id is not its own URL.
	ReasonClientMetadataID = "client_metadata_mismatch"
	// ReasonAssertionMissing: no client assertion.
	ReasonAssertionMissing = "assertion_missing"
	// ReasonAssertionMalformed: not a compact JWS with the claims needed.
	ReasonAssertionMalformed = "assertion_malformed"
	// ReasonAssertionAlgorithm: not ES256.
	ReasonAssertionAlgorithm = "assertion_algorithm"
	// ReasonAssertionHeader: a header parameter that the profile does not know (jwk, jku, x5u, crit).
	ReasonAssertionHeader = "assertion_header"
	// ReasonAssertionType: typ is not client-authentication+jwt.
	ReasonAssertionType = "assertion_type"
	// ReasonAssertionKey: the kid is not in the client's published key set, or its key is not ES256.
	ReasonAssertionKey = "assertion_key"
	// ReasonAssertionSignature: the signature is wrong.
	ReasonAssertionSignature = "assertion_signature"
	// ReasonAssertionSubject: iss, sub and client_id are not one.
	ReasonAssertionSubject = "assertion_subject"
	// ReasonAssertionAudience: aud is not exactly our issuer as one string.
	ReasonAssertionAudience = "assertion_audience"
	// ReasonAssertionLifetime: no exp, or more than 60 s after iat.
	ReasonAssertionLifetime = "assertion_lifetime"
	// ReasonAssertionExpired: exp has passed.
	ReasonAssertionExpired = "assertion_expired"
	// ReasonClock: iat is too far from our clock.
	ReasonClock = dpop.ReasonClock
	// ReasonReplayed: an assertion or proof with this jti was used.
	ReasonReplayed = dpop.ReasonReplayed
	// ReasonCacheUnavailable: the replay cache does not answer; nothing is issued, and no revocation recorded.
	ReasonCacheUnavailable = dpop.ReasonCacheUnavailable
	// ReasonScopeEmpty: no scope asked for.
	ReasonScopeEmpty = "scope_empty"
	// ReasonScopeUnknown: a scope that does not exist.
	ReasonScopeUnknown = "scope_unknown"
	// ReasonScopeDenied: none of the scopes is granted to this client.
	ReasonScopeDenied = "scope_denied"
	// ReasonResource: resource is not our origin.
	ReasonResource = "resource_refused"
	// ReasonDetails: authorization_details is not one hanse_agreement.
	ReasonDetails = "authorization_details_malformed"
	// ReasonAgreementMissing: an orders scope without an agreement.
	ReasonAgreementMissing = "agreement_missing"
	// ReasonGrantUnavailable: we cannot tell what the client may have.
	ReasonGrantUnavailable = "grant_unavailable"
	// ReasonTokenForeign: revocation of another client's token.
	ReasonTokenForeign = "token_of_other_client"
)

// wire is a refusal with its RFC 6749 error code.
type wire struct {
	status int
	code   string
	*refusal.Error
}

// invalid is a malformed request: 400 invalid_request.
func invalid(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Invalid, reason, text, args...)
}

// unauthenticated is a failed client authentication: 401 invalid_client.
func unauthenticated(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Unauthenticated, reason, text, args...)
}

// codes are the reasons whose RFC 6749 (or 9449, 9396) code differs from their kind's.
var codes = map[string]string{
	ReasonGrantType:        "unsupported_grant_type",
	ReasonScopeEmpty:       "invalid_scope",
	ReasonScopeUnknown:     "invalid_scope",
	ReasonScopeDenied:      "invalid_scope",
	ReasonResource:         "invalid_target",
	ReasonDetails:          "invalid_authorization_details",
	ReasonAgreementMissing: "invalid_authorization_details",
	ReasonTokenForeign:     "invalid_grant",
}

// proofError marks a refusal that came from the DPoP proof: 400 invalid_dpop_proof (RFC 9449 section 5).
type proofError struct{ error }

func (e proofError) Unwrap() error { return e.error }

func toWire(err error) wire {
	known := refusal.Of(err)
	var library *fosite.RFC6749Error
	if known.Kind == refusal.Internal && errors.As(err, &library) && library.CodeField < 500 {
		// Our own checks come first, so this is a request that fosite dislikes for a reason of its own.
		return wire{status: library.CodeField, code: library.ErrorField, Error: invalid(ReasonForm, "the request is malformed").Because(err)}
	}
	var proof proofError
	switch {
	case errors.As(err, &proof) && known.Kind == refusal.Unauthenticated:
		return wire{status: 400, code: "invalid_dpop_proof", Error: known}
	case codes[known.Reason] != "":
		return wire{status: 400, code: codes[known.Reason], Error: known}
	}
	switch known.Kind {
	case refusal.Invalid:
		return wire{status: 400, code: "invalid_request", Error: known}
	case refusal.Unauthenticated:
		return wire{status: 401, code: "invalid_client", Error: known}
	case refusal.Denied:
		return wire{status: 400, code: "unauthorized_client", Error: known}
	case refusal.Exhausted:
		return wire{status: 429, code: "temporarily_unavailable", Error: known}
	case refusal.Unavailable:
		return wire{status: 503, code: "temporarily_unavailable", Error: known}
	default:
		return wire{status: 500, code: "server_error", Error: known}
	}
}
