package subscription

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Recover gives a subscription the receipt that an entry of our own log placed. The access data themselves nobody gives back where the
// supplier had the receipt: the job that fetches them says so to an operator.
func (s *Service) Recover(tx Tx, e ledger.Entry, jws string, payload []byte) error {
	r, err := ParseReceipt(payload)
	if err != nil {
		return err
	}
	sub, err := tx.Subscriptions().Get(RetailKey(r.Subscription))
	if err != nil {
		return err
	}
	// Each rotation has a receipt of its own: the one that our log placed last counts.
	digest := sha256.Sum256(payload)
	switch {
	case r.Issuer != s.Self || r.Audience != e.Partner || sub.Partner != e.Partner || r.Subscription != e.Subject:
		return fault.New(fault.Invalid, "document_mismatch", "the receipt is about another subscription than entry %s", e.Position())
	case bytes.Equal(sub.ReceiptDigest, digest[:]):
		return nil
	}
	sub.Receipt, sub.ReceiptDigest, sub.UpdatedAt = jws, digest[:], s.Now().UTC()
	if _, err := tx.Subscriptions().Put(sub); err != nil {
		return err
	}
	_, err = tx.Jobs().Send(sub.confirming(), s.Now().UTC(), "", s.Now().UTC())
	return err
}

// RecoverDeleted applies an entry of our own log which says that we deleted what a reseller confirmed.
func (s *Service) RecoverDeleted(tx Keeper, e ledger.Entry, payload []byte) error {
	r, err := ParseReceipt(payload)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(payload)
	b, err := ledger.ReadBody(e)
	if err != nil {
		return err
	}
	if r.Subscription != e.Subject || hex.EncodeToString(digest[:]) != b.Document {
		return fault.New(fault.Invalid, "document_mismatch", "the receipt is about another subscription than entry %s", e.Position())
	}
	return tx.Subscriptions().DeleteSecret(ResaleKey(e.Partner, r.Subscription), SecretSealed)
}
