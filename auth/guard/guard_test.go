package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/auth/refusal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOrigins(t *testing.T) {
	t.Parallel()
	cases := []struct {
		raw, want, reason string
		dev               bool
	}{
		{raw: "https://a.example", want: "https://a.example"},
		{raw: "HTTPS://A.Example:443/", want: "https://a.example"},
		{raw: "https://a-1.b.example", want: "https://a-1.b.example"},
		{raw: "http://a.example", reason: ReasonOriginScheme},
		{raw: "a.example", reason: ReasonOriginScheme},
		{raw: "https:a.example", reason: ReasonOriginPath},
		{raw: "https://", reason: ReasonOriginAddress},
		{raw: "https://u:p@a.example", reason: ReasonOriginUserinfo},
		{raw: "https://a.example/x", reason: ReasonOriginPath},
		{raw: "https://a.example?", reason: ReasonOriginPath},
		{raw: "https://a.example#", reason: ReasonOriginPath},
		{raw: "https://a.example:", reason: ReasonOriginPort},
		{raw: "https://a.example:0443", reason: ReasonOriginPort},
		{raw: "https://a.example:8443", reason: ReasonOriginPort},
		{raw: "https://a.example:99999", reason: ReasonOriginPort},
		{raw: "https://a..example", reason: ReasonOriginHost},
		{raw: "https://-a.example", reason: ReasonOriginHost},
		{raw: "https://a_b.example", reason: ReasonOriginHost},
		{raw: "https://a.example.", reason: ReasonOriginHost},
		{raw: "https://a%2eexample.com", reason: ReasonOriginHost},
		{raw: "https://a.example\\@evil.example", reason: ReasonOriginHost},
		{raw: " https://a.example", reason: ReasonOriginHost},
		{raw: "https://" + strings.Repeat("a.", 140) + "example", reason: ReasonOriginHost},
		{raw: "https://[::1]", reason: ReasonOriginAddress},
		{raw: "https://1.2.3.4", reason: ReasonOriginAddress},
		{raw: "https://1.2.3", reason: ReasonOriginAddress},
		{raw: "https://münchen.example", reason: ReasonOriginIDN},
		{raw: "https://xn--mnchen-3ya.example", reason: ReasonOriginIDN},
		{raw: "https://printer.local", reason: ReasonOriginHost},
		{raw: "https://a.localhost", reason: ReasonOriginDev},
		{raw: "https://a.localhost:8443", want: "https://a.localhost:8443", dev: true},
		{raw: "https://a.localhost:443", want: "https://a.localhost", dev: true},
		{raw: "https://a.example", reason: ReasonOriginDev, dev: true},
		{raw: "https://localhost:8443", reason: ReasonOriginHost, dev: true},
		{raw: "https://127.0.0.1:8443", reason: ReasonOriginAddress, dev: true},
		{raw: "https://evil-localhost:8443", reason: ReasonOriginHost, dev: true},
	}
	for _, c := range cases {
		t.Run(c.raw, func(t *testing.T) {
			got, err := New(Config{Dev: c.dev}).Origin(c.raw)
			if got != c.want || refusal.Reason(err) != c.reason {
				t.Errorf("got %q %v, want %q %s", got, err, c.want, c.reason)
			}
		})
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for raw, reason := range map[string]string{
		"https://a.example/x/y.json":           "",
		"https://a.example/.well-known/x":      "",
		"https://a.example":                    ReasonURL,
		"https://A.example/x":                  ReasonURL,
		"https://a.example:443/x":              ReasonURL,
		"https://a.example/x?y":                ReasonURL,
		"https://a.example/x#y":                ReasonURL,
		"https://a.example/%2e%2e/x":           ReasonURL,
		"https://a.example/../x":               ReasonURL,
		"https://a.example/x/.":                ReasonURL,
		"https://a.example\\/x":                ReasonOriginHost,
		"http://a.example/x":                   ReasonOriginScheme,
		"ftp://a.example/x":                    ReasonOriginScheme,
		"https://a.example@evil.example/x":     ReasonOriginUserinfo,
		"https://127.0.0.1/x":                  ReasonOriginAddress,
		"https://a.example/" + long(2000, "x"): ReasonURL,
	} {
		if _, err := g.URL(raw); refusal.Reason(err) != reason {
			t.Errorf("%s: %v, want %q", raw, err, reason)
		}
	}
	if err := g.SameOrigin("https://a.example", "https://a.example.evil.example/x"); refusal.Reason(err) != ReasonURLOrigin {
		t.Error(err)
	}
}

func long(n int, s string) string { return strings.Repeat(s, n) }

// TestADialedAddressIsCheckedAfterDNS lets a production guard meet a real listener on loopback under a public name.
func TestADialedAddressIsCheckedAfterDNS(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	g := New(Config{RootCAs: pool(server)})
	t.Cleanup(g.Close)
	port := netip.MustParseAddrPort(server.Listener.Addr().String()).Port()
	g.port = port
	for _, address := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"} {
		conn, err := g.dial(t.Context(), "tcp", net.JoinHostPort(address, server.URL[strings.LastIndex(server.URL, ":")+1:]))
		if conn != nil {
			_ = conn.Close()
		}
		if refusal.Reason(classify(err)) != ReasonAddress {
			t.Errorf("%s: %v", address, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("the listener was reached")
	}
}

func pool(server *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(server.Certificate())
	return p
}

// devServer serves https://example.com's httptest certificate under a.localhost; the client is told to expect that name.
func devServer(t *testing.T, now func() time.Time, h http.HandlerFunc) (*Guard, string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	g := New(Config{Dev: true, RootCAs: pool(server), Now: now, Timeout: 2 * time.Second})
	g.transport.TLSClientConfig = &tls.Config{RootCAs: pool(server), ServerName: "example.com", MinVersion: tls.VersionTLS12}
	t.Cleanup(g.Close)
	return g, "https://a.localhost" + server.URL[strings.LastIndex(server.URL, ":"):]
}

func TestFetchesAreSharedRememberedAndLimited(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	var hits atomic.Int64
	started, release := make(chan struct{}, 16), make(chan struct{})
	g, origin := devServer(t, func() time.Time { return now }, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/slow" {
			started <- struct{}{}
			<-release
		}
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=1200")
		_, _ = io.WriteString(w, "{}")
	})
	ctx := t.Context()

	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := g.Fetch(ctx, Request{URL: origin + "/slow"}); err != nil {
				t.Error(err)
			}
		})
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := g.Fetch(gone, Request{URL: origin + "/slow"}); refusal.Reason(err) != ReasonTimeout {
		t.Errorf("a caller that gave up: %v", err)
	}
	<-started
	close(release)
	wait.Wait()
	if n := hits.Load(); n > 2 {
		t.Errorf("%d requests for one document", n)
	}

	hits.Store(0)
	for range 5 {
		if _, err := g.Fetch(ctx, Request{URL: origin + "/missing"}); refusal.Reason(err) != ReasonStatus {
			t.Error(err)
		}
	}
	if hits.Load() != 1 {
		t.Errorf("%d requests for a failure that is remembered", hits.Load())
	}
	now = now.Add(failureMemory)
	_, _ = g.Fetch(ctx, Request{URL: origin + "/missing"})
	if hits.Load() != 2 {
		t.Error("the failure is remembered for too long")
	}
	for _, other := range []string{"https://other.localhost", origin[:len(origin)-1]} {
		g.Forgive(other)
		_, _ = g.Fetch(ctx, Request{URL: origin + "/missing"})
	}
	if hits.Load() != 2 {
		t.Error("the failure is forgotten for another's sake")
	}
	g.Forgive(origin)
	_, _ = g.Fetch(ctx, Request{URL: origin + "/missing"})
	if hits.Load() != 3 {
		t.Error("the failure is remembered of one that showed that it is there")
	}

	document, err := g.Fetch(ctx, Request{URL: origin + "/x"})
	if err != nil || document.FreshUntil.Sub(now) != 20*time.Minute {
		t.Errorf("%+v %v", document, err)
	}

	limited := 0
	for range 2 * siteBurst {
		if _, err := g.Fetch(ctx, Request{URL: origin + "/x"}); refusal.Reason(err) == ReasonLimited {
			limited++
		}
	}
	if limited < siteBurst {
		t.Errorf("%d of %d were limited", limited, 2*siteBurst)
	}
}

