package sidecar

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/metrics"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// Build is what the Go toolchain recorded in this program.
type Build struct {
	// Version is the module's, "devel" where the program was not built from a released one.
	Version string `json:"version"`
	// Revision is the commit, "unknown" where the build did not record it; Modified says that the tree had changes.
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadBuild reads it.
func ReadBuild() Build {
	b := Build{Version: "devel", Revision: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "github.com/hanse-market/hanse" && m.Version != "" && m.Version != "(devel)" {
			b.Version = m.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// meters registers the collectors.
func (s *Sidecar) meters(registry *metrics.Registry) (*metrics.Metrics, error) {
	build := ReadBuild()
	cfg := metrics.Config{
		Registerer: registry, Snapshot: s.snapshot, Log: s.scribe.Counts, Now: s.cfg.Now, Version: build.Version, Revision: build.Revision, Process: true,
	}
	if s.cfg.TLS.CertFile != "" {
		cfg.Certificate = s.cfg.certificate.state
	}
	return metrics.New(cfg)
}

// snapshot reads the gauges that come from SQL.
func (s *Sidecar) snapshot(ctx context.Context) (metrics.Snapshot, error) {
	var out metrics.Snapshot
	err := s.store.View(ctx, func(tx *store.Tx) error {
		out = metrics.Snapshot{OldestOpen: map[string]time.Duration{}, Parked: map[string]int64{}, Partnerships: map[string]int64{}}
		for side, count := range map[operator.Side]func() (map[order.State]int64, time.Time, error){
			operator.Retail: tx.RetailOrders().Count, operator.Resale: tx.ResaleOrders().Count,
		} {
			states, oldest, err := count()
			if err != nil {
				return err
			}
			for state, n := range states {
				out.Orders = append(out.Orders, metrics.Count{Group: string(side), State: string(state), N: n})
			}
			if !oldest.IsZero() {
				out.OldestOpen[string(side)] = s.cfg.Now().Sub(oldest)
			}
		}
		subscriptions, err := tx.Subscriptions().Count()
		if err != nil {
			return err
		}
		for side, states := range subscriptions {
			for state, n := range states {
				out.Subscriptions = append(out.Subscriptions, metrics.Count{Group: string(side), State: string(state), N: n})
			}
		}
		jobs, err := tx.Jobs().Count()
		if err != nil {
			return err
		}
		for kind, states := range jobs {
			for state, n := range states {
				out.Jobs = append(out.Jobs, metrics.Count{Group: kind, State: string(state), N: n})
			}
		}
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		for _, p := range partners {
			out.Partnerships[string(p.State)]++
			parked, err := tx.Ledger().ParkedAll(p.Origin)
			if err != nil {
				return err
			}
			out.Parked[p.Origin] = int64(len(ledger.Subjects(parked)))
			books, err := tx.Ledger().Standing(p.Origin)
			if err != nil {
				return err
			}
			out.Books = append(out.Books, metrics.Count{Group: p.Origin, State: string(books), N: 1})
		}
		return nil
	})
	return out, err
}

var (
	errDraining = errors.New("draining")
	errIndexing = errors.New("the search index is being built")
)

// readiness is whether requests should come here now.
func (s *Sidecar) readiness() []metrics.Check {
	return []metrics.Check{
		{Name: "serving", Func: func(context.Context) error {
			if s.draining.Load() {
				return errDraining
			}
			return nil
		}},
		{Name: "store", Func: func(ctx context.Context) error {
			return s.store.View(ctx, func(tx *store.Tx) error { _, err := tx.Partners().List(); return err })
		}},
		{Name: "store_writes", Func: s.store.Writable},
		{Name: "books", Func: func(context.Context) error { return nil }, Detail: s.uneven},
		{Name: "hot_state", Func: func(ctx context.Context) error { _, err := s.hot.Birth(ctx); return err }},
		{Name: "search_index", Func: func(context.Context) error {
			if !s.indexer.Ready() {
				return errIndexing
			}
			return nil
		}},
	}
}

// uneven names the partners whose books with us are not level. That stops the business with them alone.
func (s *Sidecar) uneven(ctx context.Context) string {
	var list []string
	err := s.store.View(ctx, func(tx *store.Tx) error {
		list = list[:0]
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		for _, p := range partners {
			books, err := tx.Ledger().Standing(p.Origin)
			if err != nil {
				return err
			}
			if books != ledger.Level {
				list = append(list, string(books)+" with "+p.Origin)
			}
		}
		return nil
	})
	if err != nil {
		return "" // the store's own check says so
	}
	return strings.Join(list, ", ")
}

// countsTimeout is how long a status page waits for its counts: longer than a probe, shorter than its reader.
const countsTimeout = 10 * time.Second

// house describes the sidecar to its operator, best when it is not well: an error says why the counts could not be read, and the
// house comes without them.
func (s *Sidecar) house(ctx context.Context) (operator.House, error) {
	h := operator.House{
		Origin: s.cfg.Origin, Version: ReadBuild().Version, File: s.cfg.File, DataDir: s.cfg.DataDir, Database: s.cfg.Database.Driver, Started: s.started,
	}
	if full, err := filepath.Abs(h.DataDir); err == nil {
		h.DataDir = full
	}
	for _, c := range metrics.Ask(ctx, s.readiness()) {
		problem := ""
		if c.Err != nil {
			problem = c.Err.Error()
		}
		h.Checks = append(h.Checks, operator.Check{Name: c.Name, Problem: problem})
	}
	ctx, cancel := context.WithTimeout(ctx, countsTimeout)
	defer cancel()
	counts, err := s.snapshot(ctx)
	if err != nil {
		return h, err
	}
	for _, n := range counts.Orders {
		if !order.State(n.State).Ended() && n.N > 0 {
			h.Orders = append(h.Orders, operator.Count(n))
		}
	}
	for _, n := range counts.Jobs {
		h.Jobs = append(h.Jobs, operator.Count(n))
	}
	for _, list := range [][]operator.Count{h.Orders, h.Jobs} { // they come out of maps
		slices.SortFunc(list, func(a, b operator.Count) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.State, b.State))
		})
	}
	return h, nil
}

// allow limits the calls of one caller on a surface.
func (s *Sidecar) allow(surface string) func(context.Context, string) (bool, time.Duration, error) {
	return func(ctx context.Context, caller string) (bool, time.Duration, error) {
		return s.hot.Allow(ctx, surface+"/"+caller, s.cfg.Limits.RatePerSecond, s.cfg.Limits.RateBurst)
	}
}
