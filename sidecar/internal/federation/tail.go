package federation

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// LedgerFeed lets partners tail our ledger.
type LedgerFeed struct {
	Work unit.Work[Tx]
	Book *ledger.Book
	// Reader judges the checkpoints of their own logs that they bring.
	Reader *LedgerReader
}

// Begin takes what a partner brings when it begins to tail: a checkpoint of ours that it countersigned, and one of its own log;
// "" is none. Where it or we signed two logs, it still reads ours.
func (f *LedgerFeed) Begin(ctx context.Context, origin string, token ledger.Token, seen, checkpoint string) error {
	if seen == "" && checkpoint == "" {
		return nil
	}
	var partner member.Partner
	err := f.Work.View(ctx, func(tx Tx) (err error) {
		if partner, err = tx.Partners().Get(origin); err != nil {
			return err
		}
		books, err := tx.Ledger().Books(origin)
		if err != nil {
			return err
		}
		return books.Outlived(token, f.Book.Now())
	})
	if err != nil {
		return err
	}
	partner = f.Reader.Follow.Of(ctx, partner, seen, checkpoint)
	if checkpoint != "" {
		if _, err := f.Reader.Judge(ctx, partner, LedgerPage{Checkpoint: checkpoint}); err != nil && !ledger.IsFork(err) {
			return err
		}
	}
	if seen == "" {
		return nil
	}
	if err := f.Book.Hear(ctx, origin, partner.Keys(f.Reader.Now()), seen); err != nil && !ledger.IsFork(err) {
		return err
	}
	return nil
}

// Page reads our entries towards a partner after a place.
func (f *LedgerFeed) Page(ctx context.Context, partner string, after ledger.Position, limit int) (ledger.Page, error) {
	return f.Book.Tail(ctx, partner, after, limit)
}

// Beat is Page, and countersigns what we verified last of the partner's log; "" before the first.
func (f *LedgerFeed) Beat(ctx context.Context, partner string, after ledger.Position, limit int) (page ledger.Page, seen string, err error) {
	return f.Book.TailSeen(ctx, partner, after, limit)
}
