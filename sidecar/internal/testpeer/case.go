package testpeer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Side is the part that we play towards the member under test.
type Side string

// The parts.
const (
	Reseller Side = "reseller"
	Supplier Side = "supplier"
)

// Case is the honest story or one misbehaviour.
type Case struct {
	Name string `json:"name"`
	Side Side   `json:"side"`
	// Does is what we do, and what must come of it, for people.
	Does string `json:"does"`
	// Rules of docs/peer-1.md that it tests.
	Rules []string `json:"rules"`
	// Alone: it has a partner of its own, with an origin of its own, for the partnership is of no use afterwards.
	Alone bool `json:"alone"`
	// Order: somebody has to order our offering at the member under test.
	Order bool `json:"needs_order"`

	play func(context.Context, *peer) error
}

// Verdict is what became of a case.
type Verdict string

// Verdicts. NotReached says nothing about the member under test: what the case needs did not come about.
const (
	Kept       Verdict = "kept"
	Broken     Verdict = "broken"
	NotReached Verdict = "not_reached"
)

// Finding is the verdict on one case. Rule, Expected and Seen are of what was broken; of what was not reached Seen says why.
type Finding struct {
	Case     string  `json:"case"`
	Verdict  Verdict `json:"verdict"`
	Rule     string  `json:"rule,omitempty"`
	Expected string  `json:"expected,omitempty"`
	Seen     string  `json:"seen,omitempty"`
	// Took is how long it took, in milliseconds.
	Took int64 `json:"took_ms"`
}

// breach is a rule that the member under test broke.
type breach struct{ rule, expected, seen string }

func (b *breach) Error() string {
	return fmt.Sprintf("%s: expected %s, saw %s", b.rule, b.expected, b.seen)
}

// broke says that a rule was broken.
func broke(rule, expected, seen string, args ...any) error {
	return &breach{rule, expected, fmt.Sprintf(seen, args...)}
}

// judge turns what a case returned into its finding.
func (c Case) judge(err error, took time.Duration) Finding {
	f := Finding{Case: c.Name, Verdict: Kept, Took: took.Milliseconds()}
	var b *breach
	switch {
	case errors.As(err, &b):
		f.Verdict, f.Rule, f.Expected, f.Seen = Broken, b.rule, b.expected, b.seen
	case err != nil:
		f.Verdict, f.Seen = NotReached, err.Error()
	}
	return f
}

// Cases of one side, in the order in which a run of all plays them: what ends the partnership comes last.
func Cases(side Side) []Case {
	var out []Case
	if side == Reseller {
		for _, some := range [][]Case{buying(), tokens(), documents(), orders(), logs(), gates(), feeds(), forks()} {
			out = append(out, some...)
		}
	} else {
		out = selling()
	}
	for i := range out {
		out[i].Side = side
	}
	return out
}
