package federation

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// forked keeps the proof in a transaction of its own, once, and returns what is told: fault.Conflict with reason ledger_fork.
// Where that fails, the page is asked for again and proves it again. Any other error is ours: a copy of the partner's log that is
// damaged here proves nothing against the partner.
func (r *LedgerReader) forked(ctx context.Context, from member.Partner, c chain, common int64) error {
	partner := from.Origin
	at := ledger.Position{Life: c.cp.Life, Seq: common}
	fork := fault.New(fault.Conflict, "ledger_fork", "%s signed two different logs: entry %s has another hash than before", partner, at).
		Do("keep both databases as they are and speak to the partner's operator; hanse ledger verify has the evidence")
	// Reading, for that may take long.
	if err := r.Work.View(ctx, func(tx Tx) error { return r.holds(tx, from, at) }); err != nil {
		return fmt.Errorf("our copy of the ledger of %s, hanse ledger verify says more: %w", partner, err)
	}
	first := false
	err := unit.Fresh(func() error {
		return r.Work.Do(ctx, func(tx Tx) error {
			proof, err := evidence(tx, partner, c, at)
			if err == nil {
				first, err = ledger.Fork(tx, partner, fork.Reason, r.Now(), proof)
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("keep the proof that %s signed two logs: %w", partner, err)
	}
	if first && r.Forked != nil {
		r.Forked(partner, fork)
	}
	return blame(fork)
}

// holds reports whether our copy of a partner's log leads from a place, in an unbroken chain, to what the partner signed. That it does
// not has no kind: it is a defect here, whoever asks.
func (r *LedgerReader) holds(tx Tx, partner member.Partner, at ledger.Position) error {
	state, err := tx.Ledger().Standing(partner.Origin)
	if err != nil || state == ledger.Forked { // it was looked at then
		return err
	}
	head, err := tx.Ledger().Head(partner.Origin, ledger.Theirs)
	if err != nil {
		return err
	}
	cp, err := ledger.VerifyCheckpoint(head.Checkpoint, partner.Origin, r.Self, partner.BusinessKey)
	if err != nil {
		return errors.New("what was signed for its head does not verify: " + err.Error())
	}
	if cp.Position() != head.Position() || cp.Hash != hex.EncodeToString(head.Hash[:]) {
		return fmt.Errorf("what was signed for %s is not at our head %s", cp.Position(), head.Position())
	}
	var before *ledger.Entry
	for next := (ledger.Position{Life: at.Life, Seq: at.Seq - 1}); next != head.Position(); {
		entries, err := tx.Ledger().Entries(partner.Origin, ledger.Theirs, next, maxEntries)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("it ends at %s, before its head %s", next, head.Position())
		}
		for _, kept := range entries {
			e, err := ledger.Decode(kept.Bytes)
			if err != nil {
				return fmt.Errorf("entry %s: %s", kept.Position(), err)
			}
			if next.Seq++; e.Position() != next || e.Hash != kept.Hash || before != nil && e.Prev != before.Hash {
				return fmt.Errorf("entry %s is not what follows the one before it", kept.Position())
			}
			before = &e
		}
	}
	if before == nil || before.Hash != head.Hash {
		return fmt.Errorf("entry %s is not what was signed", head.Position())
	}
	return nil
}

// evidence is bounded by two pages; where our copy has more entries they stay in it.
func evidence(tx Tx, partner string, c chain, at ledger.Position) (proof ledger.Evidence, err error) {
	head, err := tx.Ledger().Head(partner, ledger.Theirs)
	if err != nil {
		return proof, err
	}
	proof = ledger.Evidence{At: at, Ours: ledger.Signed{Checkpoint: head.Checkpoint}, Theirs: ledger.Signed{Checkpoint: c.page.Checkpoint}}
	for _, raw := range c.page.Entries {
		proof.Theirs.Entries = append(proof.Theirs.Entries, string(raw))
	}
	proof.Ours.Entries, err = ledger.EvidenceFrom(tx, partner, ledger.Theirs, at)
	return proof, err
}

// Judge takes a checkpoint of the partner's log alone, as calls of the partner carry one, and returns it verified. It may be
// beyond our copy, which the tail brings level; one that contradicts our copy is a fork, as in Read.
func (r *LedgerReader) Judge(ctx context.Context, partner member.Partner, jws string) (ledger.Checkpoint, error) {
	c, err := r.open(partner, LedgerPage{Checkpoint: jws})
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	var from place
	err = r.Work.View(ctx, func(tx Tx) (err error) {
		from, err = r.place(tx, partner.Origin, c)
		return err
	})
	switch {
	case err != nil:
		return c.cp, err
	case c.cp.Life != from.Life:
		return ledger.Checkpoint{}, blame(bad("page_broken", "%s signs life %d; its log is in life %d here", partner.Origin, c.cp.Life, from.Life))
	case from.common < c.before:
		return c.cp, nil
	}
	fork, err := c.judge(partner.Origin, from, ledger.Position{})
	if fork {
		err = r.forked(ctx, partner, c, from.common)
	}
	return c.cp, err
}
