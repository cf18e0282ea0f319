package retail

import (
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/order"
)

func TestASuppliersTextNeverReachesACustomer(t *testing.T) {
	t.Parallel()
	const refused, notEnded = "The order could not be carried out. Nothing is charged.", "The service could not be ended and goes on as before."
	for name, c := range map[string]struct {
		reason             string
		intent             order.Intent
		state              order.State
		wantCode, wantText string
	}{
		"none":                                  {"", order.Purchase, order.Rejected, "", ""},
		"ours":                                  {"price_mismatch", order.Purchase, order.Rejected, "price_mismatch", explanations["price_mismatch"]},
		"one of its own":                        {"brand_new_reason", order.Purchase, order.Failed, "order_refused", refused},
		"one that goes on, of what failed":      {"too_late", order.Purchase, order.Failed, "order_refused", refused},
		"one of its own, of what is held":       {"brand_new_reason", order.Purchase, order.HeldIndeterminate, "order_check", explanations[reasonCheck]},
		"one of a failure, of what is held":     {"provisioning_quota", order.Purchase, order.HeldIndeterminate, "order_check", explanations[reasonCheck]},
		"one of a failure, of what goes on":     {"provisioning_quota", order.Purchase, order.InProgress, "order_check", explanations[reasonCheck]},
		"of what is held":                       {"adapter_outcome_unknown", order.Purchase, order.HeldIndeterminate, "adapter_outcome_unknown", explanations["adapter_outcome_unknown"]},
		"any, of what was done":                 {"provisioning_quota", order.Purchase, order.Completed, "", ""},
		"any, of what was cancelled":            {"provisioning_quota", order.Purchase, order.Cancelled, "", ""},
		"of an end that was refused":            {"accept_by_passed", order.Terminate, order.Rejected, "termination_refused", notEnded},
		"its own, of an end that failed":        {"brand_new_reason", order.Terminate, order.Failed, "termination_refused", notEnded},
		"of the end of what has ended":          {"subscription_unknown", order.Terminate, order.Rejected, "subscription_unknown", explanations["subscription_unknown"]},
		"of an end, of a purchase that failed":  {"termination_refused", order.Purchase, order.Failed, "order_refused", refused},
		"of what waits, an end that is on hold": {"adapter_outcome_unknown", order.Terminate, order.HeldIndeterminate, "adapter_outcome_unknown", explanations["adapter_outcome_unknown"]},
	} {
		if code, text := told(c.reason, c.intent, c.state); code != c.wantCode || text != c.wantText {
			t.Errorf("%s: %q (%q), want %q (%q)", name, code, text, c.wantCode, c.wantText)
		}
	}
	for given, want := range map[string]string{"": "", "price_mismatch": "price_mismatch", "Supplier GmbH says no!": "unknown"} {
		if got := cleanReason(given); got != want {
			t.Errorf("reason %q became %q", given, got)
		}
	}
}

// TestNothingIsSaidToBeFreeThatGoesOn for every reason that we have a text for, or none.
func TestNothingIsSaidToBeFreeThatGoesOn(t *testing.T) {
	t.Parallel()
	for reason := range explanations {
		for _, state := range []order.State{order.Acknowledged, order.PendingUnreachable, order.InProgress, order.HeldIndeterminate, order.AssessingCancel, order.Completed} {
			if _, text := told(reason, order.Purchase, state); strings.Contains(text, "Nothing") {
				t.Errorf("%s of what is %s: %q", reason, state, text)
			}
		}
		for _, state := range []order.State{order.Rejected, order.Failed} {
			if _, text := told(reason, order.Terminate, state); strings.Contains(text, "Nothing") {
				t.Errorf("%s of an end that is %s: %q", reason, state, text)
			}
		}
	}
}
