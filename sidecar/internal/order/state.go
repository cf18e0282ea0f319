package order

import (
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// State of an order: TMF622 wire names with dotted sub-states.
type State string

const (
	Acknowledged        State = "acknowledged"
	PendingUnreachable  State = "pending.unreachable"
	PendingRequote      State = "pending.requote"
	InProgress          State = "inProgress"
	HeldIndeterminate   State = "held.indeterminate"
	Completed           State = "completed"
	Partial             State = "partial"
	Failed              State = "failed"
	Rejected            State = "rejected"
	AssessingCancel     State = "assessingCancellation"
	PendingCancellation State = "pendingCancellation"
	Cancelled           State = "cancelled"
)

// transitions of an order: from -> allowed next states. Both sides use the one machine; the supplier's order starts at
// inProgress or rejected.
var transitions = map[State][]State{
	"":                  {Acknowledged, InProgress, Rejected},
	Acknowledged:        {PendingUnreachable, PendingRequote, Rejected, InProgress, AssessingCancel},
	PendingUnreachable:  {Acknowledged, PendingRequote, Rejected, InProgress, AssessingCancel},
	PendingRequote:      {Acknowledged, Rejected, InProgress, AssessingCancel},
	InProgress:          {HeldIndeterminate, Completed, Partial, Failed, AssessingCancel},
	HeldIndeterminate:   {InProgress, Completed, Partial, Failed, AssessingCancel},
	AssessingCancel:     {PendingCancellation, InProgress, Cancelled, Completed, Failed},
	PendingCancellation: {Cancelled, Completed, Failed},
	Completed:           {},
	Partial:             {},
	Failed:              {},
	Rejected:            {},
	Cancelled:           {},
}

// Ended tells whether a state is final.
func (s State) Ended() bool {
	next, known := transitions[s]
	return known && len(next) == 0 && s != ""
}

// Top is the TMF622 state without the sub-state.
func (s State) Top() string {
	top, _, _ := strings.Cut(string(s), ".")
	return top
}

// Move is the order in its next state with the event recorded, or fault.Precondition. Moving to the present state
// changes nothing.
func (o Order) Move(now time.Time, to State, reason, message, source string) (Order, error) {
	if o.State == to {
		return o, nil
	}
	for _, next := range transitions[o.State] {
		if next != to {
			continue
		}
		o.State, o.Reason, o.Message, o.UpdatedAt = to, reason, message, now
		o.Events = append(o.Events[:len(o.Events):len(o.Events)], Event{At: now, State: to, Message: message, Source: source})
		return o, nil
	}
	return o, fault.New(fault.Precondition, "order_state", "an order that is %s cannot become %s", o.State, to)
}
