package retail

import (
	"bytes"
	"context"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// asks reports whether a wish is what the documents of the items say. Inputs are not compared: what the customer left out was filled in
// before they were signed. Of what was rebuilt from its cancel little is known, at times not even the action, and nobody carries it out.
func (c PlaceCommand) asks(o Order) bool {
	if len(c.Items) != len(o.Items) {
		return false
	}
	for i, it := range o.Items {
		wish := c.Items[i]
		if it.missing() {
			continue
		}
		if it.Action != "" && (wish.Action != it.Action || wish.Intent != it.Intent) {
			return false
		}
		if it.Action != order.Add {
			if wish.SubscriptionID != it.SubscriptionID {
				return false
			}
			continue
		}
		if it.cancelAlone() {
			continue
		}
		if wish.ListingID != it.ListingID || wish.Quantity != it.Quantity {
			return false
		}
	}
	return true
}

// cancelAlone reports whether the item was rebuilt from its cancel, which says nothing of its customer: the portal that made its id is believed.
func (i Item) cancelAlone() bool { return i.CancelDocument != "" && i.Document == "" && !i.missing() }

// pseudonym is what an item's document says of its customer; "" where it cannot be read.
func (i Item) pseudonym() string {
	payload, err := signed.Payload(i.Document)
	if err != nil {
		return ""
	}
	d, _, err := order.ParseDocument(payload)
	if err != nil {
		return ""
	}
	return d.Customer
}

// Claim gives an order that was rebuilt from documents without escrow back to the portal that names it: the ids of its items derive from the
// portal and the id that it chose. With a customer it is claimed for that customer alone, whose pseudonym the documents have; without one it
// stays nobody's until one is named. fault.NotFound where there is no such order. While a partner has not answered yet it may have more
// items: fault.Unavailable.
func (s *Service) Claim(tx Tx, portal, customer, id string) (o Order, err error) {
	uneven, err := tx.Ledger().Uneven()
	if err != nil {
		return Order{}, err
	}
	found := false
	for position := range order.MaxItems {
		part, i, err := tx.RetailOrders().ByCorrelation(s.Correlate(portal, id, position))
		if fault.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return Order{}, err
		}
		it := part.Items[i]
		switch {
		case !part.Recovered(), part.Portal != "" && part.Portal != portal,
			customer != "" && part.Customer != "" && part.Customer != customer,
			customer != "" && part.Customer == "" && !it.cancelAlone() && it.pseudonym() != s.Pseudonym(it.Partner, portal, customer):
			return Order{}, orderNotFound(id)
		}
		for _, state := range uneven {
			if closed := state.Closed(); closed != nil {
				return Order{}, closed
			}
		}
		if err := part.isErased(); err != nil && customer != "" {
			return Order{}, err
		}
		if !found {
			o = Order{Portal: portal, ID: id, Customer: part.Customer, PlacedAt: part.PlacedAt}
			found = true
		}
		if o.Customer == "" && o.ErasedAt.IsZero() {
			o.Customer = customer
		}
		o.erasedAs(part)
		if it, err = s.takePart(tx, part, i, o); err != nil {
			return Order{}, err
		}
		o.Items = append(o.Items, it)
	}
	if !found {
		return Order{}, orderNotFound(id)
	}
	o.UpdatedAt = s.Now().UTC()
	if o, err = tx.RetailOrders().Put(o); err != nil || o.ErasedAt.IsZero() {
		return o, err
	}
	return s.forget(tx, o, o.ErasedAt)
}

func claimSubscription(tx Tx, it Item, o Order) error {
	if it.Action != order.Add {
		return nil
	}
	sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
	if err != nil {
		return err
	}
	sub.Portal, sub.OrderID = o.Portal, o.ID
	if o.Customer != "" {
		sub.Customer = o.Customer
	}
	_, err = tx.Subscriptions().Put(sub)
	return err
}

