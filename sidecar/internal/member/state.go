package member

import "github.com/hanse-market/hanse/sidecar/internal/fault"

// State of a partnership.
type State string

const (
	Proposed  State = "proposed"
	Pending   State = "pending"
	Qualified State = "qualified"
	Refused   State = "refused"
	Active    State = "active"
	Suspended State = "suspended"
	Ended     State = "ended"
)

// Exchanges reports whether anything of the two logs travels in this state.
func (s State) Exchanges() bool {
	return s == Qualified || s == Active || s == Suspended || s == Ended
}

// transitions of a partnership: from -> allowed next states.
var transitions = map[State][]State{
	"":        {Proposed, Pending, Qualified, Refused},
	Proposed:  {Pending, Qualified, Refused, Ended},
	Pending:   {Qualified, Refused, Ended},
	Qualified: {Active, Refused, Ended},
	Refused:   {Proposed, Pending, Qualified},
	Active:    {Suspended, Ended},
	Suspended: {Active, Ended},
	Ended:     {},
}

// Move is the partner in its next state, or fault.Precondition.
func (p Partner) Move(to State) (Partner, error) {
	if p.State == to {
		return p, nil
	}
	for _, next := range transitions[p.State] {
		if next == to {
			p.State = to
			return p, nil
		}
	}
	return p, fault.New(fault.Precondition, "partnership_state", "a partnership that is %s cannot become %s", p.State, to)
}
