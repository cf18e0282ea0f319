package exchange

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// unread is that a partner's log could not be read to where its answer says that it ends, and counts that against it: of the life in which our
// copy is, for a later one begins with a document that we have to sign.
func (p *Prover) unread(ctx context.Context, partner string, a answer) error {
	unread := fault.New(fault.Unavailable, reasonUnread, "its ledger goes on to %s and could not be read that far", a.at)
	forked := false
	err := p.Work.Do(ctx, func(tx federation.Tx) error {
		forked = false
		head, err := tx.Ledger().Head(partner, ledger.Theirs)
		if err != nil || head.Life != a.at.Life || head.Seq >= a.at.Seq {
			return err
		}
		forked, err = ledger.Withhold(tx, partner, a.at, a.document, p.Now())
		return err
	})
	if err != nil {
		return err
	}
	if forked {
		p.Withheld(partner)
	}
	return unread
}

// Withheld tells that the books with a partner are forked for what it does not give.
func (p *Prover) Withheld(partner string) {
	p.Logger.Error("a partner that answers has not given for 72 hours what its signature says it has: books are forked, no new business until it gives it or both operators agree: hanse ledger fork show",
		"partner", partner)
}

// delivered ends what was counted against a partner: it gave its log to where it said that it ends. Books that were forked for it are proved
// like those of any store, by another answer.
func (p *Prover) delivered(ctx context.Context, partner string) error {
	undone := false
	err := p.Work.Do(ctx, func(tx federation.Tx) (err error) {
		undone, err = ledger.Delivered(tx, partner, p.Now())
		return err
	})
	if err != nil || !undone {
		return err
	}
	p.Logger.Info("a partner gave what it had withheld: it is asked whether the books are level", "partner", partner)
	return fault.New(fault.Unavailable, reasonAgain, "the books were forked when it was asked")
}
