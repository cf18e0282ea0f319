package federation

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// LedgerFeed lets partners tail our ledger.
type LedgerFeed struct {
	Work unit.Work[Tx]
	Book *ledger.Book
}

// Begin takes what a partner countersigned of ours when it begins to tail; "" is nothing.
func (f *LedgerFeed) Begin(ctx context.Context, partner, seen string) error {
	if seen == "" {
		return nil
	}
	var key []byte
	err := f.Work.View(ctx, func(tx Tx) error {
		p, err := tx.Partners().Get(partner)
		key = p.BusinessKey
		return err
	})
	if err != nil {
		return err
	}
	proof, err := f.Book.OpenSeen(partner, key, seen)
	if err != nil {
		return err
	}
	if err := f.Work.Do(ctx, func(tx Tx) error { return ledger.AcceptSeen(tx, partner, proof) }); err != nil {
		return fmt.Errorf("countersigned checkpoint of %s: %w", partner, err)
	}
	return nil
}

// Page reads our entries towards a partner after a place.
func (f *LedgerFeed) Page(ctx context.Context, partner string, after ledger.Position, limit int) (ledger.Page, error) {
	return f.Book.Tail(ctx, partner, after, limit)
}
