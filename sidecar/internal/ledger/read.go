package ledger

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Page is what a tail sends: entries in order and the signed end of what was sent so far.
type Page struct {
	Entries    [][]byte
	Checkpoint string
	// Last is where to go on; More says that there is more already.
	Last Position
	More bool
}

// maxPageBytes bounds the entries of one page.
const maxPageBytes = 1 << 20

// Tail reads our entries towards a partner after a place, at most limit and 1 MiB of them, with a checkpoint signed at the last
// one. Where we signed two logs there are none, under our last word.
func (b *Book) Tail(ctx context.Context, partner string, after Position, limit int) (Page, error) {
	return b.read(ctx, partner, after, limit, nil, true)
}

// After is Tail for whoever knows that we signed no two logs.
func (b *Book) After(ctx context.Context, partner string, after Position, limit int) (Page, error) {
	return b.read(ctx, partner, after, limit, nil, false)
}

// TailSeen is Tail with what SeenCheckpoint says at that moment.
func (b *Book) TailSeen(ctx context.Context, partner string, after Position, limit int) (page Page, seen string, err error) {
	var theirs verified
	if page, err = b.read(ctx, partner, after, limit, &theirs, true); err == nil {
		seen, err = b.countersign(partner, theirs.at, theirs.checkpoint)
	}
	return page, seen, err
}

// verified is the end of our copy of a partner's log.
type verified struct {
	at         Position
	checkpoint string
}

// read is Tail in one View: with the end of our copy of the partner's log where theirs asks for it, and after a look at the books
// where doubt does.
func (b *Book) read(ctx context.Context, partner string, after Position, limit int, theirs *verified, doubt bool) (page Page, err error) {
	var entries []Entry
	var head Head
	var word string
	bound := false
	err = b.Work.View(ctx, func(tx Tx) (err error) {
		entries = nil
		if theirs != nil {
			if theirs.at, theirs.checkpoint, err = tx.Ledger().Verified(partner); err != nil {
				return err
			}
		}
		if doubt {
			var last Checkpoint
			if last, word, bound, err = b.LastWord(tx, partner); err != nil || bound {
				page.Last = last.Position()
				return err
			}
		}
		if head, err = tx.Ledger().Head(partner, Own); err != nil {
			return err
		}
		if after.Life < head.Life { // an ended life goes on nowhere; the partner goes on with the present one
			after = Position{Life: head.Life}
		}
		if head.Position().Compare(after) > 0 {
			entries, err = tx.Ledger().Entries(partner, Own, after, limit)
		}
		return err
	})
	if err != nil {
		return Page{}, fmt.Errorf("tail ledger towards %s: %w", partner, err)
	}
	if bound {
		page.Checkpoint = word
		return page, nil
	}
	page.Last = head.Position()
	hash := head.Hash
	size := 0
	for _, e := range entries {
		if size += len(e.Bytes); size > maxPageBytes {
			break
		}
		page.Entries = append(page.Entries, e.Bytes)
		page.Last, hash = e.Position(), e.Hash
	}
	page.More = page.Last.Compare(head.Position()) < 0
	page.Checkpoint, err = b.Checkpoint(partner, page.Last, hash)
	return page, err
}

// Verify is the report on one log.
type Verify struct {
	Partner   string
	Direction Direction
	Entries   int64
	Head      [32]byte
	// CheckpointSeq is what the partner countersigned last of ours, or the last checkpoint of theirs.
	Checkpoint Position
	// Books is what is known of both logs, and Evidence what proves it, in the report on Theirs.
	Books    Books
	Evidence []byte
	// Problems in words; none when all is well.
	Problems []string
}

// VerifyPartner checks both logs of one partnership in this store: every hash and link, the heads, the checkpoints of both
// directions against the chain, and parked subjects. theirKey are all business keys that the partner had.
func (b *Book) VerifyPartner(ctx context.Context, partner string, theirKey signed.Pinned) ([]Verify, error) {
	return b.VerifyEach(ctx, partner, theirKey, func([]Entry) error { return nil })
}

// VerifyEach is VerifyPartner that shows the entries of both logs to visit as it goes, a page of one log at a time, in their order and as
// they are stored. An error of visit ends it.
func (b *Book) VerifyEach(ctx context.Context, partner string, theirKey signed.Pinned, visit func([]Entry) error) ([]Verify, error) {
	own, err := b.verifyLog(ctx, partner, Own, visit, func(cp string) (Checkpoint, error) {
		return b.ours(partner, cp)
	})
	if err != nil {
		return nil, err
	}
	theirs, err := b.verifyLog(ctx, partner, Theirs, visit, func(cp string) (Checkpoint, error) {
		return VerifyCheckpoint(cp, partner, b.Self, theirKey)
	})
	if err != nil {
		return nil, err
	}
	return []Verify{own, theirs}, nil
}

// ours verifies a checkpoint of our own log.
func (b *Book) ours(partner, jws string) (Checkpoint, error) {
	return VerifyCheckpoint(jws, b.Self, partner, b.OwnKeys())
}

