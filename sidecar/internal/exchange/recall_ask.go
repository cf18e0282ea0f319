package exchange

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Copied asks a partner how both books stand, and returns when our copy of its log is read to the head that it signed. Nothing else follows
// from the answer.
func (p *Prover) Copied(ctx context.Context, from member.Partner) error {
	nonce := make([]byte, nonceBytes)
	p.Nonce(nonce)
	document, err := p.Link.Compare(ctx, from.Origin, nonce)
	if err != nil {
		return err
	}
	answer, err := p.open(from, document, nonce)
	if err != nil {
		return err
	}
	return p.read(ctx, from, answer, &question{Sign: newSign()})
}
