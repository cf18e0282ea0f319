package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// callUnknown calls a procedure without a credential.
func callUnknown(t *testing.T, surface http.Handler, procedure string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, procedure, strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	surface.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Fatalf("%s without a credential: status %d: %s", procedure, w.Code, w.Body)
	}
}

func TestMetricsShowPartnersJobsAndWhoWasRefused(t *testing.T) {
	members := sidecartest.New(t, nil, "reseller", "supplier")
	reseller, supplier := members[0], members[1]
	sidecartest.Connect(t, reseller, supplier, 2000, "EUR")
	callUnknown(t, reseller.PortalHandler(), portalv1connect.OrderServiceListOrdersProcedure)
	callUnknown(t, reseller.OperatorHandler(), operatorv1connect.PartnerServiceListPartnersProcedure)
	callUnknown(t, reseller.PeerHandler(), peerv1connect.ExchangeServiceSubmitProcedure)

	u, err := url.Parse(supplier.Origin)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`hanse_auth_failures_total\{reason="key_missing",surface="portal"\} 1`,
		`hanse_auth_failures_total\{reason="key_missing",surface="operator"\} 1`,
		`hanse_auth_failures_total\{reason="[a-z_]+",surface="peer"\} 1`,
		`hanse_partnerships\{state="active"\} 1`,
		`hanse_ledger_parked_subjects\{partner="` + regexp.QuoteMeta(u.Host) + `"\} 0`,
		`hanse_partner_books\{partner="` + regexp.QuoteMeta(u.Host) + `",state="level"\} 1`,
		`hanse_ledger_feed_age_seconds\{partner="` + regexp.QuoteMeta(u.Host) + `"\} [0-9.e-]+`,
		`hanse_ledger_feed_lag_entries\{partner="` + regexp.QuoteMeta(u.Host) + `"\} 0`,
		`hanse_job_runs_total\{kind="agreement[a-z_.]+",result="finished"\} [1-9]`,
		`hanse_log_texts_clipped_total [0-9]+`,
		`hanse_log_lines_held_total [0-9]+`,
		`hanse_job_run_duration_seconds_count\{kind="agreement[a-z_.]+"\} [1-9]`,
	}
	sidecartest.Eventually(t, 20*time.Second, "the metrics tell it", func() error {
		res, err := http.Get(reseller.OpsURL + "/metrics")
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		page, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		for _, line := range want {
			if !regexp.MustCompile("(?m)^" + line).Match(page) {
				return fmt.Errorf("no line %s", line)
			}
		}
		return nil
	})
}

func TestStatusShowsAPageWhenTheStoreIsDown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sidecar.New(t.Context(), sidecar.Config{Origin: "https://alpha.localhost:7443", Dev: true, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	token, err := os.ReadFile(filepath.Join(dir, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	status := func() *operatorv1.GetStatusResponse {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, operatorv1connect.StatusServiceGetStatusProcedure, strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		w := httptest.NewRecorder()
		s.OperatorHandler().ServeHTTP(w, r)
		var page operatorv1.GetStatusResponse
		if err := protojson.Unmarshal(w.Body.Bytes(), &page); w.Code != http.StatusOK || err != nil {
			t.Fatalf("status %d, %v: %s", w.Code, err, w.Body)
		}
		return &page
	}
	problems := func(page *operatorv1.GetStatusResponse) (names []string) {
		for _, c := range page.GetChecks() {
			if c.GetProblem() != "" {
				names = append(names, c.GetName())
			}
		}
		return names
	}
	if names := problems(status()); slices.Contains(names, "store") || slices.Contains(names, "counts") || slices.Contains(names, "partners") {
		t.Fatalf("before: %v", names)
	}
	// What should be done soon is no check: requests may come here.
	if list := status().GetReminders(); len(list) != 0 {
		t.Errorf("keys that were never exported: %v", list)
	}
	if err := store.RecordKeyExport(t.Context(), store.Config{Path: filepath.Join(dir, "hanse.db")}, time.Now(), "of before"); err != nil {
		t.Fatal(err)
	}
	if list := status().GetReminders(); len(list) != 1 || !strings.Contains(list[0], "hanse key export") {
		t.Errorf("keys that changed since they were exported: %v", list)
	}
	if err := s.CloseStore(); err != nil {
		t.Fatal(err)
	}
	page := status()
	names := problems(page)
	for _, want := range []string{"store", "counts", "partners"} {
		if !slices.Contains(names, want) {
			t.Errorf("no problem with the %s in %v", want, page.GetChecks())
		}
	}
	if page.GetReady() || page.GetOrigin() != "https://alpha.localhost:7443" || page.GetDatabase() != "sqlite" || page.GetStartedAt() == nil {
		t.Errorf("got %v", page)
	}
	// /readyz and the page ask the same.
	w := httptest.NewRecorder()
	s.OpsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	for _, c := range page.GetChecks()[:5] {
		word := map[bool]string{true: "ok ", false: "failed "}[c.GetProblem() == ""]
		if !strings.Contains(w.Body.String(), word+c.GetName()) {
			t.Errorf("readyz says of %s otherwise:\n%s", c.GetName(), w.Body)
		}
	}
}
