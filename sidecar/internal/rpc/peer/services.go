package peer

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// What the Peer API calls. The first string is always the caller's origin, as its token proved it.
type (
	// Partners takes proposals; *member.Service is one.
	Partners interface {
		ReceiveProposal(ctx context.Context, caller, document string) (member.Answer, error)
	}

	// Exchange decides on documents; *exchange.Desk is one.
	Exchange interface {
		Submit(ctx context.Context, c exchange.Call) (exchange.Reply, error)
		Compare(ctx context.Context, partner string, token ledger.Token, nonce []byte) (document string, err error)
		Recall(ctx context.Context, partner string, after ledger.Position) (exchange.Recalled, error)
		Ended(ctx context.Context, partner string, after ledger.Position) (exchange.Recalled, error)
		States(ctx context.Context, partner string, asked exchange.StatesAsked) (exchange.States, error)
	}

	// Catalog reads the catalog feed towards a partner, signed page by page; *federation.CatalogFeed is one. A page
	// without items and without a snapshot mark says that nothing is new.
	Catalog interface {
		Page(ctx context.Context, partner string, cursor []byte, last federation.CatalogPage) (federation.CatalogPage, error)
	}

	// Access hands out sealed access data; *subscription.Service is one.
	Access interface {
		SealedAccess(ctx context.Context, partner, agreementID, id string) (jwe string, err error)
	}

	// Ledger lets a partner tail ours; *federation.LedgerFeed is one.
	Ledger interface {
		// Begin takes the checkpoint of ours that the caller countersigned and one of its own log; "" is none.
		Begin(ctx context.Context, partner string, token ledger.Token, seen, checkpoint string) error
		Page(ctx context.Context, partner string, after ledger.Position, limit int) (ledger.Page, error)
		// Seen is the last checkpoint of the caller's log that we verified, countersigned; "" is none.
		Beat(ctx context.Context, partner string, after ledger.Position, limit int) (page ledger.Page, seen string, err error)
	}
)
