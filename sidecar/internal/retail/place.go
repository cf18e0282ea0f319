package retail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// PlaceCommand is a portal's wish.
type PlaceCommand struct {
	Portal   string
	Customer string
	ID       string
	// Items are 1 to order.MaxItems; their suppliers may differ.
	Items []ItemCommand
}

// ItemCommand is one line of it.
type ItemCommand struct {
	Action order.Action
	// Intent may be left out where the action alone says what is meant.
	Intent order.Intent
	// ListingID, ListingDigest (may be empty), Quantity (0 is 1) and Inputs (JSON object) belong to Add.
	ListingID     string
	ListingDigest string
	Quantity      int64
	Inputs        []byte
	// SubscriptionID belongs to the other actions.
	SubscriptionID string
}

// complete fills in what was left out, so that the same wish is the same command.
func (c PlaceCommand) complete() PlaceCommand {
	items := make([]ItemCommand, len(c.Items))
	for i, it := range c.Items {
		if it.Quantity == 0 && it.Action == order.Add {
			it.Quantity = 1
		}
		if len(it.Inputs) == 0 {
			it.Inputs = []byte("{}")
		}
		if row, usual := order.Usual(it.Action); usual && it.Intent == "" {
			it.Intent = row.Intent
		}
		items[i] = it
	}
	c.Items = items
	return c
}

// digest tells a repetition from another wish under the same id.
func (c PlaceCommand) digest() ([]byte, error) {
	wish := []any{c.Customer}
	for _, it := range c.Items {
		wish = append(wish, it.Action, it.ListingID, it.ListingDigest, it.Quantity, string(it.Inputs), it.SubscriptionID)
		if row, _ := order.Usual(it.Action); it.Intent != row.Intent {
			wish = append(wish, it.Intent)
		}
	}
	raw, err := json.Marshal(wish)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

func field(i int) string { return fmt.Sprintf("items[%d]", i) }

// check refuses what no state of ours can make right.
func (c PlaceCommand) check() error {
	if len(c.Items) < 1 || len(c.Items) > order.MaxItems {
		return fault.New(fault.Invalid, "order_items", "an order has 1 to %d items", order.MaxItems).At("items")
	}
	about := make(map[string]int, len(c.Items))
	for i, it := range c.Items {
		row, taken := order.Meant(it.Action, it.Intent)
		switch {
		case !taken && it.Intent == "":
			return fault.New(fault.Invalid, "order_action_unknown", "action %q is not taken alone", it.Action).At(field(i) + ".action").
				Do("name an intent that goes with it")
		case !taken:
			return fault.New(fault.Invalid, "order_action_unknown", "action %q with intent %q is not taken", it.Action, it.Intent).At(field(i) + ".intent")
		}
		if row.Action == order.Add {
			continue
		}
		if first, twice := about[it.SubscriptionID]; twice {
			return fault.New(fault.Invalid, "order_items_overlap", "items %d and %d are about the same subscription", first, i).
				At(field(i) + ".subscription_id").Do("order one change of a subscription at a time")
		}
		about[it.SubscriptionID] = i
	}
	return nil
}

// Place takes a retail order. The same id and wish again returns the order as it stands; another wish is fault.Conflict
// order_id_conflict. While it is not proved that our books with a supplier are level its items are acknowledged and go on when they
// are; while they are behind an id that is not known is fault.Unavailable with reason books_behind, for it may have been placed before.
func (s *Service) Place(ctx context.Context, c PlaceCommand) (Order, error) {
	c = c.complete()
	digest, err := c.digest()
	if err != nil {
		return Order{}, fmt.Errorf("place order %s: %w", c.ID, err)
	}
	var placed Order
	send := dispatch.Sender{Outbox: s.Outbox}
	offers := s.Remembered
	ours := true
	err = unit.Fresh(func() error {
		made, err := s.place(ctx, c, digest, offers, &send)
		if err == nil {
			placed = *made
			return nil
		}
		offers = nil // a round that was lost was lost to a change
		// Whatever keeps it from being placed says nothing about an order that is placed already.
		have, there := s.placed(ctx, c, digest)
		if fault.Is(there, fault.NotFound) {
			return err
		}
		// It is what was made here where the answer to its commit was lost.
		placed, ours = have, made != nil && there == nil && made.same(have)
		return there
	})
	if err != nil {
		return Order{}, fmt.Errorf("place order %s: %w", c.ID, err)
	}
	if ours {
		s.Fail.Hit("retail.place.after_commit")
		send.Send()
	}
	return placed, nil
}

// same reports whether two orders send the same documents.
func (o Order) same(other Order) bool {
	return slices.EqualFunc(o.Items, other.Items, func(a, b Item) bool { return a.Document == b.Document })
}

// place makes a new order of the command. Beside an error there is what was made of it, if it came that far: it may be committed.
func (s *Service) place(ctx context.Context, c PlaceCommand, digest []byte, offers Offers, send *dispatch.Sender) (*Order, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p, err := s.prepare(ctx, c, digest, offers)
	if err != nil {
		return nil, err
	}
	s.Fail.Hit("retail.place.before_commit")
	if plant.On(plant.AnswerBeforeCommit) {
		return s.answerFirst(ctx, p), nil
	}
	pl := &placing{prepared: p, send: send}
	if err = s.placing.Do(ctx, p.partners(), pl, len(p.items), s.commit); err == nil {
		err = pl.refused
	}
	return &pl.order, err
}

// answerFirst is a planted bug: the portal has its answer before the order is committed.
func (s *Service) answerFirst(ctx context.Context, p prepared) *Order {
	first, send := p.order, &dispatch.Sender{Outbox: s.Outbox}
	first.Items = slices.Clone(p.order.Items)
	time.AfterFunc(500*time.Millisecond, func() {
		if s.placing.Do(context.WithoutCancel(ctx), p.partners(), &placing{prepared: p, send: send}, len(p.items), s.commit) == nil {
			send.Send()
		}
	})
	return &first
}

func (s *Service) placed(ctx context.Context, c PlaceCommand, digest []byte) (have Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		have, err = tx.RetailOrders().Get(c.Portal, c.ID)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		have, err = s.reclaim(ctx, c.Portal, c.Customer, c.ID)
	}
	if err != nil {
		return Order{}, err
	}
	if err := have.isErased(); err != nil {
		return Order{}, err
	}
	if len(have.RequestDigest) == 0 {
		return s.knows(ctx, have, c, digest)
	}
	return repeated(have, digest)
}

