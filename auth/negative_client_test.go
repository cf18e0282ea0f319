package auth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/keys"
)

// tokenCase changes a correct token request so that it has to be refused.
type tokenCase struct {
	number int
	name   string
	change func(t *testing.T, q *tokenRequest)
	status int
	reason string
}

// pass counts a negative case when its test ends well.
func pass(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			passed.Add(1)
		}
	})
}

func title(number int, name string) string { return fmt.Sprintf("case %02d: %s", number, name) }

// TestTokenEndpointRefuses sends one wrong request for each row. A row passes if the answer has the right status and reason,
// nobody was asked for a grant, no token came back, and nothing was used up: the correct request with the same jti's then
// still gets its token.
func TestTokenEndpointRefuses(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	header := func(name string, value any) func(*testing.T, *tokenRequest) {
		return func(_ *testing.T, q *tokenRequest) { q.header[name] = value }
	}
	claim := func(name string, value any) func(*testing.T, *tokenRequest) {
		return func(_ *testing.T, q *tokenRequest) { q.claims[name] = value }
	}
	at := func(d time.Duration) func(*testing.T, *tokenRequest) {
		return func(_ *testing.T, q *tokenRequest) {
			iat := q.from.w.clock.Now().Add(d).Unix()
			q.claims["iat"], q.claims["exp"] = iat, iat+60
		}
	}
	cases := []tokenCase{
		{4, "aud is an array that includes the issuer", func(_ *testing.T, q *tokenRequest) {
			q.claims["aud"] = []string{"https://evil.localhost:1", q.to.origin}
		}, 401, "assertion_audience"},
		{4, "aud is an array of the issuer alone", func(_ *testing.T, q *tokenRequest) {
			q.claims["aud"] = []string{q.to.origin}
		}, 401, "assertion_audience"},
		{5, "aud is the token endpoint", func(_ *testing.T, q *tokenRequest) {
			q.claims["aud"] = q.to.origin + "/oauth2/token"
		}, 401, "assertion_audience"},
		{6, "aud is another member", claim("aud", "https://c.localhost:1"), 401, "assertion_audience"},
		{7, "exp in ten years", func(_ *testing.T, q *tokenRequest) {
			q.claims["exp"] = q.from.w.clock.Now().AddDate(10, 0, 0).Unix()
		}, 401, "assertion_lifetime"},
		{8, "no exp", func(_ *testing.T, q *tokenRequest) { delete(q.claims, "exp") }, 401, "assertion_lifetime"},
		{9, "iat in an hour", at(time.Hour), 401, "clock_skew"},
		{10, "iat of yesterday", at(-24 * time.Hour), 401, "clock_skew"},
		{11, "alg none", func(_ *testing.T, q *tokenRequest) { q.header["alg"], q.key = "none", nil }, 401, "assertion_algorithm"},
		{12, "HS256 keyed with the public key", func(t *testing.T, q *tokenRequest) {
			key, _ := q.from.private(keys.Client)
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			q.header["alg"], q.key = "HS256", der
		}, 401, "assertion_algorithm"},
		{13, "RS256 under the kid of an ES256 key", func(_ *testing.T, q *tokenRequest) {
			q.header["alg"], q.key = "RS256", rsaKey
		}, 401, "assertion_algorithm"},
		{13, "RSA key that calls itself ES256", func(_ *testing.T, q *tokenRequest) { q.key = rsaKey }, 401, "assertion_signature"},
		{14, "jwk header", func(t *testing.T, q *tokenRequest) {
			own := newKey(t)
			q.header["jwk"], q.key = jwkOf(t, own.Public()), own
		}, 401, "assertion_header"},
		{14, "jku header", header("jku", "https://evil.localhost:1/jwks.json"), 401, "assertion_header"},
		{14, "x5u header", header("x5u", "https://evil.localhost:1/chain.pem"), 401, "assertion_header"},
		{14, "crit header", header("crit", []string{"exp"}), 401, "assertion_header"},
		{15, "iss is not sub", claim("iss", "https://evil.localhost:1/oauth2/client.json"), 401, "assertion_subject"},
		{15, "client_id is neither", func(_ *testing.T, q *tokenRequest) {
			q.form.Set("client_id", "https://evil.localhost:1/oauth2/client.json")
		}, 401, "assertion_subject"},
		{17, "typ at+jwt", header("typ", "at+jwt"), 401, "assertion_type"},
		{17, "a real access token as assertion", func(t *testing.T, q *tokenRequest) {
			q.assertion = q.from.ask(q.to, "catalog:read", "").send(t).token
		}, 401, "assertion_type"},
		{18, "Basic authentication as well", func(_ *testing.T, q *tokenRequest) {
			q.headers.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("a:b")))
		}, 401, "client_auth_method"},
		{18, "client_secret as well", func(_ *testing.T, q *tokenRequest) { q.form.Set("client_secret", "s") }, 401, "client_auth_method"},
		{18, "client_secret instead", func(_ *testing.T, q *tokenRequest) {
			q.form.Set("client_secret", "s")
			q.form.Set("client_assertion", "")
		}, 401, "client_auth_method"},
		{19, "scope given twice", func(_ *testing.T, q *tokenRequest) { q.body = "scope=orders%3Awrite" }, 400, "parameter_duplicate"},
		{19, "client_id given twice", func(_ *testing.T, q *tokenRequest) { q.body = "client_id=x" }, 400, "parameter_duplicate"},
		{21, "no proof at the token endpoint", func(_ *testing.T, q *tokenRequest) { q.proof = nil }, 400, "proof_missing"},
		{22, "two proofs at the token endpoint", func(t *testing.T, q *tokenRequest) {
			q.proofs = []string{q.proof.sign(t), q.proof.sign(t)}
		}, 400, "proof_multiple"},
		{24, "wrong htm at the token endpoint", func(_ *testing.T, q *tokenRequest) { q.proof.claims["htm"] = "GET" }, 400, "proof_method"},
		{25, "proof for another server's token endpoint", func(_ *testing.T, q *tokenRequest) {
			q.proof.claims["htu"] = "https://c.localhost:1/oauth2/token"
		}, 400, "proof_url"},
		{28, "private key shown at the token endpoint", func(t *testing.T, q *tokenRequest) {
			q.proof.header["jwk"] = jwkOf(t, q.proof.key)
		}, 400, "proof_private_key"},
		{29, "stale proof at the token endpoint", func(_ *testing.T, q *tokenRequest) {
			q.proof.claims["iat"] = q.from.w.clock.Now().Add(-2 * time.Minute).Unix()
		}, 400, "clock_skew"},
		{39, "empty scope", func(_ *testing.T, q *tokenRequest) { q.form.Set("scope", " ") }, 400, "scope_empty"},
		{39, "no scope", func(_ *testing.T, q *tokenRequest) { q.form.Del("scope") }, 400, "scope_empty"},
		{39, "scope that does not exist", func(_ *testing.T, q *tokenRequest) { q.form.Set("scope", "root") }, 400, "scope_unknown"},
	}
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	for _, c := range cases {
		t.Run(title(c.number, c.name), func(t *testing.T) {
			pass(t)
			right := a.ask(b, "catalog:read", "")
			wrong := *right
			wrong.header, wrong.claims, wrong.form = clone(right.header), clone(right.claims), cloneForm(right.form)
			wrong.proof = &proof{header: clone(right.proof.header), claims: clone(right.proof.claims), key: right.proof.key}
			wrong.headers = http.Header{}
			c.change(t, &wrong)
			used, asked := b.hot.count(), b.grants.count()

			got := wrong.send(t)

			got.want(t, c.status, c.reason)
			if got.token != "" || b.hot.count() != used || b.grants.count() != asked {
				t.Errorf("an effect: token %q, %d used up, %d grants asked", got.token, b.hot.count()-used, b.grants.count()-asked)
			}
			if after := right.send(t); after.status != http.StatusOK || after.token == "" {
				t.Errorf("the correct request with the same jti: %d %s", after.status, after.body)
			}
		})
	}
}

