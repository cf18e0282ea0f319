package peer

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
)

// What the Peer API calls. The first string is always the caller's origin, as its token proved it.
type (
	// Partners takes proposals; *member.Service is one.
	Partners interface {
		ReceiveProposal(ctx context.Context, caller, document string) (member.Answer, error)
	}

	// Agreements takes signatures; *agreement.Service is one.
	Agreements interface {
		ReceiveOffer(ctx context.Context, caller, document string) (agreement.State, error)
		ReceiveAcceptance(ctx context.Context, caller, document string) (agreement.State, error)
	}

	// Catalog reads the catalog feed towards a partner, signed page by page; *federation.CatalogFeed is one. A page
	// without items and without a snapshot mark says that nothing is new.
	Catalog interface {
		Page(ctx context.Context, partner string, cursor []byte) (federation.CatalogPage, error)
	}

	// Orders takes resale orders; *resale.Service is one.
	Orders interface {
		Receive(ctx context.Context, c resale.ReceiveCommand) (order.Receipt, error)
	}

	// Access hands out sealed access data; *subscription.Service is one.
	Access interface {
		SealedAccess(ctx context.Context, partner, agreementID, id string) (jwe string, err error)
		ConfirmAccess(ctx context.Context, caller, agreementID, document string) error
	}

	// Ledger lets a partner tail ours; *federation.LedgerFeed is one.
	Ledger interface {
		// Begin takes the checkpoint that the caller countersigned; "" is none.
		Begin(ctx context.Context, partner, seen string) error
		Page(ctx context.Context, partner string, after ledger.Position, limit int) (ledger.Page, error)
	}
)
