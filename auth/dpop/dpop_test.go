package dpop

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/refusal"
)

// replay is a replay cache without expiry.
type replay struct {
	birth time.Time
	keys  map[string]time.Duration
	err   error
}

func (r *replay) Claim(_ context.Context, key string, ttl time.Duration) (bool, error) {
	if _, seen := r.keys[key]; seen || r.err != nil {
		return false, r.err
	}
	r.keys[key] = ttl
	return true, nil
}

func (r *replay) Birth(context.Context) (time.Time, error) { return r.birth, r.err }

const origin = "https://b.example"

func newVerifier(t testing.TB, now *time.Time) (*Verifier, *replay) {
	t.Helper()
	cache := &replay{birth: *now, keys: map[string]time.Duration{}}
	v, err := New(Config{Origin: origin, Replay: cache, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return v, cache
}

func request(proof string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://10.0.0.1/x/y", nil)
	r.Header.Set("DPoP", proof)
	return r
}

func TestAProofServesOneRequestOnce(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	v, cache := newVerifier(t, &now)
	key, err := NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Proof(http.MethodPost, origin+"/x/y", "token", now)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time the key comes from the cache
		p, err := v.Check(request(raw), "token")
		if err != nil || p.JKT != key.Thumbprint() {
			t.Fatalf("%+v %v", p, err)
		}
	}
	p, err := v.Check(request(raw), "token")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Claim(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := v.Claim(t.Context(), p); refusal.Reason(err) != ReasonReplayed {
		t.Errorf("%v", err)
	}
	if len(cache.keys) != 1 {
		t.Errorf("one proof made the claims %v", cache.keys)
	}
	for _, ttl := range cache.keys {
		if ttl < Window+Ahead {
			t.Errorf("the claim is forgotten after %s, while the proof is still good", ttl)
		}
	}
	if _, err := v.Check(request(raw), "other"); refusal.Reason(err) != ReasonToken {
		t.Errorf("%v", err)
	}
	if _, err := v.Check(request(raw), ""); refusal.Reason(err) != ReasonToken {
		t.Errorf("a proof for a call at the token endpoint: %v", err)
	}
}

func TestTheLongestClaimCoversTheLastMomentOfAProofFromTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	v, cache := newVerifier(t, &now)
	key, _ := NewKey(nil)
	raw, err := key.Proof(http.MethodPost, origin+"/x/y", "", now.Add(Ahead))
	if err != nil {
		t.Fatal(err)
	}
	p, err := v.Check(request(raw), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Claim(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(cache.keys) != 1 {
		t.Errorf("one proof made the claims %v", cache.keys)
	}
	for _, ttl := range cache.keys {
		if ttl < Window+Ahead {
			t.Errorf("%s", ttl)
		}
	}
	cache.err = errors.New("down")
	if err := v.Claim(t.Context(), p); refusal.Reason(err) != ReasonCacheUnavailable || refusal.Of(err).Kind != refusal.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestHeadersOfProofs(t *testing.T) {
	t.Parallel()
	jwk := func(members string) string { return `{"typ":"dpop+jwt","alg":"ES256","jwk":{` + members + `}}` }
	const x, y = `"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"`, `"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	for header, reason := range map[string]string{
		jwk(`"kty":"EC","crv":"P-256",` + x + `,` + y):               "",
		jwk(`"kty":"EC","crv":"P-256",` + x + `,` + y + `,"d":"AA"`): ReasonPrivateKey,
		jwk(`"kty":"EC","crv":"P-256",` + x + `,"y":"AAAA"`):         ReasonKey,
		jwk(`"kty":"oct","k":"AAAA"`):                                ReasonPrivateKey,
		jwk(`"kty":"RSA","n":"AQAB","e":"AQAB"`):                     ReasonKey,
		jwk(``):                                                      ReasonKey,
		`{"typ":"dpop+jwt","alg":"none","jwk":{}}`:                   ReasonHeader,
		`{"typ":"dpop+jwt","alg":"HS256","jwk":{}}`:                  ReasonHeader,
		`{"typ":"JWT","alg":"ES256","jwk":{}}`:                       ReasonHeader,
		`{"typ":"dpop+jwt","alg":"ES256"}`:                           ReasonHeader,
		`{"typ":"dpop+jwt","alg":"ES256","kid":"x","jwk":{}}`:        ReasonHeader,
		`{"typ":"dpop+jwt","alg":"ES256","alg":"none","jwk":{}}`:     ReasonMalformed,
		`{"typ":"dpop+jwt","alg":"ES256","jwk":{},"jku":"https:"}`:   ReasonHeader,
		`[]`: ReasonMalformed,
		``:   ReasonMalformed,
	} {
		if _, err := parseHeader([]byte(header)); refusal.Reason(err) != reason {
			t.Errorf("%s: %v, want %q", header, err, reason)
		}
	}
}

func TestTheKeyCacheIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	v, _ := newVerifier(t, &now)
	for i := range 2 * maxSeen {
		v.remember(fmt.Sprint(i), &bound{})
	}
	if len(v.seen) > maxSeen {
		t.Errorf("%d keys", len(v.seen))
	}
}

func FuzzProof(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	key, err := NewKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	good, err := key.Proof(http.MethodPost, origin+"/x/y", "", now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.ToUpper(good))
	f.Add(good[:len(good)-1])
	f.Add("..")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"none","jwk":{}}`)) + ".e30.")
	f.Fuzz(func(t *testing.T, raw string) {
		v, cache := newVerifier(t, &now)
		p, err := v.Check(request(raw), "")
		if err == nil && p.JKT != key.Thumbprint() && raw == good {
			t.Fatal("wrong key")
		}
		if err != nil && (refusal.Reason(err) == "internal" || p != (Proof{})) {
			t.Fatalf("%+v %v", p, err)
		}
		if len(cache.keys) != 0 || len(v.seen) > 0 && err != nil && refusal.Reason(err) == ReasonSignature {
			t.Fatal("a check has an effect")
		}
	})
}
