package chaos

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	// notPassed: its scene took it when it was written down, and not again.
	notPassed = "not_passed"
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

// Edges kills processes at each moment of each edge of the state machines, on the side that takes it, and looks whether all ends well. What was
// survived is kept in the folder results, if one is named, and is not played again.
func Edges(ctx context.Context, cfg Config, results string) (r EdgeReport, err error) {
	if err := supported(); err != nil {
		return r, err
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	begun := time.Now()
	kept, err := openProved(cfg, results)
	if err != nil {
		return r, err
	}
	m, err := setUp(ctx, cfg)
	if err != nil {
		return r, fmt.Errorf("set up the market in %s: %w", cfg.Dir, err)
	}
	defer m.close()
	s := &stage{market: m, armed: map[string]string{}}
	taken, err := s.rehearse(ctx)
	if err != nil {
		return r, fmt.Errorf("%w; see %s", err, cfg.Dir)
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
	for _, sc := range append([]string{""}, sceneNames()...) {
		for _, e := range all {
			if taken[e] != sc {
				continue
			}
			r.Edges++
			for _, moment := range failpoint.Moments {
				c := Crossing{Edge: e.String(), Moment: string(moment), Scene: sc, Outcome: notReached}
				switch {
				case sc == "":
				case kept.has(c):
					c.Outcome = survived
				default:
					if c.Outcome, err = s.cross(ctx, e, moment, sc); err != nil {
						return r, fmt.Errorf("%s %s in %s: %w; see %s", e, moment, sc, err, cfg.Dir)
					}
				}
				r.Crossings = append(r.Crossings, c)
			}
		}
		if err := s.settled(ctx); err != nil {
			return r, err
		}
		if len(m.findings) > 0 {
			break
		}
		if err := kept.keep(r.Crossings); err != nil {
			return r, err
		}
	}
	for _, c := range r.Crossings {
		r.Cells++
		if c.Outcome == survived {
			r.Survived++
		}
	}
	r.Findings = append(r.Findings, m.findings...)
	r.Seconds, r.Dir = time.Since(begun).Seconds(), cfg.Dir
	if err := writeJSON(filepath.Join(cfg.Dir, "edges.json"), r); err != nil {
		return r, err
	}
	if r.Clean() && !cfg.Keep {
		m.close()
		r.Dir = ""
		return r, os.RemoveAll(cfg.Dir)
	}
	return r, nil
}

// settled looks over what the scenes so far left behind.
func (s *stage) settled(ctx context.Context) error {
	if err := s.heal(ctx); err != nil {
		return err
	}
	return s.check(ctx)
}

func sceneNames() (all []string) {
	for _, sc := range scenes {
		all = append(all, sc.name)
	}
	return all
}

// sideOf is the member that takes an edge.
func sideOf(e failpoint.Edge) string {
	if e.Side == string(subscription.Retail) {
		return "alpha"
	}
	return "charlie"
}

// rehearse plays each scene once and notes which edges it takes: each belongs to the first scene that does.
func (s *stage) rehearse(ctx context.Context) (taken map[failpoint.Edge]string, err error) {
	taken = map[failpoint.Edge]string{}
	for i, sc := range scenes {
		s.say("scene %s", sc.name)
		files := map[string]string{}
		for _, name := range []string{"alpha", "charlie"} {
			files[name] = filepath.Join(s.dir, fmt.Sprintf("edges-%d-%s", i, name))
			if err := s.arm(ctx, s.members[name], "edges:"+files[name]); err != nil {
				return nil, err
			}
		}
		if err := s.perform(ctx, sc); err != nil {
			return nil, fmt.Errorf("scene %s: %w", sc.name, err)
		}
		for _, file := range files {
			if err := readEdges(file, func(e failpoint.Edge) {
				if taken[e] == "" {
					taken[e] = sc.name
				}
			}); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{"alpha", "charlie"} {
		if err := s.arm(ctx, s.members[name], ""); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// perform plays a scene, which leaves no fault behind.
func (s *stage) perform(ctx context.Context, sc scene) error {
	ctx, cancel := context.WithTimeout(ctx, sceneTime)
	defer cancel()
	err := sc.play(ctx, s)
	s.platform.Slow(0)
	s.platform.Lose(0)
	s.platform.Drop(0)
	s.platform.Refuse(0)
	for _, who := range s.members {
		who.proxy.heal()
	}
	return err
}

// arm starts a member's first process anew, with a failpoint or with none.
func (s *stage) arm(ctx context.Context, who *member, point string) error {
	s.mu.Lock()
	s.armed[who.name] = point
	s.mu.Unlock()
	return s.armedAgain(ctx, who)
}

// armedAgain starts a member's first process anew, with what it had, unless it died of that.
func (s *stage) armedAgain(ctx context.Context, who *member) error {
	who.life.Lock()
	defer who.life.Unlock()
	who.replicas[0].child.kill()
	s.mu.Lock()
	point := s.armed[who.name]
	s.mu.Unlock()
	if err := who.launch(who.replicas[0], "HANSE_FAILPOINT="+point); err != nil {
		return err
	}
	return within(ctx, startTime, func() error {
		if point != "" && !who.replicas[0].running() { // it died of what it has: whoever waits for that starts it again
			return nil
		}
		return answers(ctx, "http://"+who.replicas[0].ops+"/readyz")
	})
}

// cross plays a scene in which the process that takes an edge dies at a moment of it, and is started again.
func (s *stage) cross(ctx context.Context, e failpoint.Edge, moment failpoint.Moment, name string) (outcome string, err error) {
	sc := scenes[slices.Index(sceneNames(), name)]
	who := s.members[sideOf(e)]
	r := who.replicas[0]
	if err := s.arm(ctx, who, "edge:"+e.String()+":"+string(moment)); err != nil {
		return "", err
	}
	over, died, back := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				who.life.Lock() // a scene that starts it again holds it until it runs
				if r.running() {
					who.life.Unlock()
					continue
				}
				close(died)
				s.mu.Lock()
				delete(s.armed, who.name)
				s.mu.Unlock()
				err := who.launch(r)
				who.life.Unlock()
				outcome = survived
				back <- err
				return
			case <-over:
				outcome = notPassed
				back <- s.arm(ctx, who, "")
				return
			}
		}
	}()
	played := s.perform(ctx, sc)
	if moment == failpoint.AfterSend && played == nil { // what ends a scene may be the last that anybody says
		select {
		case <-died:
		default:
			_, played = s.bought(ctx, "vm-a")
		}
	}
	close(over)
	if err := <-back; err != nil {
		return outcome, err
	}
	if played != nil {
		s.found(5, stuck, e.String(), "%s, scene %s: %v", moment, name, played)
	}
	s.say("%-60s %-14s %s", e, moment, outcome)
	return outcome, nil
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

func (k *proved) has(c Crossing) bool { return k.are[c.Edge+" "+c.Moment] }

func (k *proved) keep(all []Crossing) error {
	if k.file == "" {
		return nil
	}
	for _, c := range all {
		if c.Outcome == survived {
			k.are[c.Edge+" "+c.Moment] = true
		}
	}
	return writeJSON(k.file, k.are)
}
