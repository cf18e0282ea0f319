package federation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// book is what the judged pages come from: the supplier's log of five entries, of which our copy has three.
var book = []string{"order-1", "order-2", "order-3", "order-4", "order-5"}

func TestAPageIsGoodOrBadOrAFork(t *testing.T) {
	t.Parallel()
	type pageOf func(t *testing.T, s *party, partner *member.Partner) federation.LedgerPage
	// part is the supplier's own log after a place, so many entries of it.
	part := func(after int64, n int) pageOf {
		return func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			return s.page(t, reseller, after, n)
		}
	}
	changed := func(from pageOf, change func(t *testing.T, s *party, p *federation.LedgerPage)) pageOf {
		return func(t *testing.T, s *party, partner *member.Partner) federation.LedgerPage {
			p := from(t, s, partner)
			change(t, s, &p)
			return p
		}
	}
	signed := func(at ledger.Position, hashOf int64) pageOf {
		return func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			return federation.LedgerPage{Checkpoint: s.signs(t, at, hashOf)}
		}
	}
	// other is another log that the supplier signed, from a place on.
	other := func(after int64, subjects ...string) pageOf {
		return func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			p := s.fork(t, subjects...)
			p.Entries = p.Entries[after:]
			return p
		}
	}
	cases := []struct {
		name string
		// asked is what was asked for with the call: what follows it.
		asked int64
		page  pageOf
		// reason is why it is not taken; "" where it is. head is where our copy stands after it.
		reason string
		head   int64
	}{
		// Good.
		{"what follows our copy", 3, part(3, 9), "", 5},
		{"a part of what follows", 3, part(3, 1), "", 4},
		{"a heartbeat", 3, signed(ledger.Position{Seq: 3}, 3), "", 3},
		{"a heartbeat from before the answer that was faster", 2, signed(ledger.Position{Seq: 2}, 2), "", 3},
		{"the first heartbeat of an empty log, late", 0, signed(ledger.Position{}, 0), "", 3},
		{"a late page that is a part of our copy", 0, part(0, 2), "", 3},
		{"an answer that the tail has passed", 1, part(1, 2), "", 3},
		{"an answer that overlaps", 1, part(1, 9), "", 5},
		{"a page from the beginning", 0, part(0, 9), "", 5},
		// Bad: it proves nothing.
		{"an entry in the middle is left out", 3, changed(part(2, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries = slices.Delete(p.Entries, 1, 2)
		}), "page_broken", 3},
		{"two entries change places", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			slices.Reverse(p.Entries)
		}), "page_broken", 3},
		{"an entry stands twice", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries = append(p.Entries, p.Entries[1])
		}), "page_broken", 3},
		{"the last entry is left out", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries = p.Entries[:1]
		}), "page_broken", 3},
		{"an entry is beyond the checkpoint", 3, changed(part(3, 9), func(t *testing.T, s *party, p *federation.LedgerPage) {
			p.Checkpoint = s.signs(t, ledger.Position{Seq: 4}, 4)
		}), "page_broken", 3},
		{"the checkpoint has another hash than the last entry", 3, changed(part(3, 9), func(t *testing.T, s *party, p *federation.LedgerPage) {
			p.Checkpoint = s.signs(t, ledger.Position{Seq: 5}, 4)
		}), "page_broken", 3},
		{"an entry was changed", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries[0] = bytes.Replace(p.Entries[0], []byte("order-4"), []byte("order-9"), 1)
		}), "page_broken", 3},
		{"an entry of our copy was changed", 0, changed(part(0, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries[0] = bytes.Replace(p.Entries[0], []byte("order-1"), []byte("order-9"), 1)
		}), "page_broken", 3},
		{"the entries of its log towards another", 0, func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			s.Append(nobody, ledger.OrderAccepted, "order-1")
			return federation.LedgerPage{Entries: s.page(t, nobody, 0, 9).Entries, Checkpoint: s.signs(t, ledger.Position{Seq: 1}, 1)}
		}, "page_broken", 3},
		{"its page for another", 0, func(t *testing.T, s *party, _ *member.Partner) federation.LedgerPage {
			s.Append(nobody, ledger.OrderAccepted, "order-1")
			return s.page(t, nobody, 0, 9)
		}, "checkpoint_parties", 3},
		{"a life that was not opened", 3, signed(ledger.Position{Life: 1, Seq: 1}, 1), "page_broken", 3},
		{"a log that does not begin with the partnership", 0, signed(ledger.Position{}, 1), "page_broken", 3},
		{"it begins beyond our copy", 3, part(4, 9), "page_gap", 3},
		{"a heartbeat beyond our copy", 3, signed(ledger.Position{Seq: 5}, 5), "page_gap", 3},
		{"it ends before what was asked for", 3, part(0, 2), "page_old", 3},
		{"the partner lost its log", 3, signed(ledger.Position{}, 0), "page_old", 3},
		{"another key signed it", 3, func(t *testing.T, s *party, partner *member.Partner) federation.LedgerPage {
			partner.BusinessKey = newParty(t, supplier).Key()
			return s.page(t, reseller, 3, 9)
		}, "document_signature_invalid", 3},
		{"more entries than a page has", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries = slices.Repeat(p.Entries[:1], 501)
		}), "page_too_large", 3},
		{"more bytes than a page has", 3, changed(part(3, 9), func(_ *testing.T, _ *party, p *federation.LedgerPage) {
			p.Entries = slices.Repeat([][]byte{make([]byte, ledger.MaxEntryBytes)}, 33)
		}), "page_too_large", 3},
		// A fork: two signatures that cannot both be true.
		{"a heartbeat with another hash at our head", 3, signed(ledger.Position{Seq: 3}, 2), "ledger_fork", 3},
		{"a checkpoint with another hash before our head", 2, signed(ledger.Position{Seq: 2}, 1), "ledger_fork", 3},
		{"a checkpoint with another hash before what was asked for", 3, signed(ledger.Position{Seq: 2}, 1), "ledger_fork", 3},
		{"another log, from the beginning", 0, other(0, "order-9", "order-2", "order-3", "order-4"), "ledger_fork", 3},
		{"another log that is shorter", 3, other(0, "order-9"), "ledger_fork", 3},
		{"an overlap with another hash", 2, other(2, "order-1", "order-2", "order-9", "order-4"), "ledger_fork", 3},
		{"entries that follow another one than our last", 3, other(3, "order-1", "order-2", "order-9", "order-4"), "ledger_fork", 3},
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
			var counted, forked []string
			reader.Refused = func(_, reason string) { counted = append(counted, reason) }
			reader.Forked = func(partner string, _ error) { forked = append(forked, partner) }
			page, wrote := c.page(t, s, &partner), 0
			asked := ledger.Position{Seq: c.asked}
			upTo, err := reader.Read(t.Context(), partner, asked, page, func(federation.Tx) error { wrote++; return nil })
			fork := c.reason == "ledger_fork"
			kind := fault.Invalid
			switch {
			case fork:
				kind = fault.Conflict
			case c.reason == "document_signature_invalid":
				kind = fault.Unauthenticated
			}
			if fault.ReasonOf(err) != c.reason || (c.reason == "") != (err == nil) || err != nil && !fault.Is(err, kind) {
				t.Fatalf("error is %v, want reason %q", err, c.reason)
			}
			if federation.Refused(err) != (err != nil) {
				t.Errorf("it is not the partner's: %v", err)
			}
			if taken := err == nil; taken != (wrote == 1) || !taken && (wrote != 0 || upTo != asked) || taken != (len(counted) == 0) {
				t.Errorf("wrote %d times what came with it, proved up to %s, counted %v", wrote, upTo, counted)
			}
			if len(a.applied) != int(c.head) || !slices.Equal(counted, slices.Repeat([]string{c.reason}, len(counted))) {
				t.Errorf("applied %v, counted %v", a.applied, counted)
			}
			var books ledger.Books
			r.View(func(tx *store.Tx) (err error) { books, err = tx.Ledger().Books(supplier); return err })
			if (books.State == ledger.Forked) != fork || (len(forked) == 1) != fork {
				t.Errorf("books are %s, told %v", books.State, forked)
			}
			if fork {
				proves(t, r, books, page)
			}
			report, err := r.Book.VerifyPartner(t.Context(), supplier, s.Pinned())
			if err != nil || report[1].Entries != c.head || (len(report[1].Problems) == 0) == fork {
				t.Errorf("verify found %d entries, %q, %v", report[1].Entries, report[1].Problems, err)
			}
		})
	}
}

