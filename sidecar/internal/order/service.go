package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Orders() Store
	Subscriptions() subscription.Store
	Agreements() agreement.Store
	Partners() member.Store
	Catalog() catalog.Store
	Cursors() catalog.CursorStore
	Ledger() ledger.Store
	Jobs() job.Store
}

// Offer is one listing with what is behind it, as it stands now.
type Offer struct {
	ListingID string
	// Name and Digest are what the customer saw.
	Name   string
	Digest string
	// MarkupBP is the reseller's markup that applies.
	MarkupBP  int32
	Orderable bool
	Partner   string
	Foreign   catalog.Foreign
	Document  catalog.Document
	Agreement agreement.Agreement
}

// Offers finds what a listing stands for; fault.NotFound with reason listing_not_found.
type Offers interface {
	Offer(ctx context.Context, listingID string) (Offer, error)
}

// Submission is one PlaceOrder command.
type Submission struct {
	Partner     string
	AgreementID string
	Document    string
	Inputs      []byte
	InputsSalt  []byte
}

// Receipt is the supplier's answer: its ledger entry and the checkpoint signed after the commit.
type Receipt struct {
	Entry      []byte
	Checkpoint string
}

// Link sends the command. An error of kind Unavailable, Exhausted, Unauthenticated or Internal is no decision.
type Link interface {
	PlaceOrder(ctx context.Context, s Submission) (Receipt, error)
}

// Job kinds.
const (
	JobSubmit      = "order.submit"
	JobProvision   = "order.provision"
	JobAccessFetch = "access.fetch"
)

// Service takes retail orders, submits them and receives resale orders.
type Service struct {
	Self    string
	Work    unit.Work[Tx]
	Offers  Offers
	Schemas *recipe.Schemas
	Link    Link
	Book    *ledger.Book
	Signer  signed.Signer
	// Pseudonym hides a customer from a partner.
	Pseudonym func(partner, portal, customer string) string
	// Away tells whether a partner cannot be reached now; nil is never.
	Away func(partner string) bool
	// AcceptWithin is how long a supplier may take to decide, by its own clock; 0 is 7 days.
	AcceptWithin time.Duration
	Now          func() time.Time
	NewID        func() string
	Rand         func([]byte)
	Fail         *failpoint.Points
}

// PlaceCommand is a portal's wish.
type PlaceCommand struct {
	Portal   string
	Customer string
	ID       string
	Action   Action
	// ListingID, ListingDigest (may be empty), Quantity (0 is 1) and Inputs (JSON object) belong to Add.
	ListingID     string
	ListingDigest string
	Quantity      int64
	Inputs        []byte
	// SubscriptionID belongs to Delete.
	SubscriptionID string
}

// digest tells a repetition from another wish under the same id.
func (c PlaceCommand) digest() []byte {
	return marshalDigest([]any{c.Customer, c.Action, c.ListingID, c.ListingDigest, c.Quantity, string(c.Inputs), c.SubscriptionID})
}

// Place takes a retail order. The same id and wish again answers with the order as it stands; another wish is
// fault.Conflict order_id_conflict.
func (s *Service) Place(ctx context.Context, c PlaceCommand) (Order, error) {
	if c.Quantity == 0 && c.Action == Add {
		c.Quantity = 1
	}
	if len(c.Inputs) == 0 {
		c.Inputs = []byte("{}")
	}
	have, err := s.placed(ctx, c)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return have, err
	}
	var p prepared
	switch c.Action {
	case Add:
		p, err = s.prepareAdd(ctx, c)
	case Delete:
		p, err = s.prepareDelete(ctx, c)
	default:
		err = fault.New(fault.Invalid, "order_action_unknown", "action %q is not taken yet", c.Action).At("items[0].action")
	}
	if err != nil {
		return Order{}, fmt.Errorf("place order %s: %w", c.ID, err)
	}
	if err := s.sign(&p); err != nil {
		return Order{}, fmt.Errorf("place order %s: %w", c.ID, err)
	}
	s.Fail.Hit("retail.place.before_commit")
	var out Order
	err = s.Work.Do(ctx, func(tx Tx) error {
		// Somebody may have been faster with the same id.
		if have, err := tx.Orders().Get(Retail, c.Portal+"/"+c.ID); err == nil {
			out, err = repeated(have, c)
			return err
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		out, err = s.commitPlaced(tx, p)
		return err
	})
	if err != nil {
		return Order{}, fmt.Errorf("place order %s: %w", c.ID, err)
	}
	s.Fail.Hit("retail.place.after_commit")
	return out, nil
}

