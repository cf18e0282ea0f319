package agreement

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Lacks reports whether an entry of a partner's ledger decides an offer or an acceptance of ours that this store does not have.
func (s *Service) Lacks(tx Tx, e ledger.Entry) (bool, error) {
	if !e.Kind.Decides(ledger.Offer) && !e.Kind.Decides(ledger.Acceptance) {
		return false, nil
	}
	a, err := tx.Agreements().Get(e.Partner, e.Subject)
	switch {
	case fault.Is(err, fault.NotFound):
		return true, nil
	case err != nil:
		return false, err
	case e.Kind.Decides(ledger.Acceptance):
		return a.ResellerJWS == "", nil
	}
	return a.SupplierJWS == "", nil
}
