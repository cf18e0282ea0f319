package bearer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

type keySet []jose.JSONWebKey

func (p keySet) Public(keys.Purpose) []jose.JSONWebKey { return p }

func FuzzToken(f *testing.F) {
	const origin = "https://b.example"
	now := time.Unix(1_800_000_000, 0)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	set := keySet{{Key: private.Public(), KeyID: "k"}}
	claims := fmt.Sprintf(`{"iss":%[1]q,"aud":%[1]q,"sub":"c","client_id":"c","jti":"i","iat":%d,"exp":%d,"cnf":{"jkt":"t"}}`,
		origin, now.Unix(), now.Unix()+300)
	f.Add([]byte(claims), "at+jwt", false)
	f.Add([]byte(`{"aud":["https://b.example"]}`), "at+jwt", false)
	f.Add([]byte(`{"aud":"https://b.example","exp":1e99}`), "at+jwt", false)
	f.Add([]byte(claims), "JWT", false)
	f.Add([]byte("a.b.c"), "", true)
	// The fuzzer holds the signing key: what it signs must be understood or refused, and only sound claims pass.
	f.Fuzz(func(t *testing.T, payload []byte, typ string, raw bool) {
		token := string(payload)
		if !raw {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: "k"}},
				(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
			if err != nil {
				t.Skip()
			}
			object, err := signer.Sign(payload)
			if err != nil {
				t.Skip()
			}
			if token, err = object.CompactSerialize(); err != nil {
				t.Skip()
			}
		}
		c, _, err := ParseToken(token, origin, set, now)
		if err != nil {
			if refusal.Of(err).Kind != refusal.Unauthenticated {
				t.Fatal(err)
			}
			return
		}
		if raw || typ != TokenType || c.Audience != origin || c.Issuer != origin || c.Confirmation.JKT == "" || c.Expires <= now.Unix() {
			t.Fatalf("%+v passed", c)
		}
	})
}
