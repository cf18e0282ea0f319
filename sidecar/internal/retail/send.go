package retail

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// sending names the job of one of the item's documents: a subscription's orders go one after the other, a cancel goes first.
func (i Item) sending(kind string) job.Sending {
	return job.Sending{
		Kind: kind, Key: i.CorrelationID, Partner: i.Partner, Subject: i.SubscriptionID,
		First: kind == JobSubmit && i.Action == order.Add && i.CancelDigest == nil, Overtakes: kind == JobCancel,
	}
}

func (i Item) orderDocument(inputs, escrow []byte) dispatch.Document {
	return dispatch.Document{
		Agreement: i.AgreementID, Scope: needed(signed.Order, i.Intent), JWS: i.Document, Digest: hex.EncodeToString(i.PayloadDigest),
		Inputs: inputs, InputsSalt: i.InputsSalt, Escrow: escrow,
	}
}

func (i Item) cancelDocument() dispatch.Document {
	return dispatch.Document{
		Agreement: i.AgreementID, Scope: needed(signed.Cancel, ""), JWS: i.CancelDocument, Digest: hex.EncodeToString(i.CancelDigest),
	}
}

// needed is the scope of a type of document, "" where it has none and every supplier denies it.
func needed(typ string, intent order.Intent) string {
	name, _ := scope.OfDocument(typ, string(intent))
	return name
}

// OrderDocument is the document of a JobSubmit.
func (s *Service) OrderDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err != nil {
		return dispatch.Document{}, err
	}
	it := o.Items[i]
	if it.State.Ended() || it.taken() {
		return dispatch.Document{}, dispatch.ErrSettled
	}
	inputs, escrow, err := it.beside(tx)
	if err != nil {
		return dispatch.Document{}, err
	}
	return it.orderDocument(inputs, escrow), nil
}

// beside is what travels with the item's document.
func (i Item) beside(tx Tx) (inputs, escrow []byte, err error) {
	if i.Action != order.Add {
		return nil, nil, nil
	}
	if inputs, err = tx.Subscriptions().Secret(subscription.RetailKey(i.SubscriptionID), subscription.SecretInputs); err != nil {
		return nil, nil, err
	}
	escrow, err = tx.RetailOrders().Escrow(i.CorrelationID)
	return inputs, escrow, err
}

// CancelDocument is the document of a JobCancel; dispatch.ErrLater until it is signed.
func (s *Service) CancelDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err != nil {
		return dispatch.Document{}, err
	}
	switch it := o.Items[i]; {
	case !it.wantsCancel():
		return dispatch.Document{}, dispatch.ErrSettled
	case it.UnsignedCancel != nil:
		return dispatch.Document{}, dispatch.ErrLater
	default:
		return it.cancelDocument(), nil
	}
}

// Waits notes why an item waits although its document was sent: an error is nobody's signature, so it goes on waiting. Only a
// verified entry of the supplier's ledger ends an item, because an attempt before this one may have been accepted. check says that
// waiting mends nothing, and an operator must look.
func (s *Service) Waits(tx Tx, j job.Job, check bool) error {
	o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
	if err != nil {
		return err
	}
	it, reason := o.Items[i], reasonUnreachable
	if check {
		reason = reasonCheck
	}
	switch {
	case it.State == order.AssessingCancel && it.Reason != reason:
		o = o.because(i, s.Now().UTC(), reason)
	case it.State == order.Acknowledged, it.State == order.PendingUnreachable && it.Reason != reason:
		if o, err = o.wait(i, s.Now().UTC(), reason); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = tx.RetailOrders().Put(o)
	return err
}