// proves checks that the evidence is enough for somebody who has the partner's key and nothing else: what we had and the page, as
// they travelled.
func proves(t *testing.T, r *party, books ledger.Books, page federation.LedgerPage) {
	t.Helper()
	var proof ledger.Evidence
	if err := json.Unmarshal(r.evidence(t), &proof); err != nil {
		t.Fatal(err)
	}
	if proof.Theirs.Checkpoint != page.Checkpoint || strings.Join(proof.Theirs.Entries, "") != string(bytes.Join(page.Entries, nil)) {
		t.Errorf("the page is kept as %+v", proof.Theirs)
	}
	first, err := ledger.Decode([]byte(proof.Ours.Entries[0]))
	if err != nil || first.Position() != proof.At || len(proof.Ours.Entries) != int(3-proof.At.Seq)+1 || proof.Ours.Checkpoint == "" {
		t.Errorf("kept of ours from %s: %+v, %v", proof.At, proof.Ours, err)
	}
	if books.Reason != "ledger_fork" || books.Since.IsZero() || books.Epoch != 1 || books.Version != 1 {
		t.Errorf("books are %+v", books)
	}
}

// evidence is what is kept against the supplier.
func (p *party) evidence(t *testing.T) (raw []byte) {
	t.Helper()
	p.View(func(tx *store.Tx) (err error) { raw, err = tx.Ledger().Evidence(supplier); return err })
	return raw
}

