package federation

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// forked keeps the proof in a transaction of its own, once, and returns what is told: fault.Conflict with reason ledger_fork.
// Where that fails, the page is asked for again and proves it again.
func (r *LedgerReader) forked(ctx context.Context, partner string, c chain, common int64) error {
	at := ledger.Position{Life: c.cp.Life, Seq: common}
	fork := fault.New(fault.Conflict, "ledger_fork", "%s signed two different logs: entry %s has another hash than before", partner, at).
		Do("keep both databases as they are and speak to the partner's operator; hanse ledger verify has the evidence")
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
	return fork
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
		return ledger.Checkpoint{}, bad("page_broken", "%s signs life %d; its log is in life %d here", partner.Origin, c.cp.Life, from.Life)
	case from.common < c.before:
		return c.cp, nil
	}
	fork, err := c.judge(partner.Origin, from, ledger.Position{})
	if fork {
		err = r.forked(ctx, partner.Origin, c, from.common)
	}
	return c.cp, err
}
