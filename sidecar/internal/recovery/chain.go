package recovery

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Why nothing of what a partner gives back is taken.
const (
	// reasonBroken: it is not a page of our own log as we signed it.
	reasonBroken = "recall_broken"
	// reasonShort: it ends before what the partner has shown that we signed.
	reasonShort = "recall_short"
	// reasonParted: it goes on from another entry than our last one is.
	reasonParted = "recall_parted"
	// reasonLife: a new life began since, and the partner does not give back what opened it.
	reasonLife = "recall_life"
	// reasonOther: what this store has was given up when a new life began.
	reasonOther = "recall_other_copy"
)

func broken(format string, args ...any) error {
	return fault.New(fault.Invalid, reasonBroken, format, args...)
}

// givenUp says that what this store has at a place of an ended life is of another log than the one that the life after it goes on from.
func givenUp(at ledger.Position, life int64) error {
	return fault.New(fault.Precondition, reasonOther, "entry %s of this database is of a ledger that was given up when life %d began: it is a copy of that", at, life).
		Do(putAnother)
}

const putAnother = "put back another copy of the database, or none: hanse key import into an empty folder"

// chain is what the partner gives back of a log after a place, proved entry by entry: hashes[0] is that of the entry after from, the last one that
// of the entry which a signature of ours names, a checkpoint or the document of a life.
type chain struct {
	from   ledger.Position
	end    ledger.Checkpoint
	hashes [][32]byte
	// erased is what our own log says was erased.
	erased *erasures
	// ends are the subjects that both agreed to end when the life did: of these nothing need come back.
	ends map[string]bool
	// told are the entries that this store had before the life of the chain told them again, from its second entry on.
	told []ledger.Entry
	// goesOn says that the log may go on behind the end, which is not looked at.
	goesOn bool
	// parts says that where the entries lead to the end, but from another one than this store has before them, it is this store's that was given up.
	parts bool
}

// is reports whether an entry is the one at its place.
func (c *chain) is(e ledger.Entry) bool {
	i := e.Seq - c.from.Seq - 1
	return e.Life == c.from.Life && i >= 0 && i < int64(len(c.hashes)) && c.hashes[i] == e.Hash
}

// here is the entry that this store has already, of a life that ended, where an entry of the chain tells it again: what it made is here, and may
// have gone on since.
func (c *chain) here(e ledger.Entry) (was ledger.Entry, here bool) {
	i := e.Seq - 2
	if e.Life != c.from.Life || i < 0 || i >= int64(len(c.told)) || !tellsAgain(c.told[i], e) {
		return was, false
	}
	return c.told[i], true
}

// reading is a stream of a partner, from after a place on.
type reading func(ctx context.Context, partner string, after ledger.Position, fn func(exchange.Recalled) error) error

// prove reads what the partner gives back after our head and proves it to what we signed of the same life, before anything of it counts. It keeps
// 32 bytes an entry, and reads no more entries than our own signature says there are. Where a run before this one took all of it, up to the place that the
// partner had shown, there is nothing left to read.
func (l *Loop) prove(ctx context.Context, partner string, head ledger.Head, end ledger.Checkpoint, goal ledger.Position) (*chain, error) {
	at := head.Position()
	c := &chain{from: at, end: end, erased: new(erasures)}
	if !(c.end.Position() == at && at.Compare(goal) >= 0) && (c.end.Life != at.Life || c.end.Seq <= at.Seq) {
		return nil, fault.New(fault.Unavailable, reasonShort, "%s gives back our log up to %s, which is no further than ours", partner, c.end.Position())
	}
	return c, l.lead(ctx, partner, c, head.Hash, l.Link.Recall, nil)
}

