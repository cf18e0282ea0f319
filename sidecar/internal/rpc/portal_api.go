package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
)

// PortalConfig of the Portal API. All services are required.
type PortalConfig struct {
	Config
	Callers       Callers
	Shop          Shop
	Orders        RetailOrders
	Subscriptions RetailSubscriptions
}

// NewPortal makes the handler of hanse.portal.v1.
func NewPortal(c PortalConfig) (http.Handler, error) {
	if c.Callers == nil || c.Shop == nil || c.Orders == nil || c.Subscriptions == nil || c.Wakeups == nil {
		return nil, errors.New("rpc: the Portal API needs Callers, Shop, Orders, Subscriptions and Wakeups")
	}
	config, err := c.complete()
	if err != nil {
		return nil, err
	}
	return surface{
		config: config,
		file:   portalv1.File_hanse_portal_v1_portal_proto,
		scopes: portalScopes(),
		admit:  portalGate{callers: c.Callers}.admit,
		mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			mux.Handle(portalv1connect.NewCatalogServiceHandler(&portalCatalog{shop: c.Shop}, options...))
			mux.Handle(portalv1connect.NewOrderServiceHandler(&portalOrders{config: config, orders: c.Orders}, options...))
			mux.Handle(portalv1connect.NewSubscriptionServiceHandler(&portalSubscriptions{subscriptions: c.Subscriptions}, options...))
			mux.Handle(portalv1connect.NewSessionServiceHandler(&portalSessions{callers: c.Callers}, options...))
		},
	}.handler()
}

// portalGate recognises the callers of the Portal API.
type portalGate struct{ callers Callers }

type portalKey struct{}

// portalCaller is what the gate found out; recheck finds it out again, for streams.
type portalCaller struct {
	portal.Principal
	recheck func(ctx context.Context) error
}

func (g portalGate) admit(r *http.Request, p procedure) (caller, error) {
	token, err := bearerToken(r)
	if err != nil {
		return caller{}, err
	}
	origin := r.Header.Get("Origin")
	recheck := func(ctx context.Context) (portal.Principal, error) {
		who, err := g.callers.Authenticate(ctx, token)
		if err != nil {
			return who, err
		}
		if err := who.CheckOrigin(origin); err != nil {
			return who, err
		}
		if p.scope == "" || !who.Has(p.scope) {
			return who, fault.New(fault.Denied, "scope_missing", "the caller does not have the scope %s", p.scope)
		}
		return who, nil
	}
	who, err := recheck(r.Context())
	if err != nil {
		return caller{}, err
	}
	name := "portal/" + who.Portal
	switch {
	case who.Session:
		name += "/" + who.Customer
	case p.scope == portal.ScopeCatalogRead:
		// Visitors browse with the portal's key; however many there are, orders and sessions go on.
		name += "/catalog"
	}
	pc := portalCaller{Principal: who, recheck: func(ctx context.Context) error { _, err := recheck(ctx); return err }}
	return caller{ctx: context.WithValue(r.Context(), portalKey{}, pc), name: name}, nil
}

// portalCallerOf unpacks the caller once, at the entry of each handler. A handler that is reached without one is a defect.
func portalCallerOf(ctx context.Context) (portalCaller, error) {
	who, ok := ctx.Value(portalKey{}).(portalCaller)
	if !ok || who.Portal == "" {
		return portalCaller{}, errors.New("rpc: a portal handler was reached without a caller")
	}
	return who, nil
}

// customer is whose things the call is about: a session has one and may name no other; a portal's key may name any or none.
func (w portalCaller) customer(asked string) (string, error) {
	if !w.Session {
		return asked, nil
	}
	if asked != "" && asked != w.Customer {
		return "", fault.New(fault.Denied, "customer_mismatch", "the session belongs to another customer").At("customer")
	}
	return w.Customer, nil
}
