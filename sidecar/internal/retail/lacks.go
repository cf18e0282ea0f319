package retail

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Lacks reports whether an entry of a supplier's ledger decides a document of ours that this store does not have: it was signed by a store
// that knew more. An entry that is malformed names none.
func (s *Service) Lacks(tx Tx, e ledger.Entry) (bool, error) {
	d, known := decisions[e.Kind]
	if !known || d.decides == nil {
		return false, nil
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return false, nil
	}
	o, i, err := tx.RetailOrders().ByCorrelation(b.Order)
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_, digest := d.decides(o.Items[i])
	return o.Items[i].Partner != e.Partner || hex.EncodeToString(digest) != b.Document, nil
}
