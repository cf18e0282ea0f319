package exchange_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// reader is one that applies nothing, and fails to where an entry is about the subject.
func (b *bench) reader(failing string) *federation.LedgerReader {
	r := &federation.LedgerReader{Self: self, Work: store.For[federation.Tx](b.Store), Now: b.Clock.Now, Handlers: map[ledger.Kind]federation.Handler{}}
	for _, kind := range ledger.Kinds() {
		r.Handlers[kind] = func(_ federation.Tx, e ledger.Entry) error {
			if e.Subject == failing {
				return errors.New("it does not fit")
			}
			return nil
		}
	}
	return r
}

// copy is where our copy of the buyer's log ends, under its checkpoint.
func (b *bench) copy() (head ledger.Head) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) { head, err = tx.Ledger().Head(buyer, ledger.Theirs); return err })
	return head
}

// TestWhatCameWithADocumentOfItsSendersLogIsGivenBack: the sender's log, up to the checkpoint that is kept with the decision. Whatever is amiss
// with it, the document is decided, and our copy is what it was.
func TestWhatCameWithADocumentOfItsSendersLogIsGivenBack(t *testing.T) {
	t.Parallel()
	const all = 4 // entries of the sender's, of which two are read
	for name, c := range map[string]struct {
		change  func(call *exchange.Call)
		failing string
		// all has the whole log in the call, and not what is unread of it.
		all bool
		// meanwhile is what a page brings after the call was judged.
		meanwhile int
		copied    int64
		parked    int
	}{
		"what is unread":                 {copied: all},
		"what is read too":               {all: true, copied: all},
		"nothing, by an older member":    {change: func(c *exchange.Call) { c.Entries = nil }, copied: 2},
		"less than is unread":            {change: func(c *exchange.Call) { c.Entries = c.Entries[1:] }, copied: 2},
		"not up to the checkpoint":       {change: func(c *exchange.Call) { c.Entries = c.Entries[:1] }, copied: 2},
		"entries in another order":       {change: func(c *exchange.Call) { slices.Reverse(c.Entries) }, copied: 2},
		"what is no entry":               {change: func(c *exchange.Call) { c.Entries[0] = []byte("{}") }, copied: 2},
		"more than a page has":           {change: func(c *exchange.Call) { c.Entries = append(c.Entries, make([][]byte, 500)...) }, copied: 2},
		"what cannot be applied":         {failing: "sub-3", copied: all, parked: 1},
		"what a page brought meanwhile":  {meanwhile: all, copied: all},
		"half of what a page brought":    {meanwhile: 3, copied: all},
		"what is amiss, and is read now": {change: func(c *exchange.Call) { c.Entries = c.Entries[:1] }, meanwhile: all, copied: all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			buyers := b.members[buyer]
			for i := range all {
				buyers.Append(self, ledger.OrderPlaced, fmt.Sprintf("sub-%d", i+1))
			}
			b.desk.Reader = b.reader(c.failing)
			read := func(upTo int) {
				page, err := buyers.Book.Tail(t.Context(), self, ledger.Position{}, upTo)
				if err == nil {
					_, err = b.desk.Reader.Read(t.Context(), b.partner(), ledger.Position{}, federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint})
				}
				if err != nil {
					t.Error(err)
				}
			}
			read(2)
			if c.meanwhile > 0 {
				b.desk.Work = &between{Work: b.desk.Work, before: func() { read(c.meanwhile) }}
			}
			call := b.call(b.order(b.purchase("order-0001")), b.order(b.purchase("order-0002")))
			after := ledger.Position{Seq: 2}
			if c.all {
				after = ledger.Position{}
			}
			page, err := buyers.Book.Tail(t.Context(), self, after, all)
			if err != nil {
				t.Fatal(err)
			}
			if call.Entries = page.Entries; c.change != nil {
				c.change(&call)
			}
			reply, err := b.desk.Submit(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			b.decided(reply, 0)
			b.decided(reply, 1)
			if head := b.copy(); head.Seq != c.copied {
				t.Errorf("our copy has %d entries, want %d", head.Seq, c.copied)
			}
			given := b.recall(0)
			if int64(len(given.Entries)) != c.copied {
				t.Errorf("it is given %d entries back", len(given.Entries))
			}
			held, jws := ledger.Checkpoint{}, ""
			b.View(func(tx *store.Tx) (err error) { held, jws, err = tx.Decisions().Held(buyer); return err })
			if held.Seq != all || jws != call.Checkpoint {
				t.Errorf("with the decision %s is kept", held.Position())
			}
			if end, err := ledger.ReadVerified(given.Checkpoint); err != nil || end.Seq != c.copied {
				t.Errorf("our copy ends under a checkpoint at %s, %v", end.Position(), err)
			}
			b.View(func(tx *store.Tx) error {
				parked, err := tx.Ledger().ParkedAll(buyer)
				if len(parked) != c.parked {
					t.Errorf("parked is %+v", parked)
				}
				return err
			})
			if books := b.books(); books.State != ledger.Level {
				t.Errorf("the books are %s (%s)", books.State, books.Reason)
			}
		})
	}
}

// TestAnotherLogThatCameWithADocumentIsAFork as it is in a page: where it leads from another place than our copy ends at, and where it passes a
// checkpoint that came with a document before.
func TestAnotherLogThatCameWithADocumentIsAFork(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]bool{"than our copy": true, "than a checkpoint that is kept": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.desk.Reader = b.reader("")
			buyers := b.members[buyer]
			b.completed("order-0001")
			log := make([]ledger.Entry, 0, 6)
			logOf := func(subject string) (all []ledger.Entry) {
				prev := ledger.Genesis(b.partner().PartnershipID)
				for i := range 3 {
					e, err := ledger.Draft{Kind: ledger.OrderPlaced, Subject: fmt.Sprintf("%s-%d", subject, i), Body: map[string]string{"order": subject}}.
						Seal(self, ledger.Position{Seq: int64(i) + 1}, b.Clock.Now(), prev)
					if err != nil {
						t.Fatal(err)
					}
					all, prev = append(all, e), e.Hash
				}
				return all
			}
			log = append(append(log, logOf("one")...), logOf("two")...)
			signs := func(e ledger.Entry) string {
				jws, err := buyers.Book.Checkpoint(self, e.Position(), e.Hash)
				if err != nil {
					t.Fatal(err)
				}
				return jws
			}
			first := b.call(b.order(b.purchase("order-0002")))
			first.Checkpoint = signs(log[1])
			if read {
				first.Entries = [][]byte{log[0].Bytes, log[1].Bytes}
			}
			reply, err := b.desk.Submit(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			b.decided(reply, 0)
			second := b.call(b.order(b.purchase("order-0003")), b.order(b.termination("end-0001", "order-0001")))
			second.Checkpoint, second.Entries = signs(log[5]), [][]byte{log[3].Bytes, log[4].Bytes, log[5].Bytes}
			if reply, err = b.desk.Submit(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			wantUndecided(t, reply.Outcomes[0], "books_forked", false)
			b.noted(reply, 1, second.Documents[1])
			if books := b.books(); books.State != ledger.Forked || books.Reason != ledger.ReasonFork {
				t.Errorf("the books are %s for %q", books.State, books.Reason)
			}
			want := int64(0)
			if read {
				want = 2
			}
			if head := b.copy(); head.Seq != want {
				t.Errorf("our copy has %d entries", head.Seq)
			}
		})
	}
}

// partner is the buyer as we know it.
func (b *bench) partner() (p member.Partner) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) { p, err = tx.Partners().Get(buyer); return err })
	return p
}