func repeated(have Order, digest []byte) (Order, error) {
	if !bytes.Equal(have.RequestDigest, digest) && !plant.On(plant.AnyOrderUnderAnID) {
		return Order{}, fault.New(fault.Conflict, "order_id_conflict", "order %s was placed with other content", have.ID).At("id").
			Do("use a new id for a new order")
	}
	return have, nil
}

// prepared is an order that only needs to be committed, with the facts that it was made of.
type prepared struct {
	order Order
	items []preparedItem
}

type preparedItem struct {
	// subscription is the new one, or the one that the item is about as it was read.
	subscription subscription.Subscription
	agreement    agreement.Agreement
	inputs       []byte
	// payload is that of the item's document.
	payload []byte
}

// prepare reads what the items are about, checks and prices them and signs their documents; nothing is written.
func (s *Service) prepare(ctx context.Context, c PlaceCommand, digest []byte, remembered Offers) (prepared, error) {
	now := s.Now().UTC()
	p := prepared{order: Order{Portal: c.Portal, ID: c.ID, Customer: c.Customer, RequestDigest: digest, PlacedAt: now, UpdatedAt: now}}
	for i, wish := range c.Items {
		row, _ := order.Meant(wish.Action, wish.Intent)
		it := Item{Item: order.Item{Action: row.Action, Intent: row.Intent}, CorrelationID: s.Correlate(c.Portal, c.ID, i)}
		d := order.Document{Type: signed.OrderV1, ID: it.CorrelationID, Action: row.Action, Intent: row.Intent}
		var made preparedItem
		var err error
		if row.Action == order.Add {
			made, err = s.prepareAdd(ctx, wish, &it, &d, remembered)
		} else {
			made, err = s.prepareChange(ctx, c, wish, &it, &d)
		}
		if err != nil {
			return prepared{}, fault.Under(field(i), err)
		}
		if row.Action == order.Add {
			made.subscription.Portal, made.subscription.Customer, made.subscription.OrderID = c.Portal, c.Customer, c.ID
			if err := s.leave(&it, &d, notes{Portal: c.Portal, Order: c.ID, Position: i, Items: len(c.Items)}); err != nil {
				return prepared{}, err
			}
		}
		if made.payload, err = s.sign(&it, &d, made, now); err != nil {
			return prepared{}, err
		}
		p.order.Items, p.items = append(p.order.Items, it), append(p.items, made)
	}
	return p, nil
}

