package exchange

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Ends asks a partner once where both logs end as it has them, in whatever state the books are: that of its own, and the newest of our
// checkpoints that it holds.
func (p *Prover) Ends(ctx context.Context, partner string) (ends life.Ends, err error) {
	var from member.Partner
	if err := p.Work.View(ctx, func(tx federation.Tx) (err error) { from, err = tx.Partners().Get(partner); return err }); err != nil {
		return ends, err
	}
	nonce := make([]byte, nonceBytes)
	p.Nonce(nonce)
	document, err := p.Link.Compare(ctx, partner, nonce)
	if err != nil {
		return ends, err
	}
	a, err := p.open(from, document, nonce)
	if err != nil {
		return ends, err
	}
	ends.Head = ledger.Checkpoint{Issuer: partner, Audience: p.Self, Life: a.Life, Seq: a.Seq, Hash: a.Hash, Tick: a.Tick}
	if a.Held == "" {
		return ends, nil
	}
	ends.Held, err = p.Book.Held(ctx, partner, a.Held, document)
	if ledger.IsFork(err) || fault.ReasonOf(err) == ledger.ErrRecovering.Reason {
		err = nil // that it is so is on record now
	}
	return ends, err
}
