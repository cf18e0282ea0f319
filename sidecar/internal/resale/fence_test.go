package resale_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// A reseller that signed two ledgers buys nothing new. Nothing is decided about its order, which may come again.
func TestNothingNewIsSoldWhereTheBooksAreForked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: buyer, State: ledger.Forked})
		return err
	})
	_, err := d.service.Receive(t.Context(), d.command(buyer, d.document("order-0001")))
	if !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_forked" {
		t.Errorf("received: %v", err)
	}
	if orders, entries, jobs := d.traces(); orders+entries+jobs != 0 {
		t.Errorf("left %d orders, %d ledger entries, %d jobs", orders, entries, jobs)
	}
}
