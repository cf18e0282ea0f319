package order

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Submit is the handler of JobSubmit: it sends the signed document until the supplier has decided.
func (s *Service) Submit(ctx context.Context, j job.Job) error {
	var o Order
	var inputs []byte
	var partner member.Partner
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if o, err = tx.Orders().ByCorrelation(Retail, j.Partner, j.Key); err != nil {
			return err
		}
		if o.Action == Add && o.undecided() {
			if inputs, err = tx.Subscriptions().Secret(subscription.Retail, o.SubscriptionID, subscription.SecretInputs); err != nil {
				return err
			}
		}
		partner, err = tx.Partners().Get(o.Partner)
		return err
	})
	if err != nil {
		return fmt.Errorf("submit order %s: %w", j.Key, err)
	}
	if !o.undecided() {
		return nil
	}
	s.Fail.Hit("retail.submit.before_send")
	receipt, err := s.Link.PlaceOrder(ctx, Submission{
		Partner: o.Partner, AgreementID: o.AgreementID, Document: o.Document, Inputs: inputs, InputsSalt: o.InputsSalt,
	})
	s.Fail.Hit("retail.submit.after_send")
	if err != nil {
		return s.submitFailed(ctx, j, err)
	}
	entry, err := s.openReceipt(receipt, partner, j.Key)
	if err != nil {
		return fmt.Errorf("submit order %s: receipt: %w", j.Key, err)
	}
	err = s.Work.Do(ctx, func(tx Tx) error {
		if err := s.Apply(tx, entry); err != nil {
			return err
		}
		return job.Done(tx.Jobs(), j)
	})
	if err != nil {
		return fmt.Errorf("submit order %s: %w", j.Key, err)
	}
	s.Fail.Hit("retail.submit.after_commit")
	return nil
}

func (o Order) undecided() bool {
	return o.State == Acknowledged || o.State == PendingUnreachable || o.State == PendingRequote
}

// openReceipt proves that the entry is the partner's and about this order.
func (s *Service) openReceipt(r Receipt, partner member.Partner, correlationID string) (ledger.Entry, error) {
	entry, err := ledger.Decode(r.Entry)
	if err != nil {
		return ledger.Entry{}, err
	}
	cp, err := ledger.VerifyCheckpoint(r.Checkpoint, partner.Origin, s.Self, partner.BusinessKey)
	if err != nil {
		return ledger.Entry{}, err
	}
	if entry.Subject != correlationID || cp.Seq != entry.Seq || cp.Hash != fmt.Sprintf("%x", entry.Hash) {
		return ledger.Entry{}, fault.New(fault.Invalid, "receipt_mismatch", "the receipt is not for this order")
	}
	entry.Partner, entry.Direction = partner.Origin, ledger.Theirs
	return entry, nil
}