func (s *Service) placed(ctx context.Context, c PlaceCommand) (out Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		have, err := tx.Orders().Get(Retail, c.Portal+"/"+c.ID)
		if err != nil {
			return err
		}
		out, err = repeated(have, c)
		return err
	})
	return out, err
}

func repeated(have Order, c PlaceCommand) (Order, error) {
	if !bytes.Equal(have.RequestDigest, c.digest()) {
		return Order{}, fault.New(fault.Conflict, "order_id_conflict", "order %s was placed with other content", c.ID).At("id").
			Do("use a new id for a new order")
	}
	return have, nil
}

// prepared is an order that only needs to be signed and committed.
type prepared struct {
	order    Order
	document Document
	sub      subscription.Subscription
	inputs   []byte
}

func (s *Service) prepareAdd(ctx context.Context, c PlaceCommand) (prepared, error) {
	offer, err := s.Offers.Offer(ctx, c.ListingID)
	if err != nil {
		return prepared{}, err
	}
	if !offer.Orderable {
		return prepared{}, fault.New(fault.Precondition, "listing_not_orderable", "%s cannot be ordered now", offer.Name).At("items[0].listing_id")
	}
	if c.ListingDigest != "" && c.ListingDigest != offer.Digest {
		return prepared{}, fault.New(fault.Conflict, "listing_changed", "price or conditions of %s changed since the customer saw them", offer.Name).
			At("items[0].listing_digest").Do("show the listing again and let the customer confirm")
	}
	if c.Quantity < 1 || c.Quantity > MaxQuantity {
		return prepared{}, fault.New(fault.Invalid, "quantity_range", "a quantity is 1 to %d", MaxQuantity).At("items[0].quantity")
	}
	if len(c.Inputs) > MaxInputsBytes {
		return prepared{}, fault.New(fault.Invalid, "inputs_too_large", "inputs take at most %d bytes", MaxInputsBytes).At("items[0].inputs")
	}
	if err := s.Schemas.ValidateInputs(offer.Document.Inputs, c.Inputs); err != nil {
		return prepared{}, err
	}
	terms := offer.Agreement.Terms
	wholesale, err := catalog.PriceLine(offer.Document, c.Quantity, terms.WholesaleDiscountBP, 0)
	if err != nil {
		return prepared{}, err
	}
	retail, err := catalog.PriceLine(offer.Document, c.Quantity, terms.WholesaleDiscountBP, offer.MarkupBP)
	if err != nil {
		return prepared{}, err
	}
	p := s.begin(c, offer.Partner)
	p.inputs = c.Inputs
	p.order.AgreementID, p.order.OfferingID, p.order.Revision = offer.Agreement.ID, offer.Foreign.ID, offer.Foreign.Revision
	p.order.ListingID, p.order.Name, p.order.Quantity, p.order.Intent = c.ListingID, offer.Name, c.Quantity, Purchase
	p.order.SubscriptionID = SubscriptionID(p.order.CorrelationID)
	p.order.WholesaleOneOff, p.order.WholesaleRecurring = wholesale.OneOff, wholesale.Recurring
	p.order.RetailOneOff, p.order.RetailRecurring, p.order.Period = retail.OneOff, retail.Recurring, retail.Period
	p.order.InputsSalt = make([]byte, 32)
	s.Rand(p.order.InputsSalt)

	p.document.AgreementSHA256 = hex.EncodeToString(offer.Agreement.Digest[:])
	p.document.Offering, p.document.Revision = offer.Foreign.ID, offer.Foreign.Revision
	p.document.OfferingSHA256 = hex.EncodeToString(offer.Foreign.Digest[:])
	p.document.Quantity = c.Quantity
	p.document.InputsSHA256 = InputsDigest(p.order.InputsSalt, c.Inputs)
	p.document.setPrice(wholesale, offer.Document.Currency)

	p.sub, err = subscription.Subscription{
		ID: p.order.SubscriptionID, Side: subscription.Retail, Partner: offer.Partner, Portal: c.Portal, Customer: c.Customer,
		OrderID: c.ID, AgreementID: p.order.AgreementID, OfferingID: p.order.OfferingID, Revision: p.order.Revision,
		ListingID: c.ListingID, Name: offer.Name, Quantity: c.Quantity, OneOff: retail.OneOff, Recurring: retail.Recurring,
		Period: retail.Period, CreatedAt: p.order.PlacedAt, UpdatedAt: p.order.PlacedAt,
	}.Move(subscription.PendingActive)
	return p, err
}

