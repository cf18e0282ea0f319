package exchange_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// between does something once before a write, when all that it rests on was read.
type between struct {
	unit.Work[exchange.Tx]
	before func()
}

func (w *between) Do(ctx context.Context, fn func(tx exchange.Tx) error) error {
	if before := w.before; before != nil {
		w.before = nil
		before()
	}
	return w.Work.Do(ctx, fn)
}

// TestAPageThatOvertakesACallIsHeldAgainstItsCheckpoint: our copy ended before the checkpoint when the call came, and is beyond it when
// the call is decided. Neither the page could be held against what was not kept yet, nor the checkpoint against what was not here.
func TestAPageThatOvertakesACallIsHeldAgainstItsCheckpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		at, hashOf int64
		upTo       int
		fork       bool
	}{
		{"the same at the end of the page", 2, 2, 2, false},
		{"the same within the page", 2, 2, 3, false},
		{"beyond the page", 3, 1, 2, false},
		{"another at the end of the page", 2, 1, 2, true},
		{"another within the page", 2, 1, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			buyers := b.members[buyer]
			for n := range 3 {
				buyers.Append(self, ledger.OrderPlaced, fmt.Sprintf("order-%d", n))
			}
			var log []ledger.Entry
			buyers.View(func(tx *store.Tx) (err error) {
				log, err = tx.Ledger().Entries(self, ledger.Own, ledger.Position{}, 3)
				return err
			})
			b.completed("order-0001")
			var partner member.Partner
			b.View(func(tx *store.Tx) (err error) { partner, err = tx.Partners().Get(buyer); return err })
			reader := &federation.LedgerReader{
				Self: self, Work: store.For[federation.Tx](b.Store), Now: b.Clock.Now,
				Handlers: map[ledger.Kind]federation.Handler{ledger.OrderPlaced: func(federation.Tx, ledger.Entry) error { return nil }},
			}
			b.desk.Reader = reader
			b.desk.Work = &between{Work: b.desk.Work, before: func() {
				page, err := buyers.Book.Tail(t.Context(), self, ledger.Position{}, c.upTo)
				if err == nil {
					_, err = reader.Read(t.Context(), partner, ledger.Position{}, federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint})
				}
				if err != nil {
					t.Error(err)
				}
			}}
			call := b.call(b.order(b.purchase("order-0002")), b.order(b.termination("end-0001", "order-0001")))
			var err error
			if call.Checkpoint, err = buyers.Book.Checkpoint(self, ledger.Position{Seq: c.at}, log[c.hashOf-1].Hash); err != nil {
				t.Fatal(err)
			}
			reply, err := b.desk.Submit(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			state, reason := ledger.Level, ""
			if c.fork {
				state, reason = ledger.Forked, ledger.ReasonFork
				wantUndecided(t, reply.Outcomes[0], "books_forked", false)
				b.noted(reply, 1, call.Documents[1]) // what winds down is decided all the same
			} else {
				b.decided(reply, 0)
				b.decided(reply, 1)
			}
			if books := b.books(); books.State != state || books.Reason != reason {
				t.Errorf("the books are %s for %q, want %s", books.State, books.Reason, state)
			}
			if !c.fork {
				return
			}
			b.View(func(tx *store.Tx) error {
				if raw, err := tx.Ledger().Evidence(buyer); err != nil || len(raw) == 0 {
					t.Errorf("the evidence is %q, %v", raw, err)
				}
				return nil
			})
		})
	}
}
