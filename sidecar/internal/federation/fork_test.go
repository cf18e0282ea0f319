package federation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// watched counts what is asked of the store.
type watched struct {
	unit.Work[federation.Tx]
	// viewed is told of each view before it runs.
	viewed func(n int)

	mu                              sync.Mutex
	views, writes, evidence, held   int
	pages, atOnce, most, mostInView int
}

func (w *watched) View(ctx context.Context, fn func(tx federation.Tx) error) error {
	w.mu.Lock()
	w.views++
	n := w.views
	w.mu.Unlock()
	if w.viewed != nil {
		w.viewed(n)
	}
	return w.Work.View(ctx, func(tx federation.Tx) error {
		in := watchedTx{tx, w, new(int)}
		err := fn(in)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mostInView = max(w.mostInView, *in.pages)
		return err
	})
}

func (w *watched) Do(ctx context.Context, fn func(tx federation.Tx) error) error {
	w.mu.Lock()
	w.writes++
	w.mu.Unlock()
	return w.Work.Do(ctx, func(tx federation.Tx) error { return fn(watchedTx{tx, w, new(int)}) })
}

type watchedTx struct {
	federation.Tx
	w     *watched
	pages *int
}

func (tx watchedTx) Ledger() ledger.Store { return watchedStore{tx.Tx.Ledger(), tx} }

type watchedStore struct {
	ledger.Store
	tx watchedTx
}

func (s watchedStore) Entries(partner string, dir ledger.Direction, after ledger.Position, limit int) ([]ledger.Entry, error) {
	w := s.tx.w
	*s.tx.pages++
	w.mu.Lock()
	w.pages++
	w.atOnce++
	w.most = max(w.most, w.atOnce)
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.atOnce--
	}()
	return s.Store.Entries(partner, dir, after, limit)
}

func (s watchedStore) Evidence(partner string) ([]byte, error) {
	s.tx.w.evidence++
	return s.Store.Evidence(partner)
}

func (s watchedStore) HeldWithin(partner string, after, upTo ledger.Position, fn func(ledger.Position, string) error) error {
	s.tx.w.held++
	return s.Store.HeldWithin(partner, after, upTo, fn)
}

func (p *party) books() (b ledger.Books) {
	p.View(func(tx *store.Tx) (err error) { b, err = tx.Ledger().Books(supplier); return err })
	return b
}

// TestALiarThatHangsUpIsConvicted: the look at our copy may take long, and who knows that hangs up before it is over.
func TestALiarThatHangsUpIsConvicted(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 3; after++ {
		t.Run(fmt.Sprintf("at look %d at our copy", after), func(t *testing.T) {
			t.Parallel()
			s, r, _, reader, partner := setUp(t)
			for _, subject := range book[:3] {
				s.Append(reseller, ledger.OrderAccepted, subject)
			}
			if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 3)); err != nil {
				t.Fatal(err)
			}
			ctx, hangUp := context.WithCancel(t.Context())
			const before = 3 // where the copy stands, whether the books are forked, and once more in turn
			reader.Work = &watched{Work: reader.Work, viewed: func(n int) {
				if n == before+after {
					hangUp()
				}
			}}
			if _, err := reader.Judge(ctx, partner, federation.LedgerPage{Checkpoint: s.signs(t, ledger.Position{Seq: 1}, 2)}); fault.ReasonOf(err) != "ledger_fork" {
				t.Errorf("judged %v", err)
			}
			if b := r.books(); ctx.Err() == nil || b.State != ledger.Forked {
				t.Errorf("the books are %s", b.State)
			}
		})
	}
}

// TestAForkCostsOneReadingOfOurCopy: of many calls at once that show it one reads our copy, a page a view; after that a call costs neither
// a page nor a write.
func TestAForkCostsOneReadingOfOurCopy(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	const entries = 1100
	s.Do(func(tx *store.Tx) error {
		for n := range entries {
			if _, err := s.Book.Append(tx, reseller, ledger.OrderAccepted, fmt.Sprintf("order-%d", n), map[string]string{}); err != nil {
				return err
			}
		}
		return nil
	})
	for at := (ledger.Position{}); at.Seq < entries; {
		upTo, err := reader.Read(t.Context(), partner, at, s.page(t, reseller, at.Seq, 500))
		if err != nil {
			t.Fatal(err)
		}
		at = upTo
	}
	work := &watched{Work: reader.Work}
	reader.Work = work
	lie := s.signs(t, ledger.Position{Seq: 1}, 2)
	judge := func() {
		if _, err := reader.Judge(t.Context(), partner, federation.LedgerPage{Checkpoint: lie}); fault.ReasonOf(err) != "ledger_fork" {
			t.Errorf("judged %v", err)
		}
	}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(judge)
	}
	calls.Wait()
	if work.pages != 4 || work.most != 1 || work.mostInView != 1 || work.writes != 1 { // three of our copy, one as evidence
		t.Errorf("read %d pages, %d at once, %d in a view, with %d writes", work.pages, work.most, work.mostInView, work.writes)
	}
	work.views, work.pages, work.writes, work.evidence = 0, 0, 0, 0
	judge()
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.fork(t, "order-9")); fault.ReasonOf(err) != "books_forked" {
		t.Errorf("a page: %v", err)
	}
	if work.pages+work.writes+work.evidence != 0 || work.views != 3 {
		t.Errorf("after the fork: %d views, %d pages, %d writes, the evidence %d times", work.views, work.pages, work.writes, work.evidence)
	}
	if r.books().Version != 1 {
		t.Error("the books were written again")
	}
}

