package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "write testdata/names.txt")

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func snapshot(context.Context) (Snapshot, error) {
	return Snapshot{
		Counted: true, CountsAge: 12 * time.Second,
		Orders:        []Count{{"retail", "acknowledged", 2}, {"resale", "completed", 5}},
		Subscriptions: []Count{{"retail", "active", 3}},
		Jobs:          []Count{{"order.submit", "waiting", 4}},
		Partnerships:  map[string]int64{"active": 2, "suspended": 1},
		OldestOpen:    map[string]time.Duration{"retail": 90 * time.Second},
		Parked:        map[string]int64{"https://b.example": 1},
		Held:          map[string]int64{"https://b.example": 1},
		Books:         []Count{{"https://b.example", "forked", 1}, {"https://c.example", "level", 1}},
	}, nil
}

// touched has every collector used once.
func touched(t *testing.T) (*Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m, err := New(Config{
		Registerer: registry, Snapshot: snapshot, Now: func() time.Time { return start.Add(time.Minute) }, Version: "1.2.3", Revision: "abc",
		Certificate: func() (time.Time, uint64) { return start, 2 },
		Log:         func() (clipped, held uint64) { return 5, 6 },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.RPC(SurfacePortal, "/hanse.portal.v1.OrderService/PlaceOrder", "ok", 20*time.Millisecond)
	m.AdapterCall("postgres", "apply", "retryable", time.Second)
	m.JobRun("order.submit", "finished", 10*time.Millisecond)
	m.AuthFailure(SurfacePeer, "proof_expired")
	m.AuthFailure(SurfacePortal, "key_invalid")
	m.AuthFailure(SurfacePortal, "key_invalid")
	m.Replay("dpop")
	m.Commit(3, time.Millisecond)
	m.CommitFailed("disk_full")
	m.PageRefused("https://b.example:8443", "page_gap")
	m.StrangeKey("https://b.example:8443")
	m.CatalogLeftOut("https://b.example:8443", "bytes", 3)
	m.Recovered("https://b.example:8443", "made")
	m.PeerUp("https://b.example:8443", true)
	m.PeerSkew("https://b.example:8443", -2*time.Second)
	m.FeedLag("https://b.example:8443", 7)
	m.LedgerTailed("https://b.example:8443", start.Add(30*time.Second))
	m.CatalogSynced("https://b.example:8443", start)
	return m, registry
}

func gather(t *testing.T, g prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestNames holds name, type and labels of every metric: dashboards and alerts hang on them.
func TestNames(t *testing.T) {
	t.Parallel()
	_, registry := touched(t)
	var b strings.Builder
	for _, f := range gather(t, registry) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		fmt.Fprintf(&b, "%s %s {%s}\n", strings.ToLower(f.GetType().String()), f.GetName(), strings.Join(labels, ","))
	}
	const golden = "testdata/names.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("names changed; if that is meant, say so in CHANGELOG.md and run go test ./sidecar/internal/metrics -update (-want +got):\n%s", diff)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gather(t, registry) {
		if !strings.Contains(string(doc), f.GetName()) {
			t.Errorf("doc.go does not list %s", f.GetName())
		}
	}
}

func TestNames_PassPrometheusLint(t *testing.T) {
	t.Parallel()
	_, registry := touched(t)
	problems, err := promlint.NewWithMetricFamilies(gather(t, registry)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNames_PassPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing; install it with: apt-get install prometheus")
	}
	_, registry := touched(t)
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(get(t, OpsHandler(OpsConfig{Gatherer: registry}), "/metrics", http.StatusOK))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// values are the samples of a family by their label values.
func values(t *testing.T, g prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, f := range gather(t, g) {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return out
}

func TestGauges_ShowWhatWasReported(t *testing.T) {
	t.Parallel()
	_, registry := touched(t)
	for name, want := range map[string]map[string]float64{
		"hanse_peer_up":                       {"b.example:8443": 1},
		"hanse_peer_clock_skew_seconds":       {"b.example:8443": -2},
		"hanse_ledger_feed_lag_entries":       {"b.example:8443": 7},
		"hanse_ledger_feed_age_seconds":       {"b.example:8443": 30},
		"hanse_catalog_feed_age_seconds":      {"b.example:8443": 60},
		"hanse_partnerships":                  {"active": 2, "suspended": 1},
		"hanse_job_runs_total":                {"order.submit finished": 1},
		"hanse_auth_failures_total":           {"proof_expired peer": 1, "key_invalid portal": 2},
		"hanse_orders":                        {"retail acknowledged": 2, "resale completed": 5},
		"hanse_order_oldest_open_age_seconds": {"retail": 90, "resale": 0},
		"hanse_jobs":                          {"order.submit waiting": 4},
		"hanse_ledger_parked_subjects":        {"b.example": 1},
		"hanse_partner_held":                  {"b.example": 1},
		"hanse_store_closures_total":          {"": 3},
		"hanse_store_up":                      {"": 1},
	} {
		if diff := cmp.Diff(want, values(t, registry, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPartners_BeyondTheBoundBecomeOtherAndShowTheWorst(t *testing.T) {
	t.Parallel()
	m, registry := touched(t)
	origin := func(i int) string { return fmt.Sprintf("https://p%03d.example", i) }
	for i := range 260 {
		m.PeerUp(origin(i), i != 255)
		m.PeerSkew(origin(i), time.Duration(i-400)*time.Second)
		m.FeedLag(origin(i), int64(i))
		m.LedgerTailed(origin(i), start.Add(time.Minute-time.Duration(i)*time.Second))
	}
	up := values(t, registry, "hanse_peer_up")
	if len(up) != maxPartners+1 || up[other] != 0 {
		t.Errorf("%d labels, other = %v", len(up), up[other])
	}
	if skew := values(t, registry, "hanse_peer_clock_skew_seconds")[other]; skew > -200 {
		t.Errorf("other shows a skew of %v", skew)
	}
	if lag := values(t, registry, "hanse_ledger_feed_lag_entries")[other]; lag != 259 {
		t.Errorf("other shows a lag of %v", lag)
	}
	if age := values(t, registry, "hanse_ledger_feed_age_seconds")[other]; age != 259 {
		t.Errorf("other shows an age of %v", age)
	}
}

func TestWords_AreBounded(t *testing.T) {
	t.Parallel()
	m, registry := touched(t)
	for i := range 2 * maxWords {
		m.AuthFailure(SurfacePeer, fmt.Sprint("reason", i))
	}
	if n := len(values(t, registry, "hanse_auth_failures_total")); n != maxWords+1 {
		t.Errorf("%d reasons", n)
	}
}

func TestScrape_SurvivesADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	_, err := New(Config{Registerer: registry, Snapshot: func(context.Context) (Snapshot, error) { return Snapshot{}, errors.New("down") }})
	if err != nil {
		t.Fatal(err)
	}
	page := get(t, OpsHandler(OpsConfig{Gatherer: registry}), "/metrics", http.StatusOK)
	if !strings.Contains(page, "hanse_store_up 0") || strings.Contains(page, "hanse_orders") || !strings.Contains(page, "hanse_build_info") {
		t.Errorf("scrape:\n%s", page)
	}
}

func TestNilMetrics_CountNothing(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.RPC("", "", "", 0)
	m.AdapterCall("", "", "", 0)
	m.JobRun("", "", 0)
	m.AuthFailure("", "")
	m.Replay("")
	m.Commit(1, 0)
	m.CommitFailed("")
	m.PeerUp("", true)
	m.PeerSkew("", 0)
	m.FeedLag("", 0)
	m.LedgerTailed("", start)
	m.CatalogSynced("", start)
}

func TestNew_TwiceOnOneRegistererIsRefused(t *testing.T) {
	t.Parallel()
	_, registry := touched(t)
	if _, err := New(Config{Registerer: registry}); err == nil {
		t.Error("accepted")
	}
}

func get(t *testing.T, h http.Handler, path string, status int) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != status {
		t.Errorf("%s: status %d, want %d: %s", path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

func TestOpsPages(t *testing.T) {
	t.Parallel()
	ready := errors.New("draining")
	h := OpsHandler(OpsConfig{
		Gatherer: prometheus.NewRegistry(),
		Ready: []Check{
			{Name: "store", Func: func(context.Context) error { return nil }},
			{Name: "accepting", Func: func(context.Context) error { return ready }, Detail: func(context.Context) string { return "some wait" }},
		},
	})
	if body := get(t, h, "/healthz", http.StatusOK); body != "ok\n" {
		t.Errorf("healthz: %q", body)
	}
	if body := get(t, h, "/readyz", http.StatusServiceUnavailable); body != "ok store\nfailed accepting: draining\n" {
		t.Errorf("readyz: %q", body)
	}
	ready = nil
	if body := get(t, h, "/readyz", http.StatusOK); !slices.Equal(strings.Fields(body), []string{"ok", "store", "ok", "accepting:", "some", "wait"}) {
		t.Errorf("readyz: %q", body)
	}
	get(t, h, "/", http.StatusNotFound)
}
