package operator

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// Config of the Operator API. All services are required.
type Config struct {
	gate.Config
	Operators  Operators
	Partners   Partners
	Desk       Desk
	Agreements Agreements
	Offerings  Offerings
	Listings   Listings
	Orders     Orders
	Books      Books
	Auditor    Auditor
	Reconciler Reconciler
	Held       HeldOrders
	Orphans    Orphans
	Lives      Lives
	Portals    PortalClients
	// House describes the sidecar itself.
	House func(ctx context.Context) (desk.House, error)
	// Words turns a key's thumbprint into the words that people compare.
	Words func(thumbprint string) string
}

// New makes the handler of hanse.operator.v1.
func New(c Config) (http.Handler, error) {
	if c.Operators == nil || c.Partners == nil || c.Desk == nil || c.Agreements == nil || c.Offerings == nil || c.Listings == nil ||
		c.Orders == nil || c.Books == nil || c.Lives == nil || c.Auditor == nil || c.Reconciler == nil || c.Held == nil || c.Orphans == nil || c.Portals == nil || c.House == nil || c.Words == nil {
		return nil, errors.New("rpc/operator: the Operator API needs all its services")
	}
	config, err := c.Config.Complete()
	if err != nil {
		return nil, err
	}
	return gate.Surface{
		Config: config,
		File:   operatorv1.File_hanse_operator_v1_operator_proto,
		Scopes: Scopes(),
		Sizes:  sizes(),
		Admit:  doorkeeper{operators: c.Operators}.admit,
		Mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			partners := &partnerService{partners: c.Partners, desk: c.Desk, reconciler: c.Reconciler, words: c.Words}
			mux.Handle(operatorv1connect.NewPartnerServiceHandler(partners, options...))
			mux.Handle(operatorv1connect.NewAgreementServiceHandler(&agreementService{agreements: c.Agreements, desk: c.Desk}, options...))
			mux.Handle(operatorv1connect.NewOfferingServiceHandler(&offeringService{offerings: c.Offerings, desk: c.Desk}, options...))
			mux.Handle(operatorv1connect.NewListingServiceHandler(&listingService{listings: c.Listings, partners: c.Partners}, options...))
			mux.Handle(operatorv1connect.NewOrderServiceHandler(&orderService{desk: c.Desk, orders: c.Orders, held: c.Held}, options...))
			mux.Handle(operatorv1connect.NewSubscriptionServiceHandler(&subscriptionService{desk: c.Desk, orders: c.Orders}, options...))
			mux.Handle(operatorv1connect.NewLedgerServiceHandler(&ledgerService{desk: c.Desk, books: c.Books, lives: c.Lives, auditor: c.Auditor, reconciler: c.Reconciler, now: config.Now}, options...))
			mux.Handle(operatorv1connect.NewPortalServiceHandler(&portalService{portals: c.Portals}, options...))
			mux.Handle(operatorv1connect.NewJobServiceHandler(&jobService{desk: c.Desk}, options...))
			mux.Handle(operatorv1connect.NewKeyServiceHandler(&keyService{desk: c.Desk, words: c.Words}, options...))
			mux.Handle(operatorv1connect.NewOrphanServiceHandler(&orphanService{orphans: c.Orphans}, options...))
			mux.Handle(operatorv1connect.NewStatusServiceHandler(&statusService{house: c.House, partners: partners}, options...))
		},
	}.Handler()
}

// principal is who calls: the one token is everybody's who runs this member.
const principal = "operator"

// word is the caller's, for the record.
func word(reason string) act.Word { return act.Word{By: principal, Reason: reason} }

// doorkeeper recognises the operator, who may do everything that the table names.
type doorkeeper struct{ operators Operators }

func (g doorkeeper) admit(r *http.Request, p gate.Procedure) (gate.Caller, error) {
	token, err := gate.BearerToken(r)
	if err != nil {
		return gate.Caller{}, err
	}
	if err := g.operators.Authenticate(token); err != nil {
		return gate.Caller{}, err
	}
	if p.Scope != scopeOperator {
		return gate.Caller{}, fault.New(fault.Denied, "scope_missing", "the operator does not have the scope %s", p.Scope)
	}
	return gate.Caller{Context: r.Context(), Name: principal}, nil
}
