package retail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Recalled is an order document of ours that a supplier gave back: our signature over it is verified, and our own log names its digest.
type Recalled struct {
	JWS     string
	Payload []byte
	// Inputs and InputsSalt are those of a purchase; nil where the supplier keeps none any more.
	Inputs, InputsSalt []byte
	// Escrow is what we left beside it.
	Escrow []byte
	// Erased says that the order was erased since, by our own log.
	Erased bool

	document order.Document
	// notes are what the escrow says, nil where there is none that we can read; why not says lacks, where there was one.
	notes *notes
	lacks error
	// name is what the listing says now; retail what the escrow says was sold, or else what the listing says now.
	name   string
	retail price.Line
}

// PartlyError says of what was rebuilt that nobody gave a part of it back.
type PartlyError struct{ error }

func (e PartlyError) Unwrap() error { return e.error }

func partly(err error) error {
	if err == nil {
		return nil
	}
	return PartlyError{err}
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
	if r.Erased { // what a supplier that was not asked yet gives back all the same is not taken
		r.Inputs, r.InputsSalt, r.Escrow = nil, nil, nil
	} else {
		r.notes, r.lacks = s.unseal(d, r.Escrow)
	}
	if r.notes != nil {
		r.retail = r.notes.price()
	}
	offer, err := s.Offers.Offer(ctx, r.listing(partner))
	switch {
	case fault.Is(err, fault.NotFound): // it is not sold any more; the wholesale price is the least that the customer owes
		return r, nil
	case err != nil: // an outage of ours says nothing about it
		return r, fault.New(fault.Unavailable, "listing_unreadable", "the listing of %s cannot be read now", d.Offering).Because(err)
	}
	if r.name = offer.Name; r.notes != nil {
		return r, nil
	}
	terms := price.Terms{DiscountBP: offer.Agreement.Terms.WholesaleDiscountBP, MarkupBP: offer.MarkupBP}
	if line, err := offer.Document.PriceList().Line(d.Quantity, terms); err == nil && offer.Foreign.Revision == d.Revision {
		r.retail = line
	}
	return r, nil
}

// unseal reads what we left beside a purchase: nothing where we left nothing, and where it is not what its document names, does not open, or is
// about another order.
func (s *Service) unseal(d order.Document, escrow []byte) (*notes, error) {
	switch {
	case d.EscrowSHA256 == "" || s.Escrow == nil:
		return nil, nil
	case len(escrow) == 0:
		return nil, fault.New(fault.Invalid, "escrow_not_given_back", "the supplier has not given back the escrow beside order %s", d.ID)
	case signed.Digest(escrow) != d.EscrowSHA256:
		return nil, fault.New(fault.Invalid, reasonEscrow, "what the supplier gives back beside order %s is not the escrow that it names", d.ID)
	}
	n, err := s.Escrow.open(escrow)
	if err == nil && s.Correlate(n.Portal, n.Order, n.Position) != d.ID {
		err = fault.New(fault.Invalid, reasonEscrow, "the escrow beside order %s is about another", d.ID)
	}
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// listing is the one that was sold, or as which its offering is sold now.
func (r Recalled) listing(partner string) string {
	if r.notes != nil {
		return r.notes.Listing
	}
	return catalog.ListingID(partner, r.document.Offering)
}

// Recovered reports whether an order was rebuilt from its document and no portal has named it yet: its id is that of its item. See Claim.
func (o Order) Recovered() bool {
	return len(o.RequestDigest) == 0 && len(o.Items) > 0 && o.ID == o.Items[0].CorrelationID
}

// Recover rebuilds the item that an entry of our own log placed, as it was when it was signed; what became of it the supplier's log says,
// whose entries are applied after it. An item that was acknowledged unsigned meanwhile, under the same id, is what was signed before: the
// document that came back wins. A PartlyError says that it was rebuilt without its escrow.
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
	case o.Items[i].missing():
		return s.comesBack(tx, e, o, i, r)
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
		CorrelationID: d.ID, Partner: partner, Retail: r.retail, Escrow: r.Escrow,
	}
}

func (r Recalled) subscription(it Item) subscription.Subscription {
	return subscription.Subscription{
		ID: it.SubscriptionID, Side: subscription.Retail, Partner: it.Partner, Pseudonym: r.document.Customer, OrderID: it.CorrelationID,
		AgreementID: it.AgreementID, OfferingID: it.OfferingID, Revision: it.Revision, ListingID: it.ListingID, Name: it.Name,
		Quantity: it.Quantity, Price: it.Retail,
	}
}

