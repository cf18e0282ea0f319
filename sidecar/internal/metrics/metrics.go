package metrics

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Surfaces of a sidecar, the values of label surface.
const (
	SurfacePortal   = "portal"
	SurfaceOperator = "operator"
	SurfacePeer     = "peer"
	// SurfaceOutbound is what we call at partners.
	SurfaceOutbound = "outbound"
)

// maxPartners and maxWords bound the values of a label. Words are procedures, reasons, adapters and the like: they come from
// our own code, the bound is for the day when one does not.
const (
	maxPartners = 200
	maxWords    = 500
)

// Config is what the collectors need.
type Config struct {
	// Registerer receives the collectors. Required.
	Registerer prometheus.Registerer
	// Snapshot reads the gauges that come from SQL, once a scrape. Default: none are shown.
	Snapshot func(ctx context.Context) (Snapshot, error)
	// Certificate tells when the certificate that partners see expires (zero while there is none), and how many looks at its
	// renewed files found none that can be used. Default: neither is shown.
	Certificate func() (expires time.Time, failures uint64)
	// Log reads how many values of the log had something cut and how many lines were held back. Default: they are not shown.
	Log func() (clipped, held uint64)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Version and Revision are shown in hanse_build_info. Default: "dev" and "unknown".
	Version, Revision string
	// Process adds the go_* and process_* collectors; leave it out when the embedding program has them. Default: false.
	Process bool
}

// Metrics are the collectors. All methods are safe for concurrent use; a nil *Metrics counts nothing.
type Metrics struct {
	words    *limiter
	partners *partners

	rpcRequests, adapterCalls, authFailures, authReplays, jobRuns, commitFailures, floods, pagesRefused, leftOut, recovered, strangeKeys *prometheus.CounterVec
	rpcDuration, adapterDuration, jobDuration                                                                                            *prometheus.HistogramVec
	commits, closures                                                                                                                    prometheus.Counter
	commitDuration                                                                                                                       prometheus.Histogram
}

// Registry is Prometheus's, under a name that callers can write without importing it.
type Registry = prometheus.Registry

// NewRegistry is an empty registry.
func NewRegistry() *Registry { return prometheus.NewRegistry() }

