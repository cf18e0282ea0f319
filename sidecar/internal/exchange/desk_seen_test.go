package exchange_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// shown is a checkpoint of ours at a place, with the hash of another, that the buyer countersigned.
func (b *bench) shown(seq, hashOf int64) (seen, checkpoint string) {
	b.t.Helper()
	checkpoint, err := b.Book.Checkpoint(buyer, ledger.Position{Seq: seq}, b.entry(ledger.Position{Seq: hashOf}).Hash)
	if err != nil {
		b.t.Fatal(err)
	}
	if seen, err = b.members[buyer].Book.Countersign(self, checkpoint); err != nil {
		b.t.Fatal(err)
	}
	return seen, checkpoint
}

func (b *bench) books() (books ledger.Books) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) { books, err = tx.Ledger().Books(buyer); return err })
	return books
}

// TestWhoHoldsAnotherLogOfOursIsHeard: both signatures are ours. That is a fork as any other: the proof is kept, new business waits,
// what winds down is decided, and nothing says that a document was refused.
func TestWhoHoldsAnotherLogOfOursIsHeard(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	open := b.purchase("order-0002")
	b.submit(b.order(open))
	told := 0
	b.Book.Forked = func(partner string, err error) {
		if told++; partner != buyer || fault.ReasonOf(err) != "own_ledger_fork" {
			t.Errorf("told of %s: %v", partner, err)
		}
	}
	seen, checkpoint := b.shown(2, 1)
	for range 2 {
		call := b.call(b.order(b.purchase("order-0003")), b.order(open), b.order(b.termination("end-0001", "order-0001")), b.cancelling(open),
			exchange.Document{JWS: b.sign(buyer, signed.AccessReceipt, b.receipt("order-0001"))})
		call.Seen = seen
		reply, err := b.desk.Submit(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		wantUndecided(t, reply.Outcomes[0], "books_forked", false)
		for i := 1; i < len(call.Documents); i++ {
			b.noted(reply, i, call.Documents[i])
		}
		if reply.Page.Checkpoint != checkpoint || reply.Page.Last != (ledger.Position{Seq: 2}) || len(reply.Page.Entries) > 0 {
			t.Errorf("the answer goes to %s with %d entries, signed anew: %v", reply.Page.Last, len(reply.Page.Entries), reply.Page.Checkpoint != checkpoint)
		}
	}
	books := b.books()
	var proof ledger.Evidence
	b.View(func(tx *store.Tx) error {
		raw, err := tx.Ledger().Evidence(buyer)
		if err == nil {
			err = json.Unmarshal(raw, &proof)
		}
		return err
	})
	if books.State != ledger.Forked || books.Reason != "own_ledger_fork" || books.Version != 1 || told != 1 {
		t.Errorf("the books are %s for %s, written %d times, told %d times", books.State, books.Reason, books.Version, told)
	}
	if proof.At.Seq != 2 || proof.Theirs.Checkpoint != checkpoint || proof.Seen != seen || proof.Ours.Entries[0] != string(b.entry(proof.At).Bytes) {
		t.Errorf("the proof is %+v", proof)
	}
}

// countedWork counts what opens a write and which decisions are looked up, and lists what moves the head of our log.
type countedWork struct {
	unit.Work[exchange.Tx]
	writes, lookups int
	head            []string
}

func (w *countedWork) View(ctx context.Context, fn func(tx exchange.Tx) error) error {
	return w.Work.View(ctx, func(tx exchange.Tx) error { return fn(countedTx{tx, w}) })
}

func (w *countedWork) Do(ctx context.Context, fn func(tx exchange.Tx) error) error {
	w.writes++
	return w.Work.Do(ctx, func(tx exchange.Tx) error { return fn(countedTx{tx, w}) })
}

type countedTx struct {
	exchange.Tx
	w *countedWork
}

func (tx countedTx) Ledger() ledger.Store      { return countedLedger{tx.Tx.Ledger(), tx.w} }
func (tx countedTx) Decisions() exchange.Store { return countedDecisions{tx.Tx.Decisions(), tx.w} }

type countedLedger struct {
	ledger.Store
	w *countedWork
}

func (s countedLedger) Advance(partner string, dir ledger.Direction, build func(ledger.Position, [32]byte) ([]ledger.Entry, error)) ([]ledger.Entry, error) {
	s.w.head = append(s.w.head, "append")
	return s.Store.Advance(partner, dir, build)
}

func (s countedLedger) SetSeen(partner string, c ledger.Checkpoint, jws string) error {
	s.w.head = append(s.w.head, "seen")
	return s.Store.SetSeen(partner, c, jws)
}

type countedDecisions struct {
	exchange.Store
	w *countedWork
}

func (s countedDecisions) Decisions(partner string, keys []exchange.Key) (map[exchange.Key]exchange.Decision, error) {
	s.w.lookups += len(keys)
	return s.Store.Decisions(partner, keys)
}

// TestTheHeadOfOurLogIsTakenLast: whoever holds it keeps every other call of the partner waiting.
func TestTheHeadOfOurLogIsTakenLast(t *testing.T) {
	t.Parallel()
	for name, damaged := range map[string]bool{"all together": false, "each by itself": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBench(t, markettest.Config{Once: true})
			b.completed("order-0001")
			docs := []exchange.Document{b.order(b.purchase("order-0002")), b.order(b.purchase("order-0003"))}
			if damaged { // its subscription's key was destroyed: it cannot be written
				b.Do(func(tx *store.Tx) error {
					return tx.Subscriptions().Erase(subscription.ResaleKey(buyer, "sub-order-0003"))
				})
			}
			work := &countedWork{Work: b.desk.Work}
			b.desk.Work = work
			call := b.call(docs...)
			call.Seen, _ = b.shown(2, 2)
			if _, err := b.desk.Submit(t.Context(), call); err != nil {
				t.Fatal(err)
			}
			if len(work.head) < 2 || slices.Index(work.head, "seen") != len(work.head)-1 {
				t.Errorf("the head was taken for %v", work.head)
			}
		})
	}
}

