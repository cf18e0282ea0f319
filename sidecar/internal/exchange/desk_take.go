package exchange

import (
	"context"
	"errors"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// errTake says that what came of the partner's log cannot be taken with the documents.
var errTake = errors.New("what came with the documents of the partner's ledger cannot be taken with them")

// take stores what came of the partner's log, so that no checkpoint is kept whose entries we could not give back to who signed it (B-14 in
// docs/peer-1.md). Of a partner whose books are forked nothing is read.
func (b *batch) take() error {
	v := b.v
	if v.taken || v.books != ledger.Level || !v.shown.News() {
		return nil
	}
	err := b.desk.Reader.Take(b.tx, v.call.Partner, v.shown)
	switch {
	case err == nil:
	case errors.Is(err, unit.ErrStale):
		v.contradicted = true // by what was read since; or nothing was, and it is judged once more in vain
	case !fault.Is(err, fault.Unavailable):
		return errors.Join(errTake, err)
	}
	return err
}

// readFirst reads what came of the partner's log as a page of its tail, before its documents are decided: what cannot be applied is parked, and
// what it signed another way before is a fork. What comes of it keeps no document from being decided, but for what it makes of the books.
func (d *Desk) readFirst(ctx context.Context, v *visit) {
	v.taken = true
	page := v.shown.Page()
	page.Guard = func(tx federation.Tx) error { return ledger.Under(tx, v.call.Partner, v.epoch) }
	_, err := d.Reader.Read(ctx, v.partner, ledger.Position{}, page)
	switch {
	case ledger.IsFork(err):
		v.contradicted = true
	case err != nil && ctx.Err() == nil:
		d.Logger.Warn("what came of a partner's ledger with its documents is not read, its feed brings it again", "partner", v.call.Partner, "error", text.ForeignError(err))
	}
}