func TestReplayedAssertions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := w.member("a.localhost"), w.member("b.localhost"), w.member("c.localhost")

	t.Run(title(1, "replayed jti"), func(t *testing.T) {
		pass(t)
		first := a.ask(b, "catalog:read", "")
		if got := first.send(t); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		again := a.ask(b, "catalog:read", "")
		again.assertion = first.assertion
		asked := b.grants.count()
		got := again.send(t)
		got.want(t, 401, "replayed")
		if got.token != "" || b.grants.count() != asked {
			t.Error("an effect")
		}
	})

	t.Run(title(1, "replayed proof with a fresh assertion leaves the assertion usable"), func(t *testing.T) {
		pass(t)
		first := a.ask(b, "catalog:read", "")
		first.send(t)
		again := a.ask(b, "catalog:read", "")
		fresh := again.proof
		again.proofs = first.proofs
		again.send(t).want(t, 400, "replayed")
		again.proofs, again.proof = nil, fresh
		if got := again.send(t); got.status != http.StatusOK {
			t.Errorf("the assertion was burnt: %d %s", got.status, got.body)
		}
	})

	t.Run(title(2, "the same jti from another client does not collide"), func(t *testing.T) {
		pass(t)
		one, other := a.ask(b, "catalog:read", ""), c.ask(b, "catalog:read", "")
		other.claims["jti"] = one.claims["jti"]
		if got := other.send(t); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := one.send(t); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	})

	t.Run(title(3, "two replicas race for one jti and one wins"), func(t *testing.T) {
		pass(t)
		replica := w.host("b.localhost")
		replica.handler = b.mount(b.guard, b.origin, w.clock.Now, bearer.PeerScopes())
		assertion := a.ask(b, "catalog:read", "")
		assertion.assertion = forge(t, assertion.header, assertion.claims, assertion.key)
		const racers = 16
		answers := make([]answer, racers)
		start := make(chan struct{})
		var wait sync.WaitGroup
		for i := range racers {
			q := a.ask(b, "catalog:read", "")
			q.assertion = assertion.assertion
			q.proofs = []string{q.proof.sign(t)}
			if i%2 == 1 {
				q.server = replica
			}
			wait.Go(func() {
				<-start
				answers[i] = q.send(t)
			})
		}
		close(start)
		wait.Wait()
		won := 0
		for _, got := range answers {
			if got.status == http.StatusOK {
				won++
				continue
			}
			got.want(t, 401, "replayed")
		}
		if won != 1 {
			t.Errorf("%d of %d got a token", won, racers)
		}
	})

	t.Run(title(20, "replay after exp, also where the clock runs behind"), func(t *testing.T) {
		pass(t)
		behind := w.host("b.localhost")
		slow := func() time.Time { return w.clock.Now().Add(-10 * time.Second) }
		behind.handler = b.mount(b.guard, b.origin, slow, bearer.PeerScopes())
		first := a.ask(b, "catalog:read", "")
		if got := first.send(t); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		w.clock.advance(65 * time.Second) // exp + 5 s
		again := a.ask(b, "catalog:read", "")
		again.assertion = first.assertion
		again.send(t).want(t, 401, "clock_skew") // iat left its window with exp: both are 60 s

		again = a.ask(b, "catalog:read", "")
		again.assertion, again.server = first.assertion, behind
		again.proof.claims["iat"] = slow().Unix()
		again.send(t).want(t, 401, "replayed") // for that replica the assertion is still good
	})
}

func TestUnknownKeyIDsDoNotMakeUsFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	t.Run(title(16, "a thousand unknown kids cost one fetch a minute"), func(t *testing.T) {
		pass(t)
		if got := a.ask(b, "catalog:read", "").send(t); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		const path = "/oauth2/client-jwks.json"
		before := a.seen(path)
		storm := func(n int) {
			t.Helper()
			base := a.ask(b, "catalog:read", "")
			for i := range n {
				q := *base
				q.header = clone(base.header)
				q.header["kid"] = "unknown-" + strconv.Itoa(i)
				q.assertion = ""
				got := q.send(t)
				if got.status != 401 || got.reason != "assertion_key" {
					t.Fatalf("request %d: %d %s", i, got.status, got.reason)
				}
			}
		}
		used := b.hot.count()
		storm(1000)
		if n := a.seen(path) - before; n > 1 {
			t.Errorf("%d fetches in the first minute", n)
		}
		w.clock.advance(61 * time.Second)
		before = a.seen(path)
		storm(100)
		if n := a.seen(path) - before; n != 1 {
			t.Errorf("%d fetches in the second minute", n)
		}
		if b.hot.count() != used {
			t.Error("something was used up")
		}
	})
}
