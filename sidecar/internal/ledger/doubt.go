package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Why books are unproven.
const (
	// ReasonStarted: no other replica was there that knows the store.
	ReasonStarted = "started"
	// ReasonServerChanged: an operator accepted another PostgreSQL server or timeline.
	ReasonServerChanged = "server_changed"
	// ReasonRestored: to another partner this store is older than what it signed, or it was put back from a backup.
	ReasonRestored = "store_restored"
	// reasonOlder is why books are behind.
	reasonOlder = "ledger_recovering"
)

// Doubt sets the books with all partners to unproven, where anything stands in them: this store may be another than the one that signed
// it. Those that are behind or forked stay so; with a partner that nothing was ever said to there is nothing to prove.
func Doubt(tx Tx, reason string, now time.Time) error {
	partners, err := tx.Ledger().Kept()
	if err != nil {
		return err
	}
	for _, partner := range partners {
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		if books.State != Level && books.State != Unproven {
			continue
		}
		if books.Reason != ReasonRestored { // which a later start does not unsay
			books.Reason, books.Since = reason, now.UTC()
		}
		books.State = Unproven
		books.Epoch++
		books.Asked = 0 // no answer counts to what was asked before
		if _, err := tx.Ledger().PutBooks(books); err != nil {
			return err
		}
	}
	return nil
}

// older sets the books to behind, for a checkpoint of ours lies beyond our log, and keeps that as evidence. As the store is older than
// what it signed for one, it may be for all: the other books are in doubt.
func (b *Book) older(ctx context.Context, partner string, p Proof) error {
	first := false
	evidence, err := json.Marshal(Evidence{At: p.Position(), Theirs: Signed{Checkpoint: p.JWS}, Seen: p.Seen})
	if err != nil {
		return err
	}
	err = b.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error {
		first = false
		head, err := tx.Ledger().Head(partner, Own)
		if err != nil || p.Position().Compare(head.Position()) <= 0 {
			return err
		}
		books, err := tx.Ledger().Books(partner)
		if err != nil || books.State == Behind || books.State == Forked {
			return err
		}
		first = true
		books.State, books.Reason, books.Since = Behind, reasonOlder, b.Now().UTC()
		books.Epoch++
		books.Asked = 0
		if _, err := tx.Ledger().PutBooks(books); err != nil {
			return err
		}
		if err := tx.Ledger().PutEvidence(partner, evidence); err != nil {
			return err
		}
		return Doubt(tx, ReasonRestored, b.Now())
	})
	if err != nil {
		return fmt.Errorf("keep the proof that our ledger towards %s is older than what we signed: %w", partner, err)
	}
	if first && b.Older != nil {
		b.Older(partner, p.Position())
	}
	return nil
}
