package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Edge is one step of a state machine on one side of a deal.
type Edge struct {
	// Machine is order or subscription, Side retail or resale.
	Machine, Side string
	// From is "new" for what the step makes.
	From, To string
}

// New is where what is made comes from.
const New = "new"

func (e Edge) String() string { return e.Machine + "." + e.Side + ":" + e.From + ">" + e.To }

// Moment is when the process that takes an edge dies.
type Moment string

const (
	// BeforeApply: what leads to the edge has arrived, and nothing of it is written.
	BeforeApply Moment = "before_apply"
	// BeforeCommit: all of it is written and not committed.
	BeforeCommit Moment = "before_commit"
	// AfterCommit: it is committed, and nobody was told.
	AfterCommit Moment = "after_commit"
	// AfterSend: something went out to a partner since, and nothing that came back was looked at.
	AfterSend Moment = "after_send"
)

// Moments are all of them, as they follow each other.
var Moments = []Moment{BeforeApply, BeforeCommit, AfterCommit, AfterSend}

// edges is what is armed or written down of edges: the variable is "edge:MACHINE.SIDE:FROM>TO:MOMENT" or "edges:FILE".
type edges struct {
	edge   Edge
	moment Moment
	passed atomic.Bool // committed, for AfterSend

	mu   sync.Mutex
	file string
}

func parseEdges(s string) (*edges, error) {
	if file, is := strings.CutPrefix(s, "edges:"); is {
		return &edges{file: file}, nil
	}
	step, is := strings.CutPrefix(s, "edge:")
	last := strings.LastIndexByte(step, ':')
	if !is || last < 0 || !slices.Contains(Moments, Moment(step[last+1:])) {
		return nil, fmt.Errorf("failpoint %q is not edge:MACHINE.SIDE:FROM>TO:MOMENT", s)
	}
	e, err := ParseEdge(step[:last])
	return &edges{edge: e, moment: Moment(step[last+1:])}, err
}

// ParseEdge reads an edge as it is written: MACHINE.SIDE:FROM>TO.
func ParseEdge(s string) (Edge, error) {
	of, steps, _ := strings.Cut(s, ":")
	machine, side, _ := strings.Cut(of, ".")
	from, to, is := strings.Cut(steps, ">")
	if !is || from == "" || to == "" || !slices.Contains([]string{"order", "subscription"}, machine) || !slices.Contains([]string{"retail", "resale"}, side) {
		return Edge{}, fmt.Errorf("%q is no edge of an order or a subscription, retail or resale", s)
	}
	return Edge{machine, side, from, to}, nil
}

// Edges reports whether anybody looks at edges.
func (p *Points) Edges() bool { return p != nil && p.edges != nil }

// Takes kills a process that is to die before it applies an edge.
func (p *Points) Takes(e Edge) {
	if p.Edges() && p.edges.moment == BeforeApply && p.edges.edge == e {
		kill()
	}
}

// Taken kills a process that is to die before or after it commits one of these edges, or writes down what was committed.
func (p *Points) Taken(taken []Edge, moment Moment) {
	if !p.Edges() {
		return
	}
	if p.edges.file != "" {
		if moment == AfterCommit {
			p.edges.write(taken)
		}
		return
	}
	if !slices.Contains(taken, p.edges.edge) {
		return
	}
	switch p.edges.moment {
	case moment:
		kill()
	case AfterSend:
		if moment == AfterCommit {
			p.edges.passed.Store(true)
		}
	}
}

// Sent kills a process that is to die once something went out after its edge.
func (p *Points) Sent() {
	if p.Edges() && p.edges.passed.Load() {
		kill()
	}
}

func (e *edges) write(taken []Edge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, err := os.OpenFile(e.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	for _, t := range taken {
		_, _ = fmt.Fprintln(f, t)
	}
	_ = f.Close()
}
