package rpc

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// What the Portal API calls.
type (
	// Callers recognises portals and their customers' sessions; *portal.Service is one.
	Callers interface {
		Authenticate(ctx context.Context, token string) (portal.Principal, error)
		CreateSession(ctx context.Context, by portal.Principal, customer string, scopes []string, origin string) (string, time.Time, error)
	}

	// Shop is what a portal may show: visible listings at retail prices; *listing.Service is one.
	Shop interface {
		Search(ctx context.Context, q search.Query) (listing.Page, error)
		Get(ctx context.Context, id string) (listing.View, error)
	}

	// RetailOrders places and reads a portal's orders; *order.Service is one. With customer "" they are all customers'.
	RetailOrders interface {
		Place(ctx context.Context, c order.PlaceCommand) (order.Order, error)
		Get(ctx context.Context, portal, customer, id string) (order.Order, error)
		List(ctx context.Context, portal, customer, pageToken string, limit int) ([]order.Order, string, error)
	}

	// RetailSubscriptions reads a portal's subscriptions; *subscription.Service is one.
	RetailSubscriptions interface {
		Get(ctx context.Context, portal, customer, id string) (subscription.Subscription, error)
		List(ctx context.Context, portal, customer, pageToken string, limit int) ([]subscription.Subscription, string, error)
		Reveal(ctx context.Context, portal, customer, id string) ([]subscription.AccessField, error)
	}
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
		Add(ctx context.Context, origin string, role member.Role, thumbprint string) (member.Partner, error)
		Get(ctx context.Context, origin string) (member.Partner, error)
		List(ctx context.Context) ([]member.Partner, error)
	}

	// PartnerStatus tells what is not in the partner's record; a part that cannot be read is left zero.
	PartnerStatus interface {
		PartnerStatus(ctx context.Context, origin string) (Status, error)
	}

	// Agreements offers, accepts and reads agreements; *agreement.Service is one.
	Agreements interface {
		Offer(ctx context.Context, reseller string, terms agreement.Terms) (agreement.Agreement, error)
		Accept(ctx context.Context, supplier, id string) (agreement.Agreement, error)
		List(ctx context.Context) ([]agreement.Agreement, error)
	}

	// Offerings keeps what this member sells.
	Offerings interface {
		Apply(ctx context.Context, yaml []byte, dryRun bool) (catalog.Result, []catalog.ApplyError, error)
		List(ctx context.Context, pageToken string, limit int) ([]catalog.Offering, string, error)
		Get(ctx context.Context, id string) (catalog.Offering, error)
	}

	// Listings keeps how this member shows and prices its partners' offerings; *listing.Service is one.
	Listings interface {
		List(ctx context.Context, partner, pageToken string, limit int) ([]listing.Detail, string, error)
		Update(ctx context.Context, id string, c listing.Change) (listing.Detail, error)
		SetMarkup(ctx context.Context, r listing.Rule) error
	}

	// OperatorOrders reads orders of both sides; *order.Service is one.
	OperatorOrders interface {
		All(ctx context.Context, side order.Side, openOnly bool, pageToken string, limit int) ([]order.Order, string, error)
		Find(ctx context.Context, id string) ([]order.Order, error)
	}

	// OperatorSubscriptions reads subscriptions of both sides; *subscription.Service is one.
	OperatorSubscriptions interface {
		All(ctx context.Context, side subscription.Side, pageToken string, limit int) ([]subscription.Subscription, string, error)
	}

	// Ledgers shows and verifies the ledgers.
	Ledgers interface {
		// Verify checks both logs of one partnership, or of all where partner is empty.
		Verify(ctx context.Context, partner string) ([]ledger.Verify, error)
		Entries(ctx context.Context, partner string, dir ledger.Direction, afterSeq int64, limit int) ([]ledger.Entry, error)
	}

	// PortalClients keeps the portal clients; *portal.Service is one.
	PortalClients interface {
		Add(ctx context.Context, name string, scopes []string) (portal.Client, string, error)
		Rotate(ctx context.Context, name string, overlap time.Duration) (portal.Client, string, error)
		List(ctx context.Context) ([]portal.Client, error)
		Remove(ctx context.Context, name string) error
	}

	// Jobs shows the durable jobs.
	Jobs interface {
		List(ctx context.Context, limit int) ([]job.Job, error)
		// Retry makes a waiting or parked job due now; fault.NotFound.
		Retry(ctx context.Context, id int64) error
	}
)

// Status is what an operator sees of a partner beside its record.
type Status struct {
	// Known is false until the first call to the partner.
	Known, Up   bool
	LastContact time.Time
	LastError   string
	// OwnSeq is our ledger's head, TheirSeq the head of theirs that we verified.
	OwnSeq, TheirSeq int64
	Parked           []string
	Offerings        int64
}
