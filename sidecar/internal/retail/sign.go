package retail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Sign is the handler of JobSign and JobSignCancel: the signed document, the entry that says so and the job that sends it are committed
// together, as if the item were placed, or cancelled, now. Until then the job waits for a change of the books.
func (s *Service) Sign(ctx context.Context, j job.Job) error {
	var it Item
	var inputs []byte
	err := s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if err != nil {
			return err
		}
		if it = o.Items[i]; !it.unsigned(j.Kind) {
			return nil
		}
		if j.Kind == JobSign && it.UnsignedCancel != nil {
			return errCancelFirst
		}
		if j.Kind == JobSign && it.Action == order.Add {
			if inputs, err = tx.Subscriptions().Secret(subscription.RetailKey(it.SubscriptionID), subscription.SecretInputs); err != nil {
				return err
			}
		}
		return it.signable(tx, j.Kind)
	})
	switch reason := fault.ReasonOf(err); {
	case reason == ledger.ReasonBehind, reason == reasonForked:
		if waits := s.Work.Do(ctx, func(tx Tx) error { return s.Waits(tx, j, true) }); waits != nil {
			return waits
		}
		return err
	case err != nil:
		return err
	case !it.unsigned(j.Kind):
		return job.Done(ctx, s.Work, j, func(tx Tx) error { return s.unneeded(tx, j) })
	}
	typ, payload := signed.Order, it.Unsigned
	if j.Kind == JobSignCancel {
		typ, payload = signed.Cancel, it.UnsignedCancel
	}
	document, err := s.Signer.Sign(keys.Business, typ, payload)
	if err != nil {
		return fmt.Errorf("sign order %s: %w", j.Key, err)
	}
	send := dispatch.Sender{Outbox: s.Outbox}
	s.Fail.Hit("retail.sign.before_commit")
	err = job.Done(ctx, s.Work, j, func(tx Tx) error {
		send.Begin()
		return s.commitSigned(tx, j, document, inputs, &send)
	})
	if errors.Is(err, job.ErrFinished) {
		s.Fail.Hit("retail.sign.after_commit")
		send.Send()
	}
	return err
}

// errCancelFirst has an item wait whose cancel is not signed: who cancelled it shall not find that work on it had begun.
var errCancelFirst = errors.New("the cancel of the order is signed first")

// unsigned reports whether what a job signs is not signed yet, and is to be.
func (i Item) unsigned(kind string) bool {
	switch {
	case i.State.Ended():
		return false
	case kind == JobSignCancel:
		return i.UnsignedCancel != nil
	}
	return i.Unsigned != nil
}

// signable refuses what the books do not let begin now.
func (i Item) signable(tx Tx, kind string) error {
	if kind == JobSign && i.Action == order.Add {
		if err := ledger.Fenced(tx, i.Partner); err != nil {
			return err
		}
	}
	return ledger.Closed(tx, i.Partner)
}

// commitSigned writes what placing an item, or cancelling it, writes, unless another run did.
func (s *Service) commitSigned(tx Tx, j job.Job, document string, inputs []byte, send *dispatch.Sender) error {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err != nil {
		return err
	}
	it := o.Items[i]
	if !it.unsigned(j.Kind) {
		return s.unneeded(tx, j)
	}
	if err := it.signable(tx, j.Kind); err != nil {
		return err
	}
	if j.Kind == JobSign && it.UnsignedCancel != nil {
		return errCancelFirst
	}
	draft, now := it.placing(), s.Now().UTC()
	if j.Kind == JobSignCancel {
		draft = it.cancelling()
	}
	entries, err := s.Book.AppendAll(tx, it.Partner, []ledger.Draft{draft})
	if err != nil {
		return err
	}
	sending := JobSubmit
	if j.Kind == JobSignCancel {
		sending = JobCancel
		it.CancelDocument, it.UnsignedCancel = document, nil
		if err := s.cancelSigned(tx, it, now); err != nil {
			return err
		}
	} else {
		it.Document, it.Unsigned = document, nil
	}
	if it.State == order.PendingUnreachable {
		if it.Item, err = it.Move(now, order.Acknowledged, "", "", order.Source(entries[0])); err != nil {
			return err
		}
	}
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, now
	d := it.cancelDocument()
	if sending == JobSubmit {
		d = it.orderDocument(inputs)
	}
	if err := send.Add(tx, it.sending(sending), d, now); err != nil {
		return err
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}

// cancelSigned makes room for the job that sends the cancel now, and has an order that waits for it signed at once.
func (s *Service) cancelSigned(tx Tx, it Item, now time.Time) error {
	err := tx.Jobs().Drop(JobCancel, it.CorrelationID, it.Partner)
	if err != nil || it.Unsigned == nil {
		return err
	}
	if err := tx.Jobs().Drop(JobSign, it.CorrelationID, it.Partner); err != nil {
		return err
	}
	return tx.Jobs().At(JobSign, it.CorrelationID, it.Partner, now)
}

// unneeded ends what waits for the signature of a cancel that is not needed any more, because the item has ended.
func (s *Service) unneeded(tx Tx, j job.Job) error {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err != nil || j.Kind != JobSignCancel || o.Items[i].CancelDocument != "" {
		return err
	}
	return tx.Jobs().Drop(JobCancel, j.Key, j.Partner)
}
