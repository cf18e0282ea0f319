package dpop

import "github.com/hanse-market/hanse/auth/refusal"

// Reasons. The last four tell a client that a fresh proof may pass.
const (
	// ReasonMissing: no DPoP header.
	ReasonMissing = "proof_missing"
	// ReasonMultiple: more than one DPoP header, or a list in one.
	ReasonMultiple = "proof_multiple"
	// ReasonMalformed: not a compact JWS with the claims that a proof has.
	ReasonMalformed = "proof_malformed"
	// ReasonHeader: a wrong typ or alg, or a header parameter beside typ, alg and jwk.
	ReasonHeader = "proof_header"
	// ReasonKey: the jwk is not a public P-256 key.
	ReasonKey = "proof_key"
	// ReasonPrivateKey: the jwk shows a private key. It is no longer one.
	ReasonPrivateKey = "proof_private_key"
	// ReasonSignature: the signature is not by that key.
	ReasonSignature = "proof_signature"
	// ReasonMethod: htm is not the request's method.
	ReasonMethod = "proof_method"
	// ReasonURL: htu is not our public origin and the request's path.
	ReasonURL = "proof_url"
	// ReasonToken: ath is not the hash of the access token presented.
	ReasonToken = "proof_token"
	// ReasonClock: iat is too far from our clock.
	ReasonClock = "clock_skew"
	// ReasonReplayed: a proof with this jti was seen.
	ReasonReplayed = "replayed"
	// ReasonPredatesCache: the proof is older than the replay cache, which therefore cannot tell whether it was seen.
	ReasonPredatesCache = "proof_predates_cache"
	// ReasonCacheUnavailable: the replay cache does not answer, so nothing is accepted. Our fault, never the caller's.
	ReasonCacheUnavailable = "replay_cache_unavailable"
)

func refuse(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Unauthenticated, reason, text, args...)
}
