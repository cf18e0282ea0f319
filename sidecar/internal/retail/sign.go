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
)

// Sign is the handler of JobSign and JobSignCancel: the signed document, the entry that says so and the job that sends it are committed
// together, as if the item were placed, or cancelled, now. Until then the job waits for a change of the books.
func (s *Service) Sign(ctx context.Context, j job.Job) error {
	var it Item
	var inputs, escrow []byte
	err := s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if err != nil {
			return err
		}
		if it = o.Items[i]; !it.unsigned(j.Kind) {
			return nil
		}
		if j.Kind == JobSign {
			if inputs, escrow, err = it.beside(tx); err != nil {
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
	w := &signing{job: j, document: document, inputs: inputs, escrow: escrow, send: dispatch.Sender{Outbox: s.Outbox}}
	s.Fail.Hit("retail.sign.before_commit")
	if err := s.signing.Do(ctx, j.Partner, w, 1, s.commitSigned); err != nil {
		return fmt.Errorf("sign order %s: %w", j.Key, err)
	}
	if w.refused != nil {
		return w.refused
	}
	s.Fail.Hit("retail.sign.after_commit")
	w.send.Send()
	return job.ErrFinished
}

// errCancelFirst has an item wait whose cancel is not signed: who cancelled it shall not find that work on it had begun.
var errCancelFirst = errors.New("the cancel of the order is signed first")

// unsigned reports whether what a job signs is not signed yet, and is to be.
func (i Item) unsigned(kind string) bool {
	if kind == JobSignCancel {
		return i.UnsignedCancel != nil && i.wantsCancel()
	}
	return i.Unsigned != nil && !i.State.Ended()
}

// signable refuses what the books do not let begin now, and what its cancel goes before.
func (i Item) signable(tx Tx, kind string) error {
	if kind == JobSign && i.UnsignedCancel != nil {
		return errCancelFirst
	}
	if kind == JobSign && i.Action == order.Add {
		if err := ledger.Fenced(tx, i.Partner); err != nil {
			return err
		}
	}
	return ledger.Closed(tx, i.Partner)
}

// signing is a signed document on its way into the store; refused is why it is not signed now after all.
type signing struct {
	job      job.Job
	document string
	inputs   []byte
	escrow   []byte
	send     dispatch.Sender
	refused  error
}

// commitSigned writes what placing items of one supplier, or cancelling them, writes, unless another run did, and ends the jobs. Many may
// have waited for the proof: those that come together are written together. One that is refused fails nobody else.
func (s *Service) commitSigned(ctx context.Context, all []*signing) error {
	return s.Work.Do(ctx, func(tx Tx) error {
		var write []*signing
		var drafts []ledger.Draft
		for _, w := range all {
			w.send.Begin()
			it, err := w.item(tx)
			if w.refused = nil; err != nil {
				return err
			}
			if !it.unsigned(w.job.Kind) {
				if err := s.unneeded(tx, w.job); err != nil {
					return err
				}
			} else if w.refused = it.signable(tx, w.job.Kind); w.refused == nil {
				write, drafts = append(write, w), append(drafts, it.draft(w.job.Kind))
			} else if !fault.Is(w.refused, fault.Unavailable) && !errors.Is(w.refused, errCancelFirst) {
				return w.refused
			}
		}
		entries, err := s.Book.AppendAll(tx, all[0].job.Partner, drafts)
		if err != nil {
			return err
		}
		for i, w := range write {
			if err := s.writeSigned(tx, w, entries[i]); err != nil {
				return err
			}
		}
		for _, w := range all {
			if w.refused != nil {
				continue
			}
			if err := tx.Jobs().Finish(w.job); err != nil && !fault.Is(err, fault.Conflict) { // another runner's now
				return err
			}
		}
		return nil
	})
}

func (w *signing) item(tx Tx) (Item, error) {
	o, i, err := tx.RetailOrders().ByCorrelation(w.job.Key)
	if err != nil {
		return Item{}, err
	}
	return o.Items[i], nil
}

// draft is the entry that says that what a job signs is on its way.
func (i Item) draft(kind string) ledger.Draft {
	if kind == JobSignCancel {
		return i.cancelPlaced()
	}
	return i.placing()
}

// writeSigned writes one item with the job that sends its document.
func (s *Service) writeSigned(tx Tx, w *signing, entry ledger.Entry) error {
	o, i, err := tx.RetailOrders().ByCorrelation(w.job.Key)
	if err != nil {
		return err
	}
	it, now, sending := o.Items[i], s.Now().UTC(), JobSubmit
	if w.job.Kind == JobSignCancel {
		sending = JobCancel
		it.CancelDocument, it.UnsignedCancel = w.document, nil
		if err := s.cancelSigned(tx, it, now); err != nil {
			return err
		}
	} else {
		it.Document, it.Unsigned = w.document, nil
	}
	if it.State == order.PendingUnreachable {
		if it.Item, err = it.Move(now, order.Acknowledged, "", "", order.Source(entry)); err != nil {
			return err
		}
	}
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, now
	if it.State == order.AssessingCancel && it.Reason != "" { // it goes on by itself now
		o = o.because(i, now, "")
	}
	d := it.cancelDocument()
	if sending == JobSubmit {
		d = it.orderDocument(w.inputs, w.escrow)
	}
	if err := w.send.Add(tx, it.sending(sending), d, now); err != nil {
		return err
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}

// cancelSigned makes room for the job that sends the cancel now, and has an order that waits for it signed at once.
func (s *Service) cancelSigned(tx Tx, it Item, now time.Time) error {
	err := tx.Jobs().Drop(JobCancel, it.CorrelationID, it.Partner)
	if err != nil || it.Unsigned == nil || it.State.Ended() {
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
