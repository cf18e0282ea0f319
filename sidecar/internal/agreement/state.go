package agreement

import "github.com/hanse-market/hanse/sidecar/internal/fault"

// State of an agreement.
type State string

const (
	Draft      State = "draft"
	Offered    State = "offered"
	Countered  State = "countered"
	Agreed     State = "agreed"
	Refused    State = "refused"
	Active     State = "active"
	Suspended  State = "suspended"
	InNotice   State = "inNotice"
	Terminated State = "terminated"
	Expired    State = "expired"
	Superseded State = "superseded"
)

// transitions of an agreement: from -> allowed next states.
var transitions = map[State][]State{
	"":         {Draft, Offered},
	Draft:      {Offered},
	Offered:    {Countered, Agreed, Refused, Superseded},
	Countered:  {Offered, Agreed, Refused, Superseded},
	Agreed:     {Active, Refused},
	Refused:    {Active},
	Active:     {Suspended, InNotice, Superseded, Expired, Terminated},
	Suspended:  {Active, InNotice, Terminated},
	InNotice:   {Terminated, Expired, Superseded},
	Terminated: {},
	Expired:    {},
	Superseded: {},
}

// Move is the agreement in its next state, or fault.Precondition.
func (a Agreement) Move(to State) (Agreement, error) {
	if a.State == to {
		return a, nil
	}
	for _, next := range transitions[a.State] {
		if next == to {
			a.State = to
			return a, nil
		}
	}
	return a, fault.New(fault.Precondition, "agreement_state", "an agreement that is %s cannot become %s", a.State, to)
}
