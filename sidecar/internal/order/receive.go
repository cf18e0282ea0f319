package order

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// ReceiveCommand is a reseller's PlaceOrder as it arrived. Partner and AgreementID are what the access token proved.
type ReceiveCommand struct {
	Partner     string
	AgreementID string
	Document    string
	Inputs      []byte
	InputsSalt  []byte
	// Seen is the countersigned checkpoint, verified by the caller of Receive through ledger.OpenSeen; nil where none came.
	Seen    *ledger.Checkpoint
	SeenJWS string
}

// Receive decides on a resale order, once: a repetition with the same payload answers with the stored decision, another
// payload under the same id is fault.Conflict order_conflict. Business refusals are decisions with a ledger entry; what
// cannot be trusted (signature, parties, another's agreement) is an error that leaves no trace.
func (s *Service) Receive(ctx context.Context, c ReceiveCommand) (Receipt, error) {
	var partner member.Partner
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		partner, err = tx.Partners().Get(c.Partner)
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	payload, err := payloadOf(c.Document, partner)
	if err != nil {
		return Receipt{}, err
	}
	d, acceptBy, err := parseDocument(payload)
	if err != nil {
		return Receipt{}, err
	}
	switch {
	case d.Issuer != c.Partner || d.Audience != s.Self:
		return Receipt{}, fault.New(fault.Denied, "document_parties", "the order is between other parties")
	case d.Agreement != c.AgreementID:
		return Receipt{}, fault.New(fault.Denied, "agreement_mismatch", "the order names another agreement than the access token")
	case len(c.Inputs) > MaxInputsBytes:
		return Receipt{}, fault.New(fault.Invalid, "inputs_too_large", "inputs take at most %d bytes", MaxInputsBytes).At("inputs")
	}
	r := received{command: c, document: d, acceptBy: acceptBy}
	sum := sha256.Sum256(payload)
	r.digest = sum[:]

	entry, err := s.decideReceived(ctx, &r)
	if err != nil {
		return Receipt{}, fmt.Errorf("receive order %s: %w", d.ID, err)
	}
	s.Fail.Hit("resale.place.after_commit")
	checkpoint, err := s.Book.Checkpoint(c.Partner, entry.Seq, entry.Hash)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Entry: entry.Bytes, Checkpoint: checkpoint}, nil
}

type received struct {
	command  ReceiveCommand
	document Document
	acceptBy time.Time
	digest   []byte

	agreement agreement.Agreement
	offering  catalog.Offering
	line      catalog.Line
	name      string
	refusal   *fault.Error
}

func (s *Service) decideReceived(ctx context.Context, r *received) (ledger.Entry, error) {
	var entry ledger.Entry
	stored := false
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if entry, err = s.stored(tx, r); err == nil {
			stored = true
			return nil
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		return s.assess(tx, r)
	})
	if err != nil || stored {
		return entry, err
	}
	s.Fail.Hit("resale.place.before_commit")
	err = s.Work.Do(ctx, func(tx Tx) (err error) {
		if r.command.Seen != nil {
			if err := ledger.AcceptSeen(tx, r.command.Partner, *r.command.Seen, r.command.SeenJWS); err != nil {
				return err
			}
		}
		if entry, err = s.stored(tx, r); err == nil || !fault.Is(err, fault.NotFound) {
			return err
		}
		entry, err = s.commitReceived(tx, r)
		return err
	})
	return entry, err
}

// stored is the decision that was taken on this id; fault.NotFound when none was.
func (s *Service) stored(tx Tx, r *received) (ledger.Entry, error) {
	have, err := tx.Orders().ByCorrelation(Resale, r.command.Partner, r.document.ID)
	if err != nil {
		return ledger.Entry{}, err
	}
	if !bytes.Equal(have.PayloadDigest, r.digest) {
		return ledger.Entry{}, fault.New(fault.Conflict, "order_conflict", "order %s was decided with other content", r.document.ID).At("document")
	}
	return tx.Ledger().Entry(r.command.Partner, ledger.Own, have.DecisionSeq)
}

