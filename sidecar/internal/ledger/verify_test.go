package ledger_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	_ "modernc.org/sqlite" // to tamper with the file

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const (
	us    = "https://us.localhost:1"
	them  = "https://them.localhost:2"
	other = "https://other.localhost:3"
)

// party is a member that knows the other two.
type party struct{ *markettest.Member }

func newParty(t *testing.T, origin string) *party {
	t.Helper()
	p := &party{markettest.NewMember(t, origin)}
	p.Do(func(tx *store.Tx) error {
		for _, o := range []string{us, them, other} {
			if o == origin {
				continue
			}
			if _, err := tx.Partners().Put(member.Partner{Origin: o, PartnershipID: trust.PartnershipID(origin, o), State: member.Active}); err != nil {
				return err
			}
		}
		return nil
	})
	return p
}

func (p *party) append(to string, subjects ...string) {
	for _, s := range subjects {
		p.Append(to, ledger.OrderAccepted, s)
	}
}

// read follows another party's ledger to its end, as the sidecar does, and countersigns what it saw.
func (p *party) read(t *testing.T, from *party) (seen string) {
	t.Helper()
	page, err := from.Book.Tail(t.Context(), p.Origin, ledger.Position{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	reader := &federation.LedgerReader{
		Self: p.Origin, Work: store.For[federation.Tx](p.Store), Now: p.Clock.Now,
		Handlers: map[ledger.Kind]federation.Handler{ledger.OrderAccepted: func(federation.Tx, ledger.Entry) error { return nil }},
	}
	partner := member.Partner{Origin: from.Origin, BusinessKey: from.Key()}
	if _, err := reader.Read(t.Context(), partner, ledger.Position{}, federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint}); err != nil {
		t.Fatal(err)
	}
	if seen, err = p.Book.SeenCheckpoint(t.Context(), from.Origin); err != nil {
		t.Fatal(err)
	}
	return seen
}

// accept takes what a caller countersigned, as a command does.
func (p *party) accept(t *testing.T, caller *party, seen string) error {
	t.Helper()
	return p.Book.Hear(t.Context(), caller.Origin, caller.Pinned(), seen)
}

// hand is somebody at the database file, behind the store's back. It works on the log of one direction towards them.
type hand struct {
	t   *testing.T
	db  *sql.DB
	dir ledger.Direction
}

// exec runs a statement, which must hit something; $1 is the partner and $2 the direction.
func (h *hand) exec(statement string, args ...any) {
	h.t.Helper()
	result, err := h.db.ExecContext(h.t.Context(), statement, append([]any{them, string(h.dir)}, args...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		h.t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// edit changes the record of entry 2.
func (h *hand) edit(change func(*storepb.LedgerEntry)) {
	h.t.Helper()
	var raw []byte
	var rec storepb.LedgerEntry
	err := h.db.QueryRowContext(h.t.Context(), `SELECT record FROM ledger_entry WHERE partner = $1 AND direction = $2 AND seq = 2`,
		them, string(h.dir)).Scan(&raw)
	if err == nil {
		err = proto.Unmarshal(raw, &rec)
	}
	if err == nil {
		change(&rec)
		raw, err = proto.Marshal(&rec)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.exec(`UPDATE ledger_entry SET record = $3 WHERE partner = $1 AND direction = $2 AND seq = 2`, raw)
}

// forge puts a log in place of the one that is there, with every hash right: the one that the writer would have had if it
// had written these subjects.
func (h *hand) forge(subjects ...string) {
	h.t.Helper()
	writer, reader := us, them
	if h.dir == ledger.Theirs {
		writer, reader = them, us
	}
	forger := newParty(h.t, writer)
	forger.append(reader, subjects...)
	if _, err := h.db.ExecContext(h.t.Context(), `ATTACH $1 AS forged`, forger.Path); err != nil {
		h.t.Fatal(err)
	}
	h.exec(`DELETE FROM ledger_entry WHERE partner = $1 AND direction = $2`)
	h.exec(`INSERT INTO ledger_entry (partner, direction, life, seq, subject, record)
		SELECT $1, $2, life, seq, subject, record FROM forged.ledger_entry`)
	h.exec(`UPDATE ledger_head SET (seq, hash) = (SELECT seq, hash FROM forged.ledger_head) WHERE partner = $1 AND direction = $2`)
}

// soundStore is our database file after business with two partners, each of which has seen all of it, and them's key.
func soundStore(t *testing.T) (file, theirKey []byte) {
	t.Helper()
	p, partner := newParty(t, us), newParty(t, them)
	for _, from := range []*party{partner, newParty(t, other)} {
		p.append(from.Origin, "order-1", "order-2", "order-3")
		from.append(us, "order-1", "order-2", "order-3")
		p.read(t, from)
		if err := p.accept(t, from, from.read(t, p)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Store.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(p.Path)
	if err != nil {
		t.Fatal(err)
	}
	return file, partner.Key()
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	const ofLog = ` WHERE partner = $1 AND direction = $2`
	const beside = "entry 2 is stored with other fields"
	both := []ledger.Direction{ledger.Own, ledger.Theirs}
	cases := []struct {
		name    string
		logs    []ledger.Direction
		tamper  func(h *hand)
		problem string // "" is none
	}{
		{"nothing", both, func(*hand) {}, ""},
		{"a byte of an entry", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) {
				e.Exact = bytes.Replace(e.Exact, []byte("order-2"), []byte("order-9"), 1)
			})
		}, "entry 2 does not hash"},
		{"a byte that ends the entry's form", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) { e.Exact[0] ^= 1 })
		}, "entry 2: "},
		{"the kind that is shown", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) { e.Kind = string(ledger.OrderRejected) })
		}, beside},
		{"the time that is shown", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) { e.At++ })
		}, beside},
		{"the hash beside the entry", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) { e.Hash = flip(e.Hash) })
		}, beside},
		{"the link beside the entry", both, func(h *hand) {
			h.edit(func(e *storepb.LedgerEntry) { e.Prev = flip(e.Prev) })
		}, beside},
		{"the subject that is looked for", both, func(h *hand) {
			h.exec(`UPDATE ledger_entry SET subject = 'order-9'` + ofLog + ` AND seq = 2`)
		}, beside},
		{"an entry in the middle is gone", both, func(h *hand) {
			h.exec(`DELETE FROM ledger_entry` + ofLog + ` AND seq = 2`)
		}, "entry 3 follows 1"},
		{"the last entry is gone", both, func(h *hand) {
			h.exec(`DELETE FROM ledger_entry` + ofLog + ` AND seq = 3`)
		}, "entries after 2 are missing"},
		{"the log ends below the checkpoint", both, func(h *hand) { h.forge("order-1") }, "checkpoint 3, this log ends at 1"},
		{"the log was written anew", both, func(h *hand) { h.forge("order-1", "order-9", "order-3") }, "the log forked"},
		{"entries that the partner never signed", []ledger.Direction{ledger.Theirs}, func(h *hand) {
			h.forge("order-1", "order-2", "order-3", "order-4")
		}, "entries after 3 are under no checkpoint"},
		{"our own log grew", []ledger.Direction{ledger.Own}, func(h *hand) {
			h.forge("order-1", "order-2", "order-3", "order-4")
		}, ""},
		{"the head", both, func(h *hand) {
			h.exec(`UPDATE ledger_head SET hash = (SELECT hash FROM ledger_head WHERE partner <> $1 AND direction = $2)` + ofLog)
		}, "the head does not match"},
		{"the checkpoint is another partner's", both, func(h *hand) {
			h.exec(`UPDATE ledger_head SET (checkpoint, seen_checkpoint) =
				(SELECT checkpoint, seen_checkpoint FROM ledger_head WHERE partner <> $1 AND direction = $2)` + ofLog)
		}, "the last checkpoint does not verify"},
		{"the checkpoint is gone", []ledger.Direction{ledger.Theirs}, func(h *hand) {
			h.exec(`UPDATE ledger_head SET checkpoint = ''` + ofLog)
		}, "entries after 0 are under no checkpoint"},
	}
	sound, theirKey := soundStore(t)
	for _, c := range cases {
		for i, dir := range both {
			if !slices.Contains(c.logs, dir) {
				continue
			}
			t.Run(c.name+"/"+string(dir), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "hanse.db")
				if err := os.WriteFile(path, sound, 0o600); err != nil {
					t.Fatal(err)
				}
				p := markettest.Open(t, us, markettest.Config{Path: path})
				db, err := sql.Open("sqlite", p.Path)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = db.Close() }()
				db.SetMaxOpenConns(1) // what is attached belongs to the connection
				c.tamper(&hand{t, db, dir})
				report, err := p.Book.VerifyPartner(t.Context(), them, signed.Pin(theirKey))
				if err != nil {
					t.Fatal(err)
				}
				found := strings.Join(report[i].Problems, "\n")
				if (found == "") != (c.problem == "") || !strings.Contains(found, c.problem) {
					t.Errorf("problems are %q, want %q", found, c.problem)
				}
				if others := report[1-i].Problems; len(others) != 0 {
					t.Errorf("the other log has the problems %q", others)
				}
			})
		}
	}
}

