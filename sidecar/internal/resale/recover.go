package resale

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// JobLook asks the platform whether what a rebuilt subscription stands for is there; its partner and key are the order's.
const JobLook = "order.look"

// Recalled is an order document that a reseller gave back: its signature is verified, and our own log names its digest. The zero value is
// none.
type Recalled struct {
	JWS     string
	Payload []byte
	Attachments
}

// Recover brings an order to where an entry of our own log had brought it: nothing is signed or appended, for it was. Work that was under
// way goes on by its job, which may have begun before.
func (s *Service) Recover(tx Tx, e ledger.Entry, r Recalled) error {
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	o, err := tx.ResaleOrders().Get(e.Partner, b.Order)
	missing := fault.Is(err, fault.NotFound)
	switch {
	case err != nil && !missing:
		return err
	case e.Kind == ledger.OrderAccepted, e.Kind == ledger.OrderRejected:
		if !missing {
			return sameDocument(o, b)
		}
		return s.redecide(tx, e, b, r)
	case e.Kind == ledger.CancelRefused:
		return nil // it moved nothing
	case missing && e.Kind == ledger.OrderCancelled:
		return nil // the cancel came before its order
	case missing:
		return err
	}
	return s.follow(tx, e, b, o)
}

func sameDocument(o Order, b order.Body) error {
	if hex.EncodeToString(o.PayloadDigest) != b.DocumentSHA256 {
		return fault.New(fault.Conflict, "order_contradiction", "this store has another document of order %s", b.Order)
	}
	return nil
}

// redecide makes the order of its document as it was decided.
func (s *Service) redecide(tx Tx, e ledger.Entry, b order.Body, r Recalled) error {
	d, _, err := order.ParseDocument(r.Payload)
	if err != nil {
		return err
	}
	if d.Issuer != e.Partner || d.Audience != s.Self || d.ID != b.Order || d.Subscription != e.Subject {
		return fault.New(fault.Invalid, "document_mismatch", "the document is about another order than entry %s", e.Position())
	}
	digest := sha256.Sum256(r.Payload)
	o := Order{
		Item: order.Item{
			Action: d.Action, Intent: d.Intent, AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: d.Offering,
			Quantity: d.Quantity, SubscriptionID: d.Subscription, Wholesale: d.Price(), Document: r.JWS, PayloadDigest: digest[:], InputsSalt: r.InputsSalt,
		},
		Partner: e.Partner, ID: d.ID, PlacedAt: e.At, UpdatedAt: e.At,
	}
	if e.Kind == ledger.OrderRejected {
		return s.moved(tx, o, order.Rejected, e, b)
	}
	sub := subscription.Subscription{
		ID: d.Subscription, Side: subscription.Resale, Partner: e.Partner, Pseudonym: d.Customer, OrderID: d.ID, AgreementID: d.Agreement,
		OfferingID: d.Offering, Revision: d.Revision, Quantity: d.Quantity, Price: d.Price(),
	}
	if d.Action == order.Add {
		if err := s.describe(tx, d, &o, &sub); err != nil {
			return err
		}
	} else {
		if sub, err = tx.Subscriptions().Get(o.Subscription()); err != nil {
			return err
		}
		o.OfferingID, o.Revision, o.Name = sub.OfferingID, sub.Revision, sub.Name
	}
	if sub, err = subscription.Begin(tx, sub, o.Course(), e.At); err != nil {
		return err
	}
	if d.Action == order.Add && order.InputsDigest(r.InputsSalt, r.Inputs) == d.InputsSHA256 {
		if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
			return err
		}
	}
	if err := tx.Jobs().At(JobProvision, d.ID, e.Partner, s.Now().UTC()); err != nil {
		return err
	}
	return s.moved(tx, o, order.InProgress, e, b)
}