func TestAForkIsKeptOnceAndEndsReading(t *testing.T) {
	t.Parallel()
	s, r, a, reader, partner := setUp(t)
	for _, subject := range book {
		s.Append(reseller, ledger.OrderAccepted, subject)
	}
	read := func(page federation.LedgerPage) string {
		_, err := reader.Read(t.Context(), partner, ledger.Position{}, page)
		return fault.ReasonOf(err)
	}
	if reason := read(s.page(t, reseller, 0, 2)); reason != "" {
		t.Fatal(reason)
	}
	told := 0
	reader.Forked = func(string, error) { told++ }
	wanted := func() (wanted bool) {
		r.View(func(tx *store.Tx) (err error) {
			p, err := tx.Partners().Get(supplier)
			if err == nil {
				var of func(member.Partner) bool
				of, err = reader.Feed().Wanted(tx)
				wanted = of(p)
			}
			return err
		})
		return wanted
	}
	if !wanted() {
		t.Fatal("the feed is not wanted")
	}
	if reason := read(s.fork(t, "order-9")); reason != "ledger_fork" {
		t.Fatal(reason)
	}
	if wanted() {
		t.Error("the feed is wanted after the fork")
	}
	if reason := read(s.page(t, reseller, 2, 9)); reason != "books_forked" {
		t.Errorf("a page after it: %q", reason)
	}
	// A call of the partner brings another proof: the first one stays.
	var first, second ledger.Books
	r.View(func(tx *store.Tx) (err error) { first, err = tx.Ledger().Books(supplier); return err })
	kept := r.evidence(t)
	if _, err := reader.Judge(t.Context(), partner, federation.LedgerPage{Checkpoint: s.fork(t, "order-8").Checkpoint}); fault.ReasonOf(err) != "ledger_fork" {
		t.Errorf("the checkpoint of a call: %v", err)
	}
	r.View(func(tx *store.Tx) (err error) { second, err = tx.Ledger().Books(supplier); return err })
	if told != 1 || first.Version != second.Version || !bytes.Equal(kept, r.evidence(t)) || len(a.applied) != 2 {
		t.Errorf("told %d times, version %d then %d, applied %v", told, first.Version, second.Version, a.applied)
	}
	err := r.Store.View(t.Context(), func(tx *store.Tx) error { return ledger.Fenced(tx, supplier) })
	if !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_forked" {
		t.Errorf("new business: %v", err)
	}
	if err := r.Store.View(t.Context(), func(tx *store.Tx) error { return ledger.Fenced(tx, nobody) }); err != nil {
		t.Errorf("new business with another: %v", err)
	}
}

