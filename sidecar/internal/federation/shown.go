package federation

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Shown is what a call of a partner's carries of its own log, judged: its checkpoint, and the entries before that where they came with it.
type Shown struct {
	// Checkpoint is what it says. Beyond says that our copy ended before it when it was judged, so that nothing was held against it but the
	// entries.
	Checkpoint ledger.Checkpoint
	Beyond     bool
	// chain has the entries, where they lead from our copy, or from the beginning of the partner's next life, to the checkpoint.
	chain chain
}

// News reports whether entries came with it that our copy did not have.
func (s Shown) News() bool { return s.Beyond && len(s.chain.entries) > 0 }

// Page is what came, as a page of the partner's log.
func (s Shown) Page() LedgerPage { return s.chain.page }

// Judge takes a checkpoint of the partner's log, as calls of the partner carry one, with the entries that came before it in the same call, and
// returns it verified. It may be beyond our copy, which the tail brings level, or Take. One that contradicts our copy is a fork, as in Read,
// with what it says all the same, and so is one that the entries lead to from another log than our copy. Any other thing that is amiss with
// the entries says nothing: they are passed over.
func (r *LedgerReader) Judge(ctx context.Context, partner member.Partner, page LedgerPage) (Shown, error) {
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, partner.Origin, r.Self, partner.Keys(r.Now()))
	if err != nil {
		return Shown{}, blame(err)
	}
	if len(page.Entries) > 0 && page.within(partner.Origin) == nil {
		if c, err := chained(partner, page, cp); err == nil {
			if s, err := r.shown(ctx, partner, c); err == nil || !Refused(err) || ledger.IsFork(err) {
				return s, err
			}
		}
	}
	page.Entries = nil
	c, err := chained(partner, page, cp)
	if err != nil {
		return Shown{}, blame(err)
	}
	return r.shown(ctx, partner, c)
}

func (r *LedgerReader) shown(ctx context.Context, partner member.Partner, c chain) (Shown, error) {
	var from place
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		from, err = r.place(tx, partner.Origin, c)
		return err
	})
	s := Shown{Checkpoint: c.cp}
	switch {
	case err != nil:
		return s, err
	case c.cp.Life < from.Life: // of a life that has ended it says nothing
		return s, nil
	case c.cp.Life == from.Life+1: // it began a life that it countersigned, and we do not have its signature yet
		s.Beyond = true
		if c.before == 0 {
			s.chain = c
		}
		return s, nil
	case c.cp.Life != from.Life:
		return Shown{}, blame(bad("page_broken", "%s signs life %d; its log is in life %d here", partner.Origin, c.cp.Life, from.Life))
	case from.common < c.before:
		s.Beyond = true
		return s, nil
	}
	fork, err := c.judge(partner.Origin, from, ledger.Position{})
	if fork {
		err = r.forked(ctx, partner, c, from.common)
	}
	if err == nil && c.cp.Seq > from.Seq {
		s.Beyond, s.chain = true, c
	}
	return s, err
}

// Take stores the entries that came with a call behind our copy and applies them, in the transaction that keeps the checkpoint that they lead to:
// else we would know the partner's signature under entries that nobody could give back to it. What our copy has by now is passed over, and
// so is all of it where it does not lead on from there. unit.ErrStale where our copy has come to another log since they were judged.
// Whatever else fails must be undone, and is for Read to say: one that cannot be applied has to be parked.
func (r *LedgerReader) Take(tx Tx, partner string, s Shown) error {
	c := s.chain
	waiting, err := tx.Ledger().AnyParked(partner)
	if err == nil && waiting {
		err = fmt.Errorf("entries of %s wait for its operator", partner)
	}
	if err != nil {
		return err
	}
	var from ledger.Position
	entries, err := tx.Ledger().Advance(partner, ledger.Theirs, func(at ledger.Position, hash [32]byte) ([]ledger.Entry, error) {
		from = at
		switch {
		case at.Life != c.cp.Life, at.Seq < c.before, at.Seq >= c.cp.Seq:
			return nil, nil
		case c.at(at.Seq) != hash:
			return nil, fmt.Errorf("our copy of the ledger of %s moved to %s: %w", partner, at, unit.ErrStale)
		}
		return c.entries[at.Seq-c.before:], nil
	})
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := keepsWord(tx, partner, c, from); err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.dispatch(tx, e); err != nil {
			return err
		}
	}
	return tx.Ledger().SetCheckpoint(partner, c.cp, c.page.Checkpoint)
}