// rebuild makes the item's order again: under its portal and id where its escrow says them, with all of its items, of which those that are not
// back yet wait. Without one it is an order of its own: to which order of which portal it belongs is known when another of its items says
// so, or the portal names it.
func (s *Service) rebuild(tx Tx, e ledger.Entry, r Recalled) error {
	placed, err := signed.ParseTime(r.document.PlacedAt)
	if err != nil {
		return err
	}
	alone := Order{ID: r.document.ID, PlacedAt: placed, Items: []Item{{CorrelationID: r.document.ID}}}
	if r.notes == nil {
		return s.comesBack(tx, e, alone, 0, r)
	}
	o, err := s.whole(tx, *r.notes, placed)
	switch {
	case fault.Is(err, fault.Conflict): // the portal has used its id again meanwhile
		r.lacks = err
		return s.comesBack(tx, e, alone, 0, r)
	case err != nil:
		return err
	}
	return s.comesBack(tx, e, o, r.notes.Position, r)
}

// whole is the order that notes are about, with those of its items that came back without knowing where they belong. The others wait,
// until every partner has given back what it keeps.
func (s *Service) whole(tx Tx, n notes, placed time.Time) (Order, error) {
	another := fault.New(fault.Conflict, "order_contradiction", "this store has another order %s of portal %s", n.Order, n.Portal)
	if _, err := tx.RetailOrders().Get(n.Portal, n.Order); !fault.Is(err, fault.NotFound) {
		return Order{}, errors.Join(err, another)
	}
	now := s.Now().UTC()
	o := Order{Portal: n.Portal, ID: n.Order, PlacedAt: placed, UpdatedAt: now, Items: make([]Item, n.Items)}
	for p := range o.Items {
		o.Items[p].CorrelationID = s.Correlate(n.Portal, n.Order, p)
		part, i, err := tx.RetailOrders().ByCorrelation(o.Items[p].CorrelationID)
		switch {
		case fault.Is(err, fault.NotFound):
			if p == n.Position {
				continue
			}
			if o, err = o.move(p, now, order.PendingRebuilding, reasonRebuilding, ""); err != nil {
				return Order{}, err
			}
		case err != nil:
			return Order{}, err
		case !part.Recovered() || part.Portal != "" && part.Portal != n.Portal:
			return Order{}, another
		default:
			if o.Customer == "" && o.ErasedAt.IsZero() {
				o.Customer = part.Customer
			}
			o.erasedAs(part)
			if o.Items[p], err = s.takePart(tx, part, i, o); err != nil {
				return Order{}, err
			}
		}
	}
	if n.Items == 1 {
		return o, nil
	}
	return o, tx.Jobs().At(JobRebuild, o.Items[0].CorrelationID, "", now)
}

// takePart takes an item out of the order that was made of it alone, into the one that it belongs to.
func (s *Service) takePart(tx Tx, part Order, i int, o Order) (it Item, err error) {
	it = part.Items[i]
	if it.Escrow, err = tx.RetailOrders().Escrow(it.CorrelationID); err != nil {
		return it, err
	}
	if err := tx.RetailOrders().Take(part); err != nil {
		return it, err
	}
	return it, claimSubscription(tx, it, o)
}

// erasedAs takes over that a part of an order was erased: all of it was.
func (o *Order) erasedAs(part Order) {
	if !part.ErasedAt.IsZero() {
		o.Customer, o.RequestDigest, o.ErasedAt = "", nil, part.ErasedAt
	}
}

// missing reports whether nothing of the item has come back, or had when everybody was asked.
func (i Item) missing() bool { return i.Partner == "" }

