package bearer

import "github.com/hanse-market/hanse/auth/refusal"

// Reasons, beside those of package dpop, of which replay_cache_unavailable (503) also covers the list of revoked tokens: it
// lives in the same place. Status 401 unless said otherwise.
const (
	// ReasonTokenMissing: no Authorization header.
	ReasonTokenMissing = "token_missing"
	// ReasonTokenMultiple: more than one Authorization header.
	ReasonTokenMultiple = "token_multiple"
	// ReasonTokenScheme: the scheme is not DPoP; a bound token is never a bearer token.
	ReasonTokenScheme = "token_scheme"
	// ReasonTokenMalformed: not a compact JWS with the claims of RFC 9068.
	ReasonTokenMalformed = "token_malformed"
	// ReasonTokenAlgorithm: not ES256, or a header parameter that the profile does not know.
	ReasonTokenAlgorithm = "token_algorithm"
	// ReasonTokenType: typ is not at+jwt.
	ReasonTokenType = "token_type"
	// ReasonTokenKey: signed by a key that we do not publish. A fresh token may pass.
	ReasonTokenKey = "token_key"
	// ReasonTokenSignature: the signature is wrong.
	ReasonTokenSignature = "token_signature"
	// ReasonTokenIssuer: iss is not this member.
	ReasonTokenIssuer = "token_issuer"
	// ReasonTokenAudience: aud is not exactly our origin as one string.
	ReasonTokenAudience = "token_audience"
	// ReasonTokenExpired: too old. A fresh token may pass.
	ReasonTokenExpired = "token_expired"
	// ReasonTokenFuture: issued in our future, so our clock stepped back since. A fresh token may pass.
	ReasonTokenFuture = "token_from_future"
	// ReasonTokenRevoked: revoked. A fresh token may pass.
	ReasonTokenRevoked = "token_revoked"
	// ReasonTokenForgotten: issued before the list of revoked tokens was last lost, so that nobody knows whether it was
	// revoked. A fresh token may pass.
	ReasonTokenForgotten = "token_predates_cache"
	// ReasonTokenUnbound: the token has no cnf.jkt.
	ReasonTokenUnbound = "token_unbound"
	// ReasonProofKey: the proof is by another key than the token is bound to.
	ReasonProofKey = "proof_key_mismatch"
	// ReasonMethod (405): a method other than POST. DPoP covers neither query nor body.
	ReasonMethod = "method_not_allowed"
	// ReasonProcedureUnknown (403): the procedure is not in the table.
	ReasonProcedureUnknown = "procedure_unknown"
	// ReasonScopeMissing (403): the token does not have the procedure's scope.
	ReasonScopeMissing = "scope_missing"
	// ReasonAgreementMissing (403): an orders scope without an agreement in authorization_details.
	ReasonAgreementMissing = "agreement_missing"
	// ReasonRelationUnavailable (503): we cannot tell how we stand with the caller.
	ReasonRelationUnavailable = "relation_unavailable"
)

func refuse(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Unauthenticated, reason, text, args...)
}

func deny(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Denied, reason, text, args...)
}
