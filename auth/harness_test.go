package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/auth/authserver"
	"github.com/hanse-market/hanse/auth/bearer"
	"github.com/hanse-market/hanse/auth/client"
	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

// passed counts negative cases, for the summary line.
var passed atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines leak:", err)
			code = 1
		}
	}
	if n := passed.Load(); n > 0 {
		fmt.Printf("%d negative cases passed\n", n)
	}
	os.Exit(code)
}

// worldClock is shared by all members of a world.
type worldClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *worldClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *worldClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// hot is a replay cache and revocation list that shows what is in it.
type hot struct {
	now func() time.Time

	mu    sync.Mutex
	birth time.Time
	keys  map[string]time.Time
	down  error
}

func newHot(now func() time.Time) *hot {
	return &hot{now: now, birth: now(), keys: map[string]time.Time{}}
}

func (h *hot) Claim(_ context.Context, key string, ttl time.Duration) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down != nil {
		return false, h.down
	}
	if until, ok := h.keys[key]; ok && h.now().Before(until) {
		return false, nil
	}
	h.keys[key] = h.now().Add(ttl)
	return true, nil
}

func (h *hot) Birth(context.Context) (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.birth, h.down
}

func (h *hot) Mark(ctx context.Context, key string, ttl time.Duration) error {
	_, err := h.Claim(ctx, key, ttl)
	return err
}

func (h *hot) Marked(_ context.Context, key string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until, ok := h.keys[key]
	return ok && h.now().Before(until), h.down
}

// count of everything that was used up so far.
func (h *hot) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.keys)
}

func (h *hot) set(f func(*hot)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// keyStore is keys.Store in memory.
type keyStore struct {
	mu      sync.Mutex
	records map[keys.Purpose]map[string]keys.Record
}

func newKeyStore() *keyStore { return &keyStore{records: map[keys.Purpose]map[string]keys.Record{}} }

func (s *keyStore) Keys(_ context.Context, p keys.Purpose) ([]keys.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []keys.Record
	for _, r := range s.records[p] {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b keys.Record) int { return strings.Compare(a.KID, b.KID) })
	return out, nil
}

func (s *keyStore) SaveKeys(_ context.Context, p keys.Purpose, guard string, records []keys.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := ""
	for _, r := range s.records[p] {
		if r.State == keys.Current {
			current = r.KID
		}
	}
	if current != guard {
		return errors.New("conflict")
	}
	if s.records[p] == nil {
		s.records[p] = map[string]keys.Record{}
	}
	for _, r := range records {
		s.records[p][r.KID] = r
	}
	return nil
}

// grants lets a test say what a client may have.
type grants struct {
	mu     sync.Mutex
	calls  int
	answer func(authserver.GrantRequest) (authserver.Granted, error)
}

func (g *grants) Grant(_ context.Context, r authserver.GrantRequest) (authserver.Granted, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	return g.answer(r)
}

func (g *grants) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

// world is a few members on loopback with one CA and one clock.
type world struct {
	t     testing.TB
	clock *worldClock
	pool  *x509.CertPool
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
}

