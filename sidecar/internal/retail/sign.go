package retail

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Sign is the handler of JobSign: the signed document, the entry that says so and the job that sends it are committed together, as if
// the item were placed now. Until then the job waits for a change of the books.
func (s *Service) Sign(ctx context.Context, j job.Job) error {
	var it Item
	var inputs []byte
	err := s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if err != nil {
			return err
		}
		if it = o.Items[i]; it.Unsigned == nil {
			return nil
		}
		if it.Action == order.Add {
			if err := ledger.Fenced(tx, it.Partner); err != nil {
				return err
			}
			if inputs, err = tx.Subscriptions().Secret(subscription.RetailKey(it.SubscriptionID), subscription.SecretInputs); err != nil {
				return err
			}
		}
		return ledger.Closed(tx, it.Partner)
	})
	switch reason := fault.ReasonOf(err); {
	case reason == ledger.ReasonBehind, reason == reasonForked:
		if waits := s.Work.Do(ctx, func(tx Tx) error { return s.Waits(tx, j, true) }); waits != nil {
			return waits
		}
		return err
	case err != nil, it.Unsigned == nil:
		return err
	}
	if it.Document, err = s.Signer.Sign(keys.Business, signed.Order, it.Unsigned); err != nil {
		return fmt.Errorf("sign order %s: %w", j.Key, err)
	}
	send := dispatch.Sender{Outbox: s.Outbox}
	s.Fail.Hit("retail.sign.before_commit")
	err = job.Done(ctx, s.Work, j, func(tx Tx) error {
		send.Begin()
		return s.commitSigned(tx, j.Key, it.Document, inputs, &send)
	})
	if errors.Is(err, job.ErrFinished) {
		s.Fail.Hit("retail.sign.after_commit")
		send.Send()
	}
	return err
}

// commitSigned writes what placing an item writes, unless another run did.
func (s *Service) commitSigned(tx Tx, key, document string, inputs []byte, send *dispatch.Sender) error {
	o, i, err := tx.RetailOrders().ByCorrelation(key)
	if err != nil {
		return err
	}
	it := o.Items[i]
	if it.Unsigned == nil {
		return nil
	}
	if it.Action == order.Add {
		if err := ledger.Fenced(tx, it.Partner); err != nil {
			return err
		}
	}
	entries, err := s.Book.AppendAll(tx, it.Partner, []ledger.Draft{it.placing()})
	if err != nil {
		return err
	}
	now := s.Now().UTC()
	if it.State == order.PendingUnreachable {
		if it.Item, err = it.Move(now, order.Acknowledged, "", "", order.Source(entries[0])); err != nil {
			return err
		}
	}
	it.Document, it.Unsigned = document, nil
	o.Items = slices.Clone(o.Items)
	o.Items[i], o.UpdatedAt = it, now
	if err := send.Add(tx, it.sending(JobSubmit), it.orderDocument(inputs), now); err != nil {
		return err
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}