func TestOneOwnerOfManyNamesIsOneSite(t *testing.T) {
	t.Parallel()
	l := newLimits()
	now := time.Unix(1_800_000_000, 0)
	passed := 0
	for i := range 3 * siteBurst {
		name := "https://" + string(rune('a'+i%26)) + long(i/26+1, "x") + ".evil.example"
		if l.allow(now, name, name) == nil {
			passed++
		}
	}
	if passed != siteBurst {
		t.Errorf("%d fetches from one site, want %d", passed, siteBurst)
	}
	if err := l.allow(now, "https://honest.example2.com", "x"); err != nil {
		t.Errorf("another site suffers: %v", err)
	}
}

func TestWhatIsRefusedToAllCostsNoSite(t *testing.T) {
	t.Parallel()
	l := newLimits()
	now := time.Unix(1_800_000_000, 0)
	const patient = "https://patient.example"
	for i := 0; l.all.TokensAt(now) >= 1; i++ {
		name := "https://crowd" + long(i, "x") + ".example"
		if err := l.allow(now, name, name); err != nil {
			t.Fatal(err)
		}
	}
	for range siteBurst {
		if l.allow(now, patient, patient) == nil {
			t.Fatal("more than the overall allowance")
		}
	}
	now = now.Add(5 * time.Second) // all may again, and this site gained too few of its own by then to hide what it lost
	passed := 0
	for range 2 * siteBurst {
		if l.allow(now, patient, patient) == nil {
			passed++
		}
	}
	if passed != siteBurst {
		t.Errorf("%d fetches from a site that had none, want %d", passed, siteBurst)
	}
}

