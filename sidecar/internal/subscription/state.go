package subscription

import "github.com/hanse-market/hanse/sidecar/internal/fault"

// State of a subscription (TMF637 wire names).
type State string

const (
	PendingActive       State = "pendingActive"
	Active              State = "active"
	Aborted             State = "aborted"
	ActivePendingChange State = "active.pendingChange"
	Suspended           State = "suspended"
	PendingTerminate    State = "pendingTerminate"
	Terminated          State = "terminated"
)

// transitions of a subscription: from -> allowed next states.
var transitions = map[State][]State{
	"":                  {PendingActive},
	PendingActive:       {Active, Aborted},
	Active:              {ActivePendingChange, Suspended, PendingTerminate, Terminated},
	ActivePendingChange: {Active, Suspended},
	Suspended:           {Active, PendingTerminate, Terminated},
	PendingTerminate:    {Terminated, Active, Suspended},
	Aborted:             {},
	Terminated:          {},
}

// Ended reports whether a state is final.
func (s State) Ended() bool {
	next, known := transitions[s]
	return known && len(next) == 0
}

// move is the subscription in its next state, or fault.Precondition.
func (s Subscription) move(to State) (Subscription, error) {
	for _, next := range transitions[s.State] {
		if next == to {
			s.State = to
			return s, nil
		}
	}
	return s, fault.New(fault.Precondition, "subscription_state", "a subscription that is %s cannot become %s", s.State, to)
}
