package retail

import (
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// decisions are the states to which a supplier's entries move an item.
var decisions = map[ledger.Kind]order.State{
	ledger.OrderAccepted:  order.InProgress,
	ledger.OrderRejected:  order.Rejected,
	ledger.OrderHeld:      order.HeldIndeterminate,
	ledger.OrderCompleted: order.Completed,
	ledger.OrderFailed:    order.Failed,
}

// Apply takes an entry of a supplier's ledger about one of our items. It is idempotent: receipt and feed may come in any order.
// An item that is not the sender's is refused before anything else; a supplier that contradicts itself is fault.Precondition
// order_contradiction, so that the subject is parked and an operator sees it.
func (s *Service) Apply(tx Tx, e ledger.Entry) error {
	o, i, err := tx.RetailOrders().ByCorrelation(e.Subject)
	if err != nil {
		return err
	}
	it := o.Items[i]
	if it.Partner != e.Partner {
		return fault.New(fault.NotFound, "order_not_found", "there is no order %s with %s", e.Subject, e.Partner)
	}
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	to, known := decisions[e.Kind]
	if !known {
		return fault.New(fault.Invalid, "ledger_kind_unknown", "kind %q is not known here", e.Kind)
	}
	repeated, err := it.hears(to)
	if repeated || err != nil {
		return err
	}
	now := s.Now().UTC()
	if it.State.Undecided() && to != order.Rejected && to != order.InProgress {
		// The acceptance stands before this entry in the same log; its receipt was lost and the feed was faster.
		if o, err = o.move(i, now, order.InProgress, "", order.Source(e)); err != nil {
			return err
		}
	}
	if o, err = o.move(i, now, to, cleanReason(b.Reason), order.Source(e)); err != nil {
		return err
	}
	if err := s.follow(tx, o.Items[i], b); err != nil {
		return fmt.Errorf("order %s: %w", e.Subject, err)
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}

// hears reports whether the item has heard already that it goes to a state, or what speaks against it.
func (i Item) hears(to order.State) (repeated bool, err error) {
	accepted := !i.State.Undecided() && i.State != order.Rejected
	switch {
	case i.State == to, to == order.InProgress && accepted:
		return true, nil
	case i.State.Ended(), to == order.Rejected && accepted:
		return false, fault.New(fault.Precondition, "order_contradiction", "the order is %s here, the supplier says %s", i.State, to)
	}
	return false, nil
}

// follow moves the subscription of an item that has ended, and sends for the access data where there are some.
func (s *Service) follow(tx Tx, it Item, b order.Body) error {
	now, key := s.Now().UTC(), subscription.RetailKey(it.SubscriptionID)
	switch it.State {
	case order.Rejected, order.Failed:
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