// TestAProofIsAsLargeAsWhatTravelled: whatever a partner writes into its log, an operator's answer holds the proof against it.
func TestAProofIsAsLargeAsWhatTravelled(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	long := func(p *party, sign string) federation.LedgerPage {
		p.Do(func(tx *store.Tx) error {
			_, err := p.Book.Append(tx, reseller, ledger.OrderAccepted, "order-1", map[string]string{"note": strings.Repeat(sign, 20<<10)})
			return err
		})
		return p.page(t, reseller, 0, 9)
	}
	twin := newParty(t, supplier)
	twin.Book.Signer = s.Keys
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, long(s, "<")); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, long(twin, ">")); fault.ReasonOf(err) != "ledger_fork" {
		t.Fatal(err)
	}
	if raw := r.evidence(t); len(raw) < 40<<10 || len(raw) > 50<<10 {
		t.Errorf("40 KiB of entries are kept in %d bytes", len(raw))
	}
}

func TestTheCheckpointOfACallIsJudged(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name              string
		life, seq, hashOf int64
		reason            string
	}{
		{"our head", 0, 3, 3, ""},
		{"before it", 0, 2, 2, ""},
		{"beyond it", 0, 5, 5, ""},
		{"beyond it, in a life that it countersigned", 1, 5, 5, ""},
		{"beyond it, in a life that nobody opened", 2, 5, 5, "page_broken"},
		{"another hash at our head", 0, 3, 2, "ledger_fork"},
		{"another hash before it", 0, 1, 2, "ledger_fork"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, r, _, reader, partner := setUp(t)
			for _, subject := range book {
				s.Append(reseller, ledger.OrderAccepted, subject)
			}
			if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 3)); err != nil {
				t.Fatal(err)
			}
			r.Know(s.Member, func(p *member.Partner) { p.Version = 1 })
			cp := s.signs(t, ledger.Position{Life: c.life, Seq: c.seq}, c.hashOf)
			got, err := reader.Judge(t.Context(), partner, federation.LedgerPage{Checkpoint: cp})
			if fault.ReasonOf(err) != c.reason || err == nil && (got.Checkpoint.Seq != c.seq || got.Beyond != (c.seq > 3)) {
				t.Errorf("judged %+v, %v", got, err)
			}
			// A tail that begins with it is served, also where it proves a fork; not where it proves nothing.
			feed := &federation.LedgerFeed{Work: reader.Work, Book: r.Book, Reader: reader}
			refused := c.reason
			if refused == "ledger_fork" {
				refused = ""
			}
			if err := feed.Begin(t.Context(), supplier, ledger.Token{}, "", cp); fault.ReasonOf(err) != refused {
				t.Errorf("begin: %v, want %q", err, refused)
			}
		})
	}
}

// What is written with a page is in its transaction: all of it or nothing.
func TestWhatComesWithAPageIsWrittenWithIt(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	page := s.page(t, reseller, 0, 9)
	stop := errors.New("stop")
	write := func(with error) func(federation.Tx) error {
		return func(tx federation.Tx) error {
			if err := tx.Cursors().SetCursor(supplier, "job", []byte("done")); err != nil {
				return err
			}
			return with
		}
	}
	stands := func(head int64, cursor string) {
		t.Helper()
		r.View(func(tx *store.Tx) error {
			h, err := tx.Ledger().Head(supplier, ledger.Theirs)
			if err != nil || h.Seq != head {
				t.Errorf("our copy ends at %d, want %d", h.Seq, head)
			}
			have, err := tx.Cursors().Cursor(supplier, "job")
			if string(have) != cursor {
				t.Errorf("written is %q, want %q", have, cursor)
			}
			return err
		})
	}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, page, write(stop)); !errors.Is(err, stop) {
		t.Fatalf("error is %v", err)
	}
	stands(0, "")
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, page, write(nil)); err != nil {
		t.Fatal(err)
	}
	stands(1, "done")
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, page, write(stop)); !errors.Is(err, stop) {
		t.Fatalf("nothing new: %v", err)
	}
	stands(1, "done")
}

