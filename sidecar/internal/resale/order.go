package resale

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Order is what a reseller ordered of us: one item.
type Order struct {
	order.Item
	// Partner and ID name it; the reseller made the id, which is its correlation id.
	Partner   string
	ID        string
	PlacedAt  time.Time
	UpdatedAt time.Time
	Version   int64
}

// Subscription names the subscription that the order is about.
func (o Order) Subscription() subscription.Key {
	return subscription.ResaleKey(o.Partner, o.SubscriptionID)
}

// Place is where the order stands in lists.
func (o Order) Place() order.Place { return order.Place{At: o.PlacedAt, Key: o.Partner + "\n" + o.ID} }

// move is the order in its next state.
func (o Order) move(now time.Time, to order.State, reason, message, source string) (Order, error) {
	it, err := o.Move(now, to, reason, message, source)
	if err != nil || it.State == o.State {
		return o, err
	}
	o.Item, o.UpdatedAt = it, now
	return o, nil
}

// Store keeps resale orders.
type Store interface {
	// Get reads one; fault.NotFound with reason order_not_found.
	Get(partner, id string) (Order, error)
	// Put inserts (Version 0, fault.Conflict if there is one) or compares and swaps (fault.Conflict).
	Put(Order) (Order, error)
	// List lists orders after a place, newest first.
	List(openOnly bool, after order.Place, limit int) ([]Order, error)
	// Find lists the orders of that id, newest first: each partner may have one.
	Find(id string) ([]Order, error)
	// CountOpen counts the open ones by state and gives the oldest one's time, zero where none is open; CountEnded counts the others,
	// which takes the longer the more there were.
	CountOpen() (map[order.State]int64, time.Time, error)
	CountEnded() (map[order.State]int64, error)
}
