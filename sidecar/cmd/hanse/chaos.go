package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/adapters/rig"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/chaos"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

type chaosCmd struct {
	Orders   int      `default:"300" help:"How many orders customers place."`
	Faults   int      `default:"90" help:"How many faults members, their disks and what lies between them suffer."`
	Seed     uint64   `default:"1" help:"What decides orders and faults: the same seed gives the same plan."`
	DB       string   `name:"db" enum:"sqlite,postgres" default:"sqlite" help:"The members' database: ${enum}."`
	Replicas int      `default:"1" help:"Processes of each member; more than one on PostgreSQL only."`
	Without  []string `placeholder:"KIND,..." help:"Kinds of faults to leave out, as the plan names them, such as clock; cancel leaves out that customers cancel."`
	Plan     bool     `help:"Only print the plan."`
	Dir      string   `type:"path" placeholder:"FOLDER" help:"Folder for members, logs, history and journal, which must not be there yet; default a temporary one. It stays where something was found."`
	Keep     bool     `help:"Keep the folder in any case."`
	Parts    int      `default:"1" help:"Play this many plans of seeds that follow each other, with their share of orders and faults each."`
	Results  string   `type:"path" placeholder:"FOLDER" help:"Where the reports of clean parts are kept: they are not played again."`
	Edges    bool     `help:"Instead of a plan, kill a process at each moment of each step that orders and subscriptions take, on the side that takes it; with --results, what was survived is not played again."`
	AtOnce   int      `default:"4" help:"With --edges and --parts, on how many markets at once it is played."`
	Plant    string   `placeholder:"NAME" help:"Give the members this planted bug, which must be found; list shows all. Only builds with -tags planted have any."`
	Binary   string   `type:"path" placeholder:"FILE" help:"The hanse that members run; default this one."`
}

func (c *chaosCmd) Run(a *app) error {
	if c.Plant != "" && !plant.Built {
		return &commandError{
			Code: exitUsage, Reason: "usage", Field: "--plant", Cause: "this build has no planted bugs",
			Action: "build one that has them: go build -tags planted -o bin/hanse-planted ./sidecar/cmd/hanse",
		}
	}
	if c.Plant == "list" {
		return a.show(plant.All(), func(t *table) { describePlants(t, plant.All()) })
	}
	cfg := chaos.Config{
		Orders: c.Orders, Faults: c.Faults, Seed: c.Seed, Engine: c.DB, Replicas: c.Replicas, Binary: c.Binary, Dir: c.Dir, Keep: c.Keep, Progress: a.stderr,
	}
	wrong := func(field, cause, action string) error {
		return &commandError{Code: exitUsage, Reason: "usage", Field: field, Cause: cause, Action: action}
	}
	switch {
	case c.Orders < 1 || c.Orders > 1_000_000:
		return wrong("--orders", fmt.Sprintf("%d orders cannot be placed", c.Orders), "name 1 to 1000000")
	case c.Faults < 0 || c.Faults > 100_000:
		return wrong("--faults", fmt.Sprintf("%d faults cannot be made", c.Faults), "name 0 to 100000")
	case c.Replicas < 1 || c.Replicas > 9:
		return wrong("--replicas", fmt.Sprintf("a member cannot have %d processes here", c.Replicas), "name 1 to 9")
	case c.Parts < 1 || c.Parts > c.Orders:
		return wrong("--parts", fmt.Sprintf("%d orders make no %d parts", c.Orders, c.Parts), "name at most as many parts as orders")
	case c.AtOnce < 1 || c.AtOnce > 32:
		return wrong("--at-once", fmt.Sprintf("nothing can be played on %d markets at once here", c.AtOnce), "name 1 to 32")
	case c.Parts > 1 && c.Results == "":
		return wrong("--results", "it is not said where reports of parts are kept", "add --results FOLDER")
	case c.Replicas > 1 && c.DB != "postgres":
		return wrong("--replicas", "one process alone has a SQLite database", "add --db postgres")
	}
	if cfg.Plant = plant.Bug(c.Plant); c.Plant != "" && !slices.ContainsFunc(plant.All(), func(p plant.Planted) bool { return p.Name == cfg.Plant }) {
		return wrong("--plant", fmt.Sprintf("there is no planted bug %q", c.Plant), "name one of hanse chaos --plant list")
	}
	for _, name := range c.Without {
		kind := chaos.FaultKind(name)
		if !slices.Contains(chaos.Kinds(), kind) {
			return wrong("--without", fmt.Sprintf("there is no kind of fault %q", name), fmt.Sprintf("name some of %v", chaos.Kinds()))
		}
		cfg.Without = append(cfg.Without, kind)
	}
	if c.Edges {
		return c.edges(a, cfg)
	}
	plan := chaos.NewPlan(cfg)
	if c.Plan {
		return a.show(plan, func(t *table) { describePlan(t, plan) })
	}
	err := c.place(&cfg, fmt.Sprintf("seed-%d", c.Seed))
	if err != nil {
		return err
	}
	var report chaos.Report
	if c.Parts > 1 {
		report, err = chaos.Series(a.ctx, cfg, c.Parts, c.AtOnce, c.Results)
	} else {
		report, err = chaos.Run(a.ctx, cfg, plan)
	}
	if err != nil {
		return &commandError{Code: exitFailure, Reason: "chaos_not_played", Cause: err.Error(), Action: "read the logs in " + cfg.Dir + "; the same seed repeats it"}
	}
	if c.Dir == "" && report.Dir == "" {
		_ = os.Remove(cfg.Dir) // parts have folders of their own in it
		_ = os.Remove(filepath.Dir(cfg.Dir))
	}
	if err := a.show(report, func(t *table) { describeChaos(t, report) }); err != nil || report.Clean() {
		if err == nil && c.Plant != "" {
			err = missed(report)
		}
		return err
	}
	return broken(report)
}

