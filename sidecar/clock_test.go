package sidecar_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/clock"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// behindNginx puts a proxy, whose clock is ahead of ours, before the member to be: partners reach it at the proxy's port.
func behindNginx(t *testing.T, cfg *sidecar.Config, ahead time.Duration) {
	t.Helper()
	own, err := url.Parse(cfg.Origin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ca, err := tlsdev.Open(cfg.DevCADir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Certificate(own.Hostname())
	if err != nil {
		t.Fatal(err)
	}
	testserver.Nginx{Port: port, Certificate: certificate, Backend: "https://127.0.0.1:" + own.Port(), Ahead: ahead}.Start(t)
	cfg.Origin = fmt.Sprintf("https://%s:%d", own.Hostname(), port)
}

// shownSkew is the reseller's metric of its one partner's clock.
func shownSkew(t *testing.T, m *sidecartest.Member) time.Duration {
	t.Helper()
	response, err := http.Get(m.OpsURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "hanse_peer_clock_skew_seconds{") {
			seconds, err := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(seconds * float64(time.Second))
		}
	}
	t.Fatal("the metric is not shown")
	return 0
}

// near is what a machine that does much else may add to a difference.
func near(have, want time.Duration) bool { return (have - want).Abs() < 30*time.Second }

// dated fails unless the proxy's Date is by its own clock: else the test shows nothing. It returns the member's time.
func dated(t *testing.T, m *sidecartest.Member, ahead time.Duration) time.Time {
	t.Helper()
	ca, err := tlsdev.Open(m.DevCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: ca.Pool()}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Post(m.Origin+"/oauth2/token", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil || response.Header.Get("Server") == "" || !near(time.Until(date), ahead) {
		t.Fatalf("not a proxy %s ahead: %v", ahead, response.Header)
	}
	at, ok := clock.Read(response.Header)
	if !ok {
		t.Fatalf("no time in %v", response.Header)
	}
	return at
}

// TestAProxyOfAnotherClock has nginx before the supplier, which writes Date by a clock of its own.
func TestAProxyOfAnotherClock(t *testing.T) {
	for name, c := range map[string]struct{ proxy, supplier time.Duration }{
		"the proxy's is an hour ahead":                                 {time.Hour, 0},
		"the proxy's is 400 s behind and the supplier's 100 s too":     {-400 * time.Second, -100 * time.Second},
		"the proxy's is ours and the supplier's 250 s behind":          {0, -250 * time.Second},
		"the proxy's is an hour behind and the supplier's 100 s ahead": {-time.Hour, 100 * time.Second},
		"the proxy's is ours and the supplier's 250 s ahead":           {0, 250 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			members := newMembers(t, nil, func(cfg *sidecar.Config) {
				if cfg.Member.Name == "supplier" {
					cfg.DevClockOffset = c.supplier
					behindNginx(t, cfg, c.proxy)
				}
			}, "reseller", "supplier")
			if at := dated(t, members[1], c.proxy); !near(time.Until(at), c.supplier) {
				t.Errorf("the supplier's time is %s from ours", time.Until(at))
			}
			wholeWay(t, openMarket(t, members))
			if got := shownSkew(t, members[0]); !near(got, c.supplier) {
				t.Errorf("%s is shown", got)
			}
		})
	}
	for name, c := range map[string]struct {
		supplier time.Duration
		reason   string
	}{
		"100 s ahead":  {100 * time.Second, ""},
		"400 s ahead":  {400 * time.Second, "member_document_invalid"}, // it is read before anything is called
		"400 s behind": {-400 * time.Second, "clock_skew_too_large"},
	} {
		t.Run("a new partner's is "+name, func(t *testing.T) {
			members := newMembers(t, nil, func(cfg *sidecar.Config) {
				if cfg.Member.Name == "supplier" {
					cfg.DevClockOffset = c.supplier
					behindNginx(t, cfg, -c.supplier)
				}
			}, "reseller", "supplier")
			dated(t, members[1], -c.supplier)
			_, err := partnersOf(members[0]).AddPartner(context.Background(), connect.NewRequest(&operatorv1.AddPartnerRequest{
				Origin: members[1].Origin, Role: operatorv1.Role_ROLE_SUPPLIER,
			}))
			if reason(err) != c.reason {
				t.Error(err)
			}
			if c.reason == "member_document_invalid" {
				return
			}
			if got := shownSkew(t, members[0]); !near(got, c.supplier) {
				t.Errorf("%s is shown", got)
			}
		})
	}
}

func partnersOf(m *sidecartest.Member) operatorv1connect.PartnerServiceClient {
	return operatorv1connect.NewPartnerServiceClient(http.DefaultClient, m.OperatorURL, m.OperatorAuth())
}

// TestASuppliersClockStepsBack: its own tokens lie in its future then.
func TestASuppliersClockStepsBack(t *testing.T) {
	var ahead atomic.Int64
	ahead.Store(int64(-200 * time.Second)) // its memory of proofs starts here, before all that follows
	m := openMarket(t, newMembers(t, nil, func(cfg *sidecar.Config) {
		if cfg.Member.Name == "supplier" {
			cfg.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			behindNginx(t, cfg, time.Hour)
		}
	}, "reseller", "supplier"))
	for i, step := range []time.Duration{-100 * time.Second, 0, -60 * time.Second, 100 * time.Second, -150 * time.Second} {
		ahead.Store(int64(step))
		id := fmt.Sprintf("order-step-%d", i)
		if _, err := m.order(id, nil); err != nil {
			t.Fatal(err)
		}
		m.reaches(id, "completed")
	}
	for i, step := range []time.Duration{400 * time.Second, -550 * time.Second} {
		ahead.Store(int64(step))
		id := fmt.Sprintf("order-far-%d", i)
		if _, err := m.order(id, nil); err != nil {
			t.Fatal(err)
		}
		m.reaches(id, "pending.unreachable")
		if got := shownSkew(t, m.reseller); !near(got, step) {
			t.Errorf("%s is shown at %s", got, step)
		}
		list, err := partnersOf(m.reseller).ListPartners(context.Background(), connect.NewRequest(&operatorv1.ListPartnersRequest{}))
		if err != nil || len(list.Msg.GetPartners()) != 1 || !strings.HasPrefix(list.Msg.GetPartners()[0].GetLastError(), "clock_skew_too_large: ") {
			t.Errorf("the operator reads %v, %v", list, err)
		}
		ahead.Store(0)
		m.reaches(id, "completed")
	}
	m.verified()
}
