package portal

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/listing"
	portals "github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// What the Portal API calls.
type (
	// Callers recognises portals and their customers' sessions; *portal.Service of the domain is one.
	Callers interface {
		Authenticate(ctx context.Context, token string) (portals.Principal, error)
		CreateSession(ctx context.Context, by portals.Principal, customer string, scopes []string, origin string) (string, time.Time, error)
	}

	// Shop is what a portal may show: visible listings at retail prices; *listing.Service is one.
	Shop interface {
		Search(ctx context.Context, q search.Query) (listing.Page, error)
		Get(ctx context.Context, id string) (v listing.View, variants []listing.View, err error)
	}

	// Orders places, cancels and reads a portal's orders; *retail.Service is one. With customer "" they are all customers'.
	Orders interface {
		Place(ctx context.Context, c retail.PlaceCommand) (retail.Order, error)
		Cancel(ctx context.Context, portal, customer, id string) (retail.Order, error)
		Get(ctx context.Context, portal, customer, id string) (retail.Order, error)
		List(ctx context.Context, portal, customer, pageToken string, limit int) ([]retail.Order, string, error)
	}

	// Subscriptions reads a portal's subscriptions; *subscription.Service is one.
	Subscriptions interface {
		Get(ctx context.Context, portal, customer, id string) (subscription.Subscription, error)
		List(ctx context.Context, portal, customer, pageToken string, limit int) ([]subscription.Subscription, string, error)
		Reveal(ctx context.Context, portal, customer, id string) ([]subscription.AccessField, error)
	}
)
