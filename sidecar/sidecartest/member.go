package sidecartest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
)

// Member is one sidecar in this process, served on loopback: TLS for partners, plain HTTP for portal and operator.
type Member struct {
	*sidecar.Sidecar
	Origin      string
	PortalURL   string
	OperatorURL string
	OpsURL      string
	Dir         string
	// DevCA is the folder of the CA that the members of one New share.
	DevCA string
	t     testing.TB
	cut   *atomic.Pointer[func(*http.Request) bool]
	alter *atomic.Pointer[alteration]

	mu sync.Mutex
	// plugged is closed while the member is unplugged.
	plugged chan struct{}
}

// Unplug makes the member unreachable for partners: calls get no answer, streams break. Plug ends that.
func (m *Member) Unplug() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.plugged)
}

// Plug makes the member reachable again.
func (m *Member) Plug() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plugged = make(chan struct{})
}

// plug is closed when the member is, or becomes, unplugged.
func (m *Member) plug() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.plugged
}

// Cut breaks off those partners' calls for which it is true, until the next Cut; nil breaks off none.
func (m *Member) Cut(broken func(*http.Request) bool) {
	if broken == nil {
		m.cut.Store(nil)
		return
	}
	m.cut.Store(&broken)
}

// alteration changes answers to calls of one procedure.
type alteration struct {
	procedure string
	change    func(*http.Request, *httptest.ResponseRecorder)
}

// Alter shows change the answers to partners' calls of a procedure, which is no stream, before they leave: it may keep one back or
// make it another. nil lets them be.
func (m *Member) Alter(procedure string, change func(*http.Request, *httptest.ResponseRecorder)) {
	if change == nil {
		m.alter.Store(nil)
		return
	}
	m.alter.Store(&alteration{procedure, change})
}

// altered serves a call whose answer is altered.
func (a *alteration) altered(next http.Handler, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	a.change(r, answer)
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// pluggable cuts every connection while the member is unplugged.
func (m *Member) pluggable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken := m.cut.Load(); broken != nil && (*broken)(r) {
			panic(http.ErrAbortHandler)
		}
		if a := m.alter.Load(); a != nil && r.URL.Path == a.procedure {
			a.altered(next, w, r)
			return
		}
		plug := m.plug()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		done := make(chan struct{})
		defer close(done)
		go func() {
			select {
			case <-plug:
				cancel()
			case <-done:
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
		select {
		case <-plug:
			panic(http.ErrAbortHandler)
		default:
		}
	})
}

// New runs one sidecar per name in this process; they share a dev CA. change, if not nil, may alter each configuration.
// Everything ends with the test.
func New(t testing.TB, change func(name string, cfg *sidecar.Config), names ...string) []*Member {
	t.Helper()
	return Under(t, t.TempDir(), change, names...)
}

// Under is New with the dev CA of a folder, which daemons may share.
func Under(t testing.TB, devCA string, change func(name string, cfg *sidecar.Config), names ...string) []*Member {
	t.Helper()
	members := make([]*Member, len(names))
	for i, name := range names {
		members[i] = newMember(t, devCA, name, change)
	}
	return members
}

// Replica runs one more sidecar of a member, on the database and the Redis that change gives both. Partners reach the first one.
func Replica(t testing.TB, of *Member, change func(name string, cfg *sidecar.Config)) *Member {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(of.Origin, "https://"), ".")
	return newMember(t, of.DevCA, host, func(name string, cfg *sidecar.Config) {
		change(name, cfg)
		cfg.Origin = of.Origin
	})
}

// Address is where a member is, for another process of the same test.
type Address struct{ Origin, PortalURL, OperatorURL, OpsURL, Dir, DevCA string }

// Address of this member.
func (m *Member) Address() Address {
	return Address{m.Origin, m.PortalURL, m.OperatorURL, m.OpsURL, m.Dir, m.DevCA}
}

// At is a member that runs in another process: it has no Sidecar, and no cable to pull.
func At(t testing.TB, a Address) *Member {
	return &Member{Origin: a.Origin, PortalURL: a.PortalURL, OperatorURL: a.OperatorURL, OpsURL: a.OpsURL, Dir: a.Dir, DevCA: a.DevCA, t: t}
}