func TestBodiesOfOtherKindsAreRefused(t *testing.T) {
	t.Parallel()
	g, origin := devServer(t, time.Now, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/br":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "br")
		case "/jwt":
			w.Header().Set("Content-Type", "application/jwt")
		case "/jwkset":
			w.Header().Set("Content-Type", "application/jwk-set+json; charset=utf-8")
		case "/cut":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "100")
		case "/long":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, long(101, " "))
		}
		_, _ = io.WriteString(w, "{}")
	})
	for path, want := range map[string]struct {
		typ, reason string
	}{
		"/br":     {"", ReasonContentType},
		"/jwt":    {"application/jwt", ""},
		"/jwt2":   {"application/jwt", ReasonContentType},
		"/jwkset": {"", ""},
		"/none":   {"", ReasonContentType},
		"/cut":    {"", ReasonUnreachable},
		"/long":   {"", ReasonTooLarge},
	} {
		if _, err := g.Fetch(t.Context(), Request{URL: origin + path, Type: want.typ, Max: 100}); refusal.Reason(err) != want.reason {
			t.Errorf("%s: %v, want %q", path, err, want.reason)
		}
	}
}

func TestDevModeReachesLoopbackOnly(t *testing.T) {
	t.Parallel()
	g := New(Config{Dev: true})
	for _, address := range []string{"a.example:443", "10.0.0.1:443", "169.254.169.254:80", "localhost:1", "127.0.0.1:1"} {
		if _, err := g.dial(t.Context(), "tcp", address); refusal.Reason(err) != ReasonOriginDev {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{
		"https://a.example", "HTTPS://A.EXAMPLE:443/", "https://[::1]", "https://a@b.example", "https://a.localhost:1", "https://xn--a.b",
		"https://a.example\\.evil", "https://%61.example", "https://127.1", "https://a.example:65536",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, raw string, dev bool) {
		g := &Guard{cfg: Config{Dev: dev}}
		got, err := g.Origin(raw)
		if err != nil {
			if got != "" || refusal.Reason(err) == "internal" {
				t.Fatalf("%q with %v", got, err)
			}
			return
		}
		if again, err := g.Origin(got); err != nil || again != got || !g.IsOrigin(got) {
			t.Fatalf("%q is not canonical: %q %v", got, again, err)
		}
		if from, err := g.URL(got + "/x"); err != nil || from != got {
			t.Fatalf("%q is no origin of a URL: %q %v", got, from, err)
		}
		if strings.ContainsAny(got[len("https://"):], "/@[]%?#\\ ") || strings.HasSuffix(got, ".") {
			t.Fatalf("%q", got)
		}
	})
}
