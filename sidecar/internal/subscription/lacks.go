package subscription

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Lacks reports whether an entry of a supplier's ledger decides a receipt of ours that this store does not have. An entry that is
// malformed names none.
func (s *Service) Lacks(tx Tx, e ledger.Entry) (bool, error) {
	if !e.Kind.Decides(ledger.Receipt) {
		return false, nil
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return false, nil
	}
	sub, err := tx.Subscriptions().Get(RetailKey(e.Subject))
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	return err == nil && hex.EncodeToString(sub.ReceiptDigest) != b.Document, err
}
