package resale

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Decided is a decision that waits for its place in our ledger.
type Decided struct {
	Draft ledger.Draft
	// Settle writes what names the entry, once it is appended, in the same transaction.
	Settle func(e ledger.Entry) error
}

// Enqueue adds a job in the transaction of a decision, by kind, key, partner and what it carries; whoever decides may hold it leased
// already.
type Enqueue func(j job.Job) error

// Accepted is what the job of a purchase carries: all that its first run needs, as it was committed.
type Accepted struct {
	Order        Order
	Subscription subscription.Subscription
	Inputs       []byte
}

// Commit writes a decision with its consequences; Still comes first. Credit and capacity are steps of it that pass for now.
func (s *Service) Commit(tx Tx, r *Received, enqueue Enqueue) (Decided, error) {
	d, now, v := r.Document, s.Now().UTC(), r.verdict
	o := Order{
		Item: order.Item{
			Action: d.Action, Intent: d.Intent, AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision,
			Name: v.name, Quantity: d.Quantity, SubscriptionID: d.Subscription, Wholesale: d.Price(),
			Document: r.JWS, PayloadDigest: r.Digest, InputsSalt: r.InputsSalt,
		},
		Partner: r.Partner, ID: d.ID, PlacedAt: now, UpdatedAt: now,
	}
	if plant.On(plant.KeepNoDocument) {
		o.Document = ""
	}
	body := order.Body{DocumentSHA256: hex.EncodeToString(r.Digest), Agreement: d.Agreement}
	if v.refusal != nil {
		body.Reason, body.Message = v.refusal.Reason, v.refusal.Cause
		return s.decide(tx, &o, order.Rejected, body), nil
	}
	sub := r.facts.subscription
	if d.Action == order.Add {
		sub = subscription.Subscription{
			ID: d.Subscription, Side: subscription.Resale, Partner: r.Partner, Pseudonym: d.Customer, OrderID: d.ID,
			AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: v.name, Quantity: d.Quantity,
			Price: v.line, Binding: r.facts.offering.Binding,
		}
	} else {
		o.OfferingID, o.Revision = sub.OfferingID, sub.Revision
	}
	sub, err := subscription.Begin(tx, sub, o.Course(), now)
	if err != nil {
		r.taken = d.Action == order.Add && fault.Is(err, fault.Conflict)
		return Decided{}, err
	}
	work := job.Job{Kind: JobProvision, Key: d.ID, Partner: o.Partner}
	accepted := &Accepted{Order: o, Subscription: sub, Inputs: r.Inputs}
	if d.Action == order.Add {
		if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
			return Decided{}, err
		}
		work.Carry = accepted
	}
	if err := enqueue(work); err != nil {
		return Decided{}, err
	}
	return s.decide(tx, &accepted.Order, order.InProgress, body), nil
}

// Still is unit.ErrStale where a fact is no longer what the decision is taken on.
func (s *Service) Still(l *Look, r *Received) error {
	f := r.facts
	partner, err := l.partnership()
	if err != nil {
		return err
	}
	a, err := l.agreement(f.agreement.ID)
	if err != nil {
		return err
	}
	if partner.Version != f.partner.Version || a.Version != f.agreement.Version {
		return unit.ErrStale
	}
	if f.current.ID != "" {
		current, err := l.currentOf(f.current.ID)
		if err != nil {
			return err
		}
		if current.Revision != f.current.Revision {
			return unit.ErrStale
		}
	}
	if f.subscription.ID != "" {
		sub, err := l.subscription(f.subscription.ID)
		if err != nil {
			return err
		}
		if sub.Version != f.subscription.Version {
			return unit.ErrStale
		}
	}
	return nil
}