func (s *Service) prepareDelete(ctx context.Context, c PlaceCommand) (prepared, error) {
	var sub subscription.Subscription
	var a agreement.Agreement
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if sub, err = tx.Subscriptions().Get(subscription.Retail, c.SubscriptionID); err != nil {
			return err
		}
		if sub.Portal != c.Portal || (c.Customer != "" && sub.Customer != c.Customer) {
			return fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", c.SubscriptionID)
		}
		a, err = tx.Agreements().Get(sub.AgreementID)
		return err
	})
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return prepared{}, fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", c.SubscriptionID).At("items[0].subscription_id")
		}
		return prepared{}, err
	}
	if sub.State != subscription.Active && sub.State != subscription.Suspended {
		return prepared{}, fault.New(fault.Precondition, "subscription_state", "subscription %s is %s", sub.ID, sub.State).At("items[0].subscription_id")
	}
	p := s.begin(c, sub.Partner)
	p.order.Customer, p.order.Intent = sub.Customer, Terminate
	p.order.AgreementID, p.order.OfferingID, p.order.Revision = sub.AgreementID, sub.OfferingID, sub.Revision
	p.order.ListingID, p.order.Name, p.order.Quantity = sub.ListingID, sub.Name, sub.Quantity
	p.order.SubscriptionID = sub.ID
	p.document.Customer = s.Pseudonym(sub.Partner, c.Portal, sub.Customer)
	p.document.AgreementSHA256 = hex.EncodeToString(a.Digest[:])
	p.sub, err = sub.Move(subscription.PendingTerminate)
	p.sub.UpdatedAt = p.order.PlacedAt
	return p, err
}

func (s *Service) begin(c PlaceCommand, partner string) prepared {
	now := s.Now().UTC()
	within := s.AcceptWithin
	if within == 0 {
		within = 7 * 24 * time.Hour
	}
	id := s.NewID()
	return prepared{
		order: Order{
			Side: Retail, ID: c.ID, CorrelationID: id, Partner: partner, Portal: c.Portal, Customer: c.Customer,
			Action: c.Action, RequestDigest: c.digest(), PlacedAt: now, UpdatedAt: now,
		},
		document: Document{
			Issuer: s.Self, Audience: partner, ID: id, Action: c.Action,
			PlacedAt: now.Format(time.RFC3339), AcceptBy: now.Add(within).Format(time.RFC3339),
			Customer: s.Pseudonym(partner, c.Portal, c.Customer),
		},
	}
}

// sign makes the document once; it never changes afterwards.
func (s *Service) sign(p *prepared) error {
	p.document.Agreement, p.document.Subscription, p.document.Intent = p.order.AgreementID, p.order.SubscriptionID, p.order.Intent
	payload, err := json.Marshal(p.document)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(payload)
	p.order.PayloadDigest = sum[:]
	p.order.Document, err = s.Signer.Sign(keys.Business, signed.Order, payload)
	return err
}

