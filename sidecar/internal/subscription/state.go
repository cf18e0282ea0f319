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
	Aborted:             {Terminated}, // made after it was given up here, and ended
	Terminated:          {},
}

// Ended reports whether there is nothing for the customer any more.
func (s State) Ended() bool { return s == Aborted || s == Terminated }

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

// Steps are all that the machine allows, from and to; from "" is what makes a subscription.
func Steps() [][2]State {
	var all [][2]State
	for from, next := range transitions {
		for _, to := range next {
			all = append(all, [2]State{from, to})
		}
	}
	return all
}