// assess checks the order against our own books and notes a refusal. It returns an error only where nothing may be decided.
func (s *Service) assess(tx Tx, r *received) error {
	d := r.document
	a, err := tx.Agreements().Get(d.Agreement)
	if fault.Is(err, fault.NotFound) || (err == nil && (a.Reseller != r.command.Partner || a.Supplier != s.Self)) {
		return fault.New(fault.Denied, "agreement_not_yours", "there is no agreement %s between us", d.Agreement)
	}
	if err != nil {
		return err
	}
	r.agreement = a
	switch {
	case hex.EncodeToString(a.Digest[:]) != d.AgreementSHA256:
		r.refuse("agreement_digest", "the order names other agreement terms than those signed")
	case s.Now().After(r.acceptBy):
		r.refuse("accept_by_passed", "the order could not be decided in time")
	case d.Action == Delete:
		return s.assessDelete(tx, r)
	case a.State != agreement.Active:
		r.refuse("agreement_inactive", "the agreement is "+string(a.State))
	default:
		return s.assessAdd(tx, r)
	}
	return nil
}

func (s *Service) assessAdd(tx Tx, r *received) error {
	d := r.document
	offering, err := tx.Catalog().Revision(d.Offering, d.Revision)
	if fault.Is(err, fault.NotFound) {
		r.refuse("offering_unknown", "the offering or its revision is not known")
		return nil
	}
	if err != nil {
		return err
	}
	current, err := tx.Catalog().Current(d.Offering)
	if err != nil {
		return err
	}
	var doc catalog.Document
	if err := json.Unmarshal(offering.Document, &doc); err != nil {
		return fmt.Errorf("offering %s revision %d: %w", d.Offering, d.Revision, err)
	}
	r.offering = offering
	r.name = doc.Name
	line, err := catalog.PriceLine(doc, d.Quantity, r.agreement.Terms.WholesaleDiscountBP, 0)
	if err != nil {
		r.refuse("price_overflow", "the price of this quantity is out of range")
		return nil
	}
	r.line = line
	switch {
	case current.State != catalog.Orderable:
		r.refuse("offering_not_orderable", "the offering cannot be ordered now")
	case !catalog.Honoured(offering, s.Now()):
		r.refuse("offering_revision_stale", "the offering changed; this revision is not honoured any more")
	case hex.EncodeToString(offering.Digest[:]) != d.OfferingSHA256:
		r.refuse("offering_digest", "the order names another content of the revision")
	case doc.Currency != r.agreement.Terms.Currency:
		r.refuse("currency_mismatch", "the offering is sold in another currency than the agreement's")
	case !d.samePrice(line, doc.Currency):
		r.refuse("price_mismatch", "the price is not the one that offering and agreement give")
	case InputsDigest(r.command.InputsSalt, r.command.Inputs) != d.InputsSHA256:
		r.refuse("inputs_digest", "the inputs are not those that were signed")
	default:
		if err := s.Schemas.ValidateInputs(doc.Inputs, r.command.Inputs); err != nil {
			r.refuse("inputs_invalid", "the inputs do not satisfy the recipe")
		}
	}
	return nil
}

func (s *Service) assessDelete(tx Tx, r *received) error {
	sub, err := tx.Subscriptions().Get(subscription.Resale, r.document.Subscription)
	switch {
	case fault.Is(err, fault.NotFound) || (err == nil && sub.Partner != r.command.Partner):
		r.refuse("subscription_unknown", "there is no such subscription")
	case err != nil:
		return err
	case sub.AgreementID != r.agreement.ID:
		r.refuse("agreement_digest", "the subscription runs under another agreement")
	case sub.State != subscription.Active && sub.State != subscription.Suspended:
		r.refuse("subscription_state", "the subscription is "+string(sub.State))
	default:
		r.offering = catalog.Offering{ID: sub.OfferingID, Revision: sub.Revision}
		r.name = sub.Name
	}
	return nil
}

func (r *received) refuse(reason, message string) {
	r.refusal = fault.New(fault.Precondition, reason, "%s", message)
}

