package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

const (
	sqliteEngine   = "sqlite"
	postgresEngine = "postgres"
)

// Config says how much, and on what.
type Config struct {
	// Orders and Faults are how many a plan has.
	Orders, Faults int
	// Seed decides the plan.
	Seed uint64
	// Engine is sqlite or postgres; Replicas are processes a member, more than one on PostgreSQL alone.
	Engine   string
	Replicas int
	// Without are kinds of faults that a plan does not have.
	Without []FaultKind
	// Plant is the bug that members have; "" is none.
	Plant plant.Bug
	// Binary is the hanse that is run.
	Binary string
	// Dir is a folder that is not there yet; it is kept where something is wrong.
	Dir string
	// Keep keeps the folder in any case.
	Keep bool
	// beside tells this market from others of the same program, from 1; 0 where there is no other.
	beside int
	// Progress is told how far it is; default nobody.
	Progress io.Writer
}

// Report is what a run found.
type Report struct {
	Orders int `json:"orders"`
	// Faults are those that hurt something, of as many as were Planned.
	Faults   int `json:"faults"`
	Planned  int `json:"planned"`
	Restores int `json:"restores"`
	Emptied  int `json:"emptied"`

	Lost       int `json:"lost"`
	Double     int `json:"double"`
	Divergent  int `json:"divergent"`
	Stuck      int `json:"stuck"`
	Orphans    int `json:"orphans"`
	Unsurfaced int `json:"indeterminate_unsurfaced"`
	// Broken are findings of other kinds: a proof taken twice, a secret in a log, an id with two meanings.
	Broken int `json:"broken"`

	Seed     uint64 `json:"seed"`
	Engine   string `json:"db"`
	Replicas int    `json:"replicas"`
	// Void are orders that could not be placed, because what they end was cancelled or refused.
	Void   int            `json:"void"`
	States map[string]int `json:"states"`
	ByKind map[string]int `json:"faults_by_kind"`
	Points map[string]int `json:"failpoints_hit"`
	// NotRun are kinds of faults that were not made, and why.
	NotRun map[string]string `json:"not_run"`
	// Resolved are held orders that the operator resolved, Told what members said that no partner gave back.
	Resolved int `json:"resolved"`
	Told     int `json:"told"`
	// NoAccess are subscriptions whose access data were gone everywhere, MadeAgain and LeftOver what was made anew, or is left on the platform,
	// because both sides of its deal were put back to before it at once, so that nobody but the portal knew of it.
	NoAccess  int      `json:"access_gone"`
	MadeAgain int      `json:"made_again"`
	LeftOver  []string `json:"left_over"`

	HealingP50 float64 `json:"healing_p50_s"`
	HealingP99 float64 `json:"healing_p99_s"`
	Rate       float64 `json:"orders_per_s"`
	Seconds    float64 `json:"seconds"`

	// Plant is the bug that was planted; Found says that a finding names an invariant which it breaks.
	Plant plant.Bug `json:"plant,omitempty"`
	Found bool      `json:"plant_found,omitempty"`

	Findings []Finding `json:"findings"`
	// Dir holds logs, databases, history and journal, where it was kept.
	Dir string `json:"folder,omitempty"`
}

// Clean reports whether nothing was found.
func (r Report) Clean() bool { return len(r.Findings) == 0 }

// Run plays a plan on a market of its own and checks what is left. An error says that it could not be played to the end.
func Run(ctx context.Context, cfg Config, plan Plan) (r Report, err error) {
	if err := supported(); err != nil {
		return r, err
	}
	cfg.Progress = inTurn(cfg.Progress)
	if _, err := os.Lstat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("%s is there already", cfg.Dir)
	}
	begun := time.Now()
	m, err := setUp(ctx, cfg)
	if err != nil {
		return r, fmt.Errorf("set up the market in %s: %w", cfg.Dir, err)
	}
	defer m.close()
	if err := writeJSON(filepath.Join(cfg.Dir, "plan.json"), plan); err != nil {
		return r, err
	}
	playing := time.Now()
	if err := m.play(ctx, plan); err != nil {
		return r, fmt.Errorf("%w; see %s", err, cfg.Dir)
	}
	if err := m.heal(ctx); err != nil {
		return r, fmt.Errorf("heal: %w; see %s", err, cfg.Dir)
	}
	played := time.Since(playing)
	if err := m.check(ctx); err != nil {
		return r, fmt.Errorf("check: %w; see %s", err, cfg.Dir)
	}
	r = m.report(plan)
	r.Seconds, r.Rate = time.Since(begun).Seconds(), float64(r.Orders)/played.Seconds()
	r.Dir = cfg.Dir
	if err := writeJSON(filepath.Join(cfg.Dir, "report.json"), r); err != nil {
		return r, err
	}
	if r.Clean() && !cfg.Keep {
		m.close()
		r.Dir = ""
		return r, os.RemoveAll(cfg.Dir)
	}
	return r, nil
}

func (m *market) report(plan Plan) Report {
	r := Report{
		Planned: plan.Faults, Restores: m.restores, Emptied: m.emptied, Seed: plan.Seed, Engine: m.cfg.Engine, Replicas: m.cfg.Replicas,
		States: map[string]int{}, ByKind: map[string]int{}, Points: m.points, NotRun: m.notRun, Resolved: m.resolved, Told: m.told, NoAccess: m.noAccess, MadeAgain: m.again, LeftOver: append([]string{}, m.leftOver...), Findings: m.findings,
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	r.Plant = m.cfg.Plant
	_, r.Found = r.Convicts()
	for kind, n := range m.done {
		r.ByKind[string(kind)] = n
		r.Faults += n
	}
	for _, o := range m.history.all() {
		switch {
		case o.void != "":
			r.Void++
		case !o.acknowledged.IsZero():
			r.Orders++
			r.States[o.state]++
		}
	}
	for _, f := range m.findings {
		*map[string]*int{
			lost: &r.Lost, double: &r.Double, divergent: &r.Divergent, stuck: &r.Stuck, orphan: &r.Orphans, unsurfaced: &r.Unsurfaced, broken: &r.Broken,
		}[f.Kind]++
	}
	for _, kind := range m.cfg.Without {
		r.NotRun[string(kind)] = "left out, as was asked"
	}
	if m.cfg.Engine == postgresEngine {
		r.NotRun[string(DiskFull)] = "members on PostgreSQL write no files of their own"
	} else {
		for _, kind := range []FaultKind{PostgresRestart, PostgresFailover, RedisFlush} {
			r.NotRun[string(kind)] = "members on SQLite have none"
		}
	}
	for kind, why := range m.notMade() {
		r.NotRun[string(kind)] = why
	}
	slices.Sort(m.healing)
	if n := len(m.healing); n > 0 {
		r.HealingP50, r.HealingP99 = m.healing[n/2].Seconds(), m.healing[min(n-1, n*99/100)].Seconds()
	}
	return r
}

// Kinds are the names of all kinds of faults that a report has, sorted.
func (r Report) Kinds() []string { return slices.Sorted(maps.Keys(r.ByKind)) }
