package retail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Erase erases what an order that has ended says of its customer: who it is, what was asked for, and what lies beside its documents. The
// suppliers get a signed request each to delete the escrow of its items, and our ledgers say that it was made: a copy of this store that is put
// back later erases again. The documents stay, for they are both sides' evidence; they name a pseudonym. With dry it says which items that
// would be. It is safe to repeat, and does what is not done yet. fault.NotFound; fault.Precondition with reason order_not_erasable while a part
// of it runs, and document_version where a supplier reads no such request; fault.Unavailable while our books with a supplier are in doubt.
func (s *Service) Erase(ctx context.Context, portal, id string, dry bool, w act.Word) (o Order, wanted []int, err error) {
	send := dispatch.Sender{Outbox: s.Outbox}
	wrote := false
	err = unit.Fresh(func() error {
		wrote = false
		var read Order
		err := s.Work.View(ctx, func(tx Tx) (err error) {
			if read, err = tx.RetailOrders().Get(portal, id); err != nil {
				return err
			}
			wanted = read.toErase()
			return mayErase(tx, read, wanted)
		})
		if err != nil {
			return err
		}
		if o = read; dry || len(wanted) == 0 && !o.ErasedAt.IsZero() {
			return nil
		}
		requests := make([]Item, len(read.Items))
		for _, i := range wanted {
			if requests[i], err = s.request(read.Items[i]); err != nil {
				return err
			}
		}
		s.Fail.Hit("retail.erase.before_commit")
		wrote = true
		return s.Work.Do(ctx, func(tx Tx) error {
			send.Begin()
			o, err = tx.RetailOrders().Get(portal, id)
			if err == nil && o.Version != read.Version {
				err = unit.ErrStale
			}
			if err == nil {
				err = mayErase(tx, o, wanted)
			}
			if err == nil {
				o, err = s.erase(tx, o, requests, &send, w)
			}
			return err
		})
	})
	if err != nil {
		return Order{}, nil, fmt.Errorf("erase order %s: %w", id, err)
	}
	if wrote {
		s.Fail.Hit("retail.erase.after_commit")
		send.Send()
	}
	return o, wanted, nil
}

// toErase are the items whose suppliers are still to be asked: those of which one may keep anything. What a new life ended before we read a
// decision may have been decided in the life that ended; where it was not, that both ended it is what its supplier goes by.
func (o Order) toErase() (wanted []int) {
	for i, it := range o.Items {
		if it.EraseDigest == nil && !it.missing() && (it.Document != "" || it.CancelDocument != "") {
			wanted = append(wanted, i)
		}
	}
	return wanted
}

// mayErase refuses while something of the order runs, here or at a supplier, or a supplier of the items that are to be erased could not be asked.
func mayErase(tx Tx, o Order, wanted []int) error {
	runs := func(format string, args ...any) *fault.Error {
		return fault.New(fault.Precondition, "order_not_erasable", format, args...).At("id")
	}
	for _, it := range o.Items {
		switch {
		case !it.State.Ended():
			return runs("order %s is %s: it is erased when it has ended", o.ID, o.State()).Do("hanse order explain " + o.ID + " says what it waits for")
		case it.Abandoned != nil && !it.Abandoned.There.Ended():
			return runs("order %s was given up, and %s has not said yet what became of it", o.ID, it.Partner).Do("hanse order explain " + o.ID + " says what it waits for")
		case it.Action != order.Add:
			continue
		}
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		case !sub.State.Ended(), it.Abandoned != nil && it.Abandoned.There == order.Completed && sub.State != subscription.Terminated:
			return runs("subscription %s, which order %s made, still runs", sub.ID, o.ID).Do("end the subscription first, as the portal does")
		}
	}
	for _, i := range wanted {
		partner, err := tx.Partners().Get(o.Items[i].Partner)
		if err != nil {
			return err
		}
		if err := ledger.Closed(tx, partner.Origin); err != nil {
			return err
		}
		if _, err := signed.Pick(signed.EraseV1, partner.Origin, partner.Documents); err != nil {
			return err
		}
	}
	return nil
}

