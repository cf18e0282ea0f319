package resale

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Erasing is a request to erase an order that can be trusted.
type Erasing struct {
	order.Erase
	// Partner signed it; Digest is the SHA-256 of its payload.
	Partner string
	Digest  []byte

	// have is the order that it is about, zero where a cancel came before it.
	have Order
}

// OpenErase reads the payload of a request that a partner signed.
func (s *Service) OpenErase(partner string, payload []byte) (*Erasing, error) {
	d, err := order.ParseErase(payload)
	if err != nil {
		return nil, err
	}
	if d.Issuer != partner || d.Audience != s.Self {
		return nil, fault.New(fault.Denied, "document_parties", "the request to erase is between other parties")
	}
	sum := sha256.Sum256(payload)
	return &Erasing{Erase: d, Partner: partner, Digest: sum[:]}, nil
}

// EraseTooEarly keeps a request undecided for now: what it is about has not ended here.
func EraseTooEarly(orderID string) error {
	return fault.New(fault.Denied, "erase_too_early", "order %s, or what it made, has not ended here", orderID)
}

// EraseMismatch refuses a request that is about another order than ours of that id.
func EraseMismatch(orderID string) error {
	return fault.New(fault.Conflict, "erase_mismatch", "order %s has another agreement, subscription, content or escrow than the request to erase it says", orderID)
}

// ReadErase reads the order that a request is about.
func (s *Service) ReadErase(tx Tx, e *Erasing) (err error) {
	e.have, err = tx.ResaleOrders().Get(e.Partner, e.Order)
	switch {
	case fault.Is(err, fault.NotFound):
		e.have = Order{}
		return nil
	case err != nil:
		return err
	case e.have.AgreementID != e.Agreement || e.have.SubscriptionID != e.Subscription || hex.EncodeToString(e.have.PayloadDigest) != e.OrderSHA256:
		return EraseMismatch(e.Order)
	case !e.have.State.Ended():
		return EraseTooEarly(e.Order)
	case e.have.Action != order.Add || e.have.State == order.Rejected: // that made nothing
		return nil
	}
	sub, err := tx.Subscriptions().Get(e.have.Subscription())
	switch {
	case fault.Is(err, fault.NotFound): // then nothing of it runs
		return nil
	case err == nil && !sub.State.Ended():
		return EraseTooEarly(e.Order)
	}
	return err
}

// CommitErase forgets what lies beside the order here; escrow, which the caller deletes, is what is kept of that, nil for none. unit.ErrStale
// where the order changed since it was read.
func (s *Service) CommitErase(tx Tx, e *Erasing, escrow []byte) (ledger.Draft, error) {
	body := order.Body{Order: e.Order, Subscription: e.Subscription, DocumentSHA256: hex.EncodeToString(e.Digest)}
	if len(escrow) > 0 {
		body.EscrowSHA256 = signed.Digest(escrow)
	}
	o, err := tx.ResaleOrders().Get(e.Partner, e.Order)
	if fault.Is(err, fault.NotFound) {
		o, err = Order{}, nil
	}
	if err == nil && o.Version != e.have.Version {
		err = unit.ErrStale
	}
	if err == nil {
		err = unsalt(tx, o)
	}
	return ledger.Draft{Kind: ledger.OrderErased, Subject: e.Subscription, Body: body}, err
}

// ForgetAgain repeats an erasure that our own log was read back to have, also where this store is from before what it is about ended here: that
// it did is what comes back next.
func (s *Service) ForgetAgain(tx Tx, partner, id string) error {
	o, err := tx.ResaleOrders().Get(partner, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.Action == order.Add {
		if err := tx.Subscriptions().DeleteSecret(o.Subscription(), subscription.SecretInputs); err != nil {
			return err
		}
	}
	return unsalt(tx, o)
}

// unsalt deletes the salt of an order's inputs, without which their digest says nothing. The inputs went with the subscription.
func unsalt(tx Tx, o Order) error {
	if o.Version == 0 || len(o.InputsSalt) == 0 {
		return nil
	}
	o.InputsSalt = nil
	_, err := tx.ResaleOrders().Put(o)
	return err
}
