package resale

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	ResaleOrders() Store
	Subscriptions() subscription.Store
	Agreements() agreement.Store
	Partners() member.Store
	Catalog() catalog.Store
	Ledger() ledger.Store
	Jobs() job.Store
}

// JobProvision carries out an accepted order; its partner and key are the order's.
const JobProvision = "order.provision"

// Service takes resale orders and ends them.
type Service struct {
	Self    string
	Work    unit.Work[Tx]
	Schemas *recipe.Schemas
	Book    *ledger.Book
	Now     func() time.Time
	Fail    *failpoint.Points
	// Documents are those of our offerings.
	Documents catalog.Documents
}