func newMember(t testing.TB, devCA, name string, change func(string, *sidecar.Config)) *Member {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := &Member{t: t, Dir: dir, DevCA: devCA, plugged: make(chan struct{}), cut: new(atomic.Pointer[func(*http.Request) bool]), alter: new(atomic.Pointer[alteration])}
	m.Origin = fmt.Sprintf("https://%s.localhost:%d", name, listener.Addr().(*net.TCPAddr).Port)
	cfg := sidecar.Config{
		Origin: m.Origin, Dev: true, DevCADir: devCA, DataDir: dir, Logger: slog.New(slog.NewTextHandler(testLog(), nil)),
		Member: sidecar.Member{Name: name, LegalName: name + " Ltd", Country: "DE"},
	}
	if change != nil {
		change(name, &cfg)
		m.Origin = cfg.Origin // a proxy's in front, perhaps
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Sidecar, err = sidecar.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	origin, err := url.Parse(m.Origin)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Certificate(origin.Hostname())
	if err != nil {
		t.Fatal(err)
	}
	secured := tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}})
	servers := []*http.Server{serve(secured, m.pluggable(m.PeerHandler()))}
	for _, s := range []struct {
		handler http.Handler
		url     *string
	}{{m.PortalHandler(), &m.PortalURL}, {m.OperatorHandler(), &m.OperatorURL}, {m.OpsHandler(), &m.OpsURL}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*s.url = "http://" + l.Addr().String()
		servers = append(servers, serve(l, s.handler))
	}
	ran := make(chan error, 1)
	go func() { ran <- m.Run(ctx) }()
	t.Cleanup(func() {
		m.Drain(context.Background())
		for _, s := range servers {
			_ = s.Close()
		}
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("%s: run: %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	})
	Eventually(t, 30*time.Second, name+" is ready", func() error {
		res, err := http.Get(m.OpsURL + "/readyz")
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %d", res.StatusCode)
		}
		return nil
	})
	return m
}

func serve(l net.Listener, h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	go func() { _ = s.Serve(l) }()
	return s
}

// testLog shows a sidecar's log where HANSE_TEST_LOG is set.
func testLog() io.Writer {
	if os.Getenv("HANSE_TEST_LOG") != "" {
		return os.Stderr
	}
	return io.Discard
}

// OperatorAuth is the option that makes an operator's client of this member.
func (m *Member) OperatorAuth() connect.ClientOption {
	raw, err := os.ReadFile(filepath.Join(m.Dir, "operator.token"))
	if err != nil {
		m.t.Fatal(err)
	}
	return Bearer(strings.TrimSpace(string(raw)))
}

// Command runs a command of the CLI against this member and returns its exit code and standard output.
func (m *Member) Command(args ...string) (code int, out string) {
	m.t.Helper()
	cmd := exec.Command(Binary(m.t), append(args, "--operator", m.OperatorURL, "--token-file", filepath.Join(m.Dir, "operator.token"))...)
	raw, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// Apply makes offerings current.
func (m *Member) Apply(yaml string) {
	m.t.Helper()
	res, err := operatorv1connect.NewOfferingServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		ApplyOfferings(context.Background(), connect.NewRequest(&operatorv1.ApplyOfferingsRequest{Yaml: []byte(yaml)}))
	if err != nil || len(res.Msg.GetErrors()) > 0 {
		m.t.Fatalf("apply offerings: %v %v", err, res)
	}
}

// AddPortal makes a portal client and returns its key.
func (m *Member) AddPortal(name string) string {
	m.t.Helper()
	res, err := operatorv1connect.NewPortalServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth()).
		AddPortal(context.Background(), connect.NewRequest(&operatorv1.AddPortalRequest{Name: name}))
	if err != nil {
		m.t.Fatal(err)
	}
	return res.Msg.GetKey()
}

// Connect makes the partnership and an active agreement under which the supplier sells to the reseller.
func Connect(t testing.TB, reseller, supplier *Member, discountBP int32, currency string) {
	t.Helper()
	ctx := context.Background()
	_, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, reseller.OperatorURL, reseller.OperatorAuth()).
		AddPartner(ctx, connect.NewRequest(&operatorv1.AddPartnerRequest{Origin: supplier.Origin, Role: operatorv1.Role_ROLE_SUPPLIER}))
	if err != nil {
		t.Fatalf("add partner: %v", err)
	}
	_, err = operatorv1connect.NewAgreementServiceClient(http.DefaultClient, supplier.OperatorURL, supplier.OperatorAuth()).
		OfferAgreement(ctx, connect.NewRequest(&operatorv1.OfferAgreementRequest{Reseller: reseller.Origin, WholesaleDiscountBp: discountBP, Currency: currency}))
	if err != nil {
		t.Fatalf("offer agreement: %v", err)
	}
	agreements := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, reseller.OperatorURL, reseller.OperatorAuth())
	Eventually(t, 20*time.Second, "the agreement is active on both sides", func() error {
		res, err := agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{Supplier: supplier.Origin, DryRun: true}))
		if err == nil {
			res, err = agreements.AcceptAgreement(ctx, connect.NewRequest(&operatorv1.AcceptAgreementRequest{
				Supplier: supplier.Origin, Digest: res.Msg.GetAgreement().GetDigest(),
			}))
		}
		list, lerr := agreements.ListAgreements(ctx, connect.NewRequest(&operatorv1.ListAgreementsRequest{}))
		if lerr != nil {
			return lerr
		}
		for _, a := range list.Msg.GetAgreements() {
			if a.GetSupplier() == supplier.Origin && a.GetState() == "active" {
				return nil
			}
		}
		return fmt.Errorf("not active yet: %v %v", res, err)
	})
}