// erasure is the payload of the request to erase an item: it follows from the item's own document.
func (i Item) erasure(self string) ([]byte, error) {
	e := order.Erase{
		Type: signed.EraseV1, Issuer: self, Audience: i.Partner, ID: order.EraseID(i.CorrelationID), Agreement: i.AgreementID,
		Subscription: i.SubscriptionID, Order: i.CorrelationID, OrderSHA256: hex.EncodeToString(i.PayloadDigest),
	}
	if i.Document != "" {
		payload, err := signed.Payload(i.Document)
		if err != nil {
			return nil, err
		}
		d, _, err := order.ParseDocument(payload)
		if err != nil {
			return nil, err
		}
		e.EscrowSHA256 = d.EscrowSHA256
	}
	return json.Marshal(e)
}

// request is the item with its signed request.
func (s *Service) request(it Item) (Item, error) {
	payload, err := it.erasure(s.Self)
	if err != nil {
		return it, err
	}
	sum := sha256.Sum256(payload)
	it.EraseDigest = sum[:]
	it.EraseDocument, err = s.Signer.Sign(keys.Business, signed.Erase, payload)
	return it, err
}

// verbErase is what the record calls it.
const verbErase = "order erase"

// erase writes the requests with their entries and jobs, and forgets what the order says of its customer.
func (s *Service) erase(tx Tx, o Order, requests []Item, send *dispatch.Sender, w act.Word) (Order, error) {
	now := s.Now().UTC()
	o.Items = slices.Clone(o.Items)
	for i, it := range requests {
		if it.EraseDocument == "" { // there is none for it
			if o.ErasedAt.IsZero() && o.Items[i].EraseDigest == nil {
				if err := tx.Acts().Add(w.On(now, verbErase, o.Items[i].Partner, o.Items[i].CorrelationID, "no supplier keeps anything beside it")); err != nil {
					return o, err
				}
			}
			continue
		}
		if _, err := s.Book.Append(tx, it.Partner, ledger.ErasePlaced, it.SubscriptionID, it.erasePlaced()); err != nil {
			return o, err
		}
		o.Items[i].EraseDocument, o.Items[i].EraseDigest = it.EraseDocument, it.EraseDigest
		if err := send.Add(tx, it.sending(JobErase), it.eraseDocument(), now); err != nil {
			return o, err
		}
		if err := tx.Acts().Add(w.On(now, verbErase, it.Partner, it.CorrelationID, "its supplier is asked to delete what it keeps beside it")); err != nil {
			return o, err
		}
	}
	return s.forget(tx, o, now)
}

// erasePlaced is what our ledger says of the request.
func (i Item) erasePlaced() order.Body {
	return order.Body{
		Order: i.CorrelationID, DocumentSHA256: hex.EncodeToString(i.EraseDigest), Agreement: i.AgreementID, Subscription: i.SubscriptionID,
	}
}

// eraseDocument goes under the partnership alone: whatever became of the agreement, the supplier deletes.
func (i Item) eraseDocument() dispatch.Document {
	return dispatch.Document{Scope: needed(signed.Erase, ""), JWS: i.EraseDocument, Digest: hex.EncodeToString(i.EraseDigest)}
}

// forget destroys what an order here says of its customer, with the subscriptions that it made, as far as they have ended.
func (s *Service) forget(tx Tx, o Order, at time.Time) (Order, error) {
	o.Items = slices.Clone(o.Items)
	for i, it := range o.Items {
		o.Items[i].InputsSalt = nil
		if err := tx.RetailOrders().PutEscrow(it.CorrelationID, nil); err != nil {
			return o, err
		}
		if it.Action != order.Add || it.missing() {
			continue
		}
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return o, err
		}
		if sub.State.Ended() {
			err = tx.Subscriptions().Erase(sub.Key())
		} else { // in an old copy, which is still to read that it ended
			err = tx.Subscriptions().DeleteSecret(sub.Key(), subscription.SecretInputs)
		}
		if err != nil {
			return o, err
		}
		sub.Customer, sub.Pseudonym = "", ""
		if _, err := tx.Subscriptions().Put(sub); err != nil {
			return o, err
		}
	}
	if o.Portal != "" || o.Recovered() { // what ends something that was given up is nobody's wish, and its digest says nothing
		o.RequestDigest = nil
	}
	o.Customer, o.ErasedAt = "", at
	return tx.RetailOrders().Put(o)
}

// reasonErased refuses to compare a wish with an order of which nobody knows any more what it was.
const reasonErased = "order_erased"