func TestACountersignedCheckpointIsHeldAgainstOurLog(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, reason string
		// seq and the entry whose hash the checkpoint of ours carries, which the partner countersigned
		seq, hashOf int64
	}{
		{"the end of our log", "", 3, 3},
		{"a place before it", "", 2, 2},
		{"a place beyond it", "ledger_recovering", 4, 3},
		{"another hash", "own_ledger_fork", 3, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, partner := newParty(t, us), newParty(t, them)
			p.append(them, "order-1", "order-2", "order-3")
			var e ledger.Entry
			p.Do(func(tx *store.Tx) (err error) {
				e, err = tx.Ledger().Entry(them, ledger.Own, ledger.Position{Seq: c.hashOf})
				return err
			})
			checkpoint, err := p.Book.Checkpoint(them, ledger.Position{Seq: c.seq}, e.Hash)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := partner.Book.Countersign(us, checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.accept(t, partner, seen); fault.ReasonOf(err) != c.reason {
				t.Fatalf("accepting gave %v, want reason %q", err, c.reason)
			}
			var head ledger.Head
			p.Do(func(tx *store.Tx) (err error) { head, err = tx.Ledger().Head(them, ledger.Own); return err })
			want := ledger.Head{Seen: ledger.Position{Seq: c.seq}, SeenCheckpoint: checkpoint}
			if c.reason != "" {
				want = ledger.Head{}
			}
			if head.Seen != want.Seen || head.SeenCheckpoint != want.SeenCheckpoint {
				t.Errorf("remembered %s %q", head.Seen, head.SeenCheckpoint)
			}
		})
	}
}

