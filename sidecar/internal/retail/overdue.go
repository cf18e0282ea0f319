package retail

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// overdueGrace is how long after accept_by, by our clock, an item waits before it is called overdue. The supplier's clock decides until when
// it may accept: it may be five minutes behind ours before calls between us are refused, and what it decided at the last moment is read
// here a moment later. Whoever is called overdue too early loses nothing but the order: the supplier decides about the cancel.
const overdueGrace = 10 * time.Minute

// grace is that wait where a supplier had so long to decide: no longer than that.
func grace(had time.Duration) time.Duration { return min(overdueGrace, had) }

// overduePage is how many orders are looked at in one transaction.
const overduePage = 100

// wholeEvery is how often a Sweep looks at all open orders again, for an order may be rebuilt that was placed before those it looked at.
const wholeEvery = time.Hour

// within is how long a supplier may take to decide.
func (s *Service) within() time.Duration {
	if s.AcceptWithin == 0 {
		return acceptWithin
	}
	return s.AcceptWithin
}

// AcceptBy is until when the supplier may take the item, by its own clock, as the document says. Of an item that was rebuilt without its
// document it is what we usually write.
func (i Item) AcceptBy() time.Time {
	by, _ := i.deadline()
	return by
}

// deadline is AcceptBy, and how long before that the item was placed.
func (i Item) deadline() (by time.Time, had time.Duration) {
	payload := i.Unsigned
	if payload == nil {
		payload, _ = signed.Payload(i.Document) // nothing is read out of nothing
	}
	if d, by, err := order.ParseDocument(payload); err == nil {
		if placed, err := signed.ParseTime(d.PlacedAt); err == nil {
			return by, max(0, by.Sub(placed))
		}
		return by, acceptWithin
	}
	if len(i.Events) == 0 {
		return time.Time{}, acceptWithin
	}
	return i.Events[0].At.Add(acceptWithin), acceptWithin
}

// overdue reports whether the supplier should have decided about the item, and has not as far as we know.
func (i Item) overdue(now time.Time) bool {
	if !i.State.Undecided() && (i.State != order.AssessingCancel || i.taken()) {
		return false
	}
	by, had := i.deadline()
	return now.After(by.Add(grace(had)))
}

// Sweep begins the cancel of what no supplier decided in time. It costs an order nothing: one walk over the open orders, oldest first, goes
// on from where the one before ended.
type Sweep struct {
	Orders *Service

	after order.Place
	whole time.Time
}

// Every is how often a Sweep is to look: as often as limit, or oftener where suppliers have less time than that.
func (w *Sweep) Every(limit time.Duration) time.Duration { return min(limit, w.Orders.within()) }

// Once looks at the orders that are old enough and were not looked at before, and returns how many it began to cancel. Not safe for
// concurrent use; another replica may do the same.
func (w *Sweep) Once(ctx context.Context) (begun int, err error) {
	now := w.Orders.Now().UTC()
	if now.Sub(w.whole) >= wholeEvery || now.Before(w.whole) {
		w.whole, w.after = now, order.Place{}
	}
	before := now.Add(-w.Orders.within() - grace(w.Orders.within()))
	for {
		var page []Order
		err := w.Orders.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.RetailOrders().PlacedBefore(before, w.after, overduePage)
			return err
		})
		if err != nil {
			return begun, fmt.Errorf("look for overdue orders: %w", err)
		}
		for _, o := range page {
			did, err := w.Orders.expire(ctx, o)
			if err != nil {
				return begun, err
			}
			if did {
				begun++
			}
			w.after = o.Place()
		}
		if len(page) < overduePage {
			return begun, nil
		}
	}
}

// expire begins the cancel of the items that are overdue, as a customer's cancel does. Where that was asked for already, the item waits for
// the supplier alone from now on. It reports whether there was such an item.
func (s *Service) expire(ctx context.Context, o Order) (bool, error) {
	e := ending{Service: s, order: o, send: dispatch.Sender{Outbox: s.Outbox}}
	did, read := false, true
	err := unit.Fresh(func() error {
		if did = false; !read { // it has changed since
			err := s.Work.View(ctx, func(tx Tx) (err error) {
				e.order, err = tx.RetailOrders().Get(o.Portal, o.ID)
				return err
			})
			if err != nil {
				return err
			}
		}
		read = false
		now := s.Now().UTC()
		var overdue []int
		var unread map[string]bool
		late := func(it Item) bool { return it.overdue(now) && !unread[it.Partner] }
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			overdue = overdue[:0]
			if unread, err = unreadOf(tx, e.order); err != nil {
				return err
			}
			for i, it := range e.order.Items {
				if late(it) {
					overdue = append(overdue, i)
				}
			}
			return nil
		})
		if err != nil || len(overdue) == 0 {
			return err
		}
		if err := e.cancel(func(it Item) bool { return it.cancellable() && late(it) }); err != nil {
			return err
		}
		s.Fail.Hit("retail.overdue.before_commit")
		did = true
		return e.commit(ctx, func(tx Tx, o Order) (_ Order, err error) {
			if err := sameUnread(tx, o, unread); err != nil {
				return o, err
			}
			for _, i := range overdue {
				if o, err = o.move(i, now, order.PendingCancellation, reasonOverdue, ""); err != nil {
					return o, err
				}
			}
			return o, nil
		})
	})
	if err != nil {
		return false, fmt.Errorf("cancel the overdue order %s: %w", o.ID, err)
	}
	if did {
		s.Fail.Hit("retail.overdue.after_commit")
		e.send.Send()
	}
	return did, nil
}

// unreadOf are those partners of an order whose log this store may not have read as far as the one that is gone had: it was put back, and what
// they decided in time may stand there.
func unreadOf(tx Tx, o Order) (map[string]bool, error) {
	unread := map[string]bool{}
	for _, it := range o.Items {
		if it.missing() {
			continue
		}
		books, err := tx.Ledger().Books(it.Partner)
		if err != nil {
			return nil, err
		}
		if books.PutBack() {
			unread[it.Partner] = true
		}
	}
	return unread, nil
}

// sameUnread is unit.ErrStale where that has changed.
func sameUnread(tx Tx, o Order, unread map[string]bool) error {
	now, err := unreadOf(tx, o)
	if err == nil && !maps.Equal(now, unread) {
		err = unit.ErrStale
	}
	return err
}