// isErased says of an erased order that it cannot be ordered again under its id; nil of one that is not.
func (o Order) isErased() error {
	if o.ErasedAt.IsZero() {
		return nil
	}
	return fault.New(fault.Conflict, reasonErased, "order %s was erased at %s, with what was asked for in it", o.ID, o.ErasedAt.Format(time.RFC3339)).At("id").
		Do("use a new id for a new order")
}

// EraseDocument is the document of a JobErase.
func (s *Service) EraseDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err == nil && o.Items[i].EraseDocument == "" {
		err = dispatch.ErrSettled
	}
	if err != nil {
		return dispatch.Document{}, err
	}
	return o.Items[i].eraseDocument(), nil
}

// ApplyErased applies a supplier's ledger entry order.erased: it has our request.
func (s *Service) ApplyErased(tx Tx, e ledger.Entry) error {
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
	if err != nil {
		return err
	}
	it := o.Items[i]
	switch {
	case it.Partner != e.Partner || it.SubscriptionID != e.Subject:
		return fault.New(fault.NotFound, "order_not_found", "there is no order %s about %s with %s", b.Order, e.Subject, e.Partner)
	case len(it.EraseDigest) == 0 || b.DocumentSHA256 != hex.EncodeToString(it.EraseDigest):
		return fault.New(fault.Precondition, "document_mismatch", "the entry decides another request to erase order %s than ours", b.Order)
	}
	return tx.Jobs().Drop(JobErase, it.CorrelationID, it.Partner)
}

// ForgetAgain erases an order of this store whose erasure our own log was read back to have, before anything else of that log is taken. An
// order that is not here, or not with this partner, stays as it is.
func (s *Service) ForgetAgain(tx Tx, partner, correlationID string) error {
	o, i, err := tx.RetailOrders().ByCorrelation(correlationID)
	if fault.Is(err, fault.NotFound) || err == nil && (o.Items[i].Partner != partner || !o.ErasedAt.IsZero()) {
		return nil
	}
	if err == nil {
		_, err = s.forget(tx, o, s.Now().UTC())
	}
	return err
}

// forgetRebuilt erases in all of an order what one of its items came back with, though another one says that the order was erased.
func (s *Service) forgetRebuilt(tx Tx, correlationID string) error {
	o, _, err := tx.RetailOrders().ByCorrelation(correlationID)
	if err == nil {
		_, err = s.forget(tx, o, o.ErasedAt)
	}
	return err
}

// Request makes the signed request again that an entry of our own log names and the supplier never got; fault.NotFound where it is about an
// order that is not here, or another request.
func (s *Service) Request(ctx context.Context, e ledger.Entry) (jws string, payload []byte, err error) {
	b, err := order.ParseBody(e)
	if err != nil {
		return "", nil, err
	}
	var it Item
	err = s.Work.View(ctx, func(tx Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
		if err == nil {
			it = o.Items[i]
		}
		return err
	})
	if err == nil {
		it, err = s.request(it)
	}
	if err == nil && hex.EncodeToString(it.EraseDigest) != b.DocumentSHA256 {
		err = fault.New(fault.NotFound, "document_not_given_back", "the request to erase order %s was not given back, and is another than can be made of the order", b.Order)
	}
	if err != nil {
		return "", nil, err
	}
	payload, err = signed.Payload(it.EraseDocument)
	return it.EraseDocument, payload, err
}

// RecoverErase erases an order again, and gives it the request that an entry of our own log placed, which is sent until the supplier has it.
func (s *Service) RecoverErase(tx Tx, e ledger.Entry, jws string, payload []byte) error {
	d, err := order.ParseErase(payload)
	if err != nil {
		return err
	}
	o, i, err := tx.RetailOrders().ByCorrelation(d.Order)
	if err != nil {
		return err
	}
	it, digest := o.Items[i], sha256.Sum256(payload)
	switch {
	case d.Issuer != s.Self || d.Audience != e.Partner || it.Partner != e.Partner || it.SubscriptionID != e.Subject:
		return fault.New(fault.Invalid, "document_mismatch", "the request is about another order than entry %s", e.Position())
	case bytes.Equal(it.EraseDigest, digest[:]):
		return nil
	}
	o.Items = slices.Clone(o.Items)
	o.Items[i].EraseDocument, o.Items[i].EraseDigest = jws, digest[:]
	if _, err := s.forget(tx, o, e.At); err != nil {
		return err
	}
	_, err = tx.Jobs().Send(it.sending(JobErase), s.Now().UTC(), "", s.Now().UTC())
	return err
}
