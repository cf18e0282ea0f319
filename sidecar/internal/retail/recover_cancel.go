package retail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// RecalledCancel is a cancel of ours that a supplier gave back: our signature over it is verified, and our own log names its digest.
type RecalledCancel struct {
	JWS     string
	Payload []byte

	document order.Cancel
	// action and intent are those of its order where that did not come back; "" where nobody can say them.
	action order.Action
	intent order.Intent
}

// RecollectCancel reads a cancel that came back and which the entry at a place of our log placed; nothing is written. A supplier that had it
// before its order never had that: what the order asked for our own log says then, in the entry that placed it.
func (s *Service) RecollectCancel(ctx context.Context, partner string, at ledger.Position, r RecalledCancel) (_ RecalledCancel, err error) {
	if r.document, err = order.ParseCancel(r.Payload); err != nil {
		return r, err
	}
	c := r.document
	if c.Subscription == order.SubscriptionID(c.Order) {
		r.action, r.intent = order.Add, order.Purchase
		return r, nil
	}
	err = s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(c.Order)
		if fault.Is(err, fault.NotFound) || err == nil && o.Items[i].missing() {
			r.action, r.intent, err = placedBefore(tx, partner, at, c.Order)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("look for what order %s asked for: %w", c.Order, err)
	}
	return r, err
}

// logPage is how many entries of our log are read at once.
const logPage = 500

// placedBefore is what an order asked for by the entry that placed it, which our log has before a place of the same life; "" where it has none,
// for the cancel was signed before the order would have been.
func placedBefore(tx Tx, partner string, at ledger.Position, id string) (action order.Action, intent order.Intent, err error) {
	for end := at; end.Seq > 1; end.Seq = max(end.Seq-logPage, 1) {
		after := ledger.Position{Life: end.Life, Seq: max(end.Seq-logPage, 1) - 1}
		entries, err := tx.Ledger().Entries(partner, ledger.Own, after, int(end.Seq-1-after.Seq))
		if err != nil {
			return "", "", err
		}
		for _, e := range entries {
			if e.Kind != ledger.OrderPlaced {
				continue
			}
			if b, err := order.ParseBody(e); err == nil && b.Order == id {
				return b.Action, b.Intent, nil
			}
		}
	}
	return "", "", nil
}

// RecoverCancel gives an item the cancel that an entry of our own log placed.
func (s *Service) RecoverCancel(tx Tx, e ledger.Entry, r RecalledCancel) error {
	c := r.document
	if c.Issuer != s.Self || c.Audience != e.Partner || c.Subscription != e.Subject {
		return anotherCancel(e)
	}
	o, i, err := tx.RetailOrders().ByCorrelation(c.Order)
	switch {
	case fault.Is(err, fault.NotFound):
		o, err = s.rebuildCancelled(tx, e, r, Order{ID: c.Order, Items: make([]Item, 1)}, 0)
	case err == nil && o.Items[i].missing():
		o, err = s.rebuildCancelled(tx, e, r, o, i)
	}
	if err != nil {
		return err
	}
	it, digest := o.Items[i], sha256.Sum256(r.Payload)
	switch {
	case it.Partner != e.Partner || it.SubscriptionID != e.Subject:
		return anotherCancel(e)
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
	o.Items[i].CancelDocument, o.Items[i].CancelDigest, o.Items[i].UnsignedCancel = r.JWS, digest[:], nil
	if _, err := tx.RetailOrders().Put(o); err != nil {
		return err
	}
	if err := tx.Jobs().Drop(JobSignCancel, it.CorrelationID, it.Partner); err != nil {
		return err
	}
	return s.resend(tx, it, JobCancel)
}

func anotherCancel(e ledger.Entry) error {
	return fault.New(fault.Invalid, "document_mismatch", "the cancel is about another order than entry %s", e.Position())
}

// rebuildCancelled makes an item of its cancel alone: the supplier, who had the cancel before the order, never had the order.
func (s *Service) rebuildCancelled(tx Tx, e ledger.Entry, r RecalledCancel, o Order, i int) (Order, error) {
	c := r.document
	placed, err := signed.ParseTime(c.PlacedAt)
	if err != nil {
		return Order{}, err
	}
	digest, err := hex.DecodeString(c.OrderSHA256)
	if err != nil {
		return Order{}, err
	}
	it := Item{CorrelationID: c.Order, Partner: e.Partner, Item: order.Item{
		Action: r.action, Intent: r.intent, AgreementID: c.Agreement, SubscriptionID: c.Subscription, PayloadDigest: digest,
	}}
	if !o.Items[i].State.Ended() {
		it.State = o.Items[i].State
	}
	it.Events = o.Items[i].Events
	if o.Portal == "" {
		o.PlacedAt = placed
	}
	if o, it, err = s.holds(tx, o, it, placed); err != nil {
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

// holds takes the subscription of an item that was rebuilt of its cancel onto the course of the item: that of a purchase is made, another one is
// there and says whose it is. Where nobody can say what was asked for it stays as it is, for nothing came of that.
func (s *Service) holds(tx Tx, o Order, it Item, placed time.Time) (Order, Item, error) {
	sub := Recalled{}.subscription(it)
	if it.Action == order.Add {
		if o.Portal != "" {
			sub.Portal, sub.Customer, sub.OrderID = o.Portal, o.Customer, o.ID
		}
	} else {
		var err error
		if sub, err = tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID)); err != nil {
			return o, it, err
		}
		it = it.of(sub)
		if o.Version == 0 && o.Portal == "" {
			o.Portal, o.Customer = sub.Portal, sub.Customer
		}
		if it.Action == "" {
			return o, it, nil
		}
	}
	_, err := subscription.Begin(tx, sub, it.Course(), placed)
	return o, it, err
}

// of is an item about a subscription that is there, whose offering its document does not say.
func (i Item) of(sub subscription.Subscription) Item {
	i.OfferingID, i.Revision, i.ListingID, i.Name, i.Quantity = sub.OfferingID, sub.Revision, sub.ListingID, sub.Name, sub.Quantity
	return i
}
