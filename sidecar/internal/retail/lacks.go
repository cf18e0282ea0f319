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
	erases := e.Kind.Decides(ledger.EraseDoc)
	if !erases && (!known || d.decides == nil) {
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
	it := o.Items[i]
	if it.Partner != e.Partner {
		return true, nil
	}
	if erases {
		return len(it.EraseDigest) == 0, nil
	}
	if command, digest := d.decides(it); hex.EncodeToString(digest) != b.Document {
		return !it.signed(command), nil // what is signed once is not signed anew: the entry contradicts it
	}
	return false, nil
}

// signed reports whether the document is signed that a job sends.
func (i Item) signed(job string) bool {
	if job == JobCancel {
		return i.CancelDocument != ""
	}
	return i.Document != ""
}
