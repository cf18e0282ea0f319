package metrics

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout keeps a probe shorter than the orchestrator's patience.
const checkTimeout = 2 * time.Second

// Check is one condition of being live or ready. Func returns nil when it holds, else why not; the text goes out on the ops
// listener.
type Check struct {
	Name string
	Func func(ctx context.Context) error
	// Detail, where set, is told beside a condition that holds: what wants an operator and is no reason to send requests elsewhere.
	// "" is nothing.
	Detail func(ctx context.Context) string
}

// Result is what one check answered: Err is nil where it holds.
type Result struct {
	Name   string
	Err    error
	Detail string
}

// Ask runs the checks one after the other, two seconds for all of them together.
func Ask(ctx context.Context, checks []Check) []Result {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]Result, 0, len(checks))
	for _, c := range checks {
		r := Result{Name: c.Name, Err: c.Func(ctx)}
		if r.Err == nil && c.Detail != nil {
			r.Detail = c.Detail(ctx)
		}
		results = append(results, r)
	}
	return results
}

// OpsConfig is what the ops pages show.
type OpsConfig struct {
	// Gatherer is shown on /metrics. Required.
	Gatherer prometheus.Gatherer
	// Live are what /healthz asks: only what a restart would heal. Default: none, always healthy.
	Live []Check
	// Ready are what /readyz asks: whether requests should come here now. Default: none, always ready.
	Ready []Check
}

// OpsHandler serves /metrics, /healthz and /readyz. Mount it on the ops listener only: it answers everyone.
func OpsHandler(cfg OpsConfig) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             2 * snapshotTimeout,
		EnableOpenMetrics:   true,
	}))
	mux.Handle("GET /healthz", checkHandler(cfg.Live))
	mux.Handle("GET /readyz", checkHandler(cfg.Ready))
	return mux
}

// checkHandler answers 200 or 503 with a line for each check.
func checkHandler(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := http.StatusOK, ""
		for _, c := range Ask(r.Context(), checks) {
			if c.Err != nil {
				status = http.StatusServiceUnavailable
				body += fmt.Sprintf("failed %s: %v\n", c.Name, c.Err)
				continue
			}
			body += "ok " + c.Name
			if c.Detail != "" {
				body += ": " + c.Detail
			}
			body += "\n"
		}
		if body == "" {
			body = "ok\n"
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}
