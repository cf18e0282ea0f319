package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// Why books are unproven.
const (
	// ReasonStarted: no other replica was there that knows the store.
	ReasonStarted = "started"
	// ReasonServerChanged: an operator accepted another PostgreSQL server or timeline.
	ReasonServerChanged = "server_changed"
	// ReasonRestored: to another partner this store is older than what it signed, or it was put back from a backup.
	ReasonRestored = "store_restored"
	// ReasonWentBack: the store was put back to an older state under us.
	ReasonWentBack = "store_went_back"
	// ReasonMissing: the partner's log decides a document of ours that this store does not have.
	ReasonMissing = "document_missing"
	// reasonOlder is why books are behind.
	reasonOlder = "ledger_recovering"
)

// PutBack reports whether books are in doubt for more than that a sidecar started: the store may be older than what was done, also where
// nothing that was signed is missing in it.
func (b Books) PutBack() bool {
	return b.State == Behind || b.State == Unproven && b.Reason != ReasonStarted
}

// Doubt sets the books with all partners to unproven: this store may be another than the one that signed them. Those that are behind or
// forked stay so. That this store has no entry proves nothing: it may be older than the first one.
func Doubt(tx Tx, reason string, now time.Time) error {
	if plant.On(plant.TrustAfterAStart) && reason != ReasonRestored {
		return nil
	}
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
		// What a store was put back for a later start does not unsay. A document that is missing is found again.
		kept := books.Reason == ReasonRestored || reason == ReasonStarted && books.PutBack() && books.Reason != ReasonMissing
		if !kept {
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

// Missing has the books with one partner wait for an operator: an entry of its log decides a document of ours that this store does not have.
// That may be all that is left of what a lost store signed, and it may be a lie, for it bears no signature of ours: so it proves nothing
// about the other books, and ends when the operator has it left aside, for good.
func Missing(tx Tx, e Entry, now time.Time) error {
	books, err := tx.Ledger().Books(e.Partner)
	if err != nil || books.State != Level && books.State != Unproven || books.Reason == ReasonMissing {
		return err
	}
	evidence, err := Evidence{At: e.Position(), Theirs: Signed{Entries: []string{string(e.Bytes)}}}.encode()
	if err != nil {
		return err
	}
	if books.State == Level {
		books.Since = now.UTC()
		books.Epoch++
		books.Asked = 0
	}
	books.State, books.Reason = Unproven, ReasonMissing
	if err := tx.Ledger().PutEvidence(e.Partner, evidence); err != nil {
		return err
	}
	_, err = tx.Ledger().PutBooks(books)
	return err
}

// Began refuses to begin a life, or to propose one, where our own signature says that we began it before, or a later one: this store is older, and
// another first entry of that life would be a second log. fault.Unavailable with reason books_behind, until that is read back.
func Began(tx Tx, partner string, life int64) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil || !books.Recovers() {
		return err
	}
	proof, err := kept(tx, partner)
	if err != nil || proof == nil || proof.At.Life < life {
		return err
	}
	return fault.New(fault.Unavailable, ReasonBehind, "we signed entry %s of our log towards %s, which is not here: life %d began before, and is read back", proof.At, partner, life).
		Do("wait until it is read back: hanse partner show " + partner)
}

// older sets the books to behind, for a checkpoint of ours lies beyond our log, and keeps that as evidence. As the store is older than
// what it signed for one, it may be for all: the other books are in doubt.
func (b *Book) older(ctx context.Context, partner string, p Proof) error {
	first := false
	err := b.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error {
		first = false
		head, err := tx.Ledger().Head(partner, Own)
		if err != nil || p.Position().Compare(head.Position()) <= 0 {
			return err
		}
		books, err := tx.Ledger().Books(partner)
		// A fork ended with a life that we signed: it says nothing of the log that we go on with.
		ended := books.State == Forked && p.Life > head.Life
		if err != nil || books.State == Forked && !ended {
			return err
		}
		if books.State == Behind {
			return further(tx, partner, p)
		}
		evidence, err := p.evidence().encode()
		if ended {
			evidence, err = beside(tx, partner, p, books)
			books.Doubted, books.Withheld = false, Withheld{}
		}
		if err != nil {
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

// evidence is what proves that our log went on to the place of a proof.
func (p Proof) evidence() Evidence {
	return Evidence{At: p.Position(), Theirs: Signed{Checkpoint: p.JWS}, Seen: p.Seen}
}

// further keeps the proof of how far our log was signed where it reaches further than what is kept: books that are behind stay so until all
// of it is read back.
func further(tx Tx, partner string, p Proof) error {
	before, err := kept(tx, partner)
	if err != nil || before != nil && p.Position().Compare(before.At) <= 0 {
		return err
	}
	now := p.evidence()
	if before != nil {
		now.Other = before.Other
	}
	evidence, err := now.encode()
	if err != nil {
		return err
	}
	return tx.Ledger().PutEvidence(partner, evidence)
}

// beside is a proof of how far our log was signed, with the evidence beside it of the fork that ended on the way there. What shows that the
// partner withheld something proves no fork; one from before may lie beside it.
func beside(tx Tx, partner string, p Proof, books Books) ([]byte, error) {
	before, err := kept(tx, partner)
	if err != nil {
		return nil, err
	}
	if before != nil && books.Withholds() {
		before = before.Other
	}
	now := p.evidence()
	now.Other = before
	return now.encode()
}

// EndedFork has the evidence of the fork that ended not lie beside what our log was signed up to any more: what ended it keeps it.
func EndedFork(tx Tx, partner string) error {
	now, err := kept(tx, partner)
	if err != nil || now == nil || now.Other == nil {
		return err
	}
	now.Other = nil
	evidence, err := now.encode()
	if err != nil {
		return err
	}
	return tx.Ledger().PutEvidence(partner, evidence)
}

func kept(tx Tx, partner string) (*Evidence, error) {
	raw, err := tx.Ledger().Evidence(partner)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	var e Evidence
	return &e, json.Unmarshal(raw, &e)
}
