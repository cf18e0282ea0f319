package exchange_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// places are those of the entries that a call carries, 0 and 0 where it carries none, and that of its checkpoint.
func (c call) places(t *testing.T) (first, last, checkpoint int64) {
	t.Helper()
	for i, raw := range c.Entries {
		e, err := ledger.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if last = e.Seq; i == 0 {
			first = last
		}
	}
	cp, err := ledger.ReadVerified(c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	return first, last, cp.Seq
}

// last is where the last call's entries begin and end, and its checkpoint.
func (o *office) last() string {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	first, last, checkpoint := o.calls[len(o.calls)-1].places(o.t)
	return fmt.Sprintf("%d to %d under %d", first, last, checkpoint)
}

// copied is how many entries of ours the first supplier has.
func (o *office) copied() (n int64) {
	o.t.Helper()
	o.suppliers[firstOrigin].View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(o.Origin, ledger.Theirs)
		n = head.Seq
		return err
	})
	return n
}

// TestWhatASupplierHasNotReadGoesWithADocument, and nothing that it is known to have read.
func TestWhatASupplierHasNotReadGoesWithADocument(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.box.Reader.Book = o.Book
		for i, want := range []string{"1 to 1 under 1", "2 to 2 under 2", "3 to 3 under 3"} {
			o.place("first/a", fmt.Sprintf("order-%d", i))
			pass(0)
			if got := o.last(); got != want || o.copied() != int64(i)+1 {
				t.Fatalf("call %d has %s, want %s; the supplier has %d", i+1, got, want, o.copied())
			}
		}
		o.decided(3)
	})
}

// TestMoreThanACallCarriesGoesAsFarAsItCan: as many entries as fit, where they have those of the documents; else none, and the supplier reads
// them by itself.
func TestMoreThanACallCarriesGoesAsFarAsItCan(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.box.Reader.Book = o.Book
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", "order-early")
		pass(0)
		for i := range 600 {
			o.Append(firstOrigin, ledger.ErasePlaced, fmt.Sprintf("sub-%d", i))
		}
		o.script(nil)
		o.box.Back(firstOrigin)
		pass(time.Minute)
		if got := o.last(); got != "1 to 500 under 500" || o.copied() != 500 {
			t.Fatalf("with what was placed first go %s; the supplier has %d", got, o.copied())
		}
		o.decided(1)
		o.place("first/a", "order-late")
		pass(time.Minute)
		if got := o.last(); got != "501 to 602 under 602" || o.copied() != 602 {
			t.Fatalf("with what was placed last go %s; the supplier has %d", got, o.copied())
		}
		for i := range 501 {
			o.Append(firstOrigin, ledger.ErasePlaced, fmt.Sprintf("sub-%d", i))
		}
		o.place("first/a", "order-last")
		pass(time.Minute)
		if got := o.last(); got != "0 to 0 under 1104" || o.copied() != 602 {
			t.Fatalf("behind too many go %s; the supplier has %d", got, o.copied())
		}
		o.decided(3)
	})
}

// TestNothingOfALogThatIsForkedGoesWithADocument: which log is the one is for both to agree on.
func TestNothingOfALogThatIsForkedGoesWithADocument(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-1")
		pass(0)
		o.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(firstOrigin)
			if err != nil {
				return err
			}
			books.State = ledger.Forked
			_, err = tx.Ledger().PutBooks(books)
			return err
		})
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-1"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if got := o.last(); got != "0 to 0 under 2" || len(o.sent()) < 2 {
			t.Fatalf("with a cancel go %s, in %v", got, o.sent())
		}
	})
}