// New registers the collectors; an error says that the registerer has them already.
func New(cfg Config) (*Metrics, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		words:    newLimiter(maxWords),
		partners: newPartners(cfg.Now),

		rpcRequests:     counter("hanse_rpc_requests_total", "Calls by surface, procedure and result code.", "surface", "procedure", "result"),
		rpcDuration:     histogram("hanse_rpc_duration_seconds", "Duration of unary calls.", prometheus.ExponentialBuckets(0.001, 2.5, 10), "surface", "procedure"),
		adapterCalls:    counter("hanse_adapter_calls_total", "Calls of adapters by operation and result: ok or the error's class.", "adapter", "operation", "result"),
		adapterDuration: histogram("hanse_adapter_call_duration_seconds", "Duration of adapter calls.", prometheus.ExponentialBuckets(0.01, 3, 10), "adapter", "operation"),
		authFailures:    counter("hanse_auth_failures_total", "Callers that a surface did not recognise or not let in, by stable reason.", "surface", "reason"),
		authReplays:     counter("hanse_auth_replays_total", "Proofs and assertions that were seen before, by kind.", "kind"),
		jobRuns:         counter("hanse_job_runs_total", "Runs of durable jobs by result: finished, again, parked or panicked.", "kind", "result"),
		jobDuration:     histogram("hanse_job_run_duration_seconds", "Duration of job runs.", prometheus.ExponentialBuckets(0.001, 4, 9), "kind"),
		commits:         prometheus.NewCounter(prometheus.CounterOpts{Name: "hanse_store_commits_total", Help: "Write transactions committed."}),
		closures:        prometheus.NewCounter(prometheus.CounterOpts{Name: "hanse_store_closures_total", Help: "Units of work inside those commits."}),
		commitFailures:  counter("hanse_store_commit_failures_total", "Units of work that the database did not take, by reason.", "reason"),
		floods:          counter("hanse_feed_floods_total", "Streams of partners that were ended because they brought more than we take, by what there was too much of.", "partner", "feed", "bound"),
		leftOut:         counter("hanse_catalog_left_out_total", "Changes of the partner's catalog for which there was no room, by what there is too much of.", "partner", "bound"),
		recovered:       counter("hanse_recovery_entries_total", "Entries of our own ledger that were read back from the partner, by whether what they had made came back: made, partly or lost.", "partner", "result"),
		pagesRefused:    counter("hanse_ledger_pages_refused_total", "Pages of the partner's ledger that were not taken, by reason; a bad one is asked for again.", "partner", "reason"),
		strangeKeys:     counter("hanse_partner_key_discontinuities_total", "Looks at the partner's documents that showed a business key which does not follow the pinned one.", "partner"),
		commitDuration:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hanse_store_commit_duration_seconds", Help: "Duration of write transactions.", Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hanse_build_info", Help: "1, with the build as labels."}, []string{"version", "revision", "goversion"})
	build.WithLabelValues(orElse(cfg.Version, "dev"), orElse(cfg.Revision, "unknown"), runtime.Version()).Set(1)
	all := []prometheus.Collector{
		m.rpcRequests, m.rpcDuration, m.adapterCalls, m.adapterDuration, m.authFailures, m.authReplays,
		m.jobRuns, m.jobDuration,
		m.commits, m.closures, m.commitFailures, m.commitDuration, m.floods, m.pagesRefused, m.leftOut, m.recovered, m.strangeKeys, m.partners, build,
	}
	if cfg.Snapshot != nil {
		all = append(all, newSnapshots(cfg.Snapshot, m.partners, m.words))
	}
	if cfg.Certificate != nil {
		all = append(all, certificate(cfg.Certificate)...)
	}
	if cfg.Log != nil {
		all = append(all,
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hanse_log_texts_clipped_total", Help: "Values in the log of which something was cut."},
				func() float64 { clipped, _ := cfg.Log(); return float64(clipped) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hanse_log_lines_held_total", Help: "Repeated lines about a partner that were counted instead of written."},
				func() float64 { _, held := cfg.Log(); return float64(held) }),
		)
	}
	if cfg.Process {
		all = append(all, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	for _, c := range all {
		if err := cfg.Registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func certificate(state func() (time.Time, uint64)) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hanse_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that partners see expires; 0 while there is none.",
		}, func() float64 {
			expires, _ := state()
			if expires.IsZero() {
				return 0
			}
			return float64(expires.Unix())
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "hanse_tls_certificate_reload_failures_total", Help: "Looks at renewed certificate files that found none that can be used.",
		}, func() float64 {
			_, failures := state()
			return float64(failures)
		}),
	}
}

// RPC counts one call. Result is "ok" or the Connect code in snake_case. A stream's duration says when the client left and
// not how fast we are: give 0 to leave it out.
func (m *Metrics) RPC(surface, procedure, result string, d time.Duration) {
	if m == nil {
		return
	}
	procedure = m.words.bound("procedure", procedure)
	m.rpcRequests.WithLabelValues(surface, procedure, m.words.bound("result", result)).Inc()
	if d > 0 {
		m.rpcDuration.WithLabelValues(surface, procedure).Observe(d.Seconds())
	}
}

// AdapterCall counts one call of an adapter. Result is "ok" or the class of its error.
func (m *Metrics) AdapterCall(adapter, operation, result string, d time.Duration) {
	if m == nil {
		return
	}
	adapter, operation = m.words.bound("adapter", adapter), m.words.bound("operation", operation)
	m.adapterCalls.WithLabelValues(adapter, operation, m.words.bound("result", result)).Inc()
	m.adapterDuration.WithLabelValues(adapter, operation).Observe(d.Seconds())
}