// place says what members run, and where: in a folder of a new temporary one, unless one is named.
func (c *chaosCmd) place(cfg *chaos.Config, name string) (err error) {
	if cfg.Binary == "" {
		if cfg.Binary, err = os.Executable(); err != nil {
			return err
		}
	}
	if cfg.Dir != "" {
		return nil
	}
	parent, err := os.MkdirTemp("", "hanse-chaos-")
	cfg.Dir = filepath.Join(parent, name)
	return err
}

// edges kills a process at every step.
func (c *chaosCmd) edges(a *app, cfg chaos.Config) error {
	if err := c.place(&cfg, "edges"); err != nil {
		return err
	}
	r, err := chaos.Edges(a.ctx, cfg, c.Results, c.AtOnce)
	if err != nil {
		return &commandError{Code: exitFailure, Reason: "chaos_not_played", Cause: err.Error(), Action: "read the logs in " + cfg.Dir}
	}
	if c.Dir == "" && r.Dir == "" {
		_ = os.Remove(filepath.Dir(cfg.Dir))
	}
	if err := a.show(r, func(t *table) { describeEdges(t, r) }); err != nil || r.Clean() {
		return err
	}
	cause := fmt.Sprintf("%d of %d cells were survived", r.Survived, r.Cells)
	if len(r.Findings) > 0 {
		f := r.Findings[0]
		cause += fmt.Sprintf("; invariant %d (%s): %s %s", f.Invariant, f.Kind, f.ID, f.What)
	}
	return &commandError{
		Code: exitFailure, Reason: "edges_not_survived", Cause: cause, Action: "all of it is in " + filepath.Join(r.Dir, "edges.json") + ", logs and databases beside it",
	}
}

func describeEdges(t *table, r chaos.EdgeReport) {
	moments := map[string]map[string]string{}
	var order []string
	scene := map[string]string{}
	for _, c := range r.Crossings {
		if moments[c.Edge] == nil {
			moments[c.Edge], scene[c.Edge] = map[string]string{}, c.Scene
			order = append(order, c.Edge)
		}
		moments[c.Edge][c.Moment] = c.Outcome
	}
	head := []string{"EDGE", "SCENE"}
	for _, m := range failpoint.Moments {
		head = append(head, strings.ToUpper(string(m)))
	}
	t.row(head...)
	for _, e := range order {
		cells := []string{e, scene[e]}
		for _, m := range failpoint.Moments {
			cells = append(cells, moments[e][string(m)])
		}
		t.row(cells...)
	}
	t.fact("Survived", fmt.Sprintf("%d of %d cells, %d edges, %.0f s", r.Survived, r.Cells, r.Edges, r.Seconds))
	for _, f := range r.Findings {
		t.fact("Found", fmt.Sprintf("%d (%s) %s: %s", f.Invariant, f.Kind, f.ID, f.What))
	}
}

