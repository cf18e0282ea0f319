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
	e := ending{Service: s, send: dispatch.Sender{Outbox: s.Outbox}}
	err := unit.Fresh(func() error {
		o, err := s.read(ctx, portal, customer, id)
		if err != nil {
			return err
		}
		if e.order = o; o.cancelling() {
			return nil
		}
		if err := e.cancel(Item.cancellable); err != nil {
			return err
		}
		if err := o.mayCancel(e.cancels); err != nil {
			return err
		}
		s.Fail.Hit("retail.cancel.before_commit")
		return e.commit(ctx, nil)
	})
	if err != nil {
		return Order{}, fmt.Errorf("cancel order %s: %w", id, err)
	}
	s.Fail.Hit("retail.cancel.after_commit")
	e.send.Send()
	return s.asNow(e.order), nil
}

// mayCancel refuses where there is nothing to be cancelled.
func (o Order) mayCancel(cancels []Item) error {
	switch {
	case o.State().Ended():
		return fault.New(fault.Precondition, "order_ended", "order %s is %s", o.ID, o.State()).
			Do("end the subscription of what was completed")
	case cancels == nil:
		return fault.New(fault.Precondition, "order_not_cancellable", "work on order %s has gone too far to be cancelled", o.ID).
			Do("let it end, then end the subscription")
	}
	return nil
}

func (s *Service) read(ctx context.Context, portal, customer, id string) (o Order, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		o, err = tx.RetailOrders().Get(portal, id)
		return err
	})
	switch {
	case fault.Is(err, fault.NotFound):
		if o, err = s.reclaim(ctx, portal, customer, id); fault.ReasonOf(err) == reasonErased {
			err = orderNotFound(id)
		}
		return o, err
	case err == nil && customer != "" && o.Customer == "" && len(o.RequestDigest) == 0 && o.ErasedAt.IsZero():
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
	asked := slices.ContainsFunc(o.Items, func(it Item) bool { return it.cancelling() || it.State == order.Cancelled })
	return asked && !slices.ContainsFunc(o.Items, Item.cancellable)
}

// ending is an order as it was read, of which items are ended before their suppliers have ended them.
type ending struct {
	*Service
	order Order
	// cancels are the items with their signed cancels; those that get none are empty, and nil is none.
	cancels []Item
	send    dispatch.Sender
}

// cancel signs a cancel for every item that shall have one.
func (e *ending) cancel(wanted func(Item) bool) error {
	e.cancels = nil
	for i, it := range e.order.Items {
		if !wanted(it) {
			continue
		}
		payload, err := json.Marshal(order.Cancel{
			Type: signed.CancelV1, Issuer: e.Self, Audience: it.Partner, ID: order.CancelID(it.CorrelationID),
			PlacedAt: e.Now().UTC().Format(time.RFC3339), Agreement: it.AgreementID, Subscription: it.SubscriptionID,
			Order: it.CorrelationID, OrderSHA256: hex.EncodeToString(it.PayloadDigest),
		})
		if err != nil {
			return err
		}
		sum := sha256.Sum256(payload)
		it.CancelDigest, it.UnsignedCancel = sum[:], payload
		if it.CancelDocument, err = e.Signer.Sign(keys.Business, signed.Cancel, payload); err != nil {
			return err
		}
		if e.cancels == nil {
			e.cancels = make([]Item, len(e.order.Items))
		}
		e.cancels[i] = it
	}
	return nil
}

// commit writes the cancels with their ledger entries and jobs, and what then makes of the order; unit.ErrStale where it has changed.
func (e *ending) commit(ctx context.Context, then func(tx Tx, o Order) (Order, error)) error {
	var ended Order // what was read stays as it is until all is committed: the unit of work may begin again
	err := e.Work.Do(ctx, func(tx Tx) error {
		e.send.Begin()
		o, err := tx.RetailOrders().Get(e.order.Portal, e.order.ID)
		if err != nil {
			return err
		}
		if o.Version != e.order.Version {
			return unit.ErrStale
		}
		if o, err = e.write(tx, o); err != nil {
			return err
		}
		if then != nil {
			if o, err = then(tx, o); err != nil {
				return err
			}
		}
		ended, err = tx.RetailOrders().Put(o)
		return err
	})
	if err == nil {
		e.order = ended
	}
	return err
}

func (e *ending) write(tx Tx, o Order) (Order, error) {
	now := e.Now().UTC()
	for i, it := range e.cancels {
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
			if err := e.signCancel(tx, it, now); err != nil {
				return o, err
			}
			continue
		}
		entries, err := e.Book.AppendAll(tx, it.Partner, []ledger.Draft{it.cancelPlaced()})
		if err != nil {
			return o, err
		}
		entry := entries[0]
		if o, err = o.move(i, now, order.AssessingCancel, "", order.Source(entry)); err != nil {
			return o, err
		}
		o.Items[i].CancelDocument, o.Items[i].CancelDigest = it.CancelDocument, it.CancelDigest
		if err := e.send.Add(tx, it.sending(JobCancel), it.cancelDocument(), now); err != nil {
			return o, err
		}
	}
	return o, nil
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

// cancelPlaced is the entry that says that the item's cancel is on its way.
func (i Item) cancelPlaced() ledger.Draft {
	return ledger.Draft{Kind: ledger.CancelPlaced, Subject: i.SubscriptionID, Body: order.Body{
		Order: i.CorrelationID, DocumentSHA256: hex.EncodeToString(i.CancelDigest), Agreement: i.AgreementID, Subscription: i.SubscriptionID,
	}}
}
