package retail_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// A supplier that signed two ledgers sells nothing new through us; that is not the customer's fault, and others sell on.
func TestNothingNewIsOrderedWhereTheBooksAreForked(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: vendor, State: ledger.Forked})
		return err
	})
	_, err := c.place(add("lst"))
	if !fault.Is(err, fault.Precondition) || fault.ReasonOf(err) != "listing_not_orderable" {
		t.Errorf("ordered from it: %v", err)
	}
	c.View(func(tx *store.Tx) error {
		if head, err := tx.Ledger().Head(vendor, ledger.Own); err != nil || head.Seq != 0 {
			t.Errorf("the ledger towards it has %d entries, %v", head.Seq, err)
		}
		return nil
	})
	if _, err := c.place(add("other")); err != nil {
		t.Errorf("ordered from another: %v", err)
	}
}