func newWorld(t testing.TB) *world {
	t.Helper()
	// The fake clock starts in the present, because certificates are checked by the real one.
	w := &world{t: t, clock: &worldClock{now: time.Now().Truncate(time.Second)}, pool: x509.NewCertPool()}
	w.caKey = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	w.ca = sign(t, template, template, &w.caKey.PublicKey, w.caKey)
	w.pool.AddCert(w.ca)
	return w
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, private *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, private)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) certificate(name string) tls.Certificate {
	w.t.Helper()
	key := newKey(w.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf := sign(w.t, template, w.ca, &key.PublicKey, w.caKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

// host is an HTTPS server of that name on loopback; overrides answer before handler does.
type host struct {
	origin string
	addr   string

	mu        sync.Mutex
	overrides map[string]http.HandlerFunc
	hits      map[string]int
	handler   http.Handler
	browser   *http.Client
}

func (w *world) host(name string) *host {
	w.t.Helper()
	h := &host{overrides: map[string]http.HandlerFunc{}, hits: map[string]int{}}
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{w.certificate(name)}}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	w.t.Cleanup(server.Close)
	h.addr = server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(h.addr)
	h.origin = "https://" + name + ":" + port
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.hits[r.URL.Path]++
	next := http.Handler(h.overrides[r.URL.Path])
	if h.overrides[r.URL.Path] == nil {
		next = h.handler
	}
	h.mu.Unlock()
	if next == nil {
		next = http.NotFoundHandler()
	}
	next.ServeHTTP(w, r)
}

func (h *host) override(path string, f http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.overrides[path] = f
}

func (h *host) seen(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits[path]
}

// member is a whole member: authorization server, peer procedures behind the middleware, a client.
type member struct {
	*host
	w        *world
	store    *keyStore
	keys     *keys.Manager
	hot      *hot
	grants   *grants
	guard    *guard.Guard
	client   *client.Client
	verifier *bearer.Verifier
	relation func(bearer.Principal) error
	reached  atomic.Int64
	// mounted, if set, answers what passes the middleware.
	mounted http.Handler
	// ahead is how much this member's clock is ahead of the world's, in nanoseconds.
	ahead atomic.Int64
	skew  atomic.Int64
	// last principal that the handler saw
	last atomic.Value
}

// agreementOfA is the one agreement that members of a world grant to a.
const agreementOfA = "agr_a"

func (w *world) member(name string) *member {
	w.t.Helper()
	m := &member{host: w.host(name), w: w, store: newKeyStore()}
	m.hot = newHot(m.now)
	m.grants = &grants{answer: func(r authserver.GrantRequest) (authserver.Granted, error) {
		if r.Agreement != "" && (r.Agreement != agreementOfA || !strings.HasPrefix(r.Origin, "https://a.localhost:")) {
			return authserver.Granted{}, refusal.New(refusal.Denied, "agreement_denied", "not your agreement")
		}
		return authserver.Granted{Scopes: r.Scopes, Agreement: r.Agreement}, nil
	}}
	m.guard = guard.New(guard.Config{Dev: true, RootCAs: w.pool, Now: m.now})
	w.t.Cleanup(m.guard.Close)
	var err error
	if m.keys, err = keys.New(w.t.Context(), keys.Config{Store: m.store, Now: m.now}); err != nil {
		w.t.Fatal(err)
	}
	m.host.handler = m.mount(m.guard, m.host.origin, m.now, bearer.PeerScopes())
	m.client, err = client.New(client.Config{
		Origin: m.origin, Keys: m.keys, Guard: m.guard, Now: m.now,
		Skew: func(_ string, ahead time.Duration) { m.skew.Store(int64(ahead)) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (m *member) now() time.Time { return m.w.clock.Now().Add(time.Duration(m.ahead.Load())) }

// mount wires one replica of the member.
func (m *member) mount(g authserver.Fetcher, origin string, now func() time.Time, scopes map[string]string) http.Handler {
	m.w.t.Helper()
	server, err := authserver.New(authserver.Config{
		Origin: origin, Keys: m.keys, Replay: m.hot, Revoked: m.hot, Grants: m.grants, Guard: g, Now: now,
	})
	if err != nil {
		m.w.t.Fatal(err)
	}
	verifier, err := bearer.New(bearer.Config{
		Origin: origin, Keys: m.keys, Replay: m.hot, Revoked: m.hot, Scopes: scopes, Now: now,
		Relation: func(_ context.Context, p bearer.Principal) error {
			if m.relation != nil {
				return m.relation(p)
			}
			return nil
		},
	})
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.verifier = verifier
	mux := http.NewServeMux()
	mux.Handle("/oauth2/", server.Handler())
	mux.Handle("/.well-known/", server.Handler())
	mux.Handle("/", verifier.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.reached.Add(1)
		p, _ := bearer.FromContext(r.Context())
		m.last.Store(p)
		if m.mounted != nil {
			m.mounted.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, r.Body)
	})))
	return mux
}

// browser is an HTTP client that reaches a host whatever name its URL has; it stands for the attacker's own tools.
func (w *world) browser(h *host) *http.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.browser != nil {
		return h.browser
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // The attacker does not care whom it talks to.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, h.addr)
		},
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	h.browser = &http.Client{Transport: transport}
	return h.browser
}