// TestDamageOfOurOwnLogIsNoFork: a log of ours that does not chain proves nothing, and stops no business. Only another one that does is
// a fork.
func TestDamageOfOurOwnLogIsNoFork(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		damage func(h *hand)
		fork   bool
	}{
		"another hash is stored beside an entry": {func(h *hand) {
			h.edit(func(rec *storepb.LedgerEntry) { rec.Hash = flip(rec.GetHash()) })
		}, false},
		"an entry has other bytes and its stored hash": {func(h *hand) {
			h.edit(func(rec *storepb.LedgerEntry) { rec.Exact, rec.Hash = flip(rec.GetExact()), flip(rec.GetHash()) })
		}, false},
		"an entry is gone": {func(h *hand) {
			h.exec(`DELETE FROM ledger_entry WHERE partner = $1 AND direction = $2 AND seq = 2`)
		}, false},
		"an entry behind it is gone": {func(h *hand) {
			h.edit(func(rec *storepb.LedgerEntry) { rec.Hash = flip(rec.GetHash()) })
			h.exec(`DELETE FROM ledger_entry WHERE partner = $1 AND direction = $2 AND seq = 3`)
		}, false},
		"another log, every hash right": {func(h *hand) { h.forge("order-8", "order-9", "order-7") }, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, partner := newParty(t, us), newParty(t, them)
			p.append(them, "order-1", "order-2")
			seen := partner.read(t, p)
			p.append(them, "order-3")
			db, err := sql.Open("sqlite", p.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			c.damage(&hand{t, db, ledger.Own})
			told := 0
			p.Book.Forked = func(string, error) { told++ }
			err = p.accept(t, partner, seen)
			var state ledger.BooksState
			p.View(func(tx *store.Tx) (err error) { state, err = tx.Ledger().Standing(them); return err })
			if c.fork {
				if fault.ReasonOf(err) != ledger.ReasonOwnFork || state != ledger.Forked || told != 1 {
					t.Errorf("the books are %s, told %d times, %v", state, told, err)
				}
			} else if !fault.Is(err, fault.Internal) || state != ledger.Level || told != 0 {
				t.Errorf("the books are %s, told %d times, %v", state, told, err)
			}
		})
	}
}

// TestAProofHoldsForTheKeyThatVerifiedIt: another key has to verify it itself, though it was opened and kept before.
func TestAProofHoldsForTheKeyThatVerifiedIt(t *testing.T) {
	t.Parallel()
	p, partner, other := newParty(t, us), newParty(t, them), newParty(t, "https://other.example")
	p.append(them, "order-1")
	seen := partner.read(t, p)
	if err := p.accept(t, partner, seen); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := p.Book.OpenSeen(t.Context(), them, other.Pinned(), seen); fault.ReasonOf(err) != "document_signature_invalid" {
			t.Errorf("opened with another key: %v", err)
		}
		if err := p.Book.Hear(t.Context(), them, other.Pinned(), seen); fault.ReasonOf(err) != "document_signature_invalid" {
			t.Errorf("heard with another key: %v", err)
		}
	}
}

// TestAnyTimeThatIsReadIsKept: the clock of who writes an entry may be anything, and is not what verify looks for.
func TestAnyTimeThatIsReadIsKept(t *testing.T) {
	t.Parallel()
	writer, reader := newParty(t, them), newParty(t, us)
	for _, at := range []string{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000001Z", "2261-12-31T23:59:59.999999999Z", "2026-11-21T12:00:00.5Z"} {
		now, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			t.Fatal(err)
		}
		writer.Book.Now = func() time.Time { return now }
		writer.append(us, "order-"+at[:4])
	}
	reader.read(t, writer)
	for _, p := range []*party{writer, reader} {
		other := map[string]*party{us: writer, them: reader}[p.Origin]
		reports, err := p.Book.VerifyPartner(t.Context(), other.Origin, other.Pinned())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range reports {
			if len(v.Problems) > 0 {
				t.Errorf("%s at %s: %v", v.Direction, p.Origin, v.Problems)
			}
		}
	}
}
