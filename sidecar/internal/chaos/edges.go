package chaos

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// How an edge was crossed.
const (
	// survived: the process died there, and all ended well.
	survived = "survived"
	// notReached: no scene takes it.
	notReached = "not_reached"
	// notPlayed: a scene takes it, and so much was found before that it was not played.
	notPlayed = "not_played"
	// notPassed: its scene took it when it was written down, and not again, however often it was played.
	notPassed = "not_passed"
	// notClean: it is one of those after which something was found.
	notClean = "not_clean"
)

const (
	// batchSize is after how many cells of a scene everything is checked.
	batchSize = 8
	// triesEach is how often a scene is played until the process comes by its edge: some are a matter of time.
	triesEach = 4
	// badMost is after how many batches in which something was found no other begins.
	badMost = 12
)

// Crossing is an edge of a state machine on one side of a deal, and what came of a process that died at a moment of it.
type Crossing struct {
	Edge   string `json:"edge"`
	Moment string `json:"moment"`
	// Scene is the story that takes it; "" is none.
	Scene   string `json:"scene,omitempty"`
	Outcome string `json:"outcome"`
}

// EdgeReport is what a run over all edges came to.
type EdgeReport struct {
	Engine string `json:"engine"`
	// Edges are those that a side can take, Cells those with each moment, Survived how many of the cells ended well.
	Edges    int `json:"edges"`
	Cells    int `json:"cells"`
	Survived int `json:"survived"`
	// Never are edges of the machines that no code takes on that side, and why.
	Never     map[string]string `json:"never"`
	Crossings []Crossing        `json:"crossings"`
	Findings  []Finding         `json:"findings"`
	Seconds   float64           `json:"seconds"`
	// Dir is where it was played; "" where nothing is left of it.
	Dir string `json:"dir,omitempty"`
}

// Clean reports whether each cell was survived.
func (r EdgeReport) Clean() bool { return r.Survived == r.Cells && len(r.Findings) == 0 }

// Edges kills processes at each moment of each edge of the state machines, on the side that takes it, and looks whether all ends well: on as many
// markets at once as are asked for. What was survived is kept in the folder results, if one is named, and is not played again.
func Edges(ctx context.Context, cfg Config, results string, atOnce int) (r EdgeReport, err error) {
	if err := supported(); err != nil {
		return r, err
	}
	cfg.Progress = inTurn(cfg.Progress)
	begun := time.Now()
	kept, err := openProved(cfg, results)
	if err != nil {
		return r, err
	}
	t := &theatre{cfg: cfg, kept: kept, takes: make([]map[failpoint.Edge]bool, len(scenes)), outcomes: map[cell]string{}, playedBy: map[cell]string{}, beside: map[int]bool{}}
	defer func() { t.close() }()
	var numbers []int
	for i := range scenes {
		numbers = append(numbers, i)
	}
	if err := together(ctx, t, atOnce, numbers, t.rehearse); err != nil {
		return r, err
	}
	r = EdgeReport{Engine: cfg.Engine, Never: map[string]string{}, Findings: []Finding{}}
	var all []failpoint.Edge
	for _, e := range edges() {
		if why, is := never(e); is {
			r.Never[e.String()] = why
		} else {
			all = append(all, e)
		}
	}
	if err := together(ctx, t, atOnce, t.batches(all), t.play); err != nil {
		return r, err
	}
	r.Edges = len(all)
	for _, e := range all {
		for _, moment := range failpoint.Moments {
			c := Crossing{Edge: e.String(), Moment: string(moment), Outcome: notReached}
			if by := t.scenesOf(e); len(by) > 0 {
				c.Scene, c.Outcome = scenes[by[0]].name, notPlayed
			}
			if outcome := t.outcomes[cell{e, moment}]; outcome != "" {
				c.Outcome, c.Scene = outcome, t.playedBy[cell{e, moment}]
			}
			r.Cells++
			if c.Outcome == survived {
				r.Survived++
			}
			r.Crossings = append(r.Crossings, c)
		}
	}
	r.Findings = append(r.Findings, t.findings...)
	r.Seconds, r.Dir = time.Since(begun).Seconds(), cfg.Dir
	if err := writeJSON(filepath.Join(cfg.Dir, "edges.json"), r); err != nil {
		return r, err
	}
	if r.Clean() && !cfg.Keep {
		t.close()
		r.Dir = ""
		return r, os.RemoveAll(cfg.Dir)
	}
	return r, nil
}

