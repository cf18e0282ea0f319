package retail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Recalled is an order document of ours that a supplier gave back: our signature over it is verified, and our own log names its digest.
type Recalled struct {
	JWS     string
	Payload []byte
	// Inputs and InputsSalt are those of a purchase; nil where the supplier keeps none any more.
	Inputs, InputsSalt []byte

	document order.Document
	// name and retail are what the listing says now: neither stands in the document.
	name   string
	retail price.Line
}

// Recollect reads an order document that came back, and what our listing says of it today; nothing is written.
func (s *Service) Recollect(ctx context.Context, partner string, r Recalled) (_ Recalled, err error) {
	if r.document, _, err = order.ParseDocument(r.Payload); err != nil {
		return r, err
	}
	d := r.document
	if d.Issuer != s.Self || d.Audience != partner {
		return r, fault.New(fault.Invalid, "document_parties", "the order is between other parties")
	}
	if d.Action != order.Add {
		return r, nil
	}
	if order.InputsDigest(r.InputsSalt, r.Inputs) != d.InputsSHA256 {
		r.Inputs = nil // the supplier forgets them when the subscription ends
	}
	r.name, r.retail = d.Offering, d.Price()
	offer, err := s.Offers.Offer(ctx, catalog.ListingID(partner, d.Offering))
	if err != nil {
		return r, nil // it is not sold any more; the wholesale price is the least that the customer owes
	}
	r.name = offer.Name
	terms := price.Terms{DiscountBP: offer.Agreement.Terms.WholesaleDiscountBP, MarkupBP: offer.MarkupBP}
	if line, err := offer.Document.PriceList().Line(d.Quantity, terms); err == nil && offer.Foreign.Revision == d.Revision {
		r.retail = line
	}
	return r, nil
}

// Recovered reports whether an order was rebuilt from its document and no portal has named it yet: its id is that of its item. See Claim.
func (o Order) Recovered() bool {
	return len(o.RequestDigest) == 0 && len(o.Items) > 0 && o.ID == o.Items[0].CorrelationID
}

// Recover rebuilds the item that an entry of our own log placed, as it was when it was signed; what became of it the supplier's log says,
// whose entries are applied after it. An item that was acknowledged unsigned meanwhile, under the same id, is what was signed before: the
// document that came back wins.
func (s *Service) Recover(tx Tx, e ledger.Entry, r Recalled) error {
	d := r.document
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	if d.ID != b.Order || d.Subscription != e.Subject || d.Action != b.Action || d.Intent != b.Intent {
		return fault.New(fault.Invalid, "document_mismatch", "the document is about another order than entry %s", e.Position())
	}
	o, i, err := tx.RetailOrders().ByCorrelation(d.ID)
	switch {
	case fault.Is(err, fault.NotFound):
		return s.rebuild(tx, e, r)
	case err != nil:
		return err
	case o.Items[i].Document != "":
		if hex.EncodeToString(o.Items[i].PayloadDigest) != b.DocumentSHA256 {
			return fault.New(fault.Conflict, "order_contradiction", "this store has another document of order %s", b.Order)
		}
		return nil
	}
	return s.resign(tx, e, o, i, r)
}

// item is what the document says of it.
func (r Recalled) item(partner string) Item {
	d := r.document
	digest := sha256.Sum256(r.Payload)
	return Item{
		Item: order.Item{
			Action: d.Action, Intent: d.Intent, AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: r.name,
			Quantity: d.Quantity, SubscriptionID: d.Subscription, Wholesale: d.Price(), Document: r.JWS, PayloadDigest: digest[:], InputsSalt: r.InputsSalt,
		},
		CorrelationID: d.ID, Partner: partner, Retail: r.retail,
	}
}

func (r Recalled) subscription(it Item) subscription.Subscription {
	return subscription.Subscription{
		ID: it.SubscriptionID, Side: subscription.Retail, Partner: it.Partner, Pseudonym: r.document.Customer, OrderID: it.CorrelationID,
		AgreementID: it.AgreementID, OfferingID: it.OfferingID, Revision: it.Revision, ListingID: it.ListingID, Name: it.Name,
		Quantity: it.Quantity, Price: it.Retail,
	}
}

// rebuild makes an order of its own of the item: to which order of which portal it belongs is known when the portal names it.
func (s *Service) rebuild(tx Tx, e ledger.Entry, r Recalled) error {
	placed, err := signed.ParseTime(r.document.PlacedAt)
	if err != nil {
		return err
	}
	it := r.item(e.Partner)
	o := Order{ID: it.CorrelationID, PlacedAt: placed, UpdatedAt: s.Now().UTC()}
	var sub subscription.Subscription
	if it.Action == order.Add {
		it.ListingID = catalog.ListingID(e.Partner, it.OfferingID)
		sub = r.subscription(it)
	} else {
		if sub, err = tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID)); err != nil {
			return err
		}
		it.OfferingID, it.Revision, it.ListingID, it.Name, it.Quantity = sub.OfferingID, sub.Revision, sub.ListingID, sub.Name, sub.Quantity
		o.Portal, o.Customer = sub.Portal, sub.Customer
	}
	if sub, err = subscription.Begin(tx, sub, it.Course(), placed); err != nil {
		return err
	}
	if r.Inputs != nil {
		if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
			return err
		}
	}
	if it.Item, err = it.Move(placed, order.Acknowledged, "", "", order.Source(e)); err != nil {
		return err
	}
	o.Items = []Item{it}
	if _, err := tx.RetailOrders().Put(o); err != nil {
		return err
	}
	return s.resend(tx, it, JobSubmit)
}