// TestAPageIsHeldAgainstWhatCameWithDocuments: a partner signs a place that our copy has not reached, and the page that brings the place
// has another entry there. That is what a restored partner looks like.
func TestAPageIsHeldAgainstWhatCameWithDocuments(t *testing.T) {
	t.Parallel()
	type said struct {
		seq, hashOf int64
		damaged     bool
	}
	cases := []struct {
		name string
		said []said
		// pages are how many entries each has; fork is which of them, from 1, shows it.
		pages []int
		fork  int
		// ours says that the first page fails by damage here.
		ours bool
	}{
		{"nothing was said", nil, []int{2}, 0, false},
		{"it says the same", []said{{4, 4, false}, {5, 5, false}}, []int{2}, 0, false},
		{"another entry at the end of a page", []said{{5, 4, false}}, []int{2}, 1, false},
		{"another entry within a page", []said{{5, 5, false}, {4, 1, false}}, []int{2}, 1, false},
		{"another entry beyond the first page", []said{{5, 4, false}}, []int{1, 1}, 2, false},
		{"what was said is damaged here", []said{{5, 4, true}}, []int{2}, 0, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, r, a, reader, partner := setUp(t)
			for _, subject := range book {
				s.Append(reseller, ledger.OrderAccepted, subject)
			}
			if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 3)); err != nil {
				t.Fatal(err)
			}
			var kept string
			for n, word := range c.said {
				kept = s.signs(t, ledger.Position{Seq: word.seq}, word.hashOf)
				if got, err := reader.Judge(t.Context(), partner, federation.LedgerPage{Checkpoint: kept}); err != nil || got.Checkpoint.Seq != word.seq {
					t.Fatalf("a call: %+v, %v", got, err)
				}
				if word.damaged { // its signature does not hold
					kept = kept[:len(kept)-8] + "AAAAAAAA"
				}
				r.Do(func(tx *store.Tx) error {
					return tx.Decisions().PutDecisions([]exchange.Decision{{
						Partner: supplier, Key: exchange.Key{Type: "t", ID: fmt.Sprint(n)}, Checkpoint: kept, Held: ledger.Checkpoint{Seq: word.seq},
					}})
				})
			}
			work := &watched{Work: reader.Work}
			reader.Work = work
			applied, at := int64(3), ledger.Position{Seq: 3}
			for n, size := range c.pages {
				page := s.page(t, reseller, at.Seq, size)
				upTo, err := reader.Read(t.Context(), partner, at, page)
				switch {
				case n+1 == c.fork:
					if fault.ReasonOf(err) != "ledger_fork" || !federation.Refused(err) {
						t.Errorf("page %d: %v", n+1, err)
					}
					var proof ledger.Evidence
					if err := json.Unmarshal(r.evidence(t), &proof); err != nil || proof.Ours.Checkpoint != kept || proof.Theirs.Checkpoint != page.Checkpoint {
						t.Errorf("the proof is %+v, %v", proof, err)
					}
				case c.ours:
					if !fault.Is(err, fault.Internal) || federation.Refused(err) {
						t.Errorf("page %d: %v", n+1, err)
					}
				case err != nil:
					t.Errorf("page %d: %v", n+1, err)
				default:
					applied, at = upTo.Seq, upTo
				}
			}
			if forked := r.books().State == ledger.Forked; forked != (c.fork > 0) || int64(len(a.applied)) != applied {
				t.Errorf("forked %v, applied %v", forked, a.applied)
			}
			if work.held != len(c.pages) {
				t.Errorf("looked %d times in %d pages", work.held, len(c.pages))
			}
			if c.fork > 0 || c.ours {
				return
			}
			if _, err := s.Book.Beat(t.Context(), s.Book.Tick()); err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Read(t.Context(), partner, at, s.page(t, reseller, at.Seq, 1)); err != nil || work.held != len(c.pages) {
				t.Errorf("a heartbeat looks: %d, %v", work.held, err)
			}
		})
	}
}

// TestWhatWasToldOfWhoIsForgottenIsToldAgain: of a partner that is none any more nothing is remembered.
func TestWhatWasToldOfWhoIsForgottenIsToldAgain(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	reader.Book = r.Book
	told := 0
	reader.Contradicted = func(string, error) { told++ }
	ours, err := r.Book.Checkpoint(supplier, ledger.Position{Seq: 9}, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := s.Book.Countersign(reseller, ours)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{1, 1, 2} {
		if n == 2 {
			reader.Forget(supplier)
			r.Book.Forget(supplier)
		}
		page := s.page(t, reseller, 0, 1)
		page.Seen = seen
		if _, err := reader.Read(t.Context(), partner, ledger.Position{}, page); err != nil || told != want {
			t.Errorf("told %d times, want %d, %v", told, want, err)
		}
	}
}