// comesBack makes the i-th item of an order as it was signed.
func (s *Service) comesBack(tx Tx, e ledger.Entry, o Order, i int, r Recalled) error {
	placed, err := signed.ParseTime(r.document.PlacedAt)
	if err != nil {
		return err
	}
	erased := r.Erased || !o.ErasedAt.IsZero() // by another partner's log: all of an order is
	if erased {
		r.Inputs, r.InputsSalt, r.Escrow = nil, nil, nil
	}
	it, at := r.item(e.Partner), placed
	if was := o.Items[i]; len(was.Events) > 0 {
		it.State, it.Events, at = was.State, was.Events, s.Now().UTC()
		if it.State.Ended() { // it was taken for lost
			it.State = ""
		}
	}
	var sub subscription.Subscription
	if it.Action == order.Add {
		it.ListingID = r.listing(e.Partner)
		sub = r.subscription(it)
		if o.Portal != "" {
			sub.Portal, sub.OrderID = o.Portal, o.ID
			if o.Customer != "" && s.Pseudonym(e.Partner, o.Portal, o.Customer) == sub.Pseudonym {
				sub.Customer = o.Customer
			}
		}
	} else {
		if sub, err = tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID)); err != nil {
			return err
		}
		it = it.of(sub)
		if o.Version == 0 && o.Portal == "" {
			o.Portal, o.Customer = sub.Portal, sub.Customer
		}
	}
	// A later life tells again what was ordered about a subscription before both ended it, which a copy from before that has ended already: what
	// became of the order its supplier tells again too, or that end does.
	if told := it.Action != order.Add && e.Life > 0 && sub.State.Ended(); !told {
		if sub, err = subscription.Begin(tx, sub, it.Course(), placed); err != nil {
			return err
		}
	}
	if r.Inputs != nil {
		if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
			return err
		}
	}
	if it.Item, err = it.Move(at, order.Acknowledged, "", "", order.Source(e)); err != nil {
		return err
	}
	if erased && o.ErasedAt.IsZero() {
		o.Customer, o.RequestDigest, o.ErasedAt = "", nil, s.Now().UTC()
	}
	if err := s.putItem(tx, o, i, it); err != nil {
		return err
	}
	if erased {
		if err := s.forgetRebuilt(tx, it.CorrelationID); err != nil {
			return err
		}
	}
	if err := s.resend(tx, it, JobSubmit); err != nil {
		return err
	}
	return partly(r.lacks)
}

// putItem writes an order with one item that came back.
func (s *Service) putItem(tx Tx, o Order, i int, it Item) error {
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, s.Now().UTC()
	_, err := tx.RetailOrders().Put(o)
	if err != nil || o.Version == 0 || it.Escrow == nil { // a new one is written with it
		return err
	}
	return tx.RetailOrders().PutEscrow(it.CorrelationID, it.Escrow)
}

// Rebuilt is the handler of JobRebuild: when every partner has given back what it keeps, what is still missing of an order is lost. Nobody
// carries it out, for whoever decided it would have said so. Of a partner for whom somebody vouched, and who has not answered since, that is
// not known: an operator says then what becomes of it.
func (s *Service) Rebuilt(ctx context.Context, j job.Job) error {
	var waits, silent []string
	var lost []int
	look := func(tx Tx) (o Order, err error) {
		if o, _, err = tx.RetailOrders().ByCorrelation(j.Key); err != nil {
			return o, err
		}
		lost = lost[:0]
		for i, it := range o.Items {
			if it.State == order.PendingRebuilding {
				lost = append(lost, i)
			}
		}
		uneven, err := tx.Ledger().Uneven()
		if err != nil {
			return o, err
		}
		waits = slices.Sorted(maps.Keys(uneven))
		silent, err = unheard(tx)
		return o, err
	}
	var o Order
	err := s.Work.View(ctx, func(tx Tx) (err error) { o, err = look(tx); return err })
	switch {
	case err != nil:
		return err
	case len(lost) == 0:
		return nil
	case len(waits) > 0:
		return job.Again(rebuildPause, fault.New(fault.Unavailable, reasonRebuilding, "a part of the order has not come back; it waits for the books with %s", strings.Join(waits, ", ")))
	case len(silent) > 0:
		return &job.ParkError{Err: fault.New(fault.Unavailable, reasonRebuilding,
			"a part of order %s has not come back, and %s, for whom somebody vouched, never said whether it has it: once it answered, hanse job retry %d; where it never will, hanse order abandon %s --reason TEXT tells the customer that the part is lost",
			o.ID, strings.Join(silent, ", "), j.ID, o.ID)}
	}
	err = job.Done(ctx, s.Work, j, func(tx Tx) (err error) {
		if o, err = look(tx); err != nil || len(waits) > 0 || len(silent) > 0 {
			return errors.Join(err, unit.ErrStale)
		}
		for _, i := range lost {
			if o, err = o.move(i, s.Now().UTC(), order.Failed, reasonLost, ""); err != nil {
				return err
			}
		}
		_, err = tx.RetailOrders().Put(o)
		return err
	})
	if errors.Is(err, job.ErrFinished) && s.Logger != nil {
		s.Logger.Error("nobody gave back a part of an order that was acknowledged: nobody carries it out", "portal", o.Portal, "order", o.ID, "items", len(lost))
	}
	return err
}

// unheard are the partners whose books are level on somebody's word alone.
func unheard(tx Tx) (silent []string, err error) {
	partners, err := tx.Ledger().Kept()
	if err != nil {
		return nil, err
	}
	for _, partner := range partners {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return nil, err
		}
		if !books.Vouched.At.IsZero() {
			silent = append(silent, partner)
		}
	}
	slices.Sort(silent)
	return silent, nil
}

// rebuildPause is how often it is looked whether the partners have answered.
const rebuildPause = 15 * time.Second
