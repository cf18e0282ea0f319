package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// MaxJWS bounds a compact JWS, in bytes, before anything is decoded.
const MaxJWS = 256 << 10

type header struct {
	Alg string `json:"alg"`
	KID string `json:"kid"`
	Typ string `json:"typ"`
}

// allowed are the only header parameters of the profile. A verifier that ignores the others would leave jku, x5u and jwk to
// whoever comes later; refusing them is simpler to reason about.
var allowed = [...]string{"alg", "typ", "kid"}

// Verify checks a compact JWS: ES256 and nothing else, exactly this typ, a kid out of set, no header beside alg, typ and kid.
// It returns the payload's exact bytes and the kid. Errors are refusals with a Reason of this package.
func Verify(jws, typ string, set []jose.JSONWebKey) (payload []byte, kid string, err error) {
	h, err := parseHeader(jws)
	if err != nil {
		return nil, "", err
	}
	if h.Typ != typ {
		return nil, "", refuse(ReasonType, "typ is %q, not %q", clip(h.Typ), typ)
	}
	if h.KID == "" {
		return nil, "", refuse(ReasonHeader, "kid is missing")
	}
	key, err := find(set, h.KID)
	if err != nil {
		return nil, "", err
	}
	end := strings.LastIndexByte(jws, '.')
	payload, err = base64.RawURLEncoding.Strict().DecodeString(jws[strings.IndexByte(jws, '.')+1 : end])
	if err != nil {
		return nil, "", refuse(ReasonMalformed, "the payload is not base64url").Because(err)
	}
	if !CheckES256(key, jws[:end], jws[end+1:]) {
		return nil, "", refuse(ReasonSignature, "the signature does not verify")
	}
	return payload, h.KID, nil
}

// signES256 makes a compact JWS over exactly these payload bytes. The JOSE library would do as much again around the signature itself.
func signES256(key *ecdsa.PrivateKey, h header, payload []byte) (string, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	coding := base64.RawURLEncoding
	jws := make([]byte, 0, coding.EncodedLen(len(head))+1+coding.EncodedLen(len(payload))+1+coding.EncodedLen(64))
	jws = append(coding.AppendEncode(jws, head), '.')
	jws = coding.AppendEncode(jws, payload)
	sum := sha256.Sum256(jws)
	signed.Add(1)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte // R and S in 32 bytes each, RFC 7518 section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return string(coding.AppendEncode(append(jws, '.'), signature[:])), nil
}

// CheckES256 reports whether signature (base64url of R and S, RFC 7518 section 3.4) is by key over input. The headers have been
// parsed strictly by then; a second parse by the JOSE library would cost a tenth of the check and add a second opinion.
func CheckES256(key *ecdsa.PublicKey, input, signature string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(raw) != 64 {
		return false
	}
	checked.Add(1)
	sum := sha256.Sum256([]byte(input))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}

// KID reads the kid of a compact JWS without verifying anything; for choosing where to look for the key.
func KID(jws string) (string, error) {
	h, err := parseHeader(jws)
	return h.KID, err
}

// parseHeader decodes the protected header strictly: duplicate and unknown members are refused.
func parseHeader(jws string) (header, error) {
	if len(jws) > MaxJWS {
		return header{}, refuse(ReasonMalformed, "longer than %d bytes", MaxJWS)
	}
	first, rest, ok := strings.Cut(jws, ".")
	if !ok || strings.Count(rest, ".") != 1 {
		return header{}, refuse(ReasonMalformed, "not three parts")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return header{}, refuse(ReasonMalformed, "the header is not base64url").Because(err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		return header{}, refuse(ReasonMalformed, "the header is not JSON").Because(err)
	}
	var h header
	h.Alg, _ = members["alg"].(string)
	h.Typ, _ = members["typ"].(string)
	h.KID, _ = members["kid"].(string)
	if h.Alg != string(jose.ES256) {
		return header{}, refuse(ReasonAlgorithm, "alg is %q, not ES256", clip(h.Alg))
	}
	known := 0
	for _, name := range allowed {
		if _, there := members[name]; there {
			known++
		}
	}
	if known != len(members) {
		return header{}, refuse(ReasonHeader, "a header parameter other than alg, typ, kid")
	}
	return h, nil
}

func find(set []jose.JSONWebKey, kid string) (*ecdsa.PublicKey, error) {
	for i := range set {
		if set[i].KeyID != kid {
			continue
		}
		return SignatureKey(set[i])
	}
	return nil, refuse(ReasonKeyUnknown, "no published key has this kid")
}

// SignatureKey is the P-256 public key of a JWK that may verify ES256; anything else is refused, a private key above all.
func SignatureKey(k jose.JSONWebKey) (*ecdsa.PublicKey, error) {
	public, ok := k.Key.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, refuse(ReasonKey, "not a public P-256 key")
	}
	if k.Use != "" && k.Use != "sig" {
		return nil, refuse(ReasonKey, "the key is not for signatures")
	}
	if k.Algorithm != "" && k.Algorithm != string(jose.ES256) {
		return nil, refuse(ReasonKey, "the key is for %q", clip(k.Algorithm))
	}
	return public, nil
}

// Thumbprint is the RFC 7638 SHA-256 thumbprint of a JWK, base64url; "" if jwk is not one.
func Thumbprint(jwk []byte) string {
	var k jose.JSONWebKey
	if err := json.Unmarshal(jwk, &k); err != nil {
		return ""
	}
	return thumbprint(k)
}

func thumbprint(k jose.JSONWebKey) string {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ParseSet reads a JWKS strictly enough to use it: every key public, with a kid, no kid twice.
func ParseSet(jwks []byte) ([]jose.JSONWebKey, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, refuse(ReasonKey, "not a JWKS").Because(err)
	}
	seen := make(map[string]bool, len(set.Keys))
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return nil, refuse(ReasonKey, "a key in the set is not public")
		}
		if k.KeyID == "" || seen[k.KeyID] {
			return nil, refuse(ReasonKey, "a kid is missing or given twice")
		}
		seen[k.KeyID] = true
	}
	return set.Keys, nil
}

// clip keeps attacker-controlled text short in messages.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
