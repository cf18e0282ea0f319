package authserver

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

func FuzzAssertion(f *testing.F) {
	const issuer, id = "https://b.example", "https://a.example/oauth2/client.json"
	now := time.Unix(1_800_000_000, 0)
	good := fmt.Sprintf(`{"iss":%[1]q,"sub":%[1]q,"aud":%[2]q,"jti":"0123456789abcdef","iat":%[3]d,"exp":%[4]d}`,
		id, issuer, now.Unix(), now.Unix()+60)
	f.Add(`{"alg":"ES256","typ":"client-authentication+jwt","kid":"k"}`, good)
	f.Add(`{"alg":"none","typ":"client-authentication+jwt","kid":"k"}`, good)
	f.Add(`{"alg":"ES256","typ":"client-authentication+jwt","kid":"k","jku":"x"}`, good)
	f.Add(`{"alg":"ES256","typ":"client-authentication+jwt","kid":"k"}`, `{"aud":["https://b.example"]}`)
	f.Add(`{"alg":"ES256","typ":"client-authentication+jwt","kid":"k"}`, `{"iat":1e400}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		encode := base64.RawURLEncoding.EncodeToString
		_, err := preview(encode([]byte(header))+"."+encode([]byte(claims))+"."+encode(make([]byte, 64)), id, issuer, now)
		if err != nil && refusal.Of(err).Kind != refusal.Unauthenticated {
			t.Fatal(err)
		}
		a, parseErr := parseAssertion([]byte(claims), id, issuer, now)
		if err == nil && parseErr != nil {
			t.Fatal("the preview is laxer than the check")
		}
		if parseErr == nil && (a.exp.Sub(a.iat) > maxLife || !now.Before(a.exp) || len(a.jti) < minJTI || a.clientID != id) {
			t.Fatalf("%+v passed", a)
		}
	})
}

func FuzzDetails(f *testing.F) {
	f.Add(`[{"type":"hanse_agreement","agreement":"a"}]`)
	f.Add(`[{"type":"hanse_agreement","agreement":"a","x":"y"}]`)
	f.Add(`[[]]`)
	f.Fuzz(func(t *testing.T, raw string) {
		wish, err := parseWish(url.Values{"scope": {"orders:write"}, "authorization_details": {raw}})
		if err == nil && wish.Agreement == "" {
			t.Fatal("an orders scope without an agreement")
		}
	})
}
