package subscription

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Course is how an intent moves a subscription: from one of From through While to Done. An order that comes to nothing leaves
// it Undone, or where it came from with Undone "". A course from "" makes the subscription.
type Course struct {
	From   []State
	While  State
	Done   State
	Undone State
}

// Keeper is what moving a subscription needs of a transaction.
type Keeper interface{ Subscriptions() Store }

// Result is what an order that made a subscription brought.
type Result struct {
	// Adapter made it, on the resale side.
	Adapter string
	// AccessDigest names the sealed access data; nil where there are none. Order is whose outcome they are.
	AccessDigest []byte
	Order        string
}

// Allows reports whether the course may begin in a state.
func (c Course) Allows(s State) bool { return slices.Contains(c.From, s) }

// Begin takes a subscription onto a course: one as it was just read, or the new one that the course makes. A state that the
// course does not begin from is fault.Precondition with reason subscription_state.
func Begin(tx Keeper, s Subscription, c Course, now time.Time) (Subscription, error) {
	if !c.Allows(s.State) {
		return s, fault.New(fault.Precondition, "subscription_state", "subscription %s is %s", s.ID, s.State)
	}
	before := s.State
	s, err := s.move(c.While)
	if err != nil {
		return s, err
	}
	s.Before, s.UpdatedAt = before, now
	if s.CreatedAt.IsZero() {
		s.CreatedAt = now
	}
	return tx.Subscriptions().Put(s)
}

// Finish ends a course well. One that has ended so already stays as it is, but for access data that another order has brought since.
func Finish(tx Keeper, k Key, c Course, r Result, now time.Time) (Subscription, error) {
	s, err := tx.Subscriptions().Get(k)
	if err != nil {
		return s, err
	}
	if s.State == c.Done {
		if r.AccessDigest == nil || r.Order == s.AccessOrder {
			return s, nil
		}
		return Deliver(tx, s, r, now)
	}
	if c.Done == Active && s.State != c.While { // another course has it by now
		return s, fault.New(fault.Precondition, "subscription_state", "subscription %s is %s", s.ID, s.State)
	}
	if c.Done == Active && s.ActiveSince.IsZero() {
		s.ActiveSince = now
	}
	if r.Adapter != "" {
		s.Adapter = r.Adapter
	}
	return s.with(r).end(tx, c.Done, now)
}

// Deliver notes the access data that an order brought and leaves the subscription on the course that it is on.
func Deliver(tx Keeper, s Subscription, r Result, now time.Time) (Subscription, error) {
	s = s.with(r)
	s.UpdatedAt = now
	return tx.Subscriptions().Put(s)
}

// with is the subscription with the access data of a result that has some.
func (s Subscription) with(r Result) Subscription {
	if r.AccessDigest != nil {
		s.AccessDigest, s.AccessOrder, s.AccessReady = r.AccessDigest, r.Order, false
	}
	return s
}

// Undo ends a course that came to nothing. A subscription that no course holds stays as it is.
func Undo(tx Keeper, k Key, c Course, now time.Time) (Subscription, error) {
	s, err := tx.Subscriptions().Get(k)
	if err != nil || s.State != c.While {
		return s, err
	}
	to := c.Undone
	if to == "" {
		to = s.Before
	}
	return s.end(tx, to, now)
}

// end leaves a course. What has ended keeps no secret, for ever.
func (s Subscription) end(tx Keeper, to State, now time.Time) (Subscription, error) {
	s, err := s.move(to)
	if err != nil {
		return s, err
	}
	s.Before, s.UpdatedAt = "", now
	if to.Ended() {
		s.EndedAt, s.AccessReady = now, false
		if err := tx.Subscriptions().Erase(s.Key()); err != nil {
			return s, err
		}
	}
	return tx.Subscriptions().Put(s)
}