// describe adds what stands in the offering's revision: its name, how it is made, and the price. Where the revision is not there, its operator
// may still apply it: its name is that of the offering until then, the price is the document's, and how it is made Recipe finds when that is
// wanted.
func (s *Service) describe(tx Tx, d order.Document, o *Order, sub *subscription.Subscription) error {
	a, err := tx.Agreements().Get(s.Self, o.AgreementID)
	if err != nil {
		return err
	}
	offering, err := tx.Catalog().Revision(o.OfferingID, o.Revision)
	if fault.Is(err, fault.NotFound) || err == nil && hex.EncodeToString(offering.Digest[:]) != d.OfferingSHA256 {
		sub.Name = o.Name
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := s.Documents.Of(o.OfferingID, o.Revision, func() (catalog.Offering, error) { return offering, nil })
	if err != nil {
		return err
	}
	o.Name, sub.Name, sub.Binding = doc.Name, doc.Name, offering.Binding
	if line, err := doc.PriceList().Line(o.Quantity, price.Terms{DiscountBP: a.Terms.WholesaleDiscountBP}); err == nil {
		sub.Price = line
	}
	return nil
}

// ends are the states that entries of our own log moved an order to, after it was accepted.
var ends = map[ledger.Kind]order.State{
	ledger.OrderHeld: order.HeldIndeterminate, ledger.OrderCompleted: order.Completed, ledger.OrderFailed: order.Failed,
	ledger.OrderCancelled: order.Cancelled,
}

// follow moves an order that there is, its subscription and its work.
func (s *Service) follow(tx Tx, e ledger.Entry, b order.Body, o Order) error {
	to := ends[e.Kind]
	if o.State == to {
		return nil
	}
	switch to {
	case order.HeldIndeterminate:
		if err := parkWork(tx, o); err != nil {
			return err
		}
		return s.moved(tx, o, to, e, b)
	case order.Completed:
		if err := s.finish(tx, o, b, e); err != nil {
			return err
		}
	default:
		if _, err := subscription.Undo(tx, o.Subscription(), o.Course(), e.At); err != nil {
			return err
		}
	}
	if err := tx.Jobs().Drop(JobProvision, o.ID, o.Partner); err != nil {
		return err
	}
	return s.moved(tx, o, to, e, b)
}

// finish ends the course of a subscription, and has the platform asked for what it stands for.
func (s *Service) finish(tx Tx, o Order, b order.Body, e ledger.Entry) error {
	var result subscription.Result
	if b.AccessSHA256 != "" {
		result.AccessDigest, result.Order = []byte(b.AccessSHA256), o.ID
	}
	sub, err := tx.Subscriptions().Get(o.Subscription())
	if err != nil {
		return err
	}
	if binding, err := recipe.ParseBinding(sub.Binding); err == nil {
		result.Adapter = binding.Adapter
	}
	if sub, err = subscription.Finish(tx, o.Subscription(), o.Course(), result, e.At); err != nil || sub.State.Ended() {
		return err
	}
	return tx.Jobs().At(JobLook, o.ID, o.Partner, s.Now().UTC())
}

// parkWork leaves work of which nobody knew what it made to an operator, as it was left.
func parkWork(tx Tx, o Order) error {
	j, found, err := tx.Jobs().Find(JobProvision, o.Partner, o.ID)
	if err != nil || !found || j.State == job.Parked {
		return err
	}
	if j, err = tx.Jobs().Hold(j, "recovery", j.DueAt); err != nil {
		return err
	}
	return tx.Jobs().Park(j, heldSays(o))
}

// heldSays is what an operator has to say of an order that was held.
func heldSays(o Order) string {
	resolve := "look at the platform, then say what you saw with hanse order resolve " + o.ID
	switch row, _ := order.RowOf(o.Action, o.Intent); {
	case o.Action == order.Delete:
		return "nobody knows whether what it ends is still there: " + resolve + ": --made has it taken away, --not-made ends the subscription, for nothing of it is there"
	case row.Acts != "":
		return "nobody knows whether the adapter did " + row.Acts + ": " + resolve + ": --made says that it did, --not-made asks it again, --give-up fails the order, and what runs goes on"
	}
	return "nobody knows whether the adapter made it: " + resolve
}

func (s *Service) moved(tx Tx, o Order, to order.State, e ledger.Entry, b order.Body) error {
	moved, err := o.move(e.At, to, b.Reason, b.Message, order.Source(e))
	if err != nil {
		return err
	}
	_, err = tx.ResaleOrders().Put(moved)
	return err
}