// JobRun counts one run of a durable job. Result is finished, again, parked or panicked.
func (m *Metrics) JobRun(kind, result string, d time.Duration) {
	if m == nil {
		return
	}
	kind = m.words.bound("job", kind)
	m.jobRuns.WithLabelValues(kind, m.words.bound("job_result", result)).Inc()
	m.jobDuration.WithLabelValues(kind).Observe(d.Seconds())
}

// AuthFailure counts one caller that a surface refused, by its stable reason.
func (m *Metrics) AuthFailure(surface, reason string) {
	if m != nil {
		m.authFailures.WithLabelValues(surface, m.words.bound("reason", reason)).Inc()
	}
}

// Replay counts one proof or assertion that was seen before, in a "token_request" or a "call".
func (m *Metrics) Replay(kind string) {
	if m != nil {
		m.authReplays.WithLabelValues(m.words.bound("kind", kind)).Inc()
	}
}

// Commit counts one committed write transaction and the units of work that it grouped.
func (m *Metrics) Commit(closures int, d time.Duration) {
	if m == nil {
		return
	}
	m.commits.Inc()
	m.closures.Add(float64(closures))
	m.commitDuration.Observe(d.Seconds())
}

// CommitFailed counts one unit of work that the database did not take.
func (m *Metrics) CommitFailed(reason string) {
	if m != nil {
		m.commitFailures.WithLabelValues(m.words.bound("store_reason", reason)).Inc()
	}
}

// FeedFlood counts one stream of a partner that was ended because it brought more of something than we take.
func (m *Metrics) FeedFlood(origin, feed, bound string) {
	if m != nil {
		m.floods.WithLabelValues(m.partners.label(origin), m.words.bound("feed", feed), m.words.bound("bound", bound)).Inc()
	}
}

// CatalogLeftOut counts changes of a partner's catalog for which there was no room, for there is too much of something.
func (m *Metrics) CatalogLeftOut(origin, bound string, changes int) {
	if m != nil {
		m.leftOut.WithLabelValues(m.partners.label(origin), m.words.bound("room", bound)).Add(float64(changes))
	}
}

// Recovered counts an entry of our own ledger that was read back from a partner.
func (m *Metrics) Recovered(origin, result string) {
	if m != nil {
		m.recovered.WithLabelValues(m.partners.label(origin), m.words.bound("recovery", result)).Inc()
	}
}

// PageRefused counts one page of a partner's ledger that was not taken.
func (m *Metrics) PageRefused(origin, reason string) {
	if m != nil {
		m.pagesRefused.WithLabelValues(m.partners.label(origin), m.words.bound("page_reason", reason)).Inc()
	}
}

// StrangeKey counts one look at a partner that showed a business key which does not follow the pinned one.
func (m *Metrics) StrangeKey(origin string) {
	if m != nil {
		m.strangeKeys.WithLabelValues(m.partners.label(origin)).Inc()
	}
}

// PeerUp records whether the last call at a partner reached it.
func (m *Metrics) PeerUp(origin string, up bool) {
	if m != nil {
		m.partners.update(origin, func(p *partner) { p.up, p.upKnown = up, true })
	}
}

// PeerSkew records how far a partner's clock is ahead of ours.
func (m *Metrics) PeerSkew(origin string, ahead time.Duration) {
	if m != nil {
		m.partners.update(origin, func(p *partner) { p.skew, p.skewKnown = ahead, true })
	}
}

// FeedLag records how many entries of a partner's ledger we have heard of and not applied.
func (m *Metrics) FeedLag(origin string, entries int64) {
	if m != nil {
		m.partners.update(origin, func(p *partner) { p.lag, p.lagKnown = entries, true })
	}
}

// LedgerTailed records when a partner last proved to us where its ledger ends, and what it proved was applied.
func (m *Metrics) LedgerTailed(origin string, at time.Time) {
	if m != nil {
		m.partners.update(origin, func(p *partner) { p.tailed = at })
	}
}

// CatalogSynced records when we last were at the end of a partner's catalog feed.
func (m *Metrics) CatalogSynced(origin string, at time.Time) {
	if m != nil {
		m.partners.update(origin, func(p *partner) { p.synced = at })
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