// reclaim finds an order that was rebuilt and that a portal asks for by its own id; fault.NotFound where there is none. While the books with
// any partner are behind it may be one that is not rebuilt yet.
func (s *Service) reclaim(ctx context.Context, portal, customer, id string) (o Order, err error) {
	lost := false
	err = s.Work.View(ctx, func(tx Tx) error {
		if lost, err = anyBehind(tx); err != nil || lost {
			return err
		}
		_, _, err := tx.RetailOrders().ByCorrelation(s.Correlate(portal, id, 0))
		return err
	})
	switch {
	case lost:
		return Order{}, ledger.Behind.Closed()
	case err != nil:
		return Order{}, err
	}
	err = s.Work.Do(ctx, func(tx Tx) error {
		o, err = s.Claim(tx, portal, customer, id)
		return err
	})
	return o, err
}

func anyBehind(tx Tx) (bool, error) {
	uneven, err := tx.Ledger().Uneven()
	for _, state := range uneven {
		if state == ledger.Behind {
			return true, err
		}
	}
	return false, err
}

// isOf reports whether a customer is the one whose pseudonym is in the documents of an order's items, as far as there are any.
// Where all of them are cancels alone nothing speaks against whom the portal names.
func (s *Service) isOf(o Order, customer string) bool {
	proved, silent := false, 0
	for _, it := range o.Items {
		if it.Document == "" {
			if it.cancelAlone() {
				silent++
			}
			continue
		}
		if it.pseudonym() != s.Pseudonym(it.Partner, o.Portal, customer) {
			return false
		}
		proved = true
	}
	return proved || silent == len(o.Items)
}

// rebuilding reports whether items of the order have not come back yet.
func (o Order) rebuilding() bool {
	return slices.ContainsFunc(o.Items, func(it Item) bool { return it.State == order.PendingRebuilding })
}

// adopt gives an order that was claimed without a customer to the one whose pseudonym its documents have.
func (s *Service) adopt(ctx context.Context, o Order, customer string) (Order, error) {
	if !s.isOf(o, customer) {
		return Order{}, orderNotFound(o.ID)
	}
	var kept Order
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		if kept, err = tx.RetailOrders().Get(o.Portal, o.ID); err != nil || kept.Customer != "" {
			return err
		}
		kept.Customer = customer
		return s.keepClaimed(tx, &kept)
	})
	return kept, err
}

// keepClaimed writes an order whose customer is known now, with the subscriptions that it made.
func (s *Service) keepClaimed(tx Tx, o *Order) (err error) {
	for _, it := range o.Items {
		if err := claimSubscription(tx, it, *o); err != nil {
			return err
		}
	}
	*o, err = tx.RetailOrders().Put(*o)
	return err
}

// knows takes a repeated wish for an order that was rebuilt, whose wish nobody kept: it is the same where the documents say so.
func (s *Service) knows(ctx context.Context, have Order, c PlaceCommand, digest []byte) (Order, error) {
	if len(have.RequestDigest) > 0 || !c.asks(have) {
		return repeated(have, digest)
	}
	if !s.isOf(have, c.Customer) {
		return repeated(have, digest)
	}
	if have.rebuilding() { // what is not back cannot be compared yet
		if have.Customer == "" && c.Customer != "" {
			return s.adopt(ctx, have, c.Customer)
		}
		return have, nil
	}
	var kept Order
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		if kept, err = tx.RetailOrders().Get(c.Portal, c.ID); err != nil || bytes.Equal(kept.RequestDigest, digest) {
			return err
		}
		kept.Customer, kept.RequestDigest = c.Customer, digest
		kept.Items = slices.Clone(kept.Items)
		for i, wish := range c.Items {
			if it := &kept.Items[i]; it.Action == "" && it.cancelAlone() { // nobody else can say what it was
				it.Action, it.Intent = wish.Action, wish.Intent
			}
		}
		return s.keepClaimed(tx, &kept)
	})
	return kept, err
}
