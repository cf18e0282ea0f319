package sidecar_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
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
	callUnknown(t, reseller.PeerHandler(), peerv1connect.OrderServicePlaceOrderProcedure)

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