// same reports whether the fields that are stored beside the bytes, and that everyone reads, are those in the bytes.
func (e Entry) same(stored Entry) bool {
	return e.At.Equal(stored.At) && e.Kind == stored.Kind && e.Subject == stored.Subject && bytes.Equal(e.Body, stored.Body) &&
		e.Prev == stored.Prev && e.Hash == stored.Hash
}

const verifyBatch = 500

// over is a place, moved over lives of which nothing need be here, to where the entry at the next place follows it.
func (b *Book) over(ctx context.Context, partner string, dir Direction, after, next Position) (Position, error) {
	if b.Bare == nil || next.Seq != 1 {
		return after, nil
	}
	for life := after.Life + 1; life < next.Life; life++ {
		if bare, err := b.Bare(ctx, partner, dir, life); err != nil || !bare {
			return after, err
		}
	}
	if next.Life > after.Life+1 {
		after = Position{Life: next.Life - 1}
	}
	return after, nil
}

func (b *Book) verifyLog(ctx context.Context, partner string, dir Direction, visit func([]Entry) error, open func(string) (Checkpoint, error)) (Verify, error) {
	v := Verify{Partner: partner, Direction: dir}
	problem := func(format string, args ...any) { v.Problems = append(v.Problems, fmt.Sprintf(format, args...)) }
	partnership := trust.PartnershipID(b.Self, partner)
	prev := Genesis(partnership)
	var head Head
	var parked []Parked
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		if head, err = tx.Ledger().Head(partner, dir); err != nil {
			return err
		}
		if dir == Theirs {
			if v.Books, err = tx.Ledger().Books(partner); err != nil {
				return err
			}
			if v.Books.State != Level {
				v.Evidence, err = tx.Ledger().Evidence(partner)
			}
			if err != nil {
				return err
			}
			parked, err = tx.Ledger().ParkedAll(partner)
		}
		return err
	})
	if err != nil {
		return v, err
	}
	jws := head.Checkpoint
	if dir == Own {
		jws = head.SeenCheckpoint
	}
	var cp Checkpoint
	if jws != "" {
		if cp, err = open(jws); err != nil {
			problem("the last checkpoint does not verify: %v", err)
		}
	}
	v.Checkpoint = cp.Position()
	if dir == Theirs && err == nil && head.Seq > 0 && cp.Position().Compare(head.Position()) < 0 { // a copy grows together with its checkpoint
		problem("entries after %s are under no checkpoint of the partner", cp.Position())
	}
	for after := (Position{}); after.Compare(head.Position()) < 0; {
		var entries []Entry
		if err := b.Work.View(ctx, func(tx Tx) (err error) {
			entries, err = tx.Ledger().Entries(partner, dir, after, verifyBatch)
			return err
		}); err != nil {
			return v, err
		}
		if len(entries) == 0 && head.Seq == 0 { // nothing is written in a life that just began
			break
		}
		if len(entries) == 0 {
			problem("entries after %s are missing", after)
			break
		}
		if err := visit(entries); err != nil {
			return v, err
		}
		for _, stored := range entries {
			if stored.Position().Compare(head.Position()) > 0 {
				break
			}
			if after, err = b.over(ctx, partner, dir, after, stored.Position()); err != nil {
				return v, err
			}
			e, err := Decode(stored.Bytes)
			placed, chained := e.follows(partnership, after, prev)
			switch {
			case err != nil:
				problem("entry %s: %v", stored.Position(), err)
				e = stored
			case !placed:
				problem("entry %s follows %s", e.Position(), after)
			case !chained:
				problem("entry %s is not chained to the one before", e.Position())
			case !e.same(stored):
				problem("entry %s is stored with other fields than it was hashed with", e.Position())
			}
			if cp.Position() == e.Position() && cp.Hash != hex.EncodeToString(e.Hash[:]) {
				problem("the checkpoint at %s has another hash: the log forked", cp.Position())
			}
			after, prev = stored.Position(), e.Hash
			v.Entries++
		}
		if after.Compare(head.Position()) >= 0 {
			break
		}
	}
	v.Head = prev
	if head.Seq > 0 && prev != head.Hash {
		problem("the head does not match the last entry")
	}
	if cp.Position().Compare(head.Position()) > 0 {
		problem("the partner holds checkpoint %s, this log ends at %s: it was restored from an old copy", cp.Position(), head.Position())
	}
	if dir == Theirs && v.Books.State != Level {
		problem("the books are %s since %s: %s", v.Books.State, v.Books.Since.Format(time.RFC3339), v.Books.Reason)
		if v.Books.Reason == ReasonFork && v.Books.Proven(ReasonOwnFork) {
			problem("our own log is forked too: %s", ReasonOwnFork)
		}
	}
	for _, p := range parked {
		problem("entry %s about %s could not be applied: %s", p.Position(), p.Subject, p.Reason)
	}
	return v, nil
}
