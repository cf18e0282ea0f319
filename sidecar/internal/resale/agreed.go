package resale

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// reasonAgreed is why a service is wound down without an order of its reseller: both operators agreed on it when the books had forked, or ours
// alone ended it after the time that it takes.
const reasonAgreed = "life_agreed"

// EndAgreed winds a service down that both operators agreed to end, or ours alone, whose reseller may not even know of it: an order of our own, without a
// document, takes it away. opening is the digest of what they signed. What has ended, or is on its way there, goes on as it does.
// fault.Unavailable with reason life_under_way while it is made or changed: it would run on with nobody to end it.
func (s *Service) EndAgreed(tx Tx, partner, id string, opening [32]byte, source string) error {
	sub, err := tx.Subscriptions().Get(subscription.ResaleKey(partner, id))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && (sub.State == subscription.PendingActive || sub.State == subscription.ActivePendingChange) {
		return fault.New(fault.Unavailable, "life_under_way", "subscription %s is being worked on; it can end when that is done", id)
	}
	row, _ := order.RowOf(order.Delete, order.Terminate)
	if err != nil || !row.Course.Allows(sub.State) {
		return err
	}
	now := s.Now().UTC()
	sum := sha256.Sum256(append(opening[:], id...))
	o := Order{
		Item: order.Item{
			Action: order.Delete, Intent: order.Terminate, AgreementID: sub.AgreementID, OfferingID: sub.OfferingID, Revision: sub.Revision,
			Name: sub.Name, Quantity: sub.Quantity, SubscriptionID: sub.ID,
		},
		Partner: partner, ID: ownEnd + hex.EncodeToString(sum[:16]), PlacedAt: now, UpdatedAt: now,
	}
	if sub, err = subscription.Begin(tx, sub, o.Course(), now); err != nil {
		return err
	}
	if o, err = o.move(now, order.InProgress, reasonAgreed, "A document that opens a new life of the ledgers ends it.", source); err != nil {
		return err
	}
	if _, err := tx.ResaleOrders().Put(o); err != nil {
		return err
	}
	return tx.Jobs().At(JobProvision, o.ID, partner, now)
}

// EndReadBack is EndAgreed in a store that is from before the two agreed on it: what it has still as being made or changed was done then, and
// nobody tells again how. It counts as done, for whatever is there is taken away.
func (s *Service) EndReadBack(tx Tx, partner, id string, opening [32]byte, source string) error {
	sub, err := tx.Subscriptions().Get(subscription.ResaleKey(partner, id))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if sub.State == subscription.PendingActive || sub.State == subscription.ActivePendingChange {
		if err := s.overtake(tx, sub, source); err != nil {
			return err
		}
	}
	return s.EndAgreed(tx, partner, id, opening, source)
}

// overtake has what is open about a subscription count as done, and its work go on no more.
func (s *Service) overtake(tx Tx, sub subscription.Subscription, source string) error {
	for after := (order.Place{}); ; {
		open, err := tx.ResaleOrders().List(true, after, openPage)
		if err != nil || len(open) == 0 {
			return err
		}
		after = open[len(open)-1].Place()
		for _, o := range open {
			if o.Partner != sub.Partner || o.SubscriptionID != sub.ID {
				continue
			}
			now := s.Now().UTC()
			if _, err := subscription.Finish(tx, o.Subscription(), o.Course(), subscription.Result{}, now); err != nil {
				return err
			}
			if err := tx.Jobs().Drop(JobProvision, o.ID, o.Partner); err != nil {
				return err
			}
			if o, err = o.move(now, order.Completed, reasonAgreed, "A document that opens a new life of the ledgers ends what it made.", source); err != nil {
				return err
			}
			if _, err := tx.ResaleOrders().Put(o); err != nil {
				return err
			}
		}
	}
}

// openPage is how many open orders are looked at at once.
const openPage = 500

// Untold reports whether the reseller is told nothing of the order in our ledger: what both signed says it.
func (o Order) Untold() bool { return o.Document == "" && strings.HasPrefix(o.ID, ownEnd) }

// ownEnd begins the ids of orders that we make ourselves.
const ownEnd = "end-"
