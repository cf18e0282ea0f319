package auth_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	clientDocument = "/oauth2/client.json"
	clientKeys     = "/oauth2/client-jwks.json"
	serverDocument = "/.well-known/oauth-authorization-server"
)

func answerJSON(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// edit answers a member's own document with some members changed.
func (m *member) edit(t *testing.T, path string, change func(object)) http.HandlerFunc {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal([]byte(do(t, m.w.browser(m.host), r).body), &o); err != nil {
		t.Fatal(err)
	}
	change(o)
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return answerJSON(string(raw))
}

// TestClientDocumentsAreRefused lets a hostile client publish something wrong. A row passes if the token endpoint refuses with
// the right reason, no grant was asked for and nothing was used up.
func TestClientDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		chunk := []byte(strings.Repeat(" ", 32<<10))
		for written.Load() < 10<<30 {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	var packed bytes.Buffer // 32 MiB in 32 KiB
	z := gzip.NewWriter(&packed)
	for range 32 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			answerJSON(`{}`)(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
	slow := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	set := func(path, name string, value any) func(*testing.T, *member) {
		return func(t *testing.T, a *member) { a.override(path, a.edit(t, path, func(o object) { o[name] = value })) }
	}
	put := func(path string, f http.HandlerFunc) func(*testing.T, *member) {
		return func(_ *testing.T, a *member) { a.override(path, f) }
	}
	cases := []struct {
		number int
		name   string
		change func(*testing.T, *member)
		status int
		reason string
	}{
		{41, "client_id in the document is another", set(clientDocument, "client_id", "https://evil.localhost:1/oauth2/client.json"), 401, "client_metadata_mismatch"},
		{41, "client_id in the document differs in letters", func(t *testing.T, a *member) {
			a.override(clientDocument, a.edit(t, clientDocument, func(o object) { o["client_id"] = strings.ToUpper(a.origin) + clientDocument }))
		}, 401, "client_metadata_mismatch"},
		{41, "document with a secret", set(clientDocument, "client_secret", "s"), 401, "client_metadata_refused"},
		{41, "document with a symmetric method", set(clientDocument, "token_endpoint_auth_method", "client_secret_basic"), 401, "client_metadata_refused"},
		{42, "client document redirects to the metadata service", put(clientDocument, redirect), 401, "redirect_refused"},
		{42, "key set redirects to the metadata service", put(clientKeys, redirect), 401, "redirect_refused"},
		{45, "10 GB document", put(clientDocument, endless), 401, "body_too_large"},
		{45, "10 GB key set", put(clientKeys, endless), 401, "body_too_large"},
		{45, "gzip bomb", put(clientDocument, bomb), 401, "body_too_large"},
		{45, "slowloris", put(clientDocument, slow), 503, "fetch_timeout"},
		{45, "another content type", put(clientDocument, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}), 401, "content_type_refused"},
		{46, "jwks_uri on another origin", set(clientDocument, "jwks_uri", "https://evil.localhost:1/jwks.json"), 401, "url_origin"},
		{46, "jwks_uri over http", set(clientDocument, "jwks_uri", "http://a.localhost/jwks.json"), 401, "origin_scheme"},
		{46, "keys in the document", set(clientDocument, "jwks", object{"keys": []object{}}), 401, "client_metadata_refused"},
		{49, "empty key set", put(clientKeys, answerJSON(`{"keys":[]}`)), 401, "keys_unusable"},
		{49, "private key in the key set", func(t *testing.T, a *member) {
			key, kid := a.private(keys.Client)
			jwk := jwkOf(t, key)
			jwk["kid"] = kid
			raw, _ := json.Marshal(object{"keys": []object{jwk}})
			a.override(clientKeys, answerJSON(string(raw)))
		}, 401, "keys_unusable"},
	}
	for _, c := range cases {
		t.Run(title(c.number, c.name), func(t *testing.T) {
			pass(t)
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			limit := 30 * time.Second
			if c.reason == guard.ReasonTimeout {
				limit = 300 * time.Millisecond
			}
			b.guard = guard.New(guard.Config{Dev: true, RootCAs: w.pool, Now: w.clock.Now, Timeout: limit})
			t.Cleanup(b.guard.Close)
			b.host.handler = b.mount(b.guard, b.origin, w.clock.Now, bearer.PeerScopes())
			c.change(t, a)
			written.Store(0)

			got := a.ask(b, "catalog:read", "").send(t)

			got.want(t, c.status, c.reason)
			if got.token != "" || b.grants.count() != 0 || b.hot.count() != 0 {
				t.Error("an effect")
			}
			if n := written.Load(); n > 16<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestClientIDsThatLeadAstray offers a production server client ids whose names, or whose addresses, are not a partner's.
// The resolver is a real one that asks a name server of ours.
func TestClientIDsThatLeadAstray(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dns := newNameServer(t)
	dns.answer("rebind.example.", netip.MustParseAddr("93.184.216.34"))
	dns.answer("loopback.example.", netip.MustParseAddr("127.0.0.1"))
	dns.answer("mapped.example.", netip.MustParseAddr("::ffff:127.0.0.1"))
	dns.answer("zero.example.", netip.MustParseAddr("0.0.0.0"))
	dns.answer("nat64.example.", netip.MustParseAddr("64:ff9b::7f00:1"))
	dns.answer("linklocal.example.", netip.MustParseAddr("169.254.169.254"))
	dns.answer("private.example.", netip.MustParseAddr("10.0.0.1"))
	dns.answer("ula.example.", netip.MustParseAddr("fd00::1"))
	dns.answer("cgnat.example.", netip.MustParseAddr("100.64.0.1"))
	production := guard.New(guard.Config{Resolver: dns.resolver(), Now: w.clock.Now, RootCAs: w.pool})
	t.Cleanup(production.Close)

	a, b := w.member("a.localhost"), w.member("b.localhost")
	const origin = "https://b.example"
	b.host.handler = b.mount(production, origin, w.clock.Now, bearer.PeerScopes())
	cases := []struct {
		number int
		name   string
		origin string
		reason string
	}{
		{43, "rebinding from a public address to 127.0.0.1", "https://rebind.example", "address_refused"},
		{43, "name of 127.0.0.1", "https://loopback.example", "address_refused"},
		{44, "name of an IPv4-mapped IPv6 address", "https://mapped.example", "address_refused"},
		{44, "name of 0.0.0.0", "https://zero.example", "address_refused"},
		{44, "name of a NAT64 address", "https://nat64.example", "address_refused"},
		{44, "name of the metadata service", "https://linklocal.example", "address_refused"},
		{44, "name of a private network", "https://private.example", "address_refused"},
		{44, "name of a unique local address", "https://ula.example", "address_refused"},
		{44, "name of a carrier's network", "https://cgnat.example", "address_refused"},
		{44, "IPv4-mapped IPv6 literal", "https://[::ffff:127.0.0.1]", "origin_address"},
		{44, "0.0.0.0", "https://0.0.0.0", "origin_address"},
		{44, "decimal address", "https://2130706433", "origin_address"},
		{44, "hexadecimal address", "https://0x7f000001", "origin_address"},
		{44, "octal address", "https://0177.0.0.1", "origin_address"},
		{44, "short address", "https://127.1", "origin_address"},
		{44, "NAT64 literal", "https://[64:ff9b::7f00:1]", "origin_address"},
		{48, "http", "http://a.example", "origin_scheme"},
		{48, "port 22", "https://a.example:22", "origin_port"},
		{48, "user name", "https://b.example@evil.example", "origin_userinfo"},
		{48, "homograph in Cyrillic", "https://\u0430.example", "origin_idn"},
		{48, "homograph in punycode", "https://xn--80a.example", "origin_idn"},
		{48, "loopback name", "https://a.localhost:8443", "origin_port"},
		{48, "loopback name without port", "https://a.localhost", "origin_dev"},
		{48, "single label", "https://intranet", "origin_host"},
		{48, "special-use domain", "https://db.internal", "origin_host"},
		{48, "trailing dot", "https://a.example.", "origin_host"},
	}
	if got := dns.lookup(t, "rebind.example"); got != "93.184.216.34" {
		t.Fatalf("the first answer is %s", got)
	}
	dns.answer("rebind.example.", netip.MustParseAddr("127.0.0.1"))
	for _, c := range cases {
		t.Run(title(c.number, c.name), func(t *testing.T) {
			pass(t)
			q := a.ask(b, "catalog:read", "")
			q.issuer = origin
			id := c.origin + clientDocument
			q.form.Set("client_id", id)
			q.claims["iss"], q.claims["sub"], q.claims["aud"] = id, id, origin
			q.proof.claims["htu"] = origin + "/oauth2/token"
			got := q.send(t)
			got.want(t, 401, c.reason)
			if got.token != "" || b.grants.count() != 0 || b.hot.count() != 0 {
				t.Error("an effect")
			}
		})
	}
}

// TestDiscoveryRefuses is the other direction: we discover a member whose documents are wrong.
func TestDiscoveryRefuses(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(object) { return func(o object) { o[name] = value } }
	cases := []struct {
		number int
		name   string
		path   string
		change func(object)
		reason string
	}{
		{46, "token endpoint on another origin", serverDocument, set("token_endpoint", "https://evil.localhost:1/oauth2/token"), "url_origin"},
		{46, "jwks_uri on another origin", serverDocument, set("jwks_uri", "https://evil.localhost:1/jwks.json"), "url_origin"},
		{46, "token endpoint with dot segments", serverDocument, func(o object) {
			o["token_endpoint"] = o["issuer"].(string) + "/a/../oauth2/token"
		}, "url_refused"},
		{47, "issuer of another member", serverDocument, set("issuer", "https://c.localhost:1"), client.ReasonIssuer},
		{47, "issuer with a trailing slash", serverDocument, func(o object) { o["issuer"] = o["issuer"].(string) + "/" }, client.ReasonIssuer},
		{47, "resource of another member", "/.well-known/oauth-protected-resource", set("resource", "https://c.localhost:1"), client.ReasonIssuer},
		{
			47, "another member's authorization server", "/.well-known/oauth-protected-resource",
			set("authorization_servers", []string{"https://c.localhost:1"}), client.ReasonIssuer,
		},
		{47, "no DPoP", serverDocument, set("dpop_signing_alg_values_supported", []string{}), client.ReasonMetadata},
	}
	for _, c := range cases {
		t.Run(title(c.number, c.name), func(t *testing.T) {
			pass(t)
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			b.override(c.path, b.edit(t, c.path, c.change))
			_, err := a.client.Discover(t.Context(), b.origin)
			if refusal.Reason(err) != c.reason {
				t.Errorf("got %v, want %s", err, c.reason)
			}
			call := &http.Client{Transport: a.client.Transport(b.origin, []string{"catalog:read"}, "")}
			if _, err := call.Post(b.origin+watch, "application/json", strings.NewReader("{}")); err == nil {
				t.Error("a call went out")
			}
			if b.seen("/oauth2/token") != 0 || b.reached.Load() != 0 {
				t.Error("an effect")
			}
		})
	}
}

func TestGoodKeysOutliveBadAnswers(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat(`{"kty":"EC","crv":"P-256"},`, 10_000)
	many := func(t *testing.T) string {
		var sb strings.Builder
		for i := range 40 {
			jwk := jwkOf(t, newKey(t).Public())
			jwk["kid"] = fmt.Sprint(i)
			raw, _ := json.Marshal(jwk)
			sb.WriteString("," + string(raw))
		}
		return `{"keys":[` + sb.String()[1:] + `]}`
	}
	for name, body := range map[string]string{
		"empty": `{"keys":[]}`, "oversized": `{"keys":[` + huge[:len(huge)-1] + `]}`, "too many keys": many(t), "not JSON": `<html>`,
	} {
		t.Run(title(49, name+" key set after a good one"), func(t *testing.T) {
			pass(t)
			w := newWorld(t)
			a, b := w.member("a.localhost"), w.member("b.localhost")
			if got := a.ask(b, "catalog:read", "").send(t); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			a.override(clientKeys, answerJSON(body))
			w.clock.advance(time.Hour) // the cached set is stale, so that the bad one is read
			before := a.seen(clientKeys)
			if got := a.ask(b, "catalog:read", "").send(t); got.status != http.StatusOK {
				t.Errorf("the good key was forgotten: %d %s", got.status, got.body)
			}
			if a.seen(clientKeys) == before {
				t.Error("the bad answer was not even read")
			}
			q := a.ask(b, "catalog:read", "")
			q.header["kid"] = "new"
			q.send(t).want(t, 401, "assertion_key")
		})
	}
}

// nameServer answers A and AAAA questions over UDP on loopback.
type nameServer struct {
	conn net.PacketConn
	mu   sync.Mutex
	a    map[string]netip.Addr
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{conn: conn, a: map[string]netip.Addr{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serve()
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n
}

func (n *nameServer) answer(name string, addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.a[name] = addr
}

func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

func (n *nameServer) lookup(t *testing.T, name string) string {
	t.Helper()
	got, err := n.resolver().LookupHost(t.Context(), name)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v %v", got, err)
	}
	return got[0]
}

func (n *nameServer) serve() {
	buffer := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Header.Response, m.Header.RecursionAvailable, m.Header.Authoritative = true, true, true
		m.Additionals = nil
		n.mu.Lock()
		addr, ok := n.a[q.Name.String()]
		n.mu.Unlock()
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case !ok:
			m.Header.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA && addr.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
		if raw, err := m.Pack(); err == nil {
			_, _ = n.conn.WriteTo(raw, from)
		}
	}
}
