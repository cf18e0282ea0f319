package recovery

import (
	"context"
	"encoding/hex"

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
	// reasonLife: a new life began since, whose states no entry of the log says.
	reasonLife = "recall_life"
)

func broken(format string, args ...any) error {
	return fault.New(fault.Invalid, reasonBroken, format, args...)
}

// chain is what the partner gives back of our own log after a place, proved entry by entry: hashes[0] is that of the entry after from, the
// last one that of the entry which our own checkpoint names.
type chain struct {
	from   ledger.Position
	end    ledger.Checkpoint
	hashes [][32]byte
	// erased are the orders that the log says were erased.
	erased map[string]bool
}

// is reports whether an entry is the one at its place.
func (c *chain) is(e ledger.Entry) bool {
	i := e.Seq - c.from.Seq - 1
	return e.Life == c.from.Life && i >= 0 && i < int64(len(c.hashes)) && c.hashes[i] == e.Hash
}

// prove reads what the partner gives back after our head and proves it to the end, before anything of it counts. It keeps 32 bytes an entry,
// and reads no more entries than our own signature says there are. Where a run before this one took all of it, up to the place that the
// partner had shown, there is nothing left to read.
func (l *Loop) prove(ctx context.Context, partner string, head ledger.Head, goal ledger.Position) (*chain, error) {
	c := &chain{from: head.Position(), erased: make(map[string]bool)}
	at, hash := head.Position(), head.Hash
	err := l.pages(ctx, partner, at, func(page exchange.Recalled) (ledger.Position, error) {
		if c.end.Seq == 0 {
			var err error
			if c.end, err = l.signed(partner, page.Checkpoint); err != nil {
				return at, err
			}
			if c.end.Position() == at && at.Compare(goal) >= 0 {
				return at, nil
			}
			if c.end.Life > at.Life {
				return at, fault.New(fault.Precondition, reasonLife, "%s holds our log in life %d, this database is from before that began, in life %d", partner, c.end.Life, at.Life).
					Do("start with a copy of the database from after the new life began; what is older cannot be read back over its beginning")
			}
			if c.end.Life != at.Life || c.end.Seq <= at.Seq {
				return at, fault.New(fault.Unavailable, reasonShort, "%s gives back our log up to %s, which is no further than ours", partner, c.end.Position())
			}
		}
		for _, raw := range page.Entries {
			e, err := ledger.Decode(raw)
			if err != nil {
				return at, err
			}
			at.Seq++
			if e.Position() != at || e.Prev != hash || at.Seq > c.end.Seq {
				return at, broken("entry %s does not follow what we have", e.Position())
			}
			hash = e.Hash
			c.hashes = append(c.hashes, hash)
			if b, err := ledger.ReadBody(e); err == nil && e.Kind == ledger.ErasePlaced {
				c.erased[b.Order] = true
			}
		}
		return at, nil
	}, func() bool { return c.end.Seq > 0 && at.Seq == c.end.Seq })
	if err != nil {
		return nil, err
	}
	if hex.EncodeToString(hash[:]) != c.end.Hash {
		return nil, broken("the entries up to %s do not lead to what we signed there", c.end.Position())
	}
	return c, nil
}

// signed is a checkpoint of ours, by any of our published keys.
func (l *Loop) signed(partner, jws string) (c ledger.Checkpoint, err error) {
	return ledger.VerifyCheckpoint(jws, l.Self, partner, l.Book.OwnKeys())
}

// pages reads streams of pages until enough says so. A stream may end before, with the caller's token; the next one goes on after the last
// entry that was taken. One that brought nothing is the partner's last word.
func (l *Loop) pages(ctx context.Context, partner string, after ledger.Position, take func(exchange.Recalled) (ledger.Position, error), enough func() bool) error {
	for !enough() {
		before, nothing := after, false
		err := l.Link.Recall(ctx, partner, after, func(page exchange.Recalled) (err error) {
			if len(page.Entries) > exchange.RecallEntries || len(page.Documents) > len(page.Entries) || page.More && len(page.Entries) == 0 {
				return broken("a page has %d entries and %d documents", len(page.Entries), len(page.Documents))
			}
			if nothing { // what follows the last word would never end
				return broken("it goes on after a page without entries")
			}
			nothing = len(page.Entries) == 0
			after, err = take(page)
			return err
		})
		if err != nil {
			return err
		}
		if !enough() && after == before {
			return broken("it ends at %s, before what we signed", after)
		}
	}
	return nil
}
