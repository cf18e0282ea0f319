package chaos

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
)

// TestEdges_AreThoseOfBothMachinesOnBothSides: whoever adds a step to a machine has it here.
func TestEdges_AreThoseOfBothMachinesOnBothSides(t *testing.T) {
	t.Parallel()
	has := map[failpoint.Edge]bool{}
	for _, e := range edges() {
		if again, err := failpoint.ParseEdge(e.String()); err != nil || again != e {
			t.Errorf("%s is read as %s, %v", e, again, err)
		}
		has[e] = true
	}
	for e, want := range map[string]bool{ // whether a side takes it
		"order.retail:new>acknowledged":               true,
		"order.resale:new>acknowledged":               false,
		"order.resale:new>inProgress":                 true,
		"order.retail:new>inProgress":                 false,
		"order.retail:inProgress>cancelled":           false,
		"order.resale:inProgress>cancelled":           true,
		"subscription.retail:active>terminated":       true,
		"subscription.resale:active>terminated":       false,
		"order.retail:pending.requote>acknowledged":   false,
		"subscription.resale:active>pendingTerminate": true,
		"subscription.retail:active>suspended":        false,
	} {
		edge, err := failpoint.ParseEdge(e)
		if err != nil || !has[edge] {
			t.Fatalf("%s is no edge: %v", e, err)
		}
		if why, is := never(edge); is == want || is == (why == "") {
			t.Errorf("%s: never %v, %q", e, is, why)
		}
	}
}
