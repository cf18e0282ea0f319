package auth_test

import (
	"crypto/ecdsa"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
)

// callCase changes a correct peer call so that it has to be refused.
type callCase struct {
	number int
	name   string
	change func(t *testing.T, c *peerCall)
	status int
	reason string
}

// tokenBy forges an access token with a member's own token key; change breaks it.
func (m *member) tokenBy(from *member, key *ecdsa.PrivateKey, change func(header, claims object)) string {
	m.w.t.Helper()
	private, kid := m.private(keys.Token)
	id, now := from.origin+"/oauth2/client.json", m.w.clock.Now().Unix()
	header := object{"typ": "at+jwt", "alg": "ES256", "kid": kid}
	claims := object{
		"iss": m.origin, "sub": id, "aud": m.origin, "client_id": id, "jti": newID(m.w.t), "iat": now, "exp": now + 300,
		"scope": "orders:write catalog:read", "client_kid": "k", "cnf": object{"jkt": thumbprint(m.w.t, key)},
		"authorization_details": []object{{"type": "hanse_agreement", "agreement": agreementOfA}},
	}
	if change != nil {
		change(header, claims)
	}
	return forge(m.w.t, header, claims, private)
}

// TestPeerCallsAreRefused sends one wrong call for each row. A row passes if the answer has the right status and reason, the
// handler was not reached, and nothing was used up: the correct call with the same jti then still passes.
func TestPeerCallsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b, c := w.member("a.localhost"), w.member("b.localhost"), w.member("c.localhost")
	htu := func(f func(origin, path string) string) func(*testing.T, *peerCall) {
		return func(_ *testing.T, call *peerCall) { call.proof.claims["htu"] = f(call.to.origin, call.path) }
	}
	claim := func(name string, value any) func(*testing.T, *peerCall) {
		return func(_ *testing.T, call *peerCall) { call.proof.claims[name] = value }
	}
	iat := func(d time.Duration) func(*testing.T, *peerCall) {
		return func(_ *testing.T, call *peerCall) { call.proof.claims["iat"] = w.clock.Now().Add(d).Unix() }
	}
	token := func(by *member, change func(header, claims object)) func(*testing.T, *peerCall) {
		return func(t *testing.T, call *peerCall) {
			key := call.proof.key.(*ecdsa.PrivateKey)
			*call = *a.callWith(call.to, call.path, by.tokenBy(a, key, change), key)
		}
	}
	header := func(name, value string) func(object, object) {
		return func(header, _ object) { header[name] = value }
	}
	body := func(name string, value any) func(object, object) {
		return func(_, claims object) { claims[name] = value }
	}
	cases := []callCase{
		{21, "no proof", func(_ *testing.T, call *peerCall) { call.proof = nil }, 401, "proof_missing"},
		{22, "two DPoP headers", func(t *testing.T, call *peerCall) {
			other := *call.proof
			other.claims = clone(other.claims)
			other.claims["jti"] = newID(t)
			call.proofs = []string{call.proof.sign(t), other.sign(t)}
		}, 401, "proof_multiple"},
		{22, "two proofs in one header", func(t *testing.T, call *peerCall) {
			call.proofs = []string{call.proof.sign(t) + ", " + call.proof.sign(t)}
		}, 401, "proof_multiple"},
		{23, "proof by another key than cnf", func(t *testing.T, call *peerCall) {
			own := newKey(t)
			call.proof.key, call.proof.header["jwk"] = own, jwkOf(t, own.Public())
		}, 401, "proof_key_mismatch"},
		{23, "proof signed by another key than it shows", func(t *testing.T, call *peerCall) {
			call.proof.key = newKey(t)
		}, 401, "proof_signature"},
		{24, "wrong htm", claim("htm", "GET"), 401, "proof_method"},
		{25, "htu of another host", htu(func(_, path string) string { return "https://c.localhost:1" + path }), 401, "proof_url"},
		{25, "htu with a trailing slash", htu(func(origin, path string) string { return origin + path + "/" }), 401, "proof_url"},
		{25, "htu with dot segments", htu(func(origin, path string) string { return origin + "/x/.." + path }), 401, "proof_url"},
		{25, "htu with a query", htu(func(origin, path string) string { return origin + path + "?a=b" }), 401, "proof_url"},
		{25, "htu of another procedure", htu(func(origin, _ string) string { return origin + getAccess }), 401, "proof_url"},
		{26, "forged Host", func(_ *testing.T, call *peerCall) {
			call.host, call.proof.claims["htu"] = "evil.localhost", "https://evil.localhost"+call.path
		}, 401, "proof_url"},
		{26, "forged X-Forwarded-Host", func(_ *testing.T, call *peerCall) {
			call.headers.Set("X-Forwarded-Host", "evil.localhost")
			call.headers.Set("Forwarded", "host=evil.localhost")
			call.proof.claims["htu"] = "https://evil.localhost" + call.path
		}, 401, "proof_url"},
		{27, "ath of another token", claim("ath", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"), 401, "proof_token"},
		{27, "no ath", func(_ *testing.T, call *peerCall) { delete(call.proof.claims, "ath") }, 401, "proof_token"},
		{28, "private key in jwk", func(t *testing.T, call *peerCall) {
			call.proof.header["jwk"] = jwkOf(t, call.proof.key)
		}, 401, "proof_private_key"},
		{29, "stale iat", iat(-61 * time.Second), 401, "clock_skew"},
		{29, "future iat", iat(11 * time.Second), 401, "clock_skew"},
		{29, "no iat", func(_ *testing.T, call *peerCall) { delete(call.proof.claims, "iat") }, 401, "proof_malformed"},
		{31, "as a Bearer token", func(_ *testing.T, call *peerCall) { call.scheme = "Bearer" }, 401, "token_scheme"},
		{31, "no token", func(_ *testing.T, call *peerCall) { call.token = "" }, 401, "token_missing"},
		{32, "token of another member", token(c, nil), 401, "token_key"},
		{32, "our signature, another audience", token(b, body("aud", c.origin)), 401, "token_audience"},
		{32, "our signature, an audience array", token(b, body("aud", []string{b.origin, c.origin})), 401, "token_audience"},
		{32, "our signature, another issuer", token(b, body("iss", c.origin)), 401, "token_issuer"},
		{33, "typ JWT", token(b, header("typ", "JWT")), 401, "token_type"},
		{33, "a client assertion as access token", func(t *testing.T, call *peerCall) {
			q := a.ask(b, "catalog:read", "")
			key := call.proof.key.(*ecdsa.PrivateKey)
			*call = *a.callWith(b, call.path, forge(t, q.header, q.claims, q.key), key)
		}, 401, "token_type"},
		{33, "alg none", token(b, header("alg", "none")), 401, "token_algorithm"},
		{33, "jku header", token(b, header("jku", "https://evil.localhost:1")), 401, "token_algorithm"},
		{33, "a token bound to nothing", token(b, func(_, claims object) { delete(claims, "cnf") }), 401, "token_unbound"},
		{34, "expired, never seen", token(b, func(_, claims object) {
			claims["iat"], claims["exp"] = w.clock.Now().Unix()-300, w.clock.Now().Unix()
		}), 401, "token_expired"},
		{34, "issued in the future, never seen", token(b, body("iat", w.clock.Now().Unix()+11)), 401, "token_from_future"},
		{34, "lives for longer than an hour", token(b, body("exp", w.clock.Now().Unix()+3601)), 401, "token_malformed"},
		{34, "living too long", token(b, func(_, claims object) { claims["exp"] = w.clock.Now().Unix() + 86400 }), 401, "token_malformed"},
		{37, "scope missing", token(b, body("scope", "ledger:read")), 403, "scope_missing"},
		{37, "scope that only starts alike", token(b, body("scope", "catalog:readall")), 403, "scope_missing"},
		{38, "a procedure without table entry", func(_ *testing.T, call *peerCall) {
			*call = *a.callWith(b, "/hanse.peer.v1.OrderService/Brandnew", call.token, call.proof.key.(*ecdsa.PrivateKey))
		}, 403, "procedure_unknown"},
		{38, "a procedure in other letters", func(_ *testing.T, call *peerCall) {
			*call = *a.callWith(b, strings.ToLower(watch), call.token, call.proof.key.(*ecdsa.PrivateKey))
		}, 403, "procedure_unknown"},
		{38, "GET, whose query no proof covers", func(_ *testing.T, call *peerCall) {
			call.method, call.proof.claims["htm"] = http.MethodGet, http.MethodGet
		}, 405, "method_not_allowed"},
	}
	for _, row := range cases {
		t.Run(title(row.number, row.name), func(t *testing.T) {
			pass(t)
			right := a.call(b, watch)
			wrong := *right
			wrong.proof = &proof{header: clone(right.proof.header), claims: clone(right.proof.claims), key: right.proof.key}
			wrong.headers = http.Header{}
			row.change(t, &wrong)
			used, reached := b.hot.count(), b.reached.Load()

			got := wrong.send(t)

			got.want(t, row.status, row.reason)
			if b.reached.Load() != reached || b.hot.count() != used {
				t.Error("an effect: the handler was reached, or something was used up")
			}
			if challenge := got.header.Get("WWW-Authenticate"); row.status == 401 && !strings.HasPrefix(challenge, "DPoP ") {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
			if after := right.send(t); after.status != http.StatusOK {
				t.Errorf("the correct call with the same jti: %d %s", after.status, after.body)
			}
		})
	}
}

func TestPeerCallsOverTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	refused := func(t *testing.T, call *peerCall, status int, reason string) {
		t.Helper()
		reached := b.reached.Load()
		call.send(t).want(t, status, reason)
		if b.reached.Load() != reached {
			t.Error("the handler was reached")
		}
	}
	again := func(call *peerCall) *peerCall {
		return a.callWith(b, call.path, call.token, call.proof.key.(*ecdsa.PrivateKey))
	}
	works := func(t *testing.T, call *peerCall) {
		t.Helper()
		if got := call.send(t); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}

	t.Run(title(30, "replayed proof"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		works(t, call)
		refused(t, call, 401, "replayed")
		w.clock.advance(59 * time.Second)
		refused(t, call, 401, "replayed")
	})
	t.Run(title(30, "proof older than the replay cache"), func(t *testing.T) {
		pass(t)
		w.clock.advance(5 * time.Second)
		b.hot.set(func(h *hot) { clear(h.keys); h.birth = w.clock.Now() })
		call := a.call(b, watch)
		call.proof.claims["iat"] = w.clock.Now().Add(-5 * time.Second).Unix()
		refused(t, call, 401, "proof_predates_cache")
		works(t, again(call))
	})
	t.Run(title(35, "token older than the list of revoked ones"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		w.clock.advance(5 * time.Second)
		b.hot.set(func(h *hot) { clear(h.keys); h.birth = w.clock.Now() })
		refused(t, again(call), 401, "token_predates_cache")
		works(t, a.call(b, watch))
	})
	t.Run(title(34, "expired, seen before"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		works(t, call)
		w.clock.advance(5 * time.Minute)
		refused(t, again(call), 401, "token_expired")
	})
	t.Run(title(34, "issued in the future, seen before"), func(t *testing.T) {
		pass(t)
		b.old()
		call := a.call(b, watch)
		works(t, call)
		b.ahead.Store(int64(-11 * time.Second))
		defer b.ahead.Store(0)
		late := again(call)
		late.proof.claims["iat"] = b.now().Unix()
		refused(t, late, 401, "token_from_future")
	})
	t.Run(title(35, "revoked while it lay in the future"), func(t *testing.T) {
		pass(t)
		b.old()
		call := a.call(b, watch)
		b.ahead.Store(int64(-11 * time.Second))
		revoke := a.ask(b, "", "")
		revoke.claims["iat"], revoke.claims["exp"] = b.now().Unix(), b.now().Unix()+60
		revoke.form.Del("scope")
		revoke.form.Del("grant_type")
		revoke.form.Set("token", call.token)
		if got := revoke.post(t, "/oauth2/revoke"); got.status != http.StatusOK {
			t.Fatalf("revoke: %d %s", got.status, got.body)
		}
		b.ahead.Store(0)
		refused(t, again(call), 401, "token_revoked")
	})
	t.Run(title(35, "revoked jti"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		works(t, call)
		revoke := a.ask(b, "", "")
		revoke.form.Del("scope")
		revoke.form.Del("grant_type")
		revoke.form.Set("token", call.token)
		if got := revoke.post(t, "/oauth2/revoke"); got.status != http.StatusOK {
			t.Fatalf("revoke: %d %s", got.status, got.body)
		}
		refused(t, again(call), 401, "token_revoked")
	})
	t.Run(title(35, "revocation of another client's token has no effect"), func(t *testing.T) {
		pass(t)
		c := w.member("c.localhost")
		call := a.call(b, watch)
		revoke := c.ask(b, "", "")
		revoke.form.Del("scope")
		revoke.form.Del("grant_type")
		revoke.form.Set("token", call.token)
		revoke.post(t, "/oauth2/revoke").want(t, 400, "token_of_other_client")
		works(t, call)
	})
	t.Run(title(36, "suspended partner with a live token"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		works(t, call)
		b.relation = func(bearer.Principal) error { return refusal.New(refusal.Denied, "partner_suspended", "suspended") }
		defer func() { b.relation = nil }()
		refused(t, again(call), 403, "partner_suspended")
	})
	t.Run(title(36, "a relation that cannot be read is not the caller's fault"), func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		b.relation = func(bearer.Principal) error { return errors.New("database is gone: dsn=secret") }
		defer func() { b.relation = nil }()
		got := call.send(t)
		got.want(t, 503, "relation_unavailable")
		if strings.Contains(got.body, "secret") {
			t.Error("internal text reaches the caller")
		}
	})
	t.Run(title(40, "agreement of another partner at the token endpoint"), func(t *testing.T) {
		pass(t)
		c := w.member("c2.localhost")
		got := c.ask(b, "orders:write", agreementOfA).send(t)
		got.want(t, 400, "agreement_denied")
		if got.token != "" {
			t.Error("a token was issued")
		}
	})
	t.Run(title(40, "orders scope without an agreement"), func(t *testing.T) {
		pass(t)
		used := b.hot.count()
		got := a.ask(b, "orders:write", "").send(t)
		got.want(t, 400, "agreement_missing")
		if got.token != "" || b.hot.count() != used {
			t.Error("an effect")
		}
	})
	t.Run(title(40, "orders token that names no agreement"), func(t *testing.T) {
		pass(t)
		key := newKey(t)
		forged := b.tokenBy(a, key, func(_, claims object) {
			claims["scope"] = "orders:read"
			delete(claims, "authorization_details")
		})
		refused(t, a.callWith(b, getAccess, forged, key), 403, "agreement_missing")
	})
	t.Run("token key that is withdrawn takes its tokens along", func(t *testing.T) {
		pass(t)
		call := a.call(b, watch)
		works(t, call)
		for range 2 {
			if err := b.keys.Rotate(t.Context(), keys.Token); err != nil {
				t.Fatal(err)
			}
		}
		works(t, again(call)) // retired keys still verify
		w.clock.advance(2 * time.Minute)
		works(t, again(call))
		b.store.mu.Lock()
		for kid, r := range b.store.records[keys.Token] {
			if r.State == keys.Retired {
				delete(b.store.records[keys.Token], kid)
			}
		}
		b.store.mu.Unlock()
		if err := b.keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		refused(t, again(call), 401, "token_key")
	})
}

func TestReplayCacheDownFailsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.member("a.localhost"), w.member("b.localhost")
	call := a.call(b, watch)
	b.hot.set(func(h *hot) { h.down = errors.New("connection refused") })
	pass(t)
	got := a.ask(b, "catalog:read", "").send(t)
	got.want(t, 503, "replay_cache_unavailable")
	if got.token != "" {
		t.Error("a token was issued")
	}
	call.send(t).want(t, 503, "replay_cache_unavailable")
	if b.reached.Load() != 0 {
		t.Error("the handler was reached")
	}
	b.hot.set(func(h *hot) { h.down = nil })
	if got := call.send(t); got.status != http.StatusOK {
		t.Errorf("after the outage: %d %s", got.status, got.body)
	}
}

// TestEveryPeerProcedureHasAScope walks the descriptors: a new procedure without an entry fails here, and is denied at run time.
func TestEveryPeerProcedureHasAScope(t *testing.T) {
	t.Parallel()
	pass(t)
	for _, problem := range untabled(bearer.PeerScopes(), peerv1.File_hanse_peer_v1_peer_proto) {
		t.Error(problem)
	}
	short := bearer.PeerScopes()
	delete(short, getAccess)
	if len(untabled(short, peerv1.File_hanse_peer_v1_peer_proto)) != 1 {
		t.Error("a missing entry is not noticed")
	}
	short["/hanse.peer.v1.OrderService/Gone"] = scope.OrdersRead
	if len(untabled(short, peerv1.File_hanse_peer_v1_peer_proto)) != 2 {
		t.Error("an entry for nothing is not noticed")
	}
}

// untabled lists procedures without a known scope, and entries without a procedure.
func untabled(table map[string]string, file protoreflect.FileDescriptor) []string {
	var problems []string
	exists := map[string]bool{}
	known := map[string]bool{}
	for _, scope := range scope.All() {
		known[scope] = true
	}
	for i := range file.Services().Len() {
		service := file.Services().Get(i)
		for j := range service.Methods().Len() {
			procedure := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
			exists[procedure] = true
			if !known[table[procedure]] {
				problems = append(problems, procedure+" has no scope")
			}
		}
	}
	for procedure := range table {
		if !exists[procedure] {
			problems = append(problems, procedure+" does not exist")
		}
	}
	return problems
}
