package retail

import (
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// explanations is what a customer reads for an item's reason. A supplier's own text never reaches a customer.
var explanations = map[string]string{
	"":                           "",
	"offering_revision_stale":    "The offer changed before the order arrived. Nothing was ordered; please look at it again.",
	"price_mismatch":             "The price changed before the order arrived. Nothing was ordered; please look at it again.",
	"offering_not_orderable":     "The service cannot be ordered at the moment. Nothing was ordered.",
	"inputs_invalid":             "The details given do not fit the service. Nothing was ordered.",
	"accept_by_passed":           "The order could not be accepted in time. Nothing was ordered.",
	"adapter_outcome_unknown":    "The order needs a check by hand. It goes on by itself when that is done.",
	"subscription_state":         "The service is changing or has ended already.",
	"subscription_unknown":       "The service has ended already.",
	"provisioning_quota":         "There is no capacity for this service at the moment. Nothing is charged.",
	"provisioning_permanent":     "The service could not be provided. Nothing is charged.",
	"provisioning_invalid_input": "The details given do not fit the service. Nothing is charged.",
	reasonNotEnded:               "The service could not be ended and goes on as before.",
	reasonNotRotated:             "The access data could not be renewed.",
	reasonTooLate:                "The order could not be cancelled any more, because work on it had begun. It goes on.",
	reasonCheck:                  "The order needs a check by hand. It goes on when that is done.",
	reasonOverdue:                "The order was not accepted in time and is being cancelled.",
	reasonRebuilding:             "The order is being restored. It waits until every platform that carries out a part of it has answered.",
	reasonLost:                   "This part of the order was lost. Nothing is charged; please order it again.",
	reasonUnreachable:            "The order waits for the platform to become reachable and goes on by itself.",
}

// goesOn are the reasons of an item that goes on; the others are of one that ended badly.
var goesOn = map[string]bool{"adapter_outcome_unknown": true, reasonTooLate: true, reasonCheck: true, reasonOverdue: true, reasonUnreachable: true, reasonRebuilding: true}

// told is what a customer hears of a reason: one of our own codes, and our own text. What became of the item decides what may be said
// of it, whatever a supplier wrote: that nothing is charged is said of no order that goes on, and of no service that does.
func told(reason string, intent order.Intent, state order.State) (code, explained string) {
	text, known := explanations[reason]
	badly := state == order.Rejected || state == order.Failed
	switch {
	case reason == "", state.Ended() && !badly:
		return "", ""
	case !badly && !goesOn[reason]:
		reason = reasonCheck
	case !badly, known && intent == order.Terminate && alreadyEnding[reason]:
	case intent == order.Terminate:
		reason = reasonNotEnded
	case intent == order.Rotate:
		reason = reasonNotRotated
	case !known || goesOn[reason] || reason == reasonNotEnded || reason == reasonNotRotated:
		return "order_refused", "The order could not be carried out. Nothing is charged."
	default:
		return reason, text
	}
	return reason, explanations[reason]
}

// alreadyEnding are why a service cannot be ended that does not go on as before.
var alreadyEnding = map[string]bool{"subscription_state": true, "subscription_unknown": true}

// PublicReason is what a customer's portal sees of an item's reason: one of our own codes. A supplier could write anything into
// its own.
func (i Item) PublicReason() string {
	code, _ := told(i.Reason, i.Intent, i.State)
	return code
}

// PublicTimeline is the order's timeline as a customer's portal sees it.
func (o Order) PublicTimeline() []order.Event {
	items := make([]order.Item, len(o.Items))
	for i, it := range o.Items {
		items[i] = it.Item
		items[i].Events = make([]order.Event, len(it.Events))
		for n, e := range it.Events {
			e.Reason, e.Message = told(e.Reason, it.Intent, e.State)
			items[i].Events[n] = e
		}
	}
	return order.Timeline(items)
}

// reasonTooLate is why a cancel was refused, whatever else the supplier says; reasonNotEnded why a subscription goes on.
const (
	reasonTooLate  = "too_late"
	reasonNotEnded = "termination_refused"
	// reasonNotRotated: the access data stay as they are, or as a platform left them.
	reasonNotRotated = "rotation_refused"
)

// reasonLost is why an item failed that was acknowledged and that no partner has: it never left us.
const reasonLost = "order_lost"

// Lost reports whether an item was taken for lost by an event. When it comes back it begins anew.
func Lost(e order.Event) bool { return e.Reason == reasonLost && e.Source == "" }

// reasonForked is why nothing new is ordered of a supplier; see ledger.Fenced.
const reasonForked = "books_forked"

// reasonAbandoned is why an item failed that an operator gave up: a customer is told only that it was not carried out.
const reasonAbandoned = "abandoned"

// reasonOverdue is why an item is cancelled that nobody cancelled.
const reasonOverdue = "not_accepted_in_time"

// Why an item waits for its supplier.
const (
	// reasonUnreachable: until the supplier is there.
	reasonUnreachable = "platform_unreachable"
	// reasonCheck: until an operator has looked at why its call is refused.
	reasonCheck = "order_check"
	// reasonRebuilding: until all partners have given back what they keep of its order.
	reasonRebuilding = "order_rebuilding"
)

// cleanReason keeps a supplier's reason only in the form of a code; "" is none.
func cleanReason(reason string) string {
	if reason == "" {
		return ""
	}
	return text.Reason(reason, "unknown")
}
