package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
)

// TestBenchmarks runs each benchmark once: what nobody runs but by hand breaks unseen.
func TestBenchmarks(t *testing.T) {
	times := flag.Lookup("test.benchtime")
	before := times.Value.String()
	if err := times.Value.Set("1x"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = times.Value.Set(before) }()
	for name, fn := range map[string]func(*testing.B){
		"verify, seen":   func(b *testing.B) { benchVerify(b, false, 1) },
		"verify, unseen": func(b *testing.B) { benchVerify(b, true, 2) },
		"token endpoint": BenchmarkTokenEndpoint,
	} {
		if testing.Benchmark(fn).N == 0 {
			t.Errorf("the benchmark %s fails", name)
		}
	}
}

// BenchmarkVerifyPeerCall measures each verification next to bare ES256 verifications in the same loop, so that the ratio does
// not depend on what else the machine does. Aims: seen ≤ 1.15 of one, unseen ≤ 1.4 of two.
func BenchmarkVerifyPeerCall(b *testing.B) {
	b.Run("seen", func(b *testing.B) { benchVerify(b, false, 1) })
	b.Run("unseen", func(b *testing.B) { benchVerify(b, true, 2) })
}

func benchVerify(b *testing.B, unseen bool, verifications int) {
	w := newWorld(b)
	from, to := w.member("a.localhost"), w.member("b.localhost")
	verifier, err := bearer.New(bearer.Config{
		Origin: to.origin, Keys: to.keys, Replay: to.hot, Revoked: to.hot, Scopes: bearer.PeerScopes(), Now: to.now,
		Relation: func(context.Context, bearer.Principal) error { return nil }, CacheSize: 1 << 16,
	})
	if err != nil {
		b.Fatal(err)
	}
	private := newKey(b)
	key, err := dpop.KeyOf(private, nil)
	if err != nil {
		b.Fatal(err)
	}
	reads := func(_, claims object) { claims["scope"] = "orders:read orders:write" }
	token := to.tokenBy(from, private, reads)
	bare := newKey(b)
	sum := sha256.Sum256([]byte("bare"))
	r, s, err := ecdsa.Sign(rand.Reader, bare, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		if unseen {
			token = to.tokenBy(from, private, reads)
		}
		proof, err := key.Proof(http.MethodPost, to.origin+getAccess, token, w.clock.Now())
		if err != nil {
			b.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodPost, to.origin+getAccess, nil)
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", proof)

		start := time.Now()
		if _, err := verifier.Verify(request); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		for range verifications {
			if !ecdsa.Verify(&bare.PublicKey, sum[:], r, s) {
				b.Fatal("bare verification fails")
			}
		}
		ours, theirs = append(ours, middle.Sub(start)), append(theirs, time.Since(middle))
	}
	b.ReportMetric(float64(median(ours).Nanoseconds())/1e3, "µs/verify")
	b.ReportMetric(float64(median(theirs).Nanoseconds())/1e3, "µs/bare")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "x-bare-ES256")
}

// median, because on a busy machine a few samples contain somebody else's work.
func median(samples []time.Duration) time.Duration {
	slices.Sort(samples)
	return samples[len(samples)/2]
}

// BenchmarkTokenEndpoint issues tokens without the network: form, assertion, proof, grant, token. Making the requests is not
// counted.
func BenchmarkTokenEndpoint(b *testing.B) {
	w := newWorld(b)
	from, to := w.member("a.localhost"), w.member("b.localhost")
	server, err := authserver.New(authserver.Config{
		Origin: to.origin, Keys: to.keys, Replay: to.hot, Revoked: to.hot, Grants: to.grants, Guard: to.guard, Now: to.now,
	})
	if err != nil {
		b.Fatal(err)
	}
	handler := server.Handler()
	key, err := dpop.NewKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	private, kid := from.private(keys.Client)
	id := from.origin + clientDocument
	make1 := func() *http.Request {
		now := w.clock.Now()
		assertion := forge(b, object{"typ": "client-authentication+jwt", "alg": "ES256", "kid": kid},
			object{"iss": id, "sub": id, "aud": to.origin, "jti": newID(b), "iat": now.Unix(), "exp": now.Unix() + 60}, private)
		proof, err := key.Proof(http.MethodPost, to.origin+"/oauth2/token", "", now)
		if err != nil {
			b.Fatal(err)
		}
		form := url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {"orders:write orders:read"}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"authorization_details": {`[{"type":"hanse_agreement","agreement":"` + agreementOfA + `"}]`},
		}
		r := httptest.NewRequest(http.MethodPost, to.origin+"/oauth2/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("DPoP", proof)
		return r
	}
	requests := make([]*http.Request, 4096)
	var next atomic.Int64
	var busy time.Duration
	refill := func() {
		for i := range requests {
			requests[i] = make1()
		}
		next.Store(0)
	}
	refill()
	for b.Loop() {
		i := next.Add(1) - 1
		if int(i) == len(requests) {
			b.StopTimer()
			refill()
			i = next.Add(1) - 1
			b.StartTimer()
		}
		recorder := httptest.NewRecorder()
		start := time.Now()
		handler.ServeHTTP(recorder, requests[i])
		busy += time.Since(start)
		if recorder.Code != http.StatusOK {
			b.Fatalf("%d %s", recorder.Code, recorder.Body)
		}
	}
	b.ReportMetric(float64(b.N)/busy.Seconds(), "tokens/s")
}
