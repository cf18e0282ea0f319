package sidecar

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
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

// snapshot is what a scrape shows of SQL: what is open as it is now, the rest as it was counted last.
func (s *Sidecar) snapshot(ctx context.Context) (metrics.Snapshot, error) {
	now, err := s.open(ctx)
	if err != nil {
		return now, err
	}
	counted, age, known := s.counts.read()
	now.Orders, now.Subscriptions = append(now.Orders, counted.Orders...), counted.Subscriptions
	now.Counted, now.CountsAge = known, age
	return now, nil
}

// open reads what costs no more however much has ended.
func (s *Sidecar) open(ctx context.Context) (metrics.Snapshot, error) {
	var out metrics.Snapshot
	err := s.store.View(ctx, func(tx *store.Tx) error {
		out = metrics.Snapshot{OldestOpen: map[string]time.Duration{}, Partnerships: map[string]int64{}, Held: map[string]int64{}}
		for side, count := range map[operator.Side]func() (map[order.State]int64, time.Time, error){
			operator.Retail: tx.RetailOrders().CountOpen, operator.Resale: tx.ResaleOrders().CountOpen,
		} {
			states, oldest, err := count()
			if err != nil {
				return err
			}
			out.Orders = counted(out.Orders, side, states)
			if !oldest.IsZero() {
				out.OldestOpen[string(side)] = s.cfg.Now().Sub(oldest)
			}
		}
		jobs, err := tx.Jobs().Count()
		if err != nil {
			return err
		}
		for kind, states := range jobs {
			out.Jobs = counted(out.Jobs, kind, states)
		}
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		parked, err := tx.Ledger().ParkedSubjects()
		if err != nil {
			return err
		}
		uneven, err := tx.Ledger().Uneven()
		if err != nil {
			return err
		}
		older, err := tx.Ledger().Older()
		if err != nil {
			return err
		}
		for _, partner := range older {
			out.Books = append(out.Books, metrics.Count{Group: partner, State: ledger.ReasonPartnerBehind, N: 1})
		}
		out.Parked = parked
		for _, p := range partners {
			out.Partnerships[string(p.State)]++
			parked[p.Origin] += 0 // shown with none too
			out.Held[p.Origin] = 0
			if p.Hold != nil {
				out.Held[p.Origin] = 1
			}
			out.Books = append(out.Books, metrics.Count{Group: p.Origin, State: string(cmp.Or(uneven[p.Origin], ledger.Level)), N: 1})
		}
		return nil
	})
	if err == nil {
		_, out.KeysStale, err = s.store.KeyExport(ctx)
	}
	if err == nil {
		out.LastBackup, err = s.store.LastBackup(ctx)
	}
	return out, err
}

// count counts what grows for as long as the member does business.
func (s *Sidecar) count(ctx context.Context) (metrics.Snapshot, error) {
	var out metrics.Snapshot
	err := s.store.View(ctx, func(tx *store.Tx) error {
		out = metrics.Snapshot{}
		for side, count := range map[operator.Side]func() (map[order.State]int64, error){
			operator.Retail: tx.RetailOrders().CountEnded, operator.Resale: tx.ResaleOrders().CountEnded,
		} {
			states, err := count()
			if err != nil {
				return err
			}
			out.Orders = counted(out.Orders, side, states)
		}
		subscriptions, err := tx.Subscriptions().Count()
		for side, states := range subscriptions {
			out.Subscriptions = counted(out.Subscriptions, side, states)
		}
		return err
	})
	return out, err
}

// counted adds what was counted of a group.
func counted[G, S ~string](list []metrics.Count, group G, states map[S]int64) []metrics.Count {
	for state, n := range states {
		list = append(list, metrics.Count{Group: string(group), State: string(state), N: n})
	}
	return list
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
		{Name: "keys_exported", Func: func(context.Context) error { return nil }, Detail: s.staleExport},
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
	var states map[string]ledger.BooksState
	var older []string
	var partners []member.Partner
	err := s.store.View(ctx, func(tx *store.Tx) (err error) {
		if partners, err = tx.Partners().List(); err != nil {
			return err
		}
		if states, err = tx.Ledger().Uneven(); err != nil {
			return err
		}
		older, err = tx.Ledger().Older()
		return err
	})
	if err != nil {
		return "" // the store's own check says so
	}
	var list []string
	if s.twins.unreached.Load() && !s.cfg.OriginUnreachable {
		list = append(list, "our own origin does not answer")
	}
	for _, partner := range slices.Sorted(maps.Keys(states)) {
		list = append(list, string(states[partner])+" with "+partner)
	}
	for _, partner := range older {
		list = append(list, partner+" is behind")
	}
	for _, p := range partners {
		if states[p.Origin] != ledger.Forked && !s.reach.Of(p.Origin).Forked.IsZero() {
			list = append(list, p.Origin+" says that they are forked")
		}
	}
	return strings.Join(list, ", ")
}

// staleExport says that what was exported of the keys is no longer all that partners know us by.
func (s *Sidecar) staleExport(ctx context.Context) string {
	at, stale, err := s.store.KeyExport(ctx)
	if err != nil || !stale {
		return ""
	}
	return "keys or partners changed since the export of " + at.Format(time.RFC3339) + "; run hanse key export again"
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
	if stale := s.staleExport(ctx); stale != "" {
		h.Reminders = append(h.Reminders, stale)
	}
	late, err := s.overdue.Orders.Late(ctx)
	if err != nil {
		return h, err
	}
	h.Reminders = append(h.Reminders, late...)
	counts, err := s.open(ctx)
	if err != nil {
		return h, err
	}
	for _, n := range counts.Orders {
		h.Orders = append(h.Orders, operator.Count(n))
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