// commitReceived writes the decision with its consequences. Credit and capacity are steps of it that pass for now.
func (s *Service) commitReceived(tx Tx, r *received) (ledger.Entry, error) {
	d, now := r.document, s.Now().UTC()
	o := Order{
		Side: Resale, ID: d.ID, CorrelationID: d.ID, Partner: r.command.Partner, Action: d.Action, Intent: d.Intent,
		AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: r.name, Quantity: d.Quantity,
		SubscriptionID: d.Subscription, Period: d.Period,
		WholesaleOneOff: amount(d.OneOffMinor, d.Currency), WholesaleRecurring: amount(d.RecurringMinor, d.Currency),
		Document: r.command.Document, PayloadDigest: r.digest, InputsSalt: r.command.InputsSalt, PlacedAt: now, UpdatedAt: now,
	}
	body := entryBody{
		Order: d.ID, DocumentSHA256: hex.EncodeToString(r.digest), Agreement: d.Agreement, Subscription: d.Subscription, Action: d.Action,
	}
	if err := s.stillTrading(tx, r); err != nil {
		return ledger.Entry{}, err
	}
	kind, to := ledger.OrderAccepted, InProgress
	if r.refusal != nil {
		kind, to = ledger.OrderRejected, Rejected
		body.Reason, body.Message = r.refusal.Reason, r.refusal.Cause
	} else if err := s.reserve(tx, r, now); err != nil {
		return ledger.Entry{}, err
	}
	entry, err := s.Book.Append(tx, o.Partner, kind, d.ID, body)
	if err != nil {
		return ledger.Entry{}, err
	}
	if o, err = o.Move(now, to, body.Reason, body.Message, source(entry)); err != nil {
		return ledger.Entry{}, err
	}
	o.DecisionSeq = entry.Seq
	if _, err := tx.Orders().Put(o); err != nil {
		return ledger.Entry{}, err
	}
	if to == InProgress {
		if err := tx.Jobs().Enqueue(JobProvision, d.ID, o.Partner, now); err != nil {
			return ledger.Entry{}, err
		}
	}
	return entry, nil
}

// stillTrading refuses a purchase when partnership or agreement changed since it was assessed: the commit decides.
func (s *Service) stillTrading(tx Tx, r *received) error {
	if r.refusal != nil || r.document.Action == Delete {
		return nil
	}
	partner, err := tx.Partners().Get(r.command.Partner)
	if err != nil {
		return err
	}
	a, err := tx.Agreements().Get(r.agreement.ID)
	if err != nil {
		return err
	}
	if partner.State != member.Active || a.State != agreement.Active {
		r.refuse("agreement_inactive", "the agreement or the partnership is not active")
	}
	return nil
}

// reserve makes or moves the subscription that the order is about.
func (s *Service) reserve(tx Tx, r *received, now time.Time) error {
	d := r.document
	if d.Action == Delete {
		sub, err := tx.Subscriptions().Get(subscription.Resale, d.Subscription)
		if err != nil {
			return err
		}
		if sub.State == subscription.PendingTerminate {
			return fault.New(fault.Conflict, "subscription_changed", "subscription %s is being terminated by another order", sub.ID)
		}
		if sub, err = sub.Move(subscription.PendingTerminate); err != nil {
			return err
		}
		sub.UpdatedAt = now
		_, err = tx.Subscriptions().Put(sub)
		return err
	}
	sub, err := subscription.Subscription{
		ID: d.Subscription, Side: subscription.Resale, Partner: r.command.Partner, Pseudonym: d.Customer, OrderID: d.ID,
		AgreementID: d.Agreement, OfferingID: d.Offering, Revision: d.Revision, Name: r.name, Quantity: d.Quantity,
		OneOff: r.line.OneOff, Recurring: r.line.Recurring, Period: r.line.Period, Binding: r.offering.Binding,
		CreatedAt: now, UpdatedAt: now,
	}.Move(subscription.PendingActive)
	if err != nil {
		return err
	}
	if _, err := tx.Subscriptions().Put(sub); err != nil {
		return err
	}
	return tx.Subscriptions().PutSecret(subscription.Resale, sub.ID, subscription.SecretInputs, r.command.Inputs)
}
