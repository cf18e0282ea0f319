package rpc

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// What the Peer API calls. The first string is always the caller's origin, as its token proved it.
type (
	// PeerPartners takes proposals; *member.Service is one.
	PeerPartners interface {
		ReceiveProposal(ctx context.Context, caller, document string) (member.State, error)
	}

	// PeerAgreements takes signatures; *agreement.Service is one.
	PeerAgreements interface {
		ReceiveOffer(ctx context.Context, caller, document string) (agreement.State, error)
		ReceiveAcceptance(ctx context.Context, caller, document string) (agreement.State, error)
	}

	// PeerCatalog reads the catalog feed towards a partner, signed page by page; *federation.CatalogFeed is one. A page
	// without items and without a snapshot mark says that nothing is new.
	PeerCatalog interface {
		Page(ctx context.Context, partner string, cursor []byte) (federation.CatalogPage, error)
	}

	// PeerOrders takes resale orders; *order.Service is one.
	PeerOrders interface {
		Receive(ctx context.Context, c order.ReceiveCommand) (order.Receipt, error)
	}

	// PeerAccess hands out sealed access data; *subscription.Service is one.
	PeerAccess interface {
		SealedAccess(ctx context.Context, partner, agreementID, id string) (jwe string, err error)
		ConfirmAccess(ctx context.Context, caller, agreementID, document string) error
	}

	// PeerLedger reads our ledger towards a partner; *ledger.Book is one.
	PeerLedger interface {
		Tail(ctx context.Context, partner string, afterSeq int64, limit int) (ledger.Page, error)
	}

	// Checkpoints takes what callers countersigned of our ledger.
	Checkpoints interface {
		// Open verifies one; the string is our own checkpoint inside it.
		Open(ctx context.Context, partner, jws string) (ledger.Checkpoint, string, error)
		// Accept verifies one against our log and remembers it.
		Accept(ctx context.Context, partner, jws string) error
	}
)