func (s *Service) prepareAdd(ctx context.Context, wish ItemCommand, it *Item, d *order.Document, remembered Offers) (preparedItem, error) {
	offer, inputs, err := s.offered(ctx, wish, remembered)
	if err != nil {
		return preparedItem{}, err
	}
	terms := price.Terms{DiscountBP: offer.Agreement.Terms.WholesaleDiscountBP}
	list := offer.Document.PriceList()
	if it.Wholesale, err = list.Line(wish.Quantity, terms); err != nil {
		return preparedItem{}, err
	}
	terms.MarkupBP = offer.MarkupBP
	if it.Retail, err = list.Line(wish.Quantity, terms); err != nil {
		return preparedItem{}, err
	}
	it.Partner, it.AgreementID, it.OfferingID, it.Revision = offer.Partner, offer.Agreement.ID, offer.Foreign.ID, offer.Foreign.Revision
	it.ListingID, it.Name, it.Quantity = wish.ListingID, offer.Name, wish.Quantity
	it.SubscriptionID = order.SubscriptionID(it.CorrelationID)
	it.InputsSalt = make([]byte, 32)
	s.Rand(it.InputsSalt)

	d.Offering, d.Revision, d.OfferingSHA256 = offer.Foreign.ID, offer.Foreign.Revision, hex.EncodeToString(offer.Foreign.Digest[:])
	d.Quantity, d.InputsSHA256 = wish.Quantity, order.InputsDigest(it.InputsSalt, inputs)
	d.SetPrice(it.Wholesale, offer.Document.Currency)
	if plant.On(plant.KeepAnotherPrice) {
		it.Wholesale, _ = list.Line(wish.Quantity, price.Terms{})
	}
	return preparedItem{
		agreement: offer.Agreement, inputs: inputs,
		subscription: subscription.Subscription{
			ID: it.SubscriptionID, Side: subscription.Retail, Partner: offer.Partner, AgreementID: it.AgreementID,
			OfferingID: it.OfferingID, Revision: it.Revision, ListingID: it.ListingID, Name: it.Name, Quantity: it.Quantity, Price: it.Retail,
		},
	}, nil
}

// offered is what the wish is about, and the inputs as they are ordered. What is remembered refuses nobody.
func (s *Service) offered(ctx context.Context, wish ItemCommand, remembered Offers) (offer listing.Offer, inputs []byte, err error) {
	for _, offers := range []Offers{remembered, s.Offers} {
		if offers == nil {
			continue
		}
		if offer, err = offers.Offer(ctx, wish.ListingID); err != nil {
			continue
		}
		if inputs, err = s.checkAdd(wish, offer); err == nil {
			break
		}
	}
	return offer, inputs, err
}

// checkAdd returns the inputs as they are ordered: with the defaults of what the customer left out.
func (s *Service) checkAdd(wish ItemCommand, offer listing.Offer) (inputs []byte, err error) {
	switch {
	case !offer.Orderable:
		return nil, fault.New(fault.Precondition, "listing_not_orderable", "%s cannot be ordered now", offer.Name).At("listing_id")
	case wish.ListingDigest != "" && wish.ListingDigest != offer.Digest:
		return nil, fault.New(fault.Conflict, "listing_changed", "price or conditions of %s changed since the customer saw them", offer.Name).
			At("listing_digest").Do("show the listing again and let the customer confirm")
	case offer.Document.Most() == 1 && wish.Quantity != 1:
		return nil, fault.New(fault.Invalid, "quantity_range", "%s is sold one at a time", offer.Name).At("quantity").Do("order 1, or several items")
	case wish.Quantity < 1 || wish.Quantity > offer.Document.Most():
		return nil, fault.New(fault.Invalid, "quantity_range", "of %s one can order 1 to %d", offer.Name, offer.Document.Most()).At("quantity")
	case len(wish.Inputs) > order.MaxInputsBytes:
		return nil, fault.New(fault.Invalid, "inputs_too_large", "inputs take at most %d bytes", order.MaxInputsBytes).At("inputs")
	}
	inputs, err = s.Schemas.Complete(offer.Partner, offer.Document.Inputs, wish.Inputs)
	if fault.ReasonOf(err) == "schema_invalid" {
		return nil, fault.New(fault.Precondition, "listing_not_orderable", "%s cannot be ordered now: what it asks of a customer cannot be read", offer.Name).
			At("listing_id").Because(err)
	}
	return inputs, err
}

