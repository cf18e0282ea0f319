package provision

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
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

// ReadBack records of a purchase that was read back how far its work may have come in a store that is gone: nobody withdraws what may have
// begun, and a platform that cannot find what it made is not asked to make it again. What is known better stays.
func ReadBack(tx Tx, partner, id string) error {
	o, err := tx.ResaleOrders().Get(partner, id)
	if fault.Is(err, fault.NotFound) { // its cancel came first
		return nil
	}
	phase, is := readBack[o.State]
	if err != nil || !is || o.Action != order.Add {
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
		if w.plan() != nil { // its job says so
			return nil
		}
	}
	w.step.Phase, w.step.Order, w.step.UpdatedAt = phase, o.ID, o.UpdatedAt
	_, err = tx.Steps().Put(w.step)
	return err
}
