package auth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/clock"
	"github.com/hanse-market/hanse/auth/dpop"
	"github.com/hanse-market/hanse/auth/keys"
)

type object = map[string]any

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// forge makes a compact JWS with any header, claims and key: *ecdsa.PrivateKey, *rsa.PrivateKey, []byte for HMAC, nil for none.
func forge(t testing.TB, header, claims object, key any) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(h) + "." + b64(c)
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature = make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	case *rsa.PrivateKey:
		if signature, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:]); err != nil {
			t.Fatal(err)
		}
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	return input + "." + b64(signature)
}

// private is a member's current private key for a purpose: an attacker who is a partner has its own.
func (m *member) private(p keys.Purpose) (*ecdsa.PrivateKey, string) {
	m.w.t.Helper()
	records, _ := m.store.Keys(m.w.t.Context(), p)
	for _, r := range records {
		if r.State == keys.Current {
			var k jose.JSONWebKey
			if err := k.UnmarshalJSON(r.Private); err != nil {
				m.w.t.Fatal(err)
			}
			return k.Key.(*ecdsa.PrivateKey), r.KID
		}
	}
	m.w.t.Fatal("no current key")
	return nil, ""
}

func jwkOf(t testing.TB, key any) object {
	t.Helper()
	raw, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func newID(t testing.TB) string {
	t.Helper()
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		t.Fatal(err)
	}
	return b64(id[:])
}

// proof is a DPoP proof to be, open to every change.
type proof struct {
	header, claims object
	key            any
}

func (w *world) proof(key *ecdsa.PrivateKey, method, target, token string) *proof {
	claims := object{"jti": newID(w.t), "htm": method, "htu": target, "iat": w.clock.Now().Unix()}
	if token != "" {
		claims["ath"] = dpop.Hash(token)
	}
	return &proof{
		header: object{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwkOf(w.t, key.Public())}, claims: claims, key: key,
	}
}

func (p *proof) sign(t testing.TB) string { return forge(t, p.header, p.claims, p.key) }

// tokenRequest is a correct request of from at to's token endpoint, open to every change.
type tokenRequest struct {
	from, to       *member
	form           url.Values
	header, claims object
	key            any
	proof          *proof
	proofs         []string
	headers        http.Header
	// body replaces the encoded form.
	body string
	// assertion replaces the one made of header and claims.
	assertion string
	issuer    string
	server    *host
}

func (m *member) ask(to *member, scope, agreement string) *tokenRequest {
	m.w.t.Helper()
	key, kid := m.private(keys.Client)
	id := m.origin + "/oauth2/client.json"
	now := m.w.clock.Now().Unix()
	q := &tokenRequest{
		from: m, to: to, key: key, headers: http.Header{}, issuer: to.origin, server: to.host,
		header: object{"typ": "client-authentication+jwt", "alg": "ES256", "kid": kid},
		claims: object{"iss": id, "sub": id, "aud": to.origin, "jti": newID(m.w.t), "iat": now, "exp": now + 60},
		form: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {id}, "scope": {scope},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		},
		proof: m.w.proof(newKey(m.w.t), http.MethodPost, to.origin+"/oauth2/token", ""),
	}
	if agreement != "" {
		q.form.Set("authorization_details", `[{"type":"hanse_agreement","agreement":"`+agreement+`"}]`)
	}
	return q
}

// answer of a server, read whole.
type answer struct {
	status int
	reason string
	token  string
	header http.Header
	body   string
}

func (q *tokenRequest) send(t testing.TB) answer {
	t.Helper()
	return q.post(t, "/oauth2/token")
}

func (q *tokenRequest) post(t testing.TB, path string) answer {
	t.Helper()
	form := maps.Clone(q.form)
	if q.assertion == "" {
		q.assertion = forge(t, q.header, q.claims, q.key)
	}
	if !form.Has("client_assertion") {
		form.Set("client_assertion", q.assertion)
	}
	body := form.Encode()
	if q.body != "" {
		body += "&" + q.body
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, q.issuer+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = q.headers.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if q.proofs == nil && q.proof != nil {
		q.proofs = []string{q.proof.sign(t)}
	}
	for _, p := range q.proofs {
		r.Header.Add("DPoP", p)
	}
	return do(t, q.from.w.browser(q.server), r)
}

func do(t testing.TB, browser *http.Client, r *http.Request) answer {
	t.Helper()
	response, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(raw)}
	var body struct {
		Reason string `json:"reason"`
		Token  string `json:"access_token"`
	}
	_ = json.Unmarshal(raw, &body)
	a.reason, a.token = body.Reason, body.Token
	if a.reason == "" {
		a.reason = response.Header.Get("Hanse-Reason")
	}
	if a.reason != response.Header.Get("Hanse-Reason") {
		t.Errorf("the body says %q, the header %q", a.reason, response.Header.Get("Hanse-Reason"))
	}
	_, told := clock.Read(response.Header)
	document := r.Method == http.MethodGet && a.reason == ""
	if uncached := response.Header.Get("Cache-Control") == "no-store"; told == document || uncached == document {
		t.Errorf("%d %s: all answers but documents tell the time, to no cache: %v", a.status, a.reason, response.Header)
	}
	return a
}

// peerCall is a correct call of a peer procedure, open to every change.
type peerCall struct {
	to                   *member
	method, path, scheme string
	token                string
	proof                *proof
	proofs               []string
	host                 string
	headers              http.Header
}

const (
	getAccess = "/hanse.peer.v1.OrderService/GetAccessData"
	watch     = "/hanse.peer.v1.CatalogService/Watch"
)

// call gets a token for a key of its own and prepares a call with it.
func (m *member) call(to *member, path string) *peerCall {
	m.w.t.Helper()
	q := m.ask(to, "orders:write catalog:read", agreementOfA)
	a := q.send(m.w.t)
	if a.status != http.StatusOK {
		m.w.t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return m.callWith(to, path, a.token, q.proof.key.(*ecdsa.PrivateKey))
}

func (m *member) callWith(to *member, path, token string, key *ecdsa.PrivateKey) *peerCall {
	return &peerCall{
		to: to, method: http.MethodPost, path: path, scheme: "DPoP", token: token, headers: http.Header{},
		proof: m.w.proof(key, http.MethodPost, to.origin+path, token),
	}
}

func (c *peerCall) send(t testing.TB) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), c.method, c.to.origin+c.path, bytes.NewReader([]byte("{}")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = c.headers.Clone()
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", c.scheme+" "+c.token)
	}
	if c.proofs == nil && c.proof != nil {
		c.proofs = []string{c.proof.sign(t)}
	}
	for _, p := range c.proofs {
		r.Header.Add("DPoP", p)
	}
	if c.host != "" {
		r.Host = c.host
	}
	return do(t, c.to.w.browser(c.to.host), r)
}

// want checks status and reason of a refusal.
func (a answer) want(t testing.TB, status int, reason string) {
	t.Helper()
	if a.status != status || a.reason != reason {
		t.Errorf("got %d %s, want %d %s; %s", a.status, a.reason, status, reason, a.body)
	}
}

func clone(o object) object { return maps.Clone(o) }

func cloneForm(f url.Values) url.Values {
	out := url.Values{}
	for name, values := range f {
		out[name] = append([]string(nil), values...)
	}
	return out
}

func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return b64(sum)
}
