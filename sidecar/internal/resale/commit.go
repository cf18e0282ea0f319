package resale

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// commit writes the decision with its consequences, unless the order was decided meanwhile or a fact changed. Credit and
// capacity are steps of it that pass for now.
func (s *Service) commit(tx Tx, r *received, f facts, v verdict) (ledger.Entry, error) {
	if r.proof != nil {
		if err := ledger.AcceptSeen(tx, r.Partner, *r.proof); err != nil {
			return ledger.Entry{}, err
		}
	}
	if entry, err := s.stored(tx, r); err == nil || !fault.Is(err, fault.NotFound) {
		return entry, err
	}
	if err := s.still(tx, f); err != nil {
		return ledger.Entry{}, err
	}
	d, now := r.document, s.Now().UTC()
	o := Order{
		Item: order.Item{
			Action: d.Action, Intent: d.Intent, AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision,
			Name: v.name, Quantity: d.Quantity, SubscriptionID: d.Subscription, Wholesale: d.Price(),
			Document: r.Document, PayloadDigest: r.digest, InputsSalt: r.InputsSalt,
		},
		Partner: r.Partner, ID: d.ID, PlacedAt: now, UpdatedAt: now,
	}
	body := order.Body{DocumentSHA256: hex.EncodeToString(r.digest), Agreement: d.Agreement}
	if v.refusal != nil {
		body.Reason, body.Message = v.refusal.Reason, v.refusal.Cause
		return s.tell(tx, o, order.Rejected, body)
	}
	sub := f.subscription
	if d.Action == order.Add {
		if err := ledger.Fenced(tx, r.Partner); err != nil {
			return ledger.Entry{}, err
		}
		sub = subscription.Subscription{
			ID: d.Subscription, Side: subscription.Resale, Partner: r.Partner, Pseudonym: d.Customer, OrderID: d.ID,
			AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: v.name, Quantity: d.Quantity,
			Price: v.line, Binding: f.offering.Binding,
		}
	} else {
		o.OfferingID, o.Revision = sub.OfferingID, sub.Revision
	}
	if _, err := subscription.Begin(tx, sub, o.Course(), now); err != nil {
		return ledger.Entry{}, err
	}
	if d.Action == order.Add {
		if err := tx.Subscriptions().PutSecret(sub.Key(), subscription.SecretInputs, r.Inputs); err != nil {
			return ledger.Entry{}, err
		}
	}
	if err := tx.Jobs().At(JobProvision, d.ID, o.Partner, now); err != nil {
		return ledger.Entry{}, err
	}
	return s.tell(tx, o, order.InProgress, body)
}

// still is unit.ErrStale where a fact is no longer what the decision was taken on.
func (s *Service) still(tx Tx, f facts) error {
	partner, err := tx.Partners().Get(f.partner.Origin)
	if err != nil {
		return err
	}
	a, err := tx.Agreements().Get(s.Self, f.agreement.ID)
	if err != nil {
		return err
	}
	if partner.Version != f.partner.Version || a.Version != f.agreement.Version {
		return unit.ErrStale
	}
	if f.current.ID != "" {
		current, err := tx.Catalog().Current(f.current.ID)
		if err != nil {
			return err
		}
		if current.Revision != f.current.Revision {
			return unit.ErrStale
		}
	}
	if f.subscription.ID != "" {
		sub, err := tx.Subscriptions().Get(f.subscription.Key())
		if err != nil {
			return err
		}
		if sub.Version != f.subscription.Version {
			return unit.ErrStale
		}
	}
	return nil
}