// commitPlaced writes the order, its subscription, the inputs, the ledger entry and the job.
func (s *Service) commitPlaced(tx Tx, p prepared) (Order, error) {
	if p.order.Action == Delete {
		// The subscription may have moved since it was read.
		sub, err := tx.Subscriptions().Get(subscription.Retail, p.sub.ID)
		if err != nil {
			return Order{}, err
		}
		if sub, err = sub.Move(subscription.PendingTerminate); err != nil {
			return Order{}, err
		}
		if sub.Version != p.sub.Version {
			return Order{}, fault.New(fault.Conflict, "subscription_changed", "subscription %s changed meanwhile", sub.ID).Do("try again")
		}
	}
	entry, err := s.Book.Append(tx, p.order.Partner, ledger.OrderPlaced, p.order.CorrelationID, entryBody{
		Order: p.order.CorrelationID, DocumentSHA256: hex.EncodeToString(p.order.PayloadDigest), Agreement: p.order.AgreementID,
		Subscription: p.order.SubscriptionID, Action: p.order.Action,
	})
	if err != nil {
		return Order{}, err
	}
	o, err := p.order.Move(p.order.PlacedAt, Acknowledged, "", "", source(entry))
	if err != nil {
		return Order{}, err
	}
	if _, err := tx.Subscriptions().Put(p.sub); err != nil {
		return Order{}, err
	}
	if p.order.Action == Add {
		if err := tx.Subscriptions().PutSecret(subscription.Retail, p.sub.ID, subscription.SecretInputs, p.inputs); err != nil {
			return Order{}, err
		}
	}
	if err := tx.Jobs().Enqueue(JobSubmit, o.CorrelationID, o.Partner, o.PlacedAt); err != nil {
		return Order{}, err
	}
	return tx.Orders().Put(o)
}

func source(e ledger.Entry) string {
	if e.Direction == ledger.Theirs {
		return fmt.Sprintf("their ledger %d", e.Seq)
	}
	return fmt.Sprintf("own ledger %d", e.Seq)
}

// Get reads a portal's order; with a customer, only that customer's. fault.NotFound.
func (s *Service) Get(ctx context.Context, portal, customer, id string) (o Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		o, err = tx.Orders().Get(Retail, portal+"/"+id)
		if err == nil && customer != "" && o.Customer != customer {
			return notFound(id)
		}
		return err
	})
	return s.asNow(o), err
}

// asNow adds what is true at the moment and not worth a record: an order under way waits when its supplier is away.
func (s *Service) asNow(o Order) Order {
	if o.Side == Retail && o.State == InProgress && s.Away != nil && s.Away(o.Partner) {
		o.Reason, o.Message = reasonUnreachable, textUnreachable
	}
	return o
}

// List pages through a portal's orders, newest first.
func (s *Service) List(ctx context.Context, portal, customer, pageToken string, limit int) (list []Order, next string, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.Orders().OfCustomer(portal, customer, pageToken, limit)
		return err
	})
	for i := range list {
		list[i] = s.asNow(list[i])
	}
	return list, next, err
}

// All pages through the orders of a side ("" is both) for the operator.
func (s *Service) All(ctx context.Context, side Side, openOnly bool, pageToken string, limit int) (list []Order, next string, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, next, err = tx.Orders().List(side, openOnly, pageToken, limit)
		return err
	})
	return list, next, err
}

// Find looks for an order id or correlation id on both sides; fault.NotFound.
func (s *Service) Find(ctx context.Context, id string) (list []Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Orders().Find(id)
		return err
	})
	if err == nil && len(list) == 0 {
		return nil, notFound(id)
	}
	return list, err
}

func notFound(id string) error {
	return fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
}

// Amounts of an order's line as its side sees them.
func (o Order) Amounts() (oneOff, recurring *money.Amount) {
	if o.Side == Retail {
		return o.RetailOneOff, o.RetailRecurring
	}
	return o.WholesaleOneOff, o.WholesaleRecurring
}
