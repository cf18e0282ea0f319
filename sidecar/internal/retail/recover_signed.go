package retail

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// resign has an item that waits to be signed be what was signed for it before. What the portal asked for meanwhile is compared again when it
// repeats the order.
func (s *Service) resign(tx Tx, e ledger.Entry, o Order, i int, r Recalled) error {
	before, it := o.Items[i], r.item(e.Partner)
	it.State, it.Reason, it.Message, it.Events = before.State, before.Reason, before.Message, before.Events
	it.ListingID, it.Abandoned = before.ListingID, before.Abandoned
	if before.UnsignedCancel != nil {
		if err := it.cancelInstead(before.UnsignedCancel); err != nil {
			return err
		}
	}
	if it.Action == order.Add {
		it.ListingID = r.listing(e.Partner)
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		if err != nil {
			return err
		}
		if r.notes == nil && it.OfferingID == before.OfferingID && it.Revision == before.Revision && it.Quantity == before.Quantity {
			it.Name, it.Retail = before.Name, before.Retail
		}
		sub.Partner, sub.AgreementID, sub.OfferingID, sub.Revision = it.Partner, it.AgreementID, it.OfferingID, it.Revision
		sub.ListingID, sub.Name, sub.Quantity, sub.Price = it.ListingID, it.Name, it.Quantity, it.Retail
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return err
		}
		if r.Inputs != nil {
			if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
				return err
			}
		}
	} else {
		it.OfferingID, it.Revision, it.Name, it.Quantity = before.OfferingID, before.Revision, before.Name, before.Quantity
	}
	if err := s.putItem(tx, o, i, it); err != nil {
		return err
	}
	if err := tx.RetailOrders().PutEscrow(it.CorrelationID, it.Escrow); err != nil { // the one that was to be signed had its own
		return err
	}
	if err := tx.Jobs().Drop(JobSign, it.CorrelationID, before.Partner); err != nil {
		return err
	}
	if err := s.resend(tx, it, JobSubmit); err != nil {
		return err
	}
	return partly(r.lacks)
}

// cancelInstead has a cancel that waits to be signed be about the document that there is now.
func (i *Item) cancelInstead(payload []byte) error {
	c, err := order.ParseCancel(payload)
	if err != nil {
		return err
	}
	c.Agreement, c.OrderSHA256 = i.AgreementID, hex.EncodeToString(i.PayloadDigest)
	if i.UnsignedCancel, err = json.Marshal(c); err != nil {
		return err
	}
	sum := sha256.Sum256(i.UnsignedCancel)
	i.CancelDigest = sum[:]
	return nil
}

// RecoverCancel gives an item the cancel that an entry of our own log placed.
func (s *Service) RecoverCancel(tx Tx, e ledger.Entry, jws string, payload []byte) error {
	c, err := order.ParseCancel(payload)
	if err != nil {
		return err
	}
	o, i, err := tx.RetailOrders().ByCorrelation(c.Order)
	switch {
	case fault.Is(err, fault.NotFound):
		o, err = s.rebuildCancelled(tx, e, c, Order{ID: c.Order, Items: make([]Item, 1)}, 0)
	case err == nil && o.Items[i].missing():
		o, err = s.rebuildCancelled(tx, e, c, o, i)
	}
	if err != nil {
		return err
	}
	it, digest := o.Items[i], sha256.Sum256(payload)
	switch {
	case c.Issuer != s.Self || c.Audience != e.Partner || it.Partner != e.Partner || it.SubscriptionID != e.Subject:
		return fault.New(fault.Invalid, "document_mismatch", "the cancel is about another order than entry %s", e.Position())
	case it.CancelDocument != "":
		return nil
	}
	if !it.State.Ended() && !it.cancelling() {
		if o, err = o.move(i, s.Now().UTC(), order.AssessingCancel, "", order.Source(e)); err != nil {
			return err
		}
	} else {
		o.Items = slices.Clone(o.Items)
	}
	o.Items[i].CancelDocument, o.Items[i].CancelDigest, o.Items[i].UnsignedCancel = jws, digest[:], nil
	if _, err := tx.RetailOrders().Put(o); err != nil {
		return err
	}
	if err := tx.Jobs().Drop(JobSignCancel, it.CorrelationID, it.Partner); err != nil {
		return err
	}
	return s.resend(tx, it, JobCancel)
}

// rebuildCancelled makes an item of its cancel alone: the supplier, who had the cancel before the order, never had the order.
func (s *Service) rebuildCancelled(tx Tx, e ledger.Entry, c order.Cancel, o Order, i int) (Order, error) {
	placed, err := signed.ParseTime(c.PlacedAt)
	if err != nil {
		return Order{}, err
	}
	digest, err := hex.DecodeString(c.OrderSHA256)
	if err != nil {
		return Order{}, err
	}
	if c.Subscription != order.SubscriptionID(c.Order) {
		return Order{}, fault.New(fault.NotFound, "order_not_found", "the order that cancel %s is about was no purchase, and did not come back", c.ID)
	}
	it := Item{CorrelationID: c.Order, Partner: e.Partner, Item: order.Item{
		Action: order.Add, Intent: order.Purchase, AgreementID: c.Agreement, SubscriptionID: c.Subscription, PayloadDigest: digest,
	}}
	if !o.Items[i].State.Ended() {
		it.State = o.Items[i].State
	}
	it.Events = o.Items[i].Events
	sub := Recalled{}.subscription(it)
	if o.Portal != "" {
		sub.Portal, sub.Customer, sub.OrderID = o.Portal, o.Customer, o.ID
	} else {
		o.PlacedAt = placed
	}
	if _, err := subscription.Begin(tx, sub, it.Course(), placed); err != nil {
		return Order{}, err
	}
	at := placed
	if len(it.Events) > 0 {
		at = s.Now().UTC()
	}
	if it.Item, err = it.Move(at, order.Acknowledged, "", "", ""); err != nil {
		return Order{}, err
	}
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, s.Now().UTC()
	return tx.RetailOrders().Put(o)
}

// resend has the document sent again once the books are level: the entry of the supplier's log that decides it drops the job.
func (s *Service) resend(tx Tx, it Item, kind string) error {
	if it.State.Ended() && (kind != JobCancel || !it.wantsCancel()) {
		return nil
	}
	_, err := tx.Jobs().Send(it.sending(kind), s.Now().UTC(), "", s.Now().UTC())
	return err
}
