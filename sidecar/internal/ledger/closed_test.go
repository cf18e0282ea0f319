package ledger_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestNothingIsAppendedBeforeTheStoreIsProvedToBeTheOneThatSigned: an older store would give a place a second time.
func TestNothingIsAppendedBeforeTheStoreIsProvedToBeTheOneThatSigned(t *testing.T) {
	t.Parallel()
	p := newParty(t, us)
	for state, reason := range map[ledger.BooksState]string{
		ledger.Level: "", ledger.Forked: "", ledger.Unproven: "books_unproven", ledger.Behind: "books_behind",
	} {
		var before, after ledger.Head
		p.Do(func(tx *store.Tx) error {
			b, err := tx.Ledger().Books(them)
			if err == nil {
				b.State = state
				_, err = tx.Ledger().PutBooks(b)
			}
			return err
		})
		p.View(func(tx *store.Tx) (err error) { before, err = tx.Ledger().Head(them, ledger.Own); return err })
		err := p.Store.Do(t.Context(), func(tx *store.Tx) error {
			_, err := p.Book.Append(tx, them, ledger.OrderAccepted, "order-1", map[string]string{"order": "order-1"})
			return err
		})
		p.View(func(tx *store.Tx) (err error) { after, err = tx.Ledger().Head(them, ledger.Own); return err })
		if fault.ReasonOf(err) != reason || (err == nil) != state.Appends() || err != nil && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", state, err)
		}
		if grown := after.Seq > before.Seq; grown != state.Appends() {
			t.Errorf("%s: the log grew: %v", state, grown)
		}
		p.append(other, "order-2") // another partner's is not kept waiting
	}
}
