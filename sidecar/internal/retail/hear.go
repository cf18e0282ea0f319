package retail

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// hear is the order with one item where an entry moves it. While a cancel is on its way the supplier goes on telling of the order: what
// does not end it is noted, and the item waits for the answer to its cancel as before.
func (o Order) hear(i int, now time.Time, kind ledger.Kind, d decision, reason, source string) (Order, error) {
	it := o.Items[i]
	through := []order.State{d.to}
	switch {
	case kind == ledger.CancelRefused:
		through = it.before()
	case it.cancelling() && d.to == order.InProgress:
		through = []order.State{order.InProgress, order.AssessingCancel}
	case it.cancelling() && d.to == order.HeldIndeterminate:
		through = []order.State{order.InProgress, order.HeldIndeterminate, order.AssessingCancel}
	}
	return o.along(i, now, reason, source, through...)
}

// before is the way back to where an item was when its cancel was sent, or to where the supplier has told since that it is.
func (i Item) before() []order.State {
	for _, e := range slices.Backward(i.Events) {
		if e.State == order.HeldIndeterminate {
			return []order.State{order.InProgress, order.HeldIndeterminate}
		}
		if e.State == order.InProgress {
			break
		}
	}
	return []order.State{order.InProgress}
}

// follow moves the subscription of an item that has ended, and sends for the access data where there are some.
func (s *Service) follow(tx Tx, it Item, b order.Body) error {
	now, key := s.Now().UTC(), subscription.RetailKey(it.SubscriptionID)
	switch it.State {
	case order.Rejected, order.Failed, order.Cancelled:
		_, err := subscription.Undo(tx, key, it.Course(), now)
		return err
	case order.Completed:
		r := it.brought(b)
		if plant.On(plant.KeepWhatEnded) && it.Action == order.Delete {
			return nil
		}
		if _, err := subscription.Finish(tx, key, it.Course(), r, now); err != nil || r.AccessDigest == nil {
			return err
		}
		return s.fetch(tx, it)
	}
	return nil
}

// brought are the access data that a completion names.
func (i Item) brought(b order.Body) (r subscription.Result) {
	if b.AccessSHA256 != "" && i.Course().Done == subscription.Active {
		r.AccessDigest, r.Order = []byte(b.AccessSHA256), i.CorrelationID
	}
	return r
}

// fetch sends for the access data that an item brought. Where it replaced others, a job that gave up on those may be parked.
func (s *Service) fetch(tx Tx, it Item) error {
	if it.Action != order.Add {
		if err := tx.Jobs().Drop(subscription.JobAccessFetch, it.SubscriptionID, it.Partner); err != nil {
			return err
		}
	}
	return tx.Jobs().At(subscription.JobAccessFetch, it.SubscriptionID, it.Partner, s.Now().UTC())
}
