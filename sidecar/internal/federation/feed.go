package federation

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
)

// Tx is what this package, and the handlers of entries, need of a transaction.
type Tx interface {
	retail.Tx
	agreement.Tx
	Cursors() catalog.CursorStore
	Acts() act.Store
	Lives() life.Store
	// Savepoint runs fn and undoes what it wrote when it fails; the transaction goes on.
	Savepoint(fn func() error) error
}

// Feed is one thing that is read from partners, each with its own loop.
type Feed struct {
	Name string
	// Wanted returns what reports whether it is read from a partner now. It reads for all of them at once.
	Wanted func(tx Tx) (func(p member.Partner) bool, error)
	// Once runs one stream: it blocks while the stream lasts, reads what arrives, and returns what came of it.
	Once func(ctx context.Context, p member.Partner) Outcome
	// Begun is told when a partner's loop begins; nil is nobody.
	Begun func(partner string)
}

// ReasonFlood is the reason of a link's fault.Exhausted that ends a stream because it brought more than a partner may. It is no word about
// what the partner wrote, and says when to ask again.
const ReasonFlood = "stream_flood"

// Outcome is what came of one stream.
type Outcome struct {
	// News: something was read, verified and applied that we did not have when the stream began.
	News bool
	// Refused: the stream ended because what came cannot be the partner's feed as it should be.
	Refused bool
	// Err is nil when the stream ended in good order (the token expired).
	Err error
}

// refused reports whether err says that a page of a catalog cannot be the partner's.
func refused(err error) bool {
	return fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Unauthenticated)
}

// Handler applies a partner's entry within the transaction that stores it. It is idempotent.
type Handler func(tx Tx, e ledger.Entry) error