// cell is one moment of an edge.
type cell struct {
	edge   failpoint.Edge
	moment failpoint.Moment
}

// batch is cells of one scene, after which everything is checked.
type batch struct {
	scene int
	cells []cell
}

// theatre is all stages of a run.
type theatre struct {
	cfg  Config
	kept *proved

	mu     sync.Mutex
	opened int
	stages []*stage // all that were set up
	free   []*stage
	// beside are the shares of the ports that stages have.
	beside map[int]bool
	// takes are the edges that a scene took when it was played without a fault.
	takes    []map[failpoint.Edge]bool
	outcomes map[cell]string
	playedBy map[cell]string
	findings []Finding
	bad      int
}

func (t *theatre) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.stages {
		s.end()
	}
	t.stages, t.free = nil, nil
}

// together does all of something, as many at once as are asked for, on a stage each. The first error ends it.
func together[T any](ctx context.Context, t *theatre, atOnce int, all []T, do func(ctx context.Context, s *stage, of T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T)
	var players sync.WaitGroup
	for range min(atOnce, len(all)) {
		players.Go(func() {
			for of := range queue {
				s, err := t.stage(ctx)
				if err == nil {
					err = do(ctx, s, of)
					t.leave(s)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, of := range all {
		select {
		case queue <- of:
		case <-ctx.Done():
		}
	}
	close(queue)
	players.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// stage is one where nothing is wrong.
func (t *theatre) stage(ctx context.Context) (*stage, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		s := t.free[n-1]
		t.free = t.free[:n-1]
		return s, nil
	}
	cfg := t.cfg
	t.opened++
	n := t.opened
	for cfg.beside = 1; t.beside[cfg.beside]; cfg.beside++ {
	}
	t.beside[cfg.beside] = true
	cfg.Dir, cfg.Progress = filepath.Join(t.cfg.Dir, fmt.Sprintf("market-%d", n)), prefixed{t.cfg.Progress, fmt.Sprintf("%2d ", n)}
	t.mu.Unlock()
	m, err := setUp(ctx, cfg)
	t.mu.Lock()
	if err != nil {
		return nil, fmt.Errorf("set up the market in %s: %w", cfg.Dir, err)
	}
	s := openStage(ctx, m)
	t.stages = append(t.stages, s)
	return s, nil
}

// leave gives a stage back; one where something was found is left as it is.
func (t *theatre) leave(s *stage) {
	s.market.mu.Lock()
	found := slices.Clone(s.findings)
	s.market.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(found) == 0 {
		t.free = append(t.free, s)
		return
	}
	t.findings = append(t.findings, found...)
	t.bad++
	s.end()
	delete(t.beside, s.market.cfg.beside)
}

// rehearse plays a scene once and notes which edges it takes. One that fails is found.
func (t *theatre) rehearse(ctx context.Context, s *stage, n int) error {
	takes, err := s.rehearse(ctx, n)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		s.say("scene %s without a fault: %v", scenes[n].name, err)
		s.found(5, stuck, scenes[n].name, "played without a fault: %v", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.takes[n] = takes
	return nil
}

// scenesOf are the scenes that take an edge.
func (t *theatre) scenesOf(e failpoint.Edge) (all []int) {
	for i, takes := range t.takes {
		if takes[e] {
			all = append(all, i)
		}
	}
	return all
}

// batches are the cells that are to be played, by scene.
func (t *theatre) batches(all []failpoint.Edge) (queue []batch) {
	for n := range scenes {
		b := batch{scene: n}
		for _, e := range all {
			if by := t.scenesOf(e); len(by) == 0 || by[0] != n {
				continue
			}
			for _, moment := range failpoint.Moments {
				c := cell{e, moment}
				if t.kept.has(c) {
					t.outcomes[c], t.playedBy[c] = survived, scenes[n].name
					continue
				}
				if b.cells = append(b.cells, c); len(b.cells) == batchSize {
					queue = append(queue, b)
					b.cells = nil
				}
			}
		}
		if len(b.cells) > 0 {
			queue = append(queue, b)
		}
	}
	return queue
}

// play plays the cells of a batch and checks what is left.
func (t *theatre) play(ctx context.Context, s *stage, b batch) error {
	t.mu.Lock()
	over := t.bad >= badMost
	t.mu.Unlock()
	if over {
		return nil
	}
	outcomes, by := map[cell]string{}, map[cell]string{}
	for _, c := range b.cells {
		others := t.scenesOf(c.edge) // where the first comes by it by chance, another may too
		for try := range triesEach {
			sc := scenes[others[try%len(others)]]
			outcome, err := s.cross(ctx, c.edge, c.moment, sc)
			if err != nil {
				return fmt.Errorf("%s %s, scene %s, in %s: %w", c.edge, c.moment, sc.name, s.dir, err)
			}
			if outcomes[c], by[c] = outcome, sc.name; outcome == survived {
				break
			}
		}
	}
	if err := s.settled(ctx); err != nil {
		return fmt.Errorf("in %s: %w", s.dir, err)
	}
	s.market.mu.Lock()
	found := len(s.findings) > 0
	s.market.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, outcome := range outcomes {
		if found && outcome == survived {
			outcome = notClean
		}
		t.outcomes[c], t.playedBy[c] = outcome, by[c]
	}
	return t.kept.keep(t.outcomes)
}

func readEdges(file string, tell func(failpoint.Edge)) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		e, err := failpoint.ParseEdge(lines.Text())
		if err != nil {
			return err
		}
		tell(e)
	}
	return lines.Err()
}

// edges are all steps of both machines on both sides.
func edges() (all []failpoint.Edge) {
	add := func(machine, from, to string) {
		if from == "" {
			from = failpoint.New
		}
		for _, side := range []subscription.Side{subscription.Retail, subscription.Resale} {
			all = append(all, failpoint.Edge{Machine: machine, Side: string(side), From: from, To: to})
		}
	}
	for _, step := range order.Steps() {
		add("order", string(step[0]), string(step[1]))
	}
	for _, step := range subscription.Steps() {
		add("subscription", string(step[0]), string(step[1]))
	}
	slices.SortFunc(all, func(a, b failpoint.Edge) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// never says why no code takes an edge.
func never(e failpoint.Edge) (why string, is bool) {
	retail := e.Side == string(subscription.Retail)
	one := func(states ...string) bool { return slices.Contains(states, e.From) || slices.Contains(states, e.To) }
	switch {
	case e.Machine == "order" && one("pending.requote"):
		return "no code enters pending.requote yet", true
	case e.Machine == "subscription" && !retail && e.To == string(subscription.Terminated) && slices.Contains([]string{string(subscription.Active), string(subscription.Aborted)}, e.From):
		return "it is of resellers, where both operators agree on an end: a supplier winds down what it has", true
	case e.Machine == "order" && retail && e.From == string(order.InProgress) && e.To == string(order.Cancelled):
		return "it is of suppliers: at a reseller a cancel is asked for first", true
	case e.Machine == "subscription" && one("suspended"):
		return "no code enters suspended yet", true
	case e.Machine == "order" && !retail && one(string(order.Acknowledged), string(order.PendingUnreachable), string(order.PendingRebuilding), string(order.AssessingCancel), string(order.PendingCancellation)):
		return "it is of resellers", true
	case e.Machine == "order" && retail && e.From == failpoint.New && one(string(order.InProgress), string(order.Rejected)):
		return "it is of suppliers", true
	}
	return "", false
}

// proved is what was survived before, in a file under a name that says by which program.
type proved struct {
	file string
	are  map[string]bool
}

func openProved(cfg Config, results string) (*proved, error) {
	k := &proved{are: map[string]bool{}}
	if results == "" {
		return k, nil
	}
	if err := os.MkdirAll(results, 0o700); err != nil {
		return k, err
	}
	program, err := digestOf(cfg.Binary)
	if err != nil {
		return k, err
	}
	k.file = filepath.Join(results, fmt.Sprintf("edges-%s-%s.json", cfg.Engine, hex.EncodeToString(program[:6])))
	raw, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return k, err
	}
	return k, json.Unmarshal(raw, &k.are)
}

func (c cell) String() string { return c.edge.String() + " " + string(c.moment) }

func (k *proved) has(c cell) bool { return k.are[c.String()] }

func (k *proved) keep(all map[cell]string) error {
	if k.file == "" {
		return nil
	}
	for c, outcome := range all {
		if outcome == survived {
			k.are[c.String()] = true
		}
	}
	return writeJSON(k.file, k.are)
}