// broken names what was found first.
func broken(r chaos.Report) error {
	first, planted := r.Convicts()
	switch {
	case r.Plant != "" && !planted:
		return missed(r)
	case !planted:
		first = r.Findings[0]
	}
	cause := fmt.Sprintf("seed %d broke invariant %d (%s): %s %s", r.Seed, first.Invariant, first.Kind, first.ID, first.What)
	if more := len(r.Findings) - 1; more > 0 {
		cause += fmt.Sprintf("; and %d more", more)
	}
	return &commandError{
		Code: exitFailure, Reason: "invariant_broken", Cause: cause,
		Action: "all of it is in " + filepath.Join(r.Dir, "report.json") + ", logs and databases beside it; the same seed repeats orders and faults",
	}
}

// missed says that a planted bug was not found, whatever else was.
func missed(r chaos.Report) error {
	return &commandError{
		Code: exitNotFound, Reason: "plant_not_found", Cause: fmt.Sprintf("seed %d found no invariant that %s breaks, and %d other findings", r.Seed, r.Plant, len(r.Findings)),
		Action: "try another seed, and more orders and faults; where it is never found, hanse chaos looks at too little",
	}
}

func describePlants(t *table, all []plant.Planted) {
	t.row("BUG", "BREAKS", "WHAT")
	for _, p := range all {
		breaks := make([]string, len(p.Breaks))
		for i, n := range p.Breaks {
			breaks[i] = number(n)
		}
		t.row(string(p.Name), strings.Join(breaks, ", "), p.Does)
	}
}

func describePlan(t *table, p chaos.Plan) {
	t.row("ROUND", "WHAT", "WHO", "MORE")
	for i, r := range p.Rounds {
		for _, c := range r.Copies {
			t.row(number(i+1), "copy", c.Member, fmt.Sprintf("%d by %s", c.ID, c.How))
		}
		for _, f := range r.Faults {
			more := strings.TrimSpace(f.Point + " " + f.For.String())
			if f.Copy > 0 {
				more = fmt.Sprintf("copy %d", f.Copy)
			}
			t.row(number(i+1), string(f.Kind), strings.TrimSpace(f.Member+" "+f.Other), more)
		}
		for _, w := range r.Wishes {
			t.row(number(i+1), string(w.Kind), w.Member, strings.TrimSpace(w.ID+" "+w.Of+" "+w.Supplier+" "+w.Offering))
		}
	}
}

func describeChaos(t *table, r chaos.Report) {
	t.fact("Orders", number(r.Orders))
	t.fact("Faults", fmt.Sprintf("%d of %d planned", r.Faults, r.Planned))
	t.fact("Put back from a copy", number(r.Restores))
	t.fact("Disks emptied", number(r.Emptied))
	t.fact("Lost", number(r.Lost))
	t.fact("Double", number(r.Double))
	t.fact("Divergent", number(r.Divergent))
	t.fact("Stuck", number(r.Stuck))
	t.fact("Orphans", number(r.Orphans))
	t.fact("Unsurfaced", number(r.Unsurfaced))
	t.fact("Broken otherwise", number(r.Broken))
	t.fact("Healing", fmt.Sprintf("p50 %.1f s, p99 %.1f s", r.HealingP50, r.HealingP99))
	t.fact("Orders a second", fmt.Sprintf("%.1f", r.Rate))
	for _, kind := range r.Kinds() {
		t.fact("Fault "+kind, number(r.ByKind[kind]))
	}
	for _, f := range r.Findings {
		t.row(fmt.Sprintf("Invariant %d:", f.Invariant), f.Kind+" "+f.ID+" "+f.What)
	}
}

// rigged gives a member of dev mode the adapters of the test rig.
func rigged(cfg sidecar.Config) sidecar.Config {
	if !cfg.Dev {
		return cfg
	}
	cfg.Platforms = rig.Adapters()
	return cfg
}