// resign has an item that waits to be signed be what was signed for it before. What the portal asked for meanwhile is compared again when it
// repeats the order.
func (s *Service) resign(tx Tx, e ledger.Entry, o Order, i int, r Recalled) error {
	before, it := o.Items[i], r.item(e.Partner)
	it.State, it.Reason, it.Message, it.Events = before.State, before.Reason, before.Message, before.Events
	it.ListingID = before.ListingID
	if before.UnsignedCancel != nil {
		if err := it.cancelInstead(before.UnsignedCancel); err != nil {
			return err
		}
	}
	if it.Action == order.Add {
		it.ListingID = catalog.ListingID(e.Partner, it.OfferingID)
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		if err != nil {
			return err
		}
		if it.OfferingID == before.OfferingID && it.Revision == before.Revision && it.Quantity == before.Quantity {
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
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, s.Now().UTC()
	if _, err := tx.RetailOrders().Put(o); err != nil {
		return err
	}
	if err := tx.Jobs().Drop(JobSign, it.CorrelationID, before.Partner); err != nil {
		return err
	}
	return s.resend(tx, it, JobSubmit)
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
	if fault.Is(err, fault.NotFound) {
		o, err = s.rebuildCancelled(tx, e, c)
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
	if !it.State.Ended() {
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

// rebuildCancelled makes the order of its cancel alone: the supplier, who had the cancel before the order, never had the order.
func (s *Service) rebuildCancelled(tx Tx, e ledger.Entry, c order.Cancel) (Order, error) {
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
	if _, err := subscription.Begin(tx, Recalled{}.subscription(it), it.Course(), placed); err != nil {
		return Order{}, err
	}
	if it.Item, err = it.Move(placed, order.Acknowledged, "", "", ""); err != nil {
		return Order{}, err
	}
	return tx.RetailOrders().Put(Order{ID: c.Order, Items: []Item{it}, PlacedAt: placed, UpdatedAt: s.Now().UTC()})
}

// resend has the document sent again once the books are level: the entry of the supplier's log that decides it drops the job.
func (s *Service) resend(tx Tx, it Item, kind string) error {
	if it.State.Ended() {
		return nil
	}
	_, err := tx.Jobs().Send(it.sending(kind), s.Now().UTC(), "", s.Now().UTC())
	return err
}

// asks reports whether a wish is what the documents of the items say. Inputs are not compared: what the customer left out was filled in
// before they were signed.
func (c PlaceCommand) asks(o Order) bool {
	if len(c.Items) != len(o.Items) {
		return false
	}
	for i, it := range o.Items {
		wish := c.Items[i]
		if wish.Action != it.Action {
			return false
		}
		if it.Action != order.Add {
			if wish.SubscriptionID != it.SubscriptionID {
				return false
			}
			continue
		}
		if wish.ListingID != it.ListingID || wish.Quantity != it.Quantity {
			return false
		}
	}
	return true
}

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

// Claim gives an order that was rebuilt from its documents back to the portal that names it: the ids of its items derive from the portal and
// the id that it chose. With a customer it is claimed for that customer alone, whose pseudonym the documents have; without one it stays
// nobody's until one is named. fault.NotFound where there is no such order.
func (s *Service) Claim(tx Tx, portal, customer, id string) (o Order, err error) {
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
			customer != "" && part.Customer == "" && it.pseudonym() != s.Pseudonym(it.Partner, portal, customer):
			return Order{}, orderNotFound(id)
		}
		if !found {
			o = Order{Portal: portal, ID: id, Customer: part.Customer, PlacedAt: part.PlacedAt}
			found = true
		}
		if o.Customer == "" {
			o.Customer = customer
		}
		o.Items = append(o.Items, it)
		if err := tx.RetailOrders().Take(part); err != nil {
			return Order{}, err
		}
		if err := claimSubscription(tx, it, o); err != nil {
			return Order{}, err
		}
	}
	if !found {
		return Order{}, orderNotFound(id)
	}
	o.UpdatedAt = s.Now().UTC()
	return tx.RetailOrders().Put(o)
}

func claimSubscription(tx Tx, it Item, o Order) error {
	if it.Action != order.Add {
		return nil
	}
	sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
	if err != nil {
		return err
	}
	sub.Portal, sub.Customer, sub.OrderID = o.Portal, o.Customer, o.ID
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

// adopt gives an order that was claimed without a customer to the one whose pseudonym its documents have.
func (s *Service) adopt(ctx context.Context, o Order, customer string) (Order, error) {
	for _, it := range o.Items {
		if it.pseudonym() != s.Pseudonym(it.Partner, o.Portal, customer) {
			return Order{}, orderNotFound(o.ID)
		}
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
	for _, it := range have.Items {
		if it.pseudonym() != s.Pseudonym(it.Partner, c.Portal, c.Customer) {
			return repeated(have, digest)
		}
	}
	var kept Order
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		if kept, err = tx.RetailOrders().Get(c.Portal, c.ID); err != nil || bytes.Equal(kept.RequestDigest, digest) {
			return err
		}
		kept.Customer, kept.RequestDigest = c.Customer, digest
		return s.keepClaimed(tx, &kept)
	})
	return kept, err
}
