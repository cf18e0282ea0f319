package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// replica is another process over the same store.
func (p *party) replica(t *testing.T) *ledger.Book {
	t.Helper()
	b := &ledger.Book{Self: p.Origin, Work: p.Book.Work, Signer: p.Book.Signer, OwnKeys: p.Book.OwnKeys, Now: p.Book.Now}
	if err := b.LoadTick(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *party) storedTick() (tick int64) {
	p.View(func(tx *store.Tx) (err error) { tick, err = tx.Ledger().Tick(); return err })
	return tick
}

func TestReplicasShareOneTick(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		// beats are the rounds of two replicas in their order.
		beats string
		want  int64
	}{
		{"one alone", "aaaa", 4},
		{"two in turn", "abababab", 4},
		{"two in turn, the other first", "babababa", 4},
		{"one joins late", "aaabababa", 6},
		{"one goes away", "ababaaa", 5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newParty(t, us)
			books := map[rune]*ledger.Book{'a': p.replica(t), 'b': p.replica(t)}
			last := map[rune]int64{}
			for i, who := range c.beats {
				var err error
				if last[who], err = books[who].Beat(t.Context(), last[who]); err != nil {
					t.Fatal(err)
				}
				if have := books[who].Tick(); have != p.storedTick() {
					t.Errorf("round %d: signs %d, stored is %d", i, have, p.storedTick())
				}
			}
			if got := p.storedTick(); got != c.want {
				t.Errorf("the tick is %d, want %d", got, c.want)
			}
			if started := p.replica(t).Tick(); started != c.want {
				t.Errorf("a process that starts goes on from %d", started)
			}
		})
	}
}

// TestAStoreThatGoesBackUnderARunningProcessIsInDoubt: an older copy of a server's files may come back without any session noticing.
func TestAStoreThatGoesBackUnderARunningProcessIsInDoubt(t *testing.T) {
	t.Parallel()
	p := newParty(t, us)
	p.Know(newParty(t, them).Member, func(m *member.Partner) { m.Version = 1 })
	b, replica := p.replica(t), p.replica(t)
	var told []int64
	b.WentBack = func(stored, last int64) { told = append(told, stored, last) }
	var last int64
	for range 3 {
		var err error
		if last, err = b.Beat(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	}
	books := func() (books ledger.Books) {
		p.View(func(tx *store.Tx) (err error) { books, err = tx.Ledger().Books(them); return err })
		return books
	}
	if state := books().State; state != ledger.Level {
		t.Errorf("the books were %s", state)
	}
	p.Do(func(tx *store.Tx) error { return tx.Ledger().SetTick(3, 1) })
	for _, who := range []*ledger.Book{b, replica} {
		if _, err := who.Beat(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := books(); got.State != ledger.Unproven || got.Reason != ledger.ReasonWentBack || !slices.Equal(told, []int64{1, 3}) || p.storedTick() != 4 {
		t.Errorf("the books are %+v, told was %v, the tick is %d", got, told, p.storedTick())
	}
}

// A store from a backup meets the tick that it signed before: it goes on above it, has stored that before it signs, and is known to be older.
func TestAHigherTickOfOurOwnIsSurpassed(t *testing.T) {
	t.Parallel()
	p, partner := newParty(t, us), newParty(t, them)
	p.Know(partner.Member, func(m *member.Partner) { m.Version = 1 })
	p.append(them, "order-1")
	lost := newParty(t, us) // the store before it was lost
	lost.Keys, lost.Book.Signer = p.Keys, p.Keys
	lost.append(them, "order-1")
	lost.Do(func(tx *store.Tx) error { return tx.Ledger().SetTick(0, 41) })
	if err := lost.Book.LoadTick(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []int64
	p.Book.Surpassed = func(_ string, stored, came int64) { told = append(told, stored, came) }
	for range 2 { // the same proof again changes nothing
		if err := p.accept(t, partner, partner.read(t, lost)); err != nil {
			t.Fatal(err)
		}
		if stored, signs := p.storedTick(), p.Book.Tick(); stored != 42 || signs != 42 {
			t.Errorf("stored is %d, signed is %d, want 42", stored, signs)
		}
		partner = newParty(t, them)
	}
	p.View(func(tx *store.Tx) error {
		books, err := tx.Ledger().Books(them)
		if books.State != ledger.Unproven || books.Reason != ledger.ReasonRestored || !slices.Equal(told, []int64{0, 41}) {
			t.Errorf("the books are %+v, told was %v", books, told)
		}
		return err
	})
	signed, err := p.Book.OwnCheckpoint(t.Context(), them)
	if err != nil {
		t.Fatal(err)
	}
	if cp, err := ledger.VerifyCheckpoint(signed, us, them, p.Pinned()); err != nil || cp.Tick != 42 {
		t.Errorf("signed %+v, %v", cp, err)
	}
	// Another replica that was behind the store adopts what is stored.
	slow := &ledger.Book{Self: us, Work: p.Book.Work, OwnKeys: p.Book.OwnKeys, Signer: p.Keys, Now: p.Book.Now}
	if _, err := slow.OpenSeen(t.Context(), them, partner.Pinned(), partner.read(t, lost)); err != nil {
		t.Fatal(err)
	}
	if slow.Tick() != 42 || p.storedTick() != 42 {
		t.Errorf("it signs %d, stored is %d", slow.Tick(), p.storedTick())
	}
}

func TestAPageHasAtMostAMebibyte(t *testing.T) {
	t.Parallel()
	p := newParty(t, us)
	large := map[string]string{"text": strings.Repeat("x", 30<<10)}
	p.Do(func(tx *store.Tx) error {
		drafts := make([]ledger.Draft, 40)
		for i := range drafts {
			drafts[i] = ledger.Draft{Kind: ledger.OrderAccepted, Subject: "order-1", Body: large}
		}
		all, err := p.Book.AppendAll(tx, them, drafts)
		if err == nil && (len(all) != 40 || all[39].Seq != 40 || all[39].Prev != all[38].Hash) {
			t.Errorf("%d entries", len(all))
		}
		return err
	})
	first, err := p.Book.Tail(t.Context(), them, ledger.Position{}, 500)
	if err != nil || !first.More || len(first.Entries) != 33 || first.Last.Seq != 33 {
		t.Fatalf("the first page has %d entries to %s, %v", len(first.Entries), first.Last, err)
	}
	second, err := p.Book.Tail(t.Context(), them, first.Last, 500)
	if err != nil || second.More || len(second.Entries) != 7 {
		t.Fatalf("the second page has %d entries to %s, %v", len(second.Entries), second.Last, err)
	}
	for _, page := range []ledger.Page{first, second} {
		cp, err := ledger.VerifyCheckpoint(page.Checkpoint, us, them, p.Pinned())
		if err != nil || cp.Position() != page.Last {
			t.Errorf("the checkpoint is at %s, %v", cp.Position(), err)
		}
	}
	empty, err := p.Book.Tail(t.Context(), them, ledger.Position{Seq: 40}, 500)
	if err != nil || empty.More || len(empty.Entries) != 0 || empty.Last.Seq != 40 {
		t.Errorf("the end is %+v, %v", empty, err)
	}
}
