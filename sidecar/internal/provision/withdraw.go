package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// Withdraw takes back the work for an order that nobody has begun: no step was brought anywhere for it, and no runner has begun its
// job. It reports whether there was such a job; otherwise nothing has changed.
func Withdraw(tx Tx, o resale.Order) (bool, error) {
	steps, err := tx.Steps().Of(o.Subscription())
	if err != nil {
		return false, err
	}
	for _, st := range steps {
		if st.Order == o.ID {
			return false, nil
		}
	}
	return tx.Jobs().Withdraw(resale.JobProvision, o.ID, o.Partner)
}

// readBack is how far the step of an order may have come that our own log brought into a state.
var readBack = map[order.State]Phase{
	order.InProgress: Asking, order.HeldIndeterminate: Unknown, order.Failed: Destroyed, order.Cancelled: Destroyed,
}

// ReadBack records of an order that was read back that its work may have begun in a store that is gone, so that nobody withdraws it; and of a
// purchase how far it may have come, so that a platform that cannot find what it made is not asked to make it again. What is known better stays.
func ReadBack(tx Tx, self, partner, id string) error {
	o, err := tx.ResaleOrders().Get(partner, id)
	if fault.Is(err, fault.NotFound) { // its cancel came first
		return nil
	}
	phase, is := readBack[o.State]
	if err != nil || !is {
		return err
	}
	if err := tx.Jobs().MayHaveBegun(resale.JobProvision, o.ID, o.Partner); err != nil || o.Action != order.Add {
		return err
	}
	steps, err := tx.Steps().Of(o.Subscription())
	if err != nil {
		return err
	}
	w := &work{}
	if w.job.Partner = partner; len(steps) > 0 {
		w.step = steps[len(steps)-1]
	}
	switch known := w.step.Name != ""; {
	case known && (w.step.Phase != Asking || phase == Asking), !known && phase == Destroyed:
		return nil
	case !known:
		if w.sub, err = tx.Subscriptions().Get(o.Subscription()); err != nil {
			return err
		}
		_ = w.plan(self) // how it is made may come later, with its offering; its job says so
	}
	w.step.Phase, w.step.Order, w.step.UpdatedAt = phase, o.ID, o.UpdatedAt
	if _, err := tx.Steps().Put(w.step); err != nil || phase != Unknown {
		return err
	}
	return nameHeld(tx, o, w.step.Tag)
}

// nameHeld has the parked job of an order that was read back as held say what to look for on the platform: that is not in the entry.
func nameHeld(tx Tx, o resale.Order, tag string) error {
	j, found, err := tx.Jobs().Find(resale.JobProvision, o.Partner, o.ID)
	if err != nil || !found || j.State != job.Parked || strings.Contains(j.LastError, tag) {
		return err
	}
	if j, err = tx.Jobs().Hold(j, "recovery", j.DueAt); err != nil {
		return err
	}
	return tx.Jobs().Park(j, fmt.Sprintf("nobody knows whether the adapter made %s: look at the platform, then say what you saw with hanse order resolve %s", tag, o.ID))
}

// putBackPage is how many open orders are read, and written, at once.
const putBackPage = 32

// PutBack does so for all open orders of a partner in a store that was put back: what it had accepted then may have been begun since, and
// no entry says so before it ends. Nothing is begun for the partner meanwhile, for the books with it are in doubt.
func (s *Service) PutBack(ctx context.Context, partner string) error {
	for after := (order.Place{}); ; {
		var open []resale.Order
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			open, err = tx.ResaleOrders().List(true, after, putBackPage)
			return err
		})
		if err != nil || len(open) == 0 {
			return err
		}
		after = open[len(open)-1].Place()
		open = slices.DeleteFunc(open, func(o resale.Order) bool { return o.Partner != partner })
		if len(open) == 0 {
			continue
		}
		err = s.Work.Do(ctx, func(tx Tx) error {
			for _, o := range open {
				if err := ReadBack(tx, s.Orders.Self, partner, o.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
