package federation

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// A page of a partner's log is good, bad or a fork. Bad is what proves nothing: it is refused, counted and asked for again. A fork
// is two signatures of the partner that cannot both be true. What we hold stands under the checkpoint at our head, and what a page
// holds under its own, each through an unbroken chain of hashes, so the highest place that both have decides: where the hashes
// there are equal, so are all below.
//
//	not chained in itself, or not up to its checkpoint      page_broken  bad
//	the highest common place has another hash               ledger_fork  fork; bad where that place is before the first entry
//	no common place: it begins beyond our head              page_gap     bad
//	it ends before what was asked for                       page_old     bad
//	it ends at or before our head                                        good, nothing new: late, or a heartbeat
//	otherwise                                                            good, new from our head on

// maxEntries and maxPageBytes bound one page of a partner; ours have no more.
const (
	maxEntries   = 500
	maxPageBytes = 1 << 20
)

func bad(reason, cause string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, reason, cause, args...)
}

// theirs marks what is wrong with what a partner wrote.
type theirs struct{ error }

func (e theirs) Unwrap() error { return e.error }

// Refused reports whether an error of a reader is about what the partner wrote. Any other is our own trouble or defect, whatever its
// kind, and says nothing about the partner.
func Refused(err error) bool { return errors.As(err, new(theirs)) }

func blame(err error) error {
	if err == nil {
		return nil
	}
	return theirs{err}
}

// chain is a page that is chained in itself, up to its checkpoint, whose signature was verified.
type chain struct {
	page LedgerPage
	cp   ledger.Checkpoint
	// before is the sequence number of the place before the first entry, prev the hash there.
	before  int64
	prev    [32]byte
	entries []ledger.Entry
}

// open verifies all of a page that can be verified without our copy.
func (r *LedgerReader) open(partner member.Partner, page LedgerPage) (chain, error) {
	c, err := r.verify(partner, page)
	return c, blame(err)
}

func (r *LedgerReader) verify(partner member.Partner, page LedgerPage) (chain, error) {
	if err := page.within(partner.Origin); err != nil {
		return chain{}, err
	}
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, partner.Origin, r.Self, partner.Keys(r.Now()))
	if err != nil {
		return chain{}, err
	}
	return chained(partner, page, cp)
}

// within refuses a page beyond the limits.
func (p LedgerPage) within(partner string) error {
	size := 0
	for _, raw := range p.Entries {
		size += len(raw)
	}
	if len(p.Entries) > maxEntries || size > maxPageBytes {
		return bad("page_too_large", "a page of %s has %d entries and %d bytes, more than %d or %d", partner, len(p.Entries), size, maxEntries, maxPageBytes)
	}
	return nil
}

// chained verifies that a page is chained in itself, up to its checkpoint.
func chained(partner member.Partner, page LedgerPage, cp ledger.Checkpoint) (chain, error) {
	c := chain{page: page, cp: cp, before: cp.Seq}
	signed, err := hex.DecodeString(cp.Hash)
	if err != nil {
		return chain{}, bad("page_broken", "the checkpoint of %s carries no hash", partner.Origin).Because(err)
	}
	end := [32]byte(signed)
	c.prev = end
	for i, raw := range page.Entries {
		e, err := ledger.Decode(raw)
		if err != nil {
			return chain{}, bad("page_broken", "entry %d of a page of %s cannot be taken", i+1, partner.Origin).Because(err)
		}
		e.Partner, e.Direction = partner.Origin, ledger.Theirs
		if i == 0 {
			c.before, c.prev = e.Seq-1, e.Prev
		}
		if e.Life != cp.Life || e.Seq != c.before+int64(i)+1 || e.Prev != c.at(e.Seq-1) {
			return chain{}, bad("page_broken", "entry %s does not follow the one before it in a page of %s", e.Position(), partner.Origin)
		}
		c.entries = append(c.entries, e)
	}
	if last := c.before + int64(len(c.entries)); last != cp.Seq || c.at(last) != end {
		return chain{}, bad("page_broken", "a page of %s ends at %d, its checkpoint says %s or another hash", partner.Origin, last, cp.Position())
	}
	return c, nil
}

// at is the hash at a place that the chain has.
func (c chain) at(seq int64) [32]byte {
	if seq == c.before {
		return c.prev
	}
	return c.entries[seq-c.before-1].Hash
}

// place is where our copy of a partner's log stands, with our hash at the highest place that a chain has too.
type place struct {
	ledger.Head
	common int64
	hash   [32]byte
}

func (r *LedgerReader) place(tx Tx, partner string, c chain) (place, error) {
	head, err := tx.Ledger().Head(partner, ledger.Theirs)
	if err != nil {
		return place{}, err
	}
	p := place{Head: head, common: min(head.Seq, c.cp.Seq), hash: head.Hash}
	switch {
	case head.Life != c.cp.Life, p.common < c.before, p.common == head.Seq:
	case p.common == 0:
		if p.hash, err = ledger.Before(tx, head, trust.PartnershipID(r.Self, partner)); err != nil {
			return place{}, fmt.Errorf("our copy of the ledger of %s: %s", partner, err)
		}
	default:
		e, err := tx.Ledger().Entry(partner, ledger.Theirs, ledger.Position{Life: head.Life, Seq: p.common})
		if fault.Is(err, fault.NotFound) {
			err = errors.New(err.Error()) // nobody asked for it: it is missing here
		}
		if err != nil {
			return place{}, fmt.Errorf("our copy of the ledger of %s: %w", partner, err)
		}
		p.hash = e.Hash
	}
	return p, nil
}

// judge says whether a chain is good from our place, and whether it proves a fork. after is what was asked for.
func (c chain) judge(partner string, from place, after ledger.Position) (fork bool, err error) {
	fork, err = c.compare(partner, from, after)
	return fork, blame(err)
}

func (c chain) compare(partner string, from place, after ledger.Position) (fork bool, err error) {
	switch {
	case c.cp.Life != from.Life:
		return false, bad("page_broken", "%s signs life %d; its log is in life %d here", partner, c.cp.Life, from.Life)
	case from.common < c.before:
		return false, bad("page_gap", "a page of %s begins after %d, our copy ends at %d", partner, c.before, from.Seq)
	case c.at(from.common) == from.hash:
		if c.cp.Position().Compare(after) < 0 {
			return false, bad("page_old", "a page of %s ends at %s, asked was for what follows %s", partner, c.cp.Position(), after)
		}
		return false, nil
	case from.common == 0:
		return false, bad("page_broken", "the log of %s does not begin with the partnership", partner)
	}
	return true, nil
}

// news are the entries beyond our place.
func (c chain) news(from place) []ledger.Entry {
	if c.cp.Seq <= from.Seq {
		return nil
	}
	return c.entries[from.Seq-c.before:]
}
