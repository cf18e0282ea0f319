package retail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// abandonAfter is how long after accept_by an item may be given up: a supplier that was away for a while has its time to say what it decided. One
// that had less time to decide has as long again.
const abandonAfter = 24 * time.Hour

// MayAbandon is from when on an item that has not ended may be given up, by our clock.
func (i Item) MayAbandon() time.Time {
	by, had := i.deadline()
	return by.Add(min(abandonAfter, had))
}

// mayAbandon reports whether the item may be given up now. What ends something that was given up itself is not: it goes on until the
// supplier is there.
func (i Item) mayAbandon(now time.Time) bool {
	return !i.State.Ended() && !now.Before(i.MayAbandon())
}

// Abandon gives up the items of an order that no supplier has ended a day after accept_by: they fail towards the customer. Their cancels are
// queued, and signed where there was none; what a supplier took all the same is ended when its ledger says so, see hearLate. With dry it
// says which items that would be. It is safe to repeat. fault.NotFound; fault.Precondition with reason order_ended, or
// order_not_abandonable while no item may be given up: not before its time, and not while this store may lack what its supplier said.
func (s *Service) Abandon(ctx context.Context, portal, id string, dry bool, w act.Word) (o Order, given []int, err error) {
	e := ending{Service: s, send: dispatch.Sender{Outbox: s.Outbox}}
	wrote := false
	err = unit.Fresh(func() error {
		wrote = false
		var unread map[string]bool
		answered := false
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			if e.order, err = tx.RetailOrders().Get(portal, id); err != nil {
				return err
			}
			if unread, err = unreadOf(tx, e.order); err != nil {
				return err
			}
			answered, err = allAnswered(tx)
			return err
		})
		if err != nil {
			return err
		}
		now := s.Now().UTC()
		if given, err = e.order.abandonable(now, unread, answered); err != nil || dry || len(given) == 0 {
			return err
		}
		if err := e.cancel(func(it Item) bool {
			return !it.missing() && it.CancelDigest == nil && it.mayAbandon(now) && !unread[it.Partner]
		}); err != nil {
			return err
		}
		s.Fail.Hit("retail.abandon.before_commit")
		wrote = true
		return e.commit(ctx, func(tx Tx, o Order) (_ Order, err error) {
			if err := sameUnread(tx, o, unread); err != nil {
				return o, err
			}
			if again, err := allAnswered(tx); err != nil || again != answered {
				return o, errors.Join(err, unit.ErrStale)
			}
			for _, i := range given {
				if o, err = s.abandon(tx, o, i, now, w); err != nil {
					return o, err
				}
			}
			return o, nil
		})
	})
	if err != nil {
		return Order{}, nil, fmt.Errorf("abandon order %s: %w", id, err)
	}
	if wrote {
		s.Fail.Hit("retail.abandon.after_commit")
		e.send.Send()
	}
	return e.order, given, nil
}

// abandonable are the items that may be given up now; none where that was done before. Those of a partner whose log is unread wait for it, and
// what has not come back for all who may have it, as far as they answer.
func (o Order) abandonable(now time.Time, unread map[string]bool, answered bool) (given []int, err error) {
	var soonest, doubted *Item
	missing := false
	for i, it := range o.Items {
		switch {
		case it.missing() && (!answered || !it.mayAbandon(now)):
			missing = missing || !it.State.Ended()
		case it.mayAbandon(now) && unread[it.Partner]:
			doubted = &o.Items[i]
		case it.mayAbandon(now):
			given = append(given, i)
		case !it.State.Ended() && (soonest == nil || it.MayAbandon().Before(soonest.MayAbandon())):
			soonest = &o.Items[i]
		}
	}
	switch done := slices.ContainsFunc(o.Items, func(it Item) bool { return it.Abandoned != nil || it.missing() && it.State.Ended() }); {
	case len(given) > 0, soonest == nil && doubted == nil && !missing && done:
		return given, nil
	case doubted != nil:
		return nil, fault.New(fault.Precondition, "order_not_abandonable", "this store was put back, and what %s decided about order %s may not have been read yet",
			doubted.Partner, o.ID).At("id").Do("hanse partner show " + doubted.Partner + " says what its books wait for")
	case soonest != nil:
		return nil, fault.New(fault.Precondition, "order_not_abandonable", "%s may take order %s until %s, and it can be given up from %s",
			soonest.Partner, o.ID, soonest.AcceptBy().Format(time.RFC3339), soonest.MayAbandon().Format(time.RFC3339)).At("id").
			Do("hanse order cancel " + o.ID + " asks the supplier to end it before")
	case missing:
		return nil, fault.New(fault.Precondition, "order_not_abandonable", "a part of order %s has not come back yet, and nobody knows whose it is", o.ID).At("id").
			Do("hanse order explain " + o.ID + " says which partner has to answer")
	}
	return nil, fault.New(fault.Precondition, "order_ended", "order %s is %s", o.ID, o.State()).At("id")
}

// abandon writes that one item is given up.
func (s *Service) abandon(tx Tx, o Order, i int, now time.Time, w act.Word) (Order, error) {
	it := o.Items[i]
	if it.missing() {
		return s.lose(tx, o, i, now, w)
	}
	a := &Abandoned{At: now}
	detail := fmt.Sprintf("it was %s; accept_by was %s", it.State, it.AcceptBy().Format(time.RFC3339))
	switch {
	case it.State == order.HeldIndeterminate:
		a.There = order.HeldIndeterminate
	case it.taken():
		a.There = order.InProgress
	}
	o, err := o.move(i, now, order.Failed, reasonAbandoned, "")
	if err != nil {
		return o, err
	}
	if it.CancelDocument != "" && !it.cancelling() { // it was refused before
		if a.Ending, err = s.endLate(tx, it, 0); err != nil {
			return o, err
		}
	}
	o.Items[i].Abandoned = a
	for _, kind := range []string{JobSubmit, JobSign} { // the order itself is wanted no more; its cancel is
		if err := tx.Jobs().Drop(kind, it.CorrelationID, it.Partner); err != nil {
			return o, err
		}
	}
	if err := s.follow(tx, o.Items[i], order.Body{}); err != nil {
		return o, err
	}
	return o, tx.Acts().Add(w.On(now, "order abandon", it.Partner, it.CorrelationID, detail))
}

// lose writes that an item which never came back is lost, by an operator's word. It is there again where a partner gives it back all the same.
func (s *Service) lose(tx Tx, o Order, i int, now time.Time, w act.Word) (Order, error) {
	o, err := o.move(i, now, order.Failed, reasonLost, "")
	if err != nil {
		return o, err
	}
	if err := tx.Jobs().Drop(JobRebuild, o.Items[0].CorrelationID, ""); err != nil {
		return o, err
	}
	return o, tx.Acts().Add(w.On(now, "order abandon", "", o.Items[i].CorrelationID, "it had not come back from any partner"))
}

// allAnswered reports whether nobody is waited for who may give back what is missing.
func allAnswered(tx Tx) (bool, error) {
	uneven, err := tx.Ledger().Uneven()
	return len(uneven) == 0, err
}
