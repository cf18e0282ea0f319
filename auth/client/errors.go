package client

import (
	"errors"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/refusal"
)

// Reasons, beside those of package guard. An answer of a partner's token endpoint keeps the partner's own reason.
const (
	// ReasonMetadata: a member's metadata is malformed or does not follow the profile.
	ReasonMetadata = "metadata_refused"
	// ReasonIssuer: the metadata is for another issuer or resource than the origin that it was read from.
	ReasonIssuer = "metadata_issuer"
	// ReasonMetadataURL: a URL in the metadata lies on another origin.
	ReasonMetadataURL = "url_origin"
	// ReasonSkew: the partner's clock is more than 300 s from ours.
	ReasonSkew = "clock_skew_too_large"
	// ReasonTokenResponse: the token endpoint's answer is not a token of the profile.
	ReasonTokenResponse = "token_response_malformed"
	// ReasonTokenRefused: the token endpoint refused and gave no reason.
	ReasonTokenRefused = "token_refused"
	// ReasonOwn: we cannot make what a call has to prove: an assertion or a proof.
	ReasonOwn = "own_credentials"
	// ReasonOrigin: a request for another origin than the transport's.
	ReasonOrigin = "url_origin"
)

// ErrAnswered lies under the refusals that a partner's token endpoint gave, so that its reasons are told apart from ours: its
// guard met them on the way to us.
var ErrAnswered = errors.New("the partner's token endpoint answered")

func refuse(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Invalid, reason, text, args...)
}

// own is a failure on our side that says nothing about the partner.
func own(err error) error {
	return refusal.New(refusal.Internal, ReasonOwn, "our own proof for the call cannot be made").Because(err)
}

// reasonAssertionExpired is package authserver's, whose server is not for clients to import: our assertion was too old for a
// clock less than a proof's window ahead.
const reasonAssertionExpired = "assertion_expired"

// freshProofHelps are reasons that a new proof or assertion cures.
func freshProofHelps(reason string) bool {
	switch reason {
	case dpop.ReasonReplayed, dpop.ReasonClock, dpop.ReasonPredatesCache, reasonAssertionExpired:
		return true
	}
	return false
}

// freshTokenHelps are reasons that a new token cures.
func freshTokenHelps(reason string) bool {
	switch reason {
	case bearer.ReasonTokenExpired, bearer.ReasonTokenFuture, bearer.ReasonTokenRevoked, bearer.ReasonTokenForgotten, bearer.ReasonTokenKey, bearer.ReasonProofKey:
		return true
	}
	return false
}
