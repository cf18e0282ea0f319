package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Bounds of the entries that are kept as evidence: those of a page.
const (
	maxEvidence      = 500
	maxEvidenceBytes = 1 << 20
)

// Fork sets the books to forked and keeps the proof, once of each of the two logs: what comes later changes nothing. It reports whether
// it was the first of its log.
func Fork(tx Tx, partner, reason string, now time.Time, proof Evidence) (first bool, err error) {
	books, err := tx.Ledger().Books(partner)
	if err != nil || books.Proven(reason) {
		return false, err
	}
	if reason == ReasonOwnFork {
		books.Shown = proof.Theirs.Checkpoint
	}
	if books.State != Forked {
		books.Doubted = books.State.Closed() != nil
		books.State, books.Reason, books.Since = Forked, reason, now
	} else { // the other log's is kept
		if reason == ReasonFork {
			books.Reason = reason
		}
		kept, err := tx.Ledger().Evidence(partner)
		if err != nil {
			return false, err
		}
		var before Evidence
		if err := json.Unmarshal(kept, &before); err != nil {
			return false, err
		}
		later := proof
		proof = before
		proof.Other = &later
	}
	raw, err := proof.encode()
	if err != nil {
		return false, err
	}
	if err := tx.Ledger().PutEvidence(partner, raw); err != nil {
		return false, err
	}
	books.Epoch++
	_, err = tx.Ledger().PutBooks(books)
	return err == nil, err
}

// encode is JSON of about the size of what travelled: with what encoding/json does for HTML a partner's < would take six bytes, and its
// proof could be more than an answer holds.
func (e Evidence) encode() ([]byte, error) {
	var out bytes.Buffer
	to := json.NewEncoder(&out)
	to.SetEscapeHTML(false)
	err := to.Encode(e)
	return bytes.TrimSpace(out.Bytes()), err
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

// Court looks at what may be a fork: of each partner at one at a time, for it may read a whole log, and to its end whoever hangs up. A
// liar that leaves before is convicted all the same.
type Court struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// Case is one that Court looks at.
type Case struct {
	Partner string
	View    func(ctx context.Context, fn func(tx Tx) error) error
	Do      func(ctx context.Context, fn func(tx Tx) error) error
	// Ours finds that what we hold ourselves is damaged, which proves nothing. It comes before Proof.
	Ours  func(ctx context.Context) error
	Proof func(tx Tx) (Evidence, error)
	Now   func() time.Time
	// Told is told once that the books are forked; nil is nobody.
	Told func(partner string, err error)
}

// Convict keeps the proof of a fork, once of each log; where it is there already that costs one look at the books. An error is ours.
func (c *Court) Convict(ctx context.Context, fork *fault.Error, s Case) error {
	if known, err := s.known(ctx, fork.Reason); err != nil || known {
		return err
	}
	end, err := c.turn(ctx, s.Partner)
	if err != nil {
		return err
	}
	defer end()
	ctx = context.WithoutCancel(ctx)
	if known, err := s.known(ctx, fork.Reason); err != nil || known { // by whoever had the turn before
		return err
	}
	if err := s.Ours(ctx); err != nil {
		return err
	}
	first := false
	err = unit.Fresh(func() error {
		var proof Evidence
		if err := s.View(ctx, func(tx Tx) (err error) { proof, err = s.Proof(tx); return err }); err != nil {
			return err
		}
		return s.Do(ctx, func(tx Tx) (err error) {
			first, err = Fork(tx, s.Partner, fork.Reason, s.Now(), proof)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("keep the proof of two logs with %s: %w", s.Partner, err)
	}
	if first && s.Told != nil {
		s.Told(s.Partner, fork)
	}
	return nil
}

func (s Case) known(ctx context.Context, reason string) (known bool, err error) {
	err = s.View(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(s.Partner)
		known = books.Proven(reason)
		return err
	})
	return known, err
}

func (c *Court) turn(ctx context.Context, partner string) (end func(), err error) {
	for {
		c.mu.Lock()
		before, busy := c.busy[partner]
		if !busy {
			if c.busy == nil {
				c.busy = make(map[string]chan struct{})
			}
			over := make(chan struct{})
			c.busy[partner] = over
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.busy, partner)
				close(over)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Unbroken reports whether a log leads in an unbroken chain from the entry at a place to its head, a page a view. That it does not has no
// kind: it is a defect here, whoever asks.
func Unbroken(ctx context.Context, view func(ctx context.Context, fn func(tx Tx) error) error, from Position, head Head) error {
	var before *Entry
	for next := (Position{Life: from.Life, Seq: from.Seq - 1}); next.Compare(head.Position()) < 0; {
		var entries []Entry
		err := view(ctx, func(tx Tx) (err error) {
			entries, err = tx.Ledger().Entries(head.Partner, head.Direction, next, verifyBatch)
			return err
		})
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return fmt.Errorf("it ends at %s, before its head %s", next, head.Position())
		}
		for _, kept := range entries {
			if next == head.Position() {
				break // what came since
			}
			e, err := Decode(kept.Bytes)
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
		return fmt.Errorf("entry %s is not what its head says", head.Position())
	}
	return nil
}

// forked keeps the proof that we signed another log than we have, in a transaction of its own, and returns what is told: fault.Conflict
// with reason own_ledger_fork. Nobody else has our key: this store is a copy of one that went on by itself, or somebody has changed it.
// A log of ours that is damaged here proves nothing.
func (b *Book) forked(ctx context.Context, partner string, p Proof) error {
	at := p.Position()
	fork := fault.New(fault.Conflict, ReasonOwnFork, "we signed another log towards %s than this store has: entry %s has another hash here", partner, at).
		Do("find out which copy of the database this sidecar was started with before, keep it, and speak to the partner's operator; hanse ledger verify has the evidence")
	err := b.court.Convict(ctx, fork, Case{
		Partner: partner, View: b.Work.View, Do: b.Work.Do, Now: b.Now, Told: b.Forked,
		Ours: func(ctx context.Context) error {
			var head Head
			err := b.Work.View(ctx, func(tx Tx) (err error) { head, err = tx.Ledger().Head(partner, Own); return err })
			if err == nil {
				err = Unbroken(ctx, b.Work.View, at, head)
			}
			if err != nil {
				return fmt.Errorf("our ledger towards %s, hanse ledger verify says more: %w", partner, err)
			}
			return nil
		},
		Proof: func(tx Tx) (proof Evidence, err error) {
			proof = Evidence{At: at, Theirs: Signed{Checkpoint: p.JWS}, Seen: p.Seen}
			proof.Ours.Entries, err = EvidenceFrom(tx, partner, Own, at)
			return proof, err
		},
	})
	if err != nil {
		return err
	}
	return fork
}