// TestWhatWasDecidedIsLookedUpOnce: of a call at first of all its documents, and then of those whose turn it is.
func TestWhatWasDecidedIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	var docs []exchange.Document
	for n := range exchange.MaxDocuments {
		docs = append(docs, b.order(b.termination(fmt.Sprintf("end-%04d", n), "order-0001")))
	}
	work := &countedWork{Work: b.desk.Work}
	b.desk.Work = work
	reply := b.submit(docs...)
	for i := range docs {
		b.decided(reply, i)
	}
	if want := 2*exchange.MaxDocuments - 1; work.lookups != want {
		t.Errorf("%d look-ups, want %d", work.lookups, want)
	}
}

// TestWhoSignedTwoLogsSignsNothingAnewOfThem: wherever a checkpoint of ours is due, the one that the partner showed says all. A later
// word of the partner takes its place, and what this process remembers is not needed.
func TestWhoSignedTwoLogsSignsNothingAnewOfThem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	b.completed("order-0002")
	show := func(seq, hashOf int64) string {
		seen, checkpoint := b.shown(seq, hashOf)
		call := b.call(b.order(b.termination(fmt.Sprintf("end-%d", seq), "order-0001")))
		call.Seen = seen
		if _, err := b.desk.Submit(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		return checkpoint
	}
	repeats := func(want string) {
		t.Helper()
		page, err := b.Book.Tail(t.Context(), buyer, ledger.Position{}, 500)
		if err != nil || page.Checkpoint != want || len(page.Entries) > 0 || page.More {
			t.Errorf("a tail gets %d entries, signed anew: %v, %v", len(page.Entries), page.Checkpoint != want, err)
		}
		if own, err := b.Book.OwnCheckpoint(t.Context(), buyer); err != nil || own != want {
			t.Errorf("a call of ours carries what is signed anew: %v, %v", own != want, err)
		}
		said, err := ledger.VerifyCheckpoint(want, self, buyer, b.Pinned())
		if err != nil {
			t.Fatal(err)
		}
		if c := b.compare(bytes.Repeat([]byte{7}, 32)); c.Seq != said.Seq || c.Hash != said.Hash || c.Tick != said.Tick {
			t.Errorf("a comparison says %+v, want %+v", c, said)
		}
	}
	first := show(2, 1)
	repeats(first)
	repeats(show(3, 1))
	b.Book.Forget(buyer)
	repeats(first)
	if own, err := b.Book.OwnCheckpoint(t.Context(), other); err != nil || own == first {
		t.Errorf("another partner is told %v", err)
	}
}

// TestOnlyWhatIsNewIsWritten: a call that decides nothing writes where the partner has read more, and nowhere else.
func TestOnlyWhatIsNewIsWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	work := &countedWork{Work: b.desk.Work}
	b.desk.Work = work
	for _, c := range []struct {
		name        string
		seq, writes int64
	}{
		{"the first word", 1, 1}, {"a later tick", 1, 0}, {"more", 2, 1}, {"less", 1, 0},
	} {
		if _, err := b.Book.Beat(t.Context(), b.Book.Tick()); err != nil {
			t.Fatal(err)
		}
		call := b.call(exchange.Document{JWS: "no document"})
		call.Seen, _ = b.shown(c.seq, c.seq)
		work.writes = 0
		if _, err := b.desk.Submit(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		if int64(work.writes) != c.writes {
			t.Errorf("%s: %d writes, want %d", c.name, work.writes, c.writes)
		}
	}
}
