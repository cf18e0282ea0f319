package resale

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// reasonTooLate refuses a cancel of what was begun, or has ended.
const reasonTooLate = "too_late"

// Cancelling is a cancel that can be trusted.
type Cancelling struct {
	order.Cancel
	// Partner signed it; Digest is the SHA-256 of its payload.
	Partner string
	Digest  []byte

	// have is the order that it is about, zero where none was ever seen.
	have Order
}

// Unseen reports whether the order had not arrived when the cancel was decided, which then refuses it for ever.
func (c *Cancelling) Unseen() bool { return c.have.ID == "" }

// OpenCancel reads the payload of a cancel that a partner signed.
func (s *Service) OpenCancel(partner string, payload []byte) (*Cancelling, error) {
	d, err := order.ParseCancel(payload)
	if err != nil {
		return nil, err
	}
	if d.Issuer != partner || d.Audience != s.Self {
		return nil, fault.New(fault.Denied, "document_parties", "the cancel is between other parties")
	}
	sum := sha256.Sum256(payload)
	return &Cancelling{Cancel: d, Partner: partner, Digest: sum[:]}, nil
}

// ReadCancel reads the order that a cancel is about, and refuses one about another order than that.
func (s *Service) ReadCancel(tx Tx, c *Cancelling) (err error) {
	c.have, err = tx.ResaleOrders().Get(c.Partner, c.Order)
	switch {
	case fault.Is(err, fault.NotFound):
		c.have = Order{}
		return nil
	case err != nil:
		return err
	case c.have.AgreementID != c.Agreement || c.have.SubscriptionID != c.Subscription || hex.EncodeToString(c.have.PayloadDigest) != c.OrderSHA256:
		return fault.New(fault.Conflict, "cancel_mismatch", "order %s has another agreement, subscription or content than the cancel says", c.Order)
	}
	return nil
}

// CommitCancel ends the order whose work nobody has begun, and refuses the cancel of one that is further. withdraw takes the work
// back, and reports whether it could. unit.ErrStale where the order moved, or arrived, since it was read.
func (s *Service) CommitCancel(tx Tx, c *Cancelling, withdraw func(Order) (bool, error)) (Decided, error) {
	body := order.Body{Order: c.Order, Subscription: c.Subscription, DocumentSHA256: hex.EncodeToString(c.Digest)}
	o, err := tx.ResaleOrders().Get(c.Partner, c.Order)
	if fault.Is(err, fault.NotFound) {
		o, err = Order{}, nil
	}
	switch {
	case err != nil:
		return Decided{}, err
	case o.Version != c.have.Version:
		return Decided{}, unit.ErrStale
	case c.Unseen():
		return Decided{Draft: ledger.Draft{Kind: ledger.OrderCancelled, Subject: c.Subscription, Body: body}, Settle: settled}, nil
	}
	begun := o.State != order.InProgress
	if !begun {
		withdrawn, err := withdraw(o)
		if err != nil {
			return Decided{}, err
		}
		begun = !withdrawn
	}
	if begun {
		body.Reason = reasonTooLate
		return Decided{Draft: ledger.Draft{Kind: ledger.CancelRefused, Subject: c.Subscription, Body: body}, Settle: settled}, nil
	}
	if _, err := subscription.Undo(tx, o.Subscription(), o.Course(), s.Now().UTC()); err != nil {
		return Decided{}, err
	}
	return s.moving(tx, &o, order.Cancelled, body), nil
}

func settled(ledger.Entry) error { return nil }
