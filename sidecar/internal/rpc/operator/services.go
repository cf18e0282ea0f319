package operator

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// What the Operator API calls.
type (
	// Operators recognises the operator; *portal.Operator is one.
	Operators interface {
		Authenticate(token string) error
	}

	// Partners makes and reads partnerships; *member.Service is one.
	Partners interface {
		Discover(ctx context.Context, origin string) (trust.Info, error)
		Add(ctx context.Context, origin string, role member.Role, confirmed member.Shown) (member.Partner, error)
		Refuse(ctx context.Context, origin, reason string) (member.Partner, error)
		AcceptChanges(ctx context.Context, origin, digest string) (member.Partner, error)
		RefuseChanges(ctx context.Context, origin, digest string) (member.Partner, error)
		Get(ctx context.Context, origin string) (member.Partner, error)
		SetHold(ctx context.Context, origin string, w act.Word) (member.Partner, error)
		Flush(ctx context.Context, origin string, w act.Word) (member.Partner, error)
		List(ctx context.Context) ([]member.Partner, error)
	}

	// Agreements offers, accepts and reads agreements; *agreement.Service is one.
	Agreements interface {
		MayOffer(ctx context.Context, reseller string, terms agreement.Terms) error
		Offer(ctx context.Context, reseller string, terms agreement.Terms) (agreement.Agreement, error)
		Offered(ctx context.Context, supplier, id string) (agreement.Agreement, error)
		Accept(ctx context.Context, supplier, id, digest string) (agreement.Agreement, error)
		List(ctx context.Context) ([]agreement.Agreement, error)
	}

	// Offerings takes what this member sells; *catalog.Service is one.
	Offerings interface {
		Apply(ctx context.Context, yaml []byte, how catalog.Options) (catalog.Result, []catalog.ApplyError, error)
	}

	// Listings keeps how this member shows and prices its partners' offerings; *listing.Service is one.
	Listings interface {
		List(ctx context.Context, partner, pageToken string, limit int) ([]listing.Detail, string, error)
		Update(ctx context.Context, id string, c listing.Change) (listing.Detail, error)
		SetMarkup(ctx context.Context, r listing.Rule) error
	}

	// Orders cancels, gives up and erases what customers of this member ordered; *retail.Service is one.
	Orders interface {
		Cancel(ctx context.Context, portal, customer, id string) (retail.Order, error)
		Rotate(ctx context.Context, subscription, id string) (retail.Order, error)
		Abandon(ctx context.Context, portal, id string, dry bool, w act.Word) (retail.Order, []int, error)
		Erase(ctx context.Context, portal, id string, dry bool, w act.Word) (retail.Order, []int, error)
	}

	// Auditor looks whether what this member holds fits together; *audit.Auditor is one.
	Auditor interface {
		Run(ctx context.Context, partner string, progress audit.Progress) (audit.Report, error)
	}

	// Reconciler compares with partners what both sides have of the deals between them; *reconcile.Reconciler is one.
	Reconciler interface {
		Compare(ctx context.Context, partner string, mend bool) (reconcile.Result, error)
	}

	// Books goes on with what partners' ledgers have parked here; *federation.LedgerReader is one.
	Books interface {
		Apply(ctx context.Context, partner, subject string, w act.Word) (applied int, left []ledger.Parked, err error)
		Release(ctx context.Context, partner, subject string, seq int64, w act.Word) (applied int, left []ledger.Parked, err error)
	}

	// Lives ends forks; *life.Service is one.
	Lives interface {
		Show(ctx context.Context, partner string) (life.View, error)
		Propose(ctx context.Context, partner string, payload []byte, w act.Word) (life.Record, error)
		Sign(ctx context.Context, partner, id, digest string, w act.Word) (life.Record, error)
		Refuse(ctx context.Context, partner, id string, w act.Word) (life.Record, error)
		Alone(ctx context.Context, partner, id, digest string, w act.Word) (life.Record, error)
		Withdraw(ctx context.Context, partner, id string, w act.Word) (life.Record, error)
	}

	// HeldOrders takes what operators saw of orders of which nobody knew what was made; *provision.Service is one.
	HeldOrders interface {
		Resolve(ctx context.Context, partner, id string, seen provision.Seen, outputs map[string]string, w act.Word) error
	}

	// Orphans finds and ends what runs on platforms without a subscription; *provision.Service is one.
	Orphans interface {
		Orphans(ctx context.Context) (provision.Survey, error)
		ClaimOrphan(ctx context.Context, tag, subscription string, w act.Word) (provision.Orphan, error)
		DestroyOrphan(ctx context.Context, tag string, w act.Word) (provision.Orphan, error)
	}

	// PortalClients keeps the portal clients; *portal.Service is one.
	PortalClients interface {
		Add(ctx context.Context, name string, scopes []string, reuse bool) (portal.Client, string, error)
		Rotate(ctx context.Context, name string, overlap time.Duration) (portal.Client, string, error)
		List(ctx context.Context) ([]portal.Client, error)
		Remove(ctx context.Context, name string) error
	}

	// Desk is what operators read across the house, and what they do about jobs; *operator.Desk of the domain is one.
	Desk interface {
		Vouch(ctx context.Context, partner, reason string) error
		OfferEffects(ctx context.Context, reseller, currency string) (desk.Effects, error)
		AcceptEffects(ctx context.Context, supplier, currency string) (desk.Effects, error)
		PartnerStatus(ctx context.Context, origin string) (desk.Status, error)
		Orders(ctx context.Context, side desk.Side, openOnly bool, pageToken string, limit int) ([]desk.Order, string, error)
		Order(ctx context.Context, q desk.Query) (desk.Order, error)
		Explain(ctx context.Context, q desk.Query) (desk.Order, []desk.Explanation, error)
		Subscriptions(ctx context.Context, side subscription.Side, pageToken string, limit int) ([]subscription.Subscription, string, error)
		Offerings(ctx context.Context, pageToken string, limit int) ([]catalog.Offering, string, error)
		Offering(ctx context.Context, id string) (catalog.Offering, error)
		VerifyLedgers(ctx context.Context, partner string) ([]ledger.Verify, error)
		Entries(ctx context.Context, partner string, dir ledger.Direction, after ledger.Position, limit int) ([]ledger.Entry, error)
		Jobs(ctx context.Context, limit int) ([]job.Job, error)
		RetryJob(ctx context.Context, id int64, w act.Word) error
		ParkJob(ctx context.Context, id int64, w act.Word) (job.Job, error)
		DropJob(ctx context.Context, id int64, dry bool, w act.Word) (j job.Job, meaning string, err error)
		Parked(ctx context.Context, partner, pageToken string, limit int) ([]desk.Parked, string, error)
		Key(ctx context.Context) (desk.OwnKey, error)
		RotateKey(ctx context.Context, shown string, w act.Word) (desk.OwnKey, error)
		ShowParked(ctx context.Context, parked []ledger.Parked) ([]desk.Parked, error)
	}
)
