package portal

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	portals "github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// Config of the Portal API. All services are required.
type Config struct {
	gate.Config
	Callers       Callers
	Shop          Shop
	Orders        Orders
	Subscriptions Subscriptions
}

// New makes the handler of hanse.portal.v1.
func New(c Config) (http.Handler, error) {
	if c.Callers == nil || c.Shop == nil || c.Orders == nil || c.Subscriptions == nil || c.Wakeups == nil {
		return nil, errors.New("rpc/portal: the Portal API needs Callers, Shop, Orders, Subscriptions and Wakeups")
	}
	config, err := c.Config.Complete()
	if err != nil {
		return nil, err
	}
	return gate.Surface{
		Config: config,
		File:   portalv1.File_hanse_portal_v1_portal_proto,
		Scopes: Scopes(),
		Admit:  doorkeeper{callers: c.Callers}.admit,
		Mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			mux.Handle(portalv1connect.NewCatalogServiceHandler(&catalogService{shop: c.Shop}, options...))
			mux.Handle(portalv1connect.NewOrderServiceHandler(&orderService{config: config, orders: c.Orders}, options...))
			mux.Handle(portalv1connect.NewSubscriptionServiceHandler(&subscriptionService{subscriptions: c.Subscriptions}, options...))
			mux.Handle(portalv1connect.NewSessionServiceHandler(&sessionService{callers: c.Callers}, options...))
		},
	}.Handler()
}

// doorkeeper recognises the callers of the Portal API.
type doorkeeper struct{ callers Callers }

type callerKey struct{}

// caller is what the gate found out; recheck finds it out again, for streams.
type caller struct {
	portals.Principal
	recheck func(ctx context.Context) error
}

func (g doorkeeper) admit(r *http.Request, p gate.Procedure) (gate.Caller, error) {
	token, err := gate.BearerToken(r)
	if err != nil {
		return gate.Caller{}, err
	}
	origin := r.Header.Get("Origin")
	recheck := func(ctx context.Context) (portals.Principal, error) {
		who, err := g.callers.Authenticate(ctx, token)
		if err != nil {
			return who, err
		}
		if err := who.CheckOrigin(origin); err != nil {
			return who, err
		}
		if p.Scope == "" || !who.Has(p.Scope) {
			return who, fault.New(fault.Denied, "scope_missing", "the caller does not have the scope %s", p.Scope)
		}
		return who, nil
	}
	who, err := recheck(r.Context())
	if err != nil {
		return gate.Caller{}, err
	}
	name := "portal/" + who.Portal
	switch {
	case who.Session:
		name += "/" + who.Customer
	case p.Scope == portals.ScopeCatalogRead:
		// Visitors browse with the portal's key; however many there are, orders and sessions go on.
		name += "/catalog"
	}
	pc := caller{Principal: who, recheck: func(ctx context.Context) error { _, err := recheck(ctx); return err }}
	return gate.Caller{Context: context.WithValue(r.Context(), callerKey{}, pc), Name: name}, nil
}

// callerOf unpacks the caller once, at the entry of each handler. A handler that is reached without one is a defect.
func callerOf(ctx context.Context) (caller, error) {
	who, ok := ctx.Value(callerKey{}).(caller)
	if !ok || who.Portal == "" {
		return caller{}, errors.New("rpc/portal: a portal handler was reached without a caller")
	}
	return who, nil
}

// customer is whose things the call is about: a session has one and may name no other; a portal's key may name any or none.
func (w caller) customer(asked string) (string, error) {
	if !w.Session {
		return asked, nil
	}
	if asked != "" && asked != w.Customer {
		return "", fault.New(fault.Denied, "customer_mismatch", "the session belongs to another customer").At("customer")
	}
	return w.Customer, nil
}
