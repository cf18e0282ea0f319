package retail

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
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
	case it.State == order.AssessingCancel && d.to == order.InProgress:
		through = []order.State{order.InProgress, order.AssessingCancel}
	case it.State == order.AssessingCancel && d.to == order.HeldIndeterminate:
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
		var r subscription.Result
		if b.AccessSHA256 != "" && it.Course().Done == subscription.Active {
			r.AccessDigest = []byte(b.AccessSHA256)
		}
		sub, err := subscription.Finish(tx, key, it.Course(), r, now)
		if err != nil || r.AccessDigest == nil {
			return err
		}
		return tx.Jobs().At(subscription.JobAccessFetch, sub.ID, it.Partner, now)
	}
	return nil
}