// prepareChange makes an item about a subscription that there is.
func (s *Service) prepareChange(ctx context.Context, c PlaceCommand, wish ItemCommand, it *Item, d *order.Document) (made preparedItem, err error) {
	missing := fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", wish.SubscriptionID).At("subscription_id")
	err = s.Work.View(ctx, func(tx Tx) error {
		if made.subscription, err = tx.Subscriptions().Get(subscription.RetailKey(wish.SubscriptionID)); err != nil {
			return err
		}
		made.agreement, err = tx.Agreements().Get(made.subscription.Partner, made.subscription.AgreementID)
		return err
	})
	sub := made.subscription
	switch {
	case fault.Is(err, fault.NotFound), err == nil && (sub.Portal != c.Portal || c.Customer != "" && sub.Customer != c.Customer):
		return preparedItem{}, missing
	case err != nil:
		return preparedItem{}, err
	case !it.Course().Allows(sub.State):
		return preparedItem{}, fault.New(fault.Precondition, "subscription_state", "subscription %s is %s", sub.ID, sub.State).At("subscription_id")
	}
	it.Partner, it.AgreementID, it.OfferingID, it.Revision = sub.Partner, sub.AgreementID, sub.OfferingID, sub.Revision
	it.ListingID, it.Name, it.Quantity, it.SubscriptionID = sub.ListingID, sub.Name, sub.Quantity, sub.ID
	return made, nil
}

const acceptWithin = 7 * 24 * time.Hour

// sign makes the document once and returns its payload; it never changes afterwards.
func (s *Service) sign(it *Item, d *order.Document, made preparedItem, now time.Time) (payload []byte, err error) {
	if payload, err = s.payload(it, d, made, now, s.within()); err == nil {
		it.Document, err = s.Signer.Sign(keys.Business, signed.Order, payload)
	}
	return payload, err
}

// payload completes the document and returns what is signed of it.
func (s *Service) payload(it *Item, d *order.Document, made preparedItem, now time.Time, within time.Duration) (payload []byte, err error) {
	sub := made.subscription
	d.Issuer, d.Audience, d.Subscription = s.Self, it.Partner, it.SubscriptionID
	d.PlacedAt, d.AcceptBy = now.Format(time.RFC3339), now.Add(within).Format(time.RFC3339)
	d.Agreement, d.AgreementSHA256 = made.agreement.ID, hex.EncodeToString(made.agreement.Digest[:])
	if d.Customer = sub.Pseudonym; d.Customer == "" { // what was rebuilt has it from its document, also while nobody knows whose it is
		d.Customer = s.Pseudonym(it.Partner, sub.Portal, sub.Customer)
	}
	if payload, err = json.Marshal(d); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(payload)
	it.PayloadDigest = sum[:]
	return payload, nil
}

// partners are those of the items, as one text.
func (p prepared) partners() string {
	all := make([]string, len(p.order.Items))
	for i, it := range p.order.Items {
		all[i] = it.Partner
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// Rotate orders new access data for a customer's subscription, as its portal may, under an id of the caller's. Errors as of Place; fault.NotFound
// subscription_not_found; fault.Precondition subscription_unclaimed where it was rebuilt and no portal has named its order, and its customer, since.
func (s *Service) Rotate(ctx context.Context, id, orderID string) (Order, error) {
	var sub subscription.Subscription
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		sub, err = tx.Subscriptions().Get(subscription.RetailKey(id))
		return err
	})
	if err == nil && (sub.Portal == "" || sub.Customer == "" && sub.Pseudonym != "") {
		err = fault.New(fault.Precondition, "subscription_unclaimed", "subscription %s was read back from its supplier, and it is not known whose it is", id).At("subscription_id").
			Do("let the portal repeat the order that made it")
	}
	if err != nil {
		return Order{}, fmt.Errorf("rotate the access data of %s: %w", id, err)
	}
	return s.Place(ctx, PlaceCommand{
		Portal: sub.Portal, Customer: sub.Customer, ID: orderID,
		Items: []ItemCommand{{Action: order.Modify, Intent: order.Rotate, SubscriptionID: id}},
	})
}
