package exchange_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestBothMayHaveSignedTwoLogs: the proof of either fork is kept, whichever is shown first, once, and binds us to our last word.
func TestBothMayHaveSignedTwoLogs(t *testing.T) {
	t.Parallel()
	for _, order := range [][2]string{{ledger.ReasonFork, ledger.ReasonOwnFork}, {ledger.ReasonOwnFork, ledger.ReasonFork}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.completed("order-0001")
			buyers := b.members[buyer]
			for n := range 2 {
				buyers.Append(self, ledger.OrderPlaced, fmt.Sprintf("order-%d", n))
			}
			var partner member.Partner
			b.View(func(tx *store.Tx) (err error) { partner, err = tx.Partners().Get(buyer); return err })
			told := map[string]int{}
			reader := &federation.LedgerReader{
				Self: self, Work: store.For[federation.Tx](b.Store), Now: b.Clock.Now,
				Handlers: map[ledger.Kind]federation.Handler{ledger.OrderPlaced: func(federation.Tx, ledger.Entry) error { return nil }},
				Forked:   func(string, error) { told[ledger.ReasonFork]++ },
			}
			b.Book.Forked = func(string, error) { told[ledger.ReasonOwnFork]++ }
			page, err := buyers.Book.Tail(t.Context(), self, ledger.Position{}, 9)
			if err == nil {
				_, err = reader.Read(t.Context(), partner, ledger.Position{}, federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint})
			}
			if err != nil {
				t.Fatal(err)
			}
			b.desk.Reader = reader
			seen, word := b.shown(2, 1)
			first, err := ledger.Decode(page.Entries[0])
			if err != nil {
				t.Fatal(err)
			}
			lie, err := buyers.Book.Checkpoint(self, ledger.Position{Seq: 2}, first.Hash)
			if err != nil {
				t.Fatal(err)
			}
			show := func(reasons ...string) {
				t.Helper()
				call := b.call(b.order(b.termination(fmt.Sprintf("end-%d-%s", len(reasons), reasons[0]), "order-0001")))
				for _, reason := range reasons {
					if reason == ledger.ReasonOwnFork {
						call.Seen = seen
					} else {
						call.Checkpoint = lie
					}
				}
				reply, err := b.desk.Submit(t.Context(), call)
				if err != nil {
					t.Fatal(err)
				}
				b.noted(reply, 0, call.Documents[0])
			}
			show(order[0])
			show(order[1])
			show(order[0], order[1])
			books := b.books()
			if books.State != ledger.Forked || !books.Proven(ledger.ReasonFork) || !books.Proven(ledger.ReasonOwnFork) || books.Version != 2 {
				t.Errorf("the books are %+v", books)
			}
			if told[ledger.ReasonFork] != 1 || told[ledger.ReasonOwnFork] != 1 {
				t.Errorf("told %v", told)
			}
			var proof ledger.Evidence
			b.View(func(tx *store.Tx) error {
				raw, err := tx.Ledger().Evidence(buyer)
				if err == nil {
					err = json.Unmarshal(raw, &proof)
				}
				return err
			})
			if proof.Other == nil {
				t.Fatalf("one proof is kept: %+v", proof)
			}
			own, theirs := proof, *proof.Other
			if order[0] == ledger.ReasonFork {
				own, theirs = theirs, own
			}
			if own.Seen != seen || own.Theirs.Checkpoint != word || theirs.Seen != "" || theirs.Theirs.Checkpoint != lie || theirs.Ours.Checkpoint != page.Checkpoint {
				t.Errorf("of ours %+v, of the partner's %+v", own, theirs)
			}
			if said, err := b.Book.OwnCheckpoint(t.Context(), buyer); err != nil || said != word {
				t.Errorf("what we signed anew of our log: %v, %v", said != word, err)
			}
			reports, err := b.Book.VerifyPartner(t.Context(), buyer, partner.EverKeys())
			if err != nil || len(reports[1].Problems) != 2 {
				t.Errorf("verify says %+v, %v", reports[1].Problems, err)
			}
		})
	}
}
