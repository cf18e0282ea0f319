package retail

import "github.com/hanse-market/hanse/sidecar/internal/text"

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
	"too_late":                   "The order could not be cancelled any more, because work on it had begun. It goes on.",
	reasonCheck:                  "The order needs a check by hand. It goes on when that is done.",
	reasonUnreachable:            "The order waits for the platform to become reachable and goes on by itself.",
}

// explain is our own text for a supplier's reason.
func explain(reason string) string {
	if ours, known := explanations[reason]; known {
		return ours
	}
	return "The order could not be carried out. Nothing is charged."
}

// PublicReason is what a customer's portal sees of an item's reason: one of our own codes. A supplier could write anything into
// its own.
func (i Item) PublicReason() string { return PublicReason(i.Reason) }

// PublicReason is what a customer's portal sees of a reason.
func PublicReason(reason string) string {
	if _, known := explanations[reason]; known {
		return reason
	}
	return "order_refused"
}

// Why an item waits for its supplier.
const (
	// reasonUnreachable: until the supplier is there.
	reasonUnreachable = "platform_unreachable"
	// reasonCheck: until an operator has looked at why its call is refused.
	reasonCheck = "order_check"
)

// cleanReason keeps a supplier's reason only in the form of a code; "" is none.
func cleanReason(reason string) string {
	if reason == "" {
		return ""
	}
	return text.Reason(reason, "unknown")
}