func TestAHeartbeatBringsTheLaterTick(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	head := func() (h ledger.Head) {
		r.View(func(tx *store.Tx) (err error) { h, err = tx.Ledger().Head(supplier, ledger.Theirs); return err })
		return h
	}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 9)); err != nil {
		t.Fatal(err)
	}
	early := s.page(t, reseller, 1, 9)
	seen, err := r.Book.SeenCheckpoint(t.Context(), supplier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Book.Beat(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	late := s.page(t, reseller, 1, 9)
	for _, page := range []federation.LedgerPage{late, early} { // an early one that comes late changes nothing
		if _, err := reader.Read(t.Context(), partner, ledger.Position{Seq: 1}, page); err != nil {
			t.Fatal(err)
		}
		if h := head(); h.Tick != 1 || h.Checkpoint != late.Checkpoint {
			t.Errorf("held is tick %d", h.Tick)
		}
	}
	if again, err := r.Book.SeenCheckpoint(t.Context(), supplier); err != nil || again != seen {
		t.Errorf("a heartbeat alone is countersigned anew, %v", err)
	}
}

// What a partner countersigned of ours speaks about our store: it keeps nothing of the page that it came with from being read. Where it
// shows that we signed two logs, nothing is read after that.
func TestWhatThePartnerSawOfOursIsHeard(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		// seq and the entry whose hash the checkpoint of ours has that the partner countersigned
		seq, hashOf int64
		told        string
		books       ledger.BooksState
	}{
		{"the end of our log", 2, 2, "", ledger.Level},
		{"beyond our log", 3, 2, "ledger_recovering", ledger.Behind},
		{"another hash", 2, 1, "own_ledger_fork", ledger.Forked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, r, a, reader, partner := setUp(t)
			reader.Book = r.Book
			var told []string
			reader.Contradicted = func(_ string, err error) { told = append(told, fault.ReasonOf(err)) }
			r.Book.Forked = reader.Contradicted
			var e ledger.Entry
			for _, subject := range book[:2] {
				s.Append(reseller, ledger.OrderAccepted, subject)
				r.Append(supplier, ledger.OrderPlaced, subject)
			}
			r.View(func(tx *store.Tx) (err error) {
				e, err = tx.Ledger().Entry(supplier, ledger.Own, ledger.Position{Seq: c.hashOf})
				return err
			})
			ours, err := r.Book.Checkpoint(supplier, ledger.Position{Seq: c.seq}, e.Hash)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := s.Book.Countersign(reseller, ours)
			if err != nil {
				t.Fatal(err)
			}
			for after := range int64(2) { // a page and the same word again
				page := s.page(t, reseller, after, 1)
				page.Seen = seen
				_, err := reader.Read(t.Context(), partner, ledger.Position{Seq: after}, page)
				if fenced := c.books == ledger.Forked && after > 0; err != nil && !fenced || fenced && fault.ReasonOf(err) != "books_forked" {
					t.Fatal(err)
				}
			}
			read := 2
			if c.books == ledger.Forked {
				read = 1
			}
			// A tail that begins with it is served where it proves a fork: our log is still what the partner has to see.
			r.Know(s.Member, func(p *member.Partner) { p.Version = 1 })
			feed := &federation.LedgerFeed{Work: reader.Work, Book: r.Book, Reader: reader}
			if err := feed.Begin(t.Context(), supplier, ledger.Token{}, seen, ""); (err != nil) != (c.told == "ledger_recovering") {
				t.Errorf("begin: %v", err)
			}
			r.Do(func(tx *store.Tx) error {
				return tx.Ledger().Answer(supplier, ledger.Token{Key: "successor", Issued: r.Clock.Now()})
			})
			if err := feed.Begin(t.Context(), supplier, ledger.Token{Key: "before"}, seen, ""); fault.ReasonOf(err) != "books_asked" {
				t.Errorf("begun by a process from before the one that asked: %v", err)
			}
			r.Clock.Pass(-time.Minute) // it was a minute ahead when that one asked
			if err := feed.Begin(t.Context(), supplier, ledger.Token{Key: "new", Issued: r.Clock.Now()}, seen, ""); fault.ReasonOf(err) == "books_asked" {
				t.Errorf("begun when our clock had been set back: %v", err)
			}
			var want []string
			if c.told != "" {
				want = []string{c.told}
			}
			if !slices.Equal(told, want) || len(a.applied) != read {
				t.Errorf("told %v, want %v; applied %v", told, want, a.applied)
			}
			r.View(func(tx *store.Tx) error {
				head, err := tx.Ledger().Head(supplier, ledger.Own)
				if (head.SeenCheckpoint == ours) != (c.told == "") {
					t.Errorf("kept %s %q", head.Seen, head.SeenCheckpoint)
				}
				if books, err := tx.Ledger().Standing(supplier); err != nil || books != c.books {
					t.Errorf("the books are %s, %v", books, err)
				}
				return err
			})
		})
	}
}

