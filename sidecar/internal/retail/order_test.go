package retail

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// TestAnOrderSpeaksForItself: what stands at an order is never a sentence about one of its items that the order contradicts.
func TestAnOrderSpeaksForItself(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		items []order.State
		tells int
	}{
		{"the only one", []order.State{order.Rejected}, 0},
		{"the one in the order's state", []order.State{order.InProgress, order.HeldIndeterminate}, 1},
		{"an open one beside one refused", []order.State{order.Rejected, order.Acknowledged}, 1},
		{"an open one beside one done", []order.State{order.Completed, order.Acknowledged}, 1},
		{"the bad end of a partial order", []order.State{order.Completed, order.Failed}, 1},
		{"one of different bad ends", []order.State{order.Rejected, order.Failed}, 1},
		{"all done", []order.State{order.Completed, order.Completed}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := Order{}
			for i, s := range c.items {
				o.Items = append(o.Items, Item{ListingID: string(rune('a' + i)), Item: order.Item{State: s}})
			}
			if got, want := o.Telling().ListingID, string(rune('a'+c.tells)); got != want {
				t.Errorf("item %s tells, want %s", got, want)
			}
		})
	}
}
