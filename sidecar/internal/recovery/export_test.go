package recovery

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Once goes once.
func (l *Loop) Once(ctx context.Context, partner string) (done bool, err error) {
	return l.once(ctx, partner)
}

// Remake makes again what an entry of our log had made, of the document that came back with it.
func (l *Loop) Remake(ctx context.Context, tx Tx, from member.Partner, e ledger.Entry, doc exchange.Document) error {
	r := l.prepare(ctx, from, e, byDigest([]exchange.Document{doc}), new(erasures))
	return r.make(tx, e)
}