// overtaken has something else happen before each write.
type overtaken struct {
	unit.Work[federation.Tx]
	first func()
}

func (w overtaken) Do(ctx context.Context, fn func(tx federation.Tx) error) error {
	w.first()
	return w.Work.Do(ctx, fn)
}

// TestAHeartbeatNeverTakesATickBack: a later one was stored since this one was read.
func TestAHeartbeatNeverTakesATickBack(t *testing.T) {
	t.Parallel()
	s, r, _, reader, partner := setUp(t)
	s.Append(reseller, ledger.OrderAccepted, book[0])
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, s.page(t, reseller, 0, 1)); err != nil {
		t.Fatal(err)
	}
	beat := func() federation.LedgerPage {
		if _, err := s.Book.Beat(t.Context(), s.Book.Tick()); err != nil {
			t.Fatal(err)
		}
		return s.page(t, reseller, 1, 1)
	}
	early, late := beat(), beat()
	work := reader.Work
	reader.Work = overtaken{work, func() {
		reader.Work = work
		if _, err := reader.Read(t.Context(), partner, ledger.Position{Seq: 1}, late); err != nil {
			t.Error(err)
		}
	}}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{Seq: 1}, early); err != nil {
		t.Fatal(err)
	}
	r.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(supplier, ledger.Theirs)
		if head.Checkpoint != late.Checkpoint {
			t.Errorf("held is the one of tick %d", head.Tick)
		}
		return err
	})
}

// TestADamagedCopyOfOursProvesNoFork: what contradicts it is no evidence against the partner, and no page of its is refused for it.
func TestADamagedCopyOfOursProvesNoFork(t *testing.T) {
	t.Parallel()
	// alter adds to our copy an entry that the supplier never wrote.
	alter := func(r *party, raw string) {
		r.Do(func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(supplier, ledger.Theirs, func(at ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
				return []ledger.Entry{{Life: at.Life, Seq: at.Seq + 1, Prev: prev, Hash: [32]byte{1}, Bytes: []byte(raw)}}, nil
			})
			return err
		})
	}
	cases := []struct {
		name   string
		damage func(t *testing.T, s, r *party)
		// cp is the place of the checkpoint that a call carries, and whose hash it has.
		at, hashOf int64
	}{
		{"an entry beyond what was signed", func(_ *testing.T, _, r *party) { alter(r, "damaged") }, 4, 4},
		{"what was signed is unreadable", func(_ *testing.T, _, r *party) {
			r.Do(func(tx *store.Tx) error {
				return tx.Ledger().SetCheckpoint(supplier, ledger.Checkpoint{Seq: 3}, "damaged")
			})
		}, 3, 2},
		{"what was signed is of another place", func(t *testing.T, s, r *party) {
			jws := s.signs(t, ledger.Position{Seq: 2}, 2)
			r.Do(func(tx *store.Tx) error { return tx.Ledger().SetCheckpoint(supplier, ledger.Checkpoint{Seq: 3}, jws) })
		}, 3, 2},
		{"an entry before what was signed", func(t *testing.T, s, r *party) {
			alter(r, "damaged")
			jws := s.signs(t, ledger.Position{Seq: 4}, 4)
			r.Do(func(tx *store.Tx) error { return tx.Ledger().SetCheckpoint(supplier, ledger.Checkpoint{Seq: 4}, jws) })
		}, 4, 4},
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
			c.damage(t, s, r)
			reader.Refused = func(_, reason string) { t.Errorf("a page of the partner's was refused: %s", reason) }
			reader.Forked = func(string, error) { t.Error("a fork was told") }
			cp := s.signs(t, ledger.Position{Seq: c.at}, c.hashOf)
			_, read := reader.Read(t.Context(), partner, ledger.Position{Seq: 3}, federation.LedgerPage{Checkpoint: cp})
			_, judged := reader.Judge(t.Context(), partner, federation.LedgerPage{Checkpoint: cp})
			for _, err := range []error{read, judged} {
				if !fault.Is(err, fault.Internal) || federation.Refused(err) {
					t.Errorf("error is %v", err)
				}
			}
			r.View(func(tx *store.Tx) error {
				state, err := tx.Ledger().Standing(supplier)
				if state != ledger.Level {
					t.Errorf("the books are %s", state)
				}
				return err
			})
			if len(a.applied) != 3 {
				t.Errorf("applied %v", a.applied)
			}
		})
	}
}
