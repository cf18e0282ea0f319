package keys

import (
	"encoding/base64"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// MaxJWE bounds a compact JWE, in bytes.
const MaxJWE = 1 << 20

// Seal encrypts plain to a sealing key (public JWK): ECDH-ES+A256KW, A256GCM, kid in the header, never compressed (a
// compressed length tells about the content).
func Seal(jwk, plain []byte) (string, error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(jwk, &k); err != nil {
		return "", refuse(ReasonKey, "not a JWK").Because(err)
	}
	if !k.IsPublic() || k.Use == "sig" {
		return "", refuse(ReasonKey, "not a public sealing key")
	}
	if k.KeyID == "" {
		k.KeyID = thumbprint(k)
	}
	k.Algorithm = string(jose.ECDH_ES_A256KW)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES_A256KW, Key: k, KeyID: k.KeyID}, nil)
	if err != nil {
		return "", refuse(ReasonKey, "the key cannot seal").Because(err)
	}
	object, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", refuse(ReasonKey, "the key cannot seal").Because(err)
	}
	return object.CompactSerialize()
}

func open(jwe string, private []jose.JSONWebKey) ([]byte, error) {
	if len(jwe) > MaxJWE {
		return nil, refuse(ReasonMalformed, "longer than %d bytes", MaxJWE)
	}
	first, _, _ := strings.Cut(jwe, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return nil, refuse(ReasonMalformed, "the header is not base64url").Because(err)
	}
	var h struct {
		KID string          `json:"kid"`
		Zip json.RawMessage `json:"zip"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, refuse(ReasonMalformed, "the header is not JSON").Because(err)
	}
	if h.Zip != nil {
		return nil, refuse(ReasonHeader, "compressed content")
	}
	object, err := jose.ParseEncryptedCompact(jwe, []jose.KeyAlgorithm{jose.ECDH_ES_A256KW}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, refuse(ReasonMalformed, "not a compact JWE of this profile").Because(err)
	}
	for _, k := range private {
		if k.KeyID != h.KID {
			continue
		}
		plain, err := object.Decrypt(k.Key)
		if err != nil {
			return nil, refuse(ReasonSealed, "cannot be opened").Because(err)
		}
		return plain, nil
	}
	return nil, refuse(ReasonSealed, "sealed to a key that we do not have")
}