// submitFailed keeps the order waiting: an error is nobody's signature. Only a verified receipt or feed entry ends an order,
// because an attempt before this one may have been accepted. What waiting cannot mend is parked for an operator.
func (s *Service) submitFailed(ctx context.Context, j job.Job, cause error) error {
	err := s.Work.Do(ctx, func(tx Tx) error {
		o, err := tx.Orders().ByCorrelation(Retail, j.Partner, j.Key)
		if err != nil || o.State != Acknowledged {
			return err
		}
		o, err = o.Move(s.Now(), PendingUnreachable, reasonUnreachable, textUnreachable, "")
		if err != nil {
			return err
		}
		_, err = tx.Orders().Put(o)
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	switch fault.KindOf(cause) {
	case fault.Invalid, fault.NotFound, fault.Precondition, fault.Conflict:
		return &job.ParkError{Err: cause}
	}
	return cause
}

// Apply takes an entry of a supplier's ledger about one of our retail orders. It is idempotent: receipt and feed may come in
// any order. An order that is not the sender's is refused before anything else.
func (s *Service) Apply(tx Tx, e ledger.Entry) error {
	var b entryBody
	if err := json.Unmarshal(e.Body, &b); err != nil {
		return fault.New(fault.Invalid, "ledger_body_malformed", "the body of entry %d cannot be read", e.Seq).Because(err)
	}
	switch e.Kind {
	case ledger.OrderAccepted:
		return s.decide(tx, e.Partner, e.Subject, InProgress, "", source(e))
	case ledger.OrderRejected:
		return s.decide(tx, e.Partner, e.Subject, Rejected, b.Reason, source(e))
	case ledger.OrderHeld:
		return s.move(tx, e, HeldIndeterminate, b, nil)
	case ledger.OrderFailed:
		return s.move(tx, e, Failed, b, s.subscriptionFailed)
	case ledger.OrderCompleted:
		return s.move(tx, e, Completed, b, s.subscriptionCompleted)
	}
	return fault.New(fault.Invalid, "ledger_kind_unknown", "kind %q is not known here", e.Kind)
}

// decide moves an undecided order to the supplier's decision. The same decision again changes nothing; another one is
// fault.Precondition, so that its subject is parked and an operator sees that the supplier contradicts itself.
func (s *Service) decide(tx Tx, partner, correlationID string, to State, reason, src string) error {
	o, err := tx.Orders().ByCorrelation(Retail, partner, correlationID)
	if err != nil {
		return err
	}
	if !o.undecided() {
		if accepted := o.State != Rejected; accepted == (to == InProgress) {
			return nil
		}
		return contradiction(o, to)
	}
	if o, err = o.Move(s.Now(), to, cleanReason(reason), explain(reason), src); err != nil {
		return err
	}
	if to == Rejected {
		if err := s.subscriptionFailed(tx, o, entryBody{}); err != nil {
			return err
		}
	}
	_, err = tx.Orders().Put(o)
	return err
}

func contradiction(o Order, to State) error {
	return fault.New(fault.Precondition, "order_contradiction", "the order is %s here, the supplier says %s", o.State, to)
}

func (s *Service) move(tx Tx, e ledger.Entry, to State, b entryBody, then func(Tx, Order, entryBody) error) error {
	o, err := tx.Orders().ByCorrelation(Retail, e.Partner, e.Subject)
	if err != nil || o.State == to {
		return err
	}
	if o.State.Ended() {
		return contradiction(o, to)
	}
	if o.undecided() {
		// The acceptance stands before this entry in the same log; its receipt was lost and the feed was faster.
		if o, err = o.Move(s.Now(), InProgress, "", "", source(e)); err != nil {
			return err
		}
	}
	if o, err = o.Move(s.Now(), to, cleanReason(b.Reason), explain(b.Reason), source(e)); err != nil {
		return err
	}
	if then != nil {
		if err := then(tx, o, b); err != nil {
			return err
		}
	}
	_, err = tx.Orders().Put(o)
	return err
}

// subscriptionFailed ends a subscription that never was, or gives back one that was to end.
func (s *Service) subscriptionFailed(tx Tx, o Order, _ entryBody) error {
	sub, err := tx.Subscriptions().Get(subscription.Retail, o.SubscriptionID)
	if err != nil {
		return err
	}
	to := subscription.Aborted
	if o.Action == Delete {
		to = subscription.Active
	}
	if sub, err = sub.Move(to); err != nil {
		return err
	}
	sub.UpdatedAt = s.Now()
	if to == subscription.Aborted {
		sub.EndedAt = s.Now()
		if err := tx.Subscriptions().Erase(subscription.Retail, sub.ID); err != nil {
			return err
		}
	}
	_, err = tx.Subscriptions().Put(sub)
	return err
}

func (s *Service) subscriptionCompleted(tx Tx, o Order, b entryBody) error {
	sub, err := tx.Subscriptions().Get(subscription.Retail, o.SubscriptionID)
	if err != nil {
		return err
	}
	now := s.Now()
	sub.UpdatedAt = now
	if o.Action == Delete {
		if sub, err = sub.Move(subscription.Terminated); err != nil {
			return err
		}
		sub.EndedAt, sub.AccessReady = now, false
		if err := tx.Subscriptions().Erase(subscription.Retail, sub.ID); err != nil {
			return err
		}
		_, err = tx.Subscriptions().Put(sub)
		return err
	}
	if sub, err = sub.Move(subscription.Active); err != nil {
		return err
	}
	sub.ActiveSince = now
	if b.AccessSHA256 != "" {
		sub.AccessDigest = []byte(b.AccessSHA256)
		if err := tx.Jobs().Enqueue(JobAccessFetch, sub.ID, o.Partner, now); err != nil {
			return err
		}
	}
	_, err = tx.Subscriptions().Put(sub)
	return err
}

// payloadOf is the payload of a partner's order document, verified with its pinned key.
func payloadOf(document string, partner member.Partner) ([]byte, error) {
	return signed.Open(document, signed.Order, partner.BusinessKey)
}
