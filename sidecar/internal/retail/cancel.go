package retail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Cancel asks the suppliers to cancel every item of an order that is still under way; with a customer, only an order of that
// customer's. Each supplier decides: an item whose work has begun goes on, and says so. It is safe to repeat. fault.NotFound;
// fault.Precondition with reason order_ended, or order_not_cancellable where no item can be cancelled any more.
func (s *Service) Cancel(ctx context.Context, portal, customer, id string) (Order, error) {
	var out Order
	send := dispatch.Sender{Outbox: s.Outbox}
	err := unit.Fresh(func() error {
		o, err := s.read(ctx, portal, customer, id)
		if err != nil {
			return err
		}
		if out = o; o.cancelling() {
			return nil
		}
		wanted, err := s.cancelled(o)
		if err != nil {
			return err
		}
		s.Fail.Hit("retail.cancel.before_commit")
		return s.Work.Do(ctx, func(tx Tx) error {
			send.Begin()
			have, err := tx.RetailOrders().Get(portal, id)
			if err != nil {
				return err
			}
			if have.Version != o.Version {
				return unit.ErrStale
			}
			out, err = s.commitCancel(tx, have, wanted, &send)
			return err
		})
	})
	if err != nil {
		return Order{}, fmt.Errorf("cancel order %s: %w", id, err)
	}
	s.Fail.Hit("retail.cancel.after_commit")
	send.Send()
	return s.asNow(out), nil
}

func (s *Service) read(ctx context.Context, portal, customer, id string) (o Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		o, err = tx.RetailOrders().Get(portal, id)
		return err
	})
	switch {
	case fault.Is(err, fault.NotFound):
		return s.reclaim(ctx, portal, customer, id)
	case err == nil && customer != "" && o.Customer == "" && len(o.RequestDigest) == 0:
		return s.adopt(ctx, o, customer)
	case err == nil && customer != "" && o.Customer != customer:
		return Order{}, orderNotFound(id)
	}
	return o, err
}

func orderNotFound(id string) error {
	return fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
}

// cancelling reports whether all has been done that a cancel can do: it is a repetition.
func (o Order) cancelling() bool {
	asked := slices.ContainsFunc(o.Items, func(it Item) bool { return it.State == order.AssessingCancel || it.State == order.Cancelled })
	return asked && !slices.ContainsFunc(o.Items, Item.cancellable)
}

// cancelled signs a cancel for every item that can have one; the others stay empty.
func (s *Service) cancelled(o Order) ([]Item, error) {
	if o.State().Ended() {
		return nil, fault.New(fault.Precondition, "order_ended", "order %s is %s", o.ID, o.State()).
			Do("end the subscription of what was completed")
	}
	signedOff := make([]Item, len(o.Items))
	found := false
	for i, it := range o.Items {
		if !it.cancellable() {
			continue
		}
		found = true
		payload, err := json.Marshal(order.Cancel{
			Type: signed.CancelV1, Issuer: s.Self, Audience: it.Partner, ID: order.CancelID(it.CorrelationID),
			PlacedAt: s.Now().UTC().Format(time.RFC3339), Agreement: it.AgreementID, Subscription: it.SubscriptionID,
			Order: it.CorrelationID, OrderSHA256: hex.EncodeToString(it.PayloadDigest),
		})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(payload)
		it.CancelDigest, it.UnsignedCancel = sum[:], payload
		if it.CancelDocument, err = s.Signer.Sign(keys.Business, signed.Cancel, payload); err != nil {
			return nil, err
		}
		signedOff[i] = it
	}
	if !found {
		return nil, fault.New(fault.Precondition, "order_not_cancellable", "work on order %s has gone too far to be cancelled", o.ID).
			Do("let it end, then end the subscription")
	}
	return signedOff, nil
}

// commitCancel writes the cancels with their ledger entries and jobs.
func (s *Service) commitCancel(tx Tx, o Order, wanted []Item, send *dispatch.Sender) (Order, error) {
	now := s.Now().UTC()
	for i, it := range wanted {
		if it.CancelDocument == "" {
			continue // there is none for it
		}
		books, err := tx.Ledger().Books(it.Partner)
		if err != nil {
			return o, err
		}
		if books.Closed() != nil { // it is signed when they are level; the others do not wait for that
			if o, err = o.move(i, now, order.AssessingCancel, "", ""); err != nil {
				return o, err
			}
			if books.State != ledger.Unproven {
				o = o.because(i, now, reasonCheck)
			}
			o.Items[i].UnsignedCancel, o.Items[i].CancelDigest = it.UnsignedCancel, it.CancelDigest
			if err := s.signCancel(tx, it, now); err != nil {
				return o, err
			}
			continue
		}
		entries, err := s.Book.AppendAll(tx, it.Partner, []ledger.Draft{it.cancelling()})
		if err != nil {
			return o, err
		}
		entry := entries[0]
		if o, err = o.move(i, now, order.AssessingCancel, "", order.Source(entry)); err != nil {
			return o, err
		}
		o.Items[i].CancelDocument, o.Items[i].CancelDigest = it.CancelDocument, it.CancelDigest
		if err := send.Add(tx, it.sending(JobCancel), it.cancelDocument(), now); err != nil {
			return o, err
		}
	}
	return tx.RetailOrders().Put(o)
}

// signCancel adds the job that signs an item's cancel later, and already the one that sends it then, for the order waits for that one: who
// was told that it is being cancelled shall not find that it was sent since.
func (s *Service) signCancel(tx Tx, it Item, now time.Time) error {
	if err := tx.Jobs().At(JobSignCancel, it.CorrelationID, it.Partner, now); err != nil {
		return err
	}
	_, err := tx.Jobs().Send(it.sending(JobCancel), now.Add(job.MaxPause), "", time.Time{})
	return err
}

// cancelling is the entry that says that the item's cancel is on its way.
func (i Item) cancelling() ledger.Draft {
	return ledger.Draft{Kind: ledger.CancelPlaced, Subject: i.SubscriptionID, Body: order.Body{
		Order: i.CorrelationID, DocumentSHA256: hex.EncodeToString(i.CancelDigest), Agreement: i.AgreementID, Subscription: i.SubscriptionID,
	}}
}
