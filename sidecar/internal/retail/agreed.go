package retail

import (
	"context"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// reasonAgreed is why an item has the end that it has: both operators agreed on it when the books had forked, or ours alone
// gave it after the time that it takes.
const reasonAgreed = "life_agreed"

// Agreed reports whether both operators gave the item its end.
func (i Item) Agreed() bool { return i.Reason == reasonAgreed }

// Undocumented reports whether there may be no document of the item: its end was agreed on before it was signed, or its cancel is all that
// came back, or was signed instead.
func (i Item) Undocumented() bool {
	return i.Document == "" && i.Unsigned == nil && (i.CancelDocument != "" || i.Agreed())
}

// openPage is how many open orders are looked at in one view.
const openPage = 500

// Open is what was open about subscriptions with a supplier when it was looked for.
type Open struct {
	orders []Key
	// versions are those of the subscriptions before the orders were looked at: whatever is ordered about one writes it.
	versions map[string]int64
}

// OpenAbout looks for the open orders that have an item about one of the subscriptions.
func (s *Service) OpenAbout(ctx context.Context, supplier string, subscriptions map[string]bool) (open Open, err error) {
	if len(subscriptions) == 0 {
		return Open{}, nil
	}
	err = s.Work.View(ctx, func(tx Tx) error {
		open.versions = make(map[string]int64, len(subscriptions))
		for id := range subscriptions {
			sub, err := tx.Subscriptions().Get(subscription.RetailKey(id))
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			open.versions[id] = sub.Version
		}
		return nil
	})
	if err != nil {
		return Open{}, err
	}
	var after order.Place
	for {
		var page []Order
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.RetailOrders().List(true, after, openPage)
			return err
		})
		if err != nil {
			return Open{}, err
		}
		for _, o := range page {
			for _, it := range o.Items {
				if it.Partner == supplier && subscriptions[it.SubscriptionID] && !it.State.Ended() {
					open.orders = append(open.orders, Key{o.Portal, o.ID})
					break
				}
			}
		}
		if len(page) < openPage {
			return open, nil
		}
		after = page[len(page)-1].Place()
	}
}

// EndAgreed gives a subscription of ours with a supplier, and what was found open about it, the end that both operators agreed on. Where it
// is not there, or has ended, it stays as it is. unit.ErrStale where something was ordered about it, or became of it, since it was looked at.
func (s *Service) EndAgreed(tx Tx, supplier, id string, to subscription.State, open Open, source string) error {
	sub, err := tx.Subscriptions().Get(subscription.RetailKey(id))
	if (err == nil || fault.Is(err, fault.NotFound)) && sub.Version != open.versions[id] {
		return unit.ErrStale
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil || sub.Partner != supplier {
		return err
	}
	for _, key := range open.orders {
		never, err := s.endItems(tx, key, sub, to, source)
		if err != nil {
			return err
		}
		if never && sub.State == subscription.PendingActive {
			to = subscription.Aborted // as far as anybody here knows, the customer never had it
		}
	}
	if sub.State == subscription.Aborted {
		if err := s.endGivenUp(tx, sub); err != nil {
			return err
		}
	}
	for _, kind := range []string{subscription.JobAccessFetch, subscription.JobAccessConfirm} {
		if err := tx.Jobs().Drop(kind, id, supplier); err != nil {
			return err
		}
	}
	if !subscription.MayEnd(sub.State, to) { // it ended otherwise since; that counts
		return nil
	}
	_, err = subscription.EndAgreed(tx, sub, to, s.Now().UTC())
	return err
}

// endItems ends what is open in an order about the subscription: well where that is what the item was to come to. never reports that its
// purchase was among it, and that its supplier had not taken it.
func (s *Service) endItems(tx Tx, key Key, sub subscription.Subscription, to subscription.State, source string) (never bool, err error) {
	o, err := tx.RetailOrders().Get(key.Portal, key.ID)
	if err != nil {
		return false, err
	}
	changed := false
	for i := range o.Items {
		it := o.Items[i]
		if it.Partner != sub.Partner || it.SubscriptionID != sub.ID || it.State.Ended() {
			continue
		}
		end := order.Failed
		if to == subscription.Terminated && (it.Course().Done == subscription.Terminated || it.Action == order.Add && it.taken()) {
			end = order.Completed
		}
		never = never || it.Action == order.Add && !it.taken()
		through := []order.State{end}
		switch {
		case it.State.Undecided(), it.State == order.PendingCancellation:
			through = []order.State{order.InProgress, end}
		case it.State == order.PendingRebuilding && end == order.Completed:
			through = []order.State{order.Acknowledged, order.InProgress, end}
		}
		if o, err = o.along(i, s.Now().UTC(), reasonAgreed, source, through...); err != nil {
			return false, err
		}
		o.Items[i].Unsigned, o.Items[i].UnsignedCancel = nil, nil
		for _, kind := range []string{JobSubmit, JobCancel, JobSign, JobSignCancel} {
			if err := tx.Jobs().Drop(kind, it.CorrelationID, it.Partner); err != nil {
				return false, err
			}
		}
		changed = true
	}
	if !changed {
		return false, nil
	}
	_, err = tx.RetailOrders().Put(o)
	return never, err
}

// endGivenUp has the cancel of what was given up be sent no more: there is nothing left to cancel. The customer's order stays as it was told.
func (s *Service) endGivenUp(tx Tx, sub subscription.Subscription) error {
	o, err := tx.RetailOrders().Get(sub.Portal, sub.OrderID)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	changed := false
	for i := range o.Items {
		it := o.Items[i]
		if it.Partner != sub.Partner || it.SubscriptionID != sub.ID || it.Abandoned == nil {
			continue
		}
		if !it.Abandoned.There.Ended() {
			given := *it.Abandoned
			given.There = order.Cancelled // nothing of it is to be ended any more, whatever it had come to
			o.Items = slices.Clone(o.Items)
			o.Items[i].Abandoned, o.Items[i].UnsignedCancel = &given, nil
			changed = true
		}
		for _, kind := range []string{JobCancel, JobSignCancel} {
			if err := tx.Jobs().Drop(kind, it.CorrelationID, it.Partner); err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}
