package federation

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// forked keeps the proof in a transaction of its own, once, and returns what is told: fault.Conflict with reason ledger_fork.
// Where that fails, the page is asked for again and proves it again. Any other error is ours: a copy of the partner's log that is
// damaged here proves nothing against the partner.
func (r *LedgerReader) forked(ctx context.Context, from member.Partner, c chain, common int64) error {
	at := ledger.Position{Life: c.cp.Life, Seq: common}
	return r.convict(ctx, from.Origin, c, at,
		func(ctx context.Context) error { return r.holds(ctx, from, at) },
		func(tx ledger.Tx) (ours ledger.Signed, err error) {
			head, err := tx.Ledger().Head(from.Origin, ledger.Theirs)
			if err != nil {
				return ours, err
			}
			ours.Checkpoint = head.Checkpoint
			// Bounded by a page; where our copy has more entries they stay in it.
			ours.Entries, err = ledger.EvidenceFrom(tx, from.Origin, ledger.Theirs, at)
			return ours, err
		})
}

// convict keeps a page as proof against its author, beside what we hold of the same place.
func (r *LedgerReader) convict(
	ctx context.Context, partner string, c chain, at ledger.Position, holds func(ctx context.Context) error, ours func(tx ledger.Tx) (ledger.Signed, error),
) error {
	fork := fault.New(fault.Conflict, ledger.ReasonFork, "%s signed two different logs: entry %s has another hash than before", partner, at).
		Do("keep both databases as they are and speak to the partner's operator; hanse ledger verify has the evidence")
	err := r.court.Convict(ctx, fork, ledger.Case{
		Partner: partner, View: r.view, Now: r.Now, Told: r.Forked,
		Do: func(ctx context.Context, fn func(tx ledger.Tx) error) error {
			return r.Work.Do(ctx, func(tx Tx) error { return fn(tx) })
		},
		Ours: func(ctx context.Context) error {
			if err := holds(ctx); err != nil {
				return fmt.Errorf("our copy of the ledger of %s, hanse ledger verify says more: %w", partner, err)
			}
			return nil
		},
		Proof: func(tx ledger.Tx) (proof ledger.Evidence, err error) {
			proof = ledger.Evidence{At: at, Theirs: ledger.Signed{Checkpoint: c.page.Checkpoint}}
			for _, raw := range c.page.Entries {
				proof.Theirs.Entries = append(proof.Theirs.Entries, string(raw))
			}
			proof.Ours, err = ours(tx)
			return proof, err
		},
	})
	if err != nil {
		return err
	}
	return blame(fork)
}

func (r *LedgerReader) view(ctx context.Context, fn func(tx ledger.Tx) error) error {
	return r.Work.View(ctx, func(tx Tx) error { return fn(tx) })
}

// holds reports whether our copy of a partner's log leads from a place, in an unbroken chain, to what the partner signed. That it does
// not has no kind: it is a defect here, whoever asks.
func (r *LedgerReader) holds(ctx context.Context, partner member.Partner, at ledger.Position) error {
	var head ledger.Head
	err := r.Work.View(ctx, func(tx Tx) (err error) {
		head, err = tx.Ledger().Head(partner.Origin, ledger.Theirs)
		return err
	})
	if err != nil {
		return err
	}
	cp, err := ledger.VerifyCheckpoint(head.Checkpoint, partner.Origin, r.Self, partner.EverKeys())
	if err != nil {
		return errors.New("what was signed for its head does not verify: " + err.Error())
	}
	if cp.Position() != head.Position() || cp.Hash != hex.EncodeToString(head.Hash[:]) {
		return fmt.Errorf("what was signed for %s is not at our head %s", cp.Position(), head.Position())
	}
	return ledger.Unbroken(ctx, r.view, at, head)
}

// word is a checkpoint that the partner sent with a document before our copy came that far.
type word struct {
	at  ledger.Position
	jws string
}

func (w *word) Error() string { return fmt.Sprintf("the partner signed another entry %s before", w.at) }

// keepsWord returns a *word where the entries of a page that are new, behind a place, are others than the partner signed before.
func keepsWord(tx Tx, partner string, c chain, from ledger.Position) error {
	return tx.Ledger().HeldWithin(partner, from, c.cp.Position(), func(at ledger.Position, jws string) error {
		said, err := ledger.ReadVerified(jws)
		if err != nil {
			return fmt.Errorf("what %s signed for entry %s is damaged here: %s", partner, at, err)
		}
		if hash := c.at(at.Seq); said.Hash != hex.EncodeToString(hash[:]) {
			return &word{at, jws}
		}
		return nil
	})
}

// broken is the fork of a page that is not what the partner signed before with a document.
func (r *LedgerReader) broken(ctx context.Context, from member.Partner, c chain, w *word) error {
	return r.convict(ctx, from.Origin, c, w.at,
		func(context.Context) error {
			cp, err := ledger.VerifyCheckpoint(w.jws, from.Origin, r.Self, from.EverKeys())
			if err != nil || cp.Position() != w.at {
				return fmt.Errorf("what was signed for %s does not verify: %v", w.at, err)
			}
			return nil
		},
		func(ledger.Tx) (ledger.Signed, error) { return ledger.Signed{Checkpoint: w.jws}, nil })
}
