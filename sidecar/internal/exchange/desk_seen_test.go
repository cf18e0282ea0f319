package exchange_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
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
		if told++; partner != buyer || fault.ReasonOf(err) != "ledger_fork" {
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
			b.decided(reply, i)
		}
		if reply.Page.Checkpoint != checkpoint || reply.Page.Last != (ledger.Position{Seq: 2}) || len(reply.Page.Entries) > 0 {
			t.Errorf("the answer goes to %s with %d entries, signed anew: %v", reply.Page.Last, len(reply.Page.Entries), reply.Page.Checkpoint != checkpoint)
		}
	}
	books := b.books()
	var proof ledger.Evidence
	if err := json.Unmarshal(books.Evidence, &proof); err != nil {
		t.Fatal(err)
	}
	if books.State != ledger.Forked || books.Reason != "ledger_fork" || books.Version != 1 || told != 1 {
		t.Errorf("the books are %s for %s, written %d times, told %d times", books.State, books.Reason, books.Version, told)
	}
	if proof.At.Seq != 2 || proof.Theirs.Checkpoint != checkpoint || proof.Seen != seen || proof.Ours.Entries[0] != string(b.entry(proof.At).Bytes) {
		t.Errorf("the proof is %+v", proof)
	}
}

// countedWork counts what opens a write.
type countedWork struct {
	unit.Work[exchange.Tx]
	writes int
}

func (w *countedWork) Do(ctx context.Context, fn func(tx exchange.Tx) error) error {
	w.writes++
	return w.Work.Do(ctx, fn)
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
