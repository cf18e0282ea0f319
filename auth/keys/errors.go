package keys

import "github.com/hanse-market/hanse/auth/refusal"

// Reasons. Every verification failure names exactly one.
const (
	// ReasonMalformed: not a compact JWS or JWE of the accepted size and form.
	ReasonMalformed = "jws_malformed"
	// ReasonAlgorithm: another algorithm than the profile's one ("none", HS256, RS256, ...).
	ReasonAlgorithm = "jws_algorithm"
	// ReasonType: the typ header is not the one that this place accepts.
	ReasonType = "jws_type"
	// ReasonHeader: a header other than alg, typ and kid, such as jwk, jku, x5u, x5c or crit.
	ReasonHeader = "jws_header"
	// ReasonKeyUnknown: no published key has this kid.
	ReasonKeyUnknown = "jws_key_unknown"
	// ReasonKey: the key found is not an ES256 signature key.
	ReasonKey = "jws_key"
	// ReasonSignature: the signature is wrong.
	ReasonSignature = "jws_signature"
	// ReasonSealed: the JWE cannot be opened with any sealing key we have.
	ReasonSealed = "jwe_unopenable"
)

func refuse(reason, text string, args ...any) *refusal.Error {
	return refusal.New(refusal.Unauthenticated, reason, text, args...)
}
