package retail

import (
	"context"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Submit is the handler of JobSubmit: it sends the signed document until the supplier has decided.
func (s *Service) Submit(ctx context.Context, j job.Job) error {
	var it Item
	var inputs []byte
	var partner member.Partner
	err := s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if err != nil {
			return err
		}
		it = o.Items[i]
		if it.Action == order.Add && it.State.Undecided() {
			key := subscription.RetailKey(it.SubscriptionID)
			if inputs, err = tx.Subscriptions().Secret(key, subscription.SecretInputs); err != nil {
				return err
			}
		}
		partner, err = tx.Partners().Get(it.Partner)
		return err
	})
	if err != nil {
		return fmt.Errorf("submit order %s: %w", j.Key, err)
	}
	if !it.State.Undecided() {
		return nil
	}
	s.Fail.Hit("retail.submit.before_send")
	receipt, err := s.Link.PlaceOrder(ctx, Submission{
		Partner: it.Partner, AgreementID: it.AgreementID, Document: it.Document, Inputs: inputs, InputsSalt: it.InputsSalt,
	})
	s.Fail.Hit("retail.submit.after_send")
	if err != nil {
		return s.submitFailed(ctx, j, err)
	}
	entry, err := s.openReceipt(receipt, partner, j.Key)
	if err != nil {
		return fmt.Errorf("submit order %s: receipt: %w", j.Key, err)
	}
	err = job.Done(ctx, s.Work, j, func(tx Tx) error { return s.Apply(tx, entry) })
	if !errors.Is(err, job.ErrFinished) {
		return fmt.Errorf("submit order %s: %w", j.Key, err)
	}
	s.Fail.Hit("retail.submit.after_commit")
	return err
}

// openReceipt proves that the entry is the partner's and about this order.
func (s *Service) openReceipt(r order.Receipt, partner member.Partner, correlationID string) (ledger.Entry, error) {
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

// submitFailed keeps the item waiting: an error is nobody's signature. Only a verified receipt or feed entry ends an item,
// because an attempt before this one may have been accepted. What waiting cannot mend is parked for an operator.
func (s *Service) submitFailed(ctx context.Context, j job.Job, cause error) error {
	reason := reasonUnreachable
	cause = job.Decided(cause)
	var parked *job.ParkError
	if errors.As(cause, &parked) {
		reason = reasonCheck
	}
	err := s.Work.Do(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if err != nil {
			return err
		}
		it := o.Items[i]
		if it.State != order.Acknowledged && (it.State != order.PendingUnreachable || it.Reason == reason) {
			return nil
		}
		if o, err = o.wait(i, s.Now().UTC(), reason); err != nil {
			return err
		}
		_, err = tx.RetailOrders().Put(o)
		return err
	})
	if err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
