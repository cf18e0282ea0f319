package ledger

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Page is what a tail sends: entries in order and the signed end of what was sent so far.
type Page struct {
	Entries    [][]byte
	Checkpoint string
	// LastSeq is where to go on; More tells that there is more already.
	LastSeq int64
	More    bool
}

// Tail reads our entries towards a partner after a sequence number, with a checkpoint signed at the last one.
func (b *Book) Tail(ctx context.Context, partner string, afterSeq int64, limit int) (Page, error) {
	var entries []Entry
	var head Head
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		if head, err = tx.Ledger().Head(partner, Own); err != nil {
			return err
		}
		entries, err = tx.Ledger().Entries(partner, Own, afterSeq, limit)
		return err
	})
	if err != nil {
		return Page{}, fmt.Errorf("tail ledger towards %s: %w", partner, err)
	}
	page := Page{LastSeq: head.Seq}
	hash := head.Hash
	for _, e := range entries {
		page.Entries = append(page.Entries, e.Bytes)
		page.LastSeq, hash = e.Seq, e.Hash
	}
	page.More = page.LastSeq < head.Seq
	page.Checkpoint, err = b.Checkpoint(partner, page.LastSeq, hash)
	return page, err
}

// Verify is the report on one log.
type Verify struct {
	Partner   string
	Direction Direction
	Entries   int64
	Head      [32]byte
	// CheckpointSeq is what the partner countersigned last of ours, or the last checkpoint of theirs.
	CheckpointSeq int64
	// Problems in words; none when all is well.
	Problems []string
}

// VerifyPartner checks both logs of one partnership in this store: every hash and link, the heads, the checkpoints of both
// directions against the chain, and parked subjects. theirKey is the partner's pinned business key.
func (b *Book) VerifyPartner(ctx context.Context, partner string, theirKey []byte) ([]Verify, error) {
	own, err := b.verifyLog(ctx, partner, Own, func(cp string) (Checkpoint, error) {
		return firstValid(b.OwnKeys(), func(k []byte) (Checkpoint, error) { return VerifyCheckpoint(cp, b.Self, partner, k) })
	})
	if err != nil {
		return nil, err
	}
	theirs, err := b.verifyLog(ctx, partner, Theirs, func(cp string) (Checkpoint, error) {
		return VerifyCheckpoint(cp, partner, b.Self, theirKey)
	})
	if err != nil {
		return nil, err
	}
	return []Verify{own, theirs}, nil
}

func firstValid(keys [][]byte, check func([]byte) (Checkpoint, error)) (c Checkpoint, err error) {
	err = fault.New(fault.Invalid, "checkpoint_key", "no business key of ours")
	for _, k := range keys {
		if c, err = check(k); err == nil {
			return c, nil
		}
	}
	return c, err
}

// same reports whether the fields that are stored beside the bytes, and that everyone reads, are those in the bytes.
func (e Entry) same(stored Entry) bool {
	return e.At.Equal(stored.At) && e.Kind == stored.Kind && e.Subject == stored.Subject && bytes.Equal(e.Body, stored.Body) &&
		e.Prev == stored.Prev && e.Hash == stored.Hash
}

const verifyBatch = 500

func (b *Book) verifyLog(ctx context.Context, partner string, dir Direction, open func(string) (Checkpoint, error)) (Verify, error) {
	v := Verify{Partner: partner, Direction: dir}
	problem := func(format string, args ...any) { v.Problems = append(v.Problems, fmt.Sprintf(format, args...)) }
	prev := Genesis(trust.PartnershipID(b.Self, partner))
	var head Head
	var parked []Parked
	err := b.Work.View(ctx, func(tx Tx) (err error) {
		if head, err = tx.Ledger().Head(partner, dir); err != nil {
			return err
		}
		if dir == Theirs {
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
	v.CheckpointSeq = cp.Seq
	if dir == Theirs && err == nil && cp.Seq < head.Seq { // a copy grows together with its checkpoint
		problem("entries after %d are under no checkpoint of the partner", cp.Seq)
	}
	for after := int64(0); after < head.Seq; {
		var entries []Entry
		if err := b.Work.View(ctx, func(tx Tx) (err error) {
			entries, err = tx.Ledger().Entries(partner, dir, after, verifyBatch)
			return err
		}); err != nil {
			return v, err
		}
		if len(entries) == 0 {
			problem("entries after %d are missing", after)
			break
		}
		for _, stored := range entries {
			if stored.Seq > head.Seq {
				break
			}
			e, err := Decode(stored.Bytes)
			switch {
			case err != nil:
				problem("entry %d: %v", stored.Seq, err)
				e = stored
			case e.Seq != after+1:
				problem("entry %d follows %d", e.Seq, after)
			case e.Prev != prev:
				problem("entry %d is not chained to the one before", e.Seq)
			case !e.same(stored):
				problem("entry %d is stored with other fields than it was hashed with", e.Seq)
			}
			if cp.Seq == e.Seq && cp.Hash != hex.EncodeToString(e.Hash[:]) {
				problem("the checkpoint at %d has another hash: the log forked", cp.Seq)
			}
			after, prev = stored.Seq, e.Hash
			v.Entries++
		}
		if after >= head.Seq {
			break
		}
	}
	v.Head = prev
	if head.Seq > 0 && prev != head.Hash {
		problem("the head does not match the last entry")
	}
	if cp.Seq > head.Seq {
		problem("the partner holds checkpoint %d, this log ends at %d: it was restored from an old copy", cp.Seq, head.Seq)
	}
	for _, p := range parked {
		problem("entry %d about %s could not be applied: %s", p.Seq, p.Subject, p.Reason)
	}
	return v, nil
}
