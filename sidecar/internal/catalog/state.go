package catalog

// State of an offering (MEF LSO product lifecycle).
type State string

const (
	InTest       State = "inTest"
	Announced    State = "announced"
	Orderable    State = "orderable"
	OnHold       State = "onHold"
	EndOfSale    State = "endOfSale"
	EndOfSupport State = "endOfSupport"
	Obsolete     State = "obsolete"
)

// transitions of an offering: from -> allowed next states.
var transitions = map[State][]State{
	"":           {InTest, Announced, Orderable, OnHold},
	InTest:       {Announced, Orderable, Obsolete},
	Announced:    {Orderable, OnHold, Obsolete},
	Orderable:    {OnHold, EndOfSale},
	OnHold:       {Orderable, EndOfSale},
	EndOfSale:    {EndOfSupport},
	EndOfSupport: {Obsolete},
	Obsolete:     {},
}

// CanBecome reports whether an offering may go from s to next.
func (s State) CanBecome(next State) bool {
	if s == next {
		return true
	}
	for _, n := range transitions[s] {
		if n == next {
			return true
		}
	}
	return false
}

// OnOffer reports whether an offering in this state is sold or announced.
func (s State) OnOffer() bool { return s == Orderable || s == Announced }

// coming reports whether an offering in this state is sold, or may be one day.
func (s State) coming() bool {
	switch s {
	case InTest, Announced, Orderable, OnHold:
		return true
	}
	return false
}

// Visible reports whether partners see an offering in this state.
func (s State) Visible() bool {
	switch s {
	case Announced, Orderable, OnHold, EndOfSale:
		return true
	}
	return false
}
