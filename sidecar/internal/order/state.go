package order

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// State of an item or an order: TMF622 wire names with dotted sub-states.
type State string

const (
	Acknowledged       State = "acknowledged"
	PendingUnreachable State = "pending.unreachable"
	PendingRequote     State = "pending.requote"
	// PendingRebuilding is, at the reseller, an item of an order that was read back from partners, and that itself has not come back yet.
	PendingRebuilding State = "pending.rebuilding"
	InProgress        State = "inProgress"
	HeldIndeterminate State = "held.indeterminate"
	Completed         State = "completed"
	// Partial is an order's alone, never an item's.
	Partial             State = "partial"
	Failed              State = "failed"
	Rejected            State = "rejected"
	AssessingCancel     State = "assessingCancellation"
	PendingCancellation State = "pendingCancellation"
	Cancelled           State = "cancelled"
)

// transitions of an item: from -> allowed next states. Both sides use the one machine; the supplier's half starts at inProgress
// or rejected, and a cancel that it grants ends it without a state between, because who decides has nobody to wait for. What is
// pendingCancellation was not decided in time, as far as the reseller knows: the supplier may have decided it all the same.
var transitions = map[State][]State{
	"":                  {Acknowledged, PendingRebuilding, InProgress, Rejected},
	PendingRebuilding:   {Acknowledged, Failed},
	Acknowledged:        {PendingUnreachable, PendingRequote, Rejected, InProgress, AssessingCancel},
	PendingUnreachable:  {Acknowledged, PendingRequote, Rejected, InProgress, AssessingCancel},
	PendingRequote:      {Acknowledged, Rejected, InProgress, AssessingCancel},
	InProgress:          {HeldIndeterminate, Completed, Failed, AssessingCancel, Cancelled},
	HeldIndeterminate:   {Completed, Failed, AssessingCancel},
	AssessingCancel:     {PendingCancellation, InProgress, Cancelled, Completed, Failed, Rejected},
	PendingCancellation: {InProgress, Cancelled, Failed, Rejected},
	Completed:           {},
	Failed:              {},
	Rejected:            {},
	Cancelled:           {},
}

// Ended reports whether a state is final.
func (s State) Ended() bool {
	if s == Partial {
		return true
	}
	next, known := transitions[s]
	return known && len(next) == 0 && s != ""
}

// CanBecome reports whether an item may go from s to next.
func (s State) CanBecome(next State) bool { return slices.Contains(transitions[s], next) }

// Undecided reports whether the supplier has still to take or refuse the item.
func (s State) Undecided() bool {
	return s == Acknowledged || s == PendingUnreachable || s == PendingRequote
}

// Move is the item in its next state with the event recorded, or fault.Precondition. Moving to the present state changes
// nothing.
func (i Item) Move(now time.Time, to State, reason, message, source string) (Item, error) {
	if i.State == to {
		return i, nil
	}
	if !i.State.CanBecome(to) {
		return i, fault.New(fault.Precondition, "order_state", "an order that is %s cannot become %s", i.State, to)
	}
	i.State, i.Reason, i.Message = to, reason, message
	if plant.On(plant.SkipTheTimeline) && to == InProgress {
		return i, nil
	}
	i.Events = append(i.Events[:len(i.Events):len(i.Events)], Event{At: now, State: to, Reason: reason, Message: message, Source: source})
	return i, nil
}

// Steps are all that the machine allows, from and to; from "" is what makes an item.
func Steps() [][2]State {
	var all [][2]State
	for from, next := range transitions {
		for _, to := range next {
			all = append(all, [2]State{from, to})
		}
	}
	return all
}
