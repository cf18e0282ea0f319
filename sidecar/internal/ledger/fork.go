package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Bounds of the entries that are kept as evidence: those of a page.
const (
	maxEvidence      = 500
	maxEvidenceBytes = 1 << 20
)

// Fork sets the books to forked and keeps the proof, once: what comes later changes nothing. It reports whether it was the first.
func Fork(tx Tx, partner, reason string, now time.Time, proof Evidence) (first bool, err error) {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.State == Forked {
		return false, err
	}
	if books.Evidence, err = json.Marshal(proof); err != nil {
		return false, err
	}
	books.State, books.Reason, books.Since = Forked, reason, now
	books.Epoch++
	_, err = tx.Ledger().PutBooks(books)
	return err == nil, err
}

// EvidenceFrom is what a log has from a place on, within the bounds of a page.
func EvidenceFrom(tx Tx, partner string, dir Direction, at Position) (texts []string, err error) {
	entries, err := tx.Ledger().Entries(partner, dir, Position{Life: at.Life, Seq: at.Seq - 1}, maxEvidence)
	size := 0
	for _, e := range entries {
		if size += len(e.Bytes); size > maxEvidenceBytes {
			break
		}
		texts = append(texts, string(e.Bytes))
	}
	return texts, err
}

// forked keeps the proof that we signed another log than we have, in a transaction of its own, and returns what is told: fault.Conflict
// with reason ledger_fork. Nobody else has our key: this store is a copy of one that went on by itself, or somebody has changed it.
func (b *Book) forked(ctx context.Context, partner string, p Proof) error {
	at := p.Position()
	fork := fault.New(fault.Conflict, "ledger_fork", "we signed another log towards %s than this store has: entry %s has another hash here", partner, at).
		Do("find out which copy of the database this sidecar was started with before, keep it, and speak to the partner's operator; hanse ledger verify has the evidence")
	first := false
	err := unit.Fresh(func() error {
		return b.Work.Do(ctx, func(tx Tx) (err error) {
			proof := Evidence{At: at, Theirs: Signed{Checkpoint: p.JWS}, Seen: p.Seen}
			if proof.Ours.Entries, err = EvidenceFrom(tx, partner, Own, at); err != nil {
				return err
			}
			first, err = Fork(tx, partner, fork.Reason, b.Now(), proof)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("keep the proof that we signed two logs towards %s: %w", partner, err)
	}
	if first && b.Forked != nil {
		b.Forked(partner, fork)
	}
	return fork
}