// lead reads a chain and proves that it leads from the hash before it to what its end names. each is told of every entry; nil is nobody.
func (l *Loop) lead(ctx context.Context, partner string, c *chain, hash [32]byte, read reading, each func(ledger.Entry) error) error {
	at, parted := c.from, false
	over := func() bool { return at == c.end.Position() }
	err := l.pages(ctx, partner, at, read, c.goesOn, func(page exchange.Recalled) (ledger.Position, error) {
		for _, raw := range page.Entries {
			if c.goesOn && over() {
				break
			}
			e, err := ledger.Decode(raw)
			if err != nil {
				return at, broken("an entry after %s is none: %s", at, err)
			}
			at.Seq++
			if c.parts && len(c.hashes) == 0 && e.Prev != hash {
				hash, parted = e.Prev, true
			}
			if !c.goesOn && len(c.hashes) == 0 && e.Position() == at && e.Prev != hash {
				return at, fault.New(fault.Invalid, reasonParted, "%s has another entry before %s of our log than this database has at %s", partner, at, c.from).
					Do("both operators agree on a new life: hanse ledger fork show " + partner)
			}
			if e.Position() != at || e.Prev != hash || at.Seq > c.end.Seq {
				return at, broken("entry %s does not follow what we have", e.Position())
			}
			hash = e.Hash
			c.hashes = append(c.hashes, hash)
			c.erased.hear(e)
			if each == nil {
				continue
			}
			if err := each(e); err != nil {
				return at, err
			}
		}
		return at, nil
	}, over)
	if err != nil {
		return err
	}
	if hex.EncodeToString(hash[:]) != c.end.Hash {
		return broken("the entries up to %s do not lead to what we signed there", c.end.Position())
	}
	if parted {
		return givenUp(c.from, c.end.Life+1)
	}
	return nil
}

// again reads a chain that was proved once more, and hands it on page by page, each with the place before it.
func (l *Loop) again(ctx context.Context, partner string, c *chain, read reading, take func(at ledger.Position, entries []ledger.Entry, docs []exchange.Document) error) error {
	at := c.from
	over := func() bool { return at == c.end.Position() }
	return l.pages(ctx, partner, at, read, c.goesOn, func(page exchange.Recalled) (ledger.Position, error) {
		entries := make([]ledger.Entry, 0, len(page.Entries))
		for _, raw := range page.Entries {
			e, err := ledger.Decode(raw)
			if err != nil {
				return at, broken("an entry after %s is none: %s", at, err)
			}
			if c.goesOn && e.Position().Compare(c.end.Position()) > 0 {
				break
			}
			if !c.is(e) {
				return at, broken("entry %s is another than before", e.Position())
			}
			entries = append(entries, e)
		}
		if len(entries) == 0 {
			return at, nil
		}
		if err := take(at, entries, page.Documents); err != nil {
			return at, err
		}
		at = entries[len(entries)-1].Position()
		return at, nil
	}, over)
}

// signed is a checkpoint of ours, by any of our published keys.
func (l *Loop) signed(partner, jws string) (c ledger.Checkpoint, err error) {
	return ledger.VerifyCheckpoint(jws, l.Self, partner, l.Book.OwnKeys())
}

// errEnough ends a stream of which no more is wanted.
var errEnough = errors.New("enough was read")

// pages reads streams of pages until enough says so, and where the log may go on behind that no further. A stream may end before, with the
// caller's token; the next one goes on after the last entry that was taken. One that brought nothing is the partner's last word.
func (l *Loop) pages(
	ctx context.Context, partner string, after ledger.Position, read reading, goesOn bool, take func(exchange.Recalled) (ledger.Position, error), enough func() bool,
) error {
	for !enough() {
		before, nothing := after, false
		err := read(ctx, partner, after, func(page exchange.Recalled) (err error) {
			if len(page.Entries) > exchange.RecallEntries || len(page.Documents) > len(page.Entries) || page.More && len(page.Entries) == 0 {
				return broken("a page has %d entries and %d documents", len(page.Entries), len(page.Documents))
			}
			if nothing { // what follows the last word would never end
				return broken("it goes on after a page without entries")
			}
			nothing = len(page.Entries) == 0
			if after, err = take(page); err == nil && goesOn && enough() {
				err = errEnough
			}
			return err
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if !enough() && after == before {
			return broken("it ends at %s, before what we signed", after)
		}
	}
	return nil
}
