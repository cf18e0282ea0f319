package rpc

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// OperatorConfig of the Operator API. All services are required.
type OperatorConfig struct {
	Config
	Operators     Operators
	Partners      Partners
	Status        PartnerStatus
	Agreements    Agreements
	Offerings     Offerings
	Listings      Listings
	Orders        OperatorOrders
	Subscriptions OperatorSubscriptions
	Ledgers       Ledgers
	Portals       PortalClients
	Jobs          Jobs
	// Words turns a key's thumbprint into the words that people compare.
	Words func(thumbprint string) string
}

// NewOperator makes the handler of hanse.operator.v1.
func NewOperator(c OperatorConfig) (http.Handler, error) {
	if c.Operators == nil || c.Partners == nil || c.Status == nil || c.Agreements == nil || c.Offerings == nil || c.Listings == nil ||
		c.Orders == nil || c.Subscriptions == nil || c.Ledgers == nil || c.Portals == nil || c.Jobs == nil || c.Words == nil {
		return nil, errors.New("rpc: the Operator API needs all its services")
	}
	config, err := c.complete()
	if err != nil {
		return nil, err
	}
	return surface{
		config: config,
		file:   operatorv1.File_hanse_operator_v1_operator_proto,
		scopes: operatorScopes(),
		admit:  operatorGate{operators: c.Operators}.admit,
		mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			mux.Handle(operatorv1connect.NewPartnerServiceHandler(&operatorPartners{partners: c.Partners, status: c.Status, words: c.Words}, options...))
			mux.Handle(operatorv1connect.NewAgreementServiceHandler(&operatorAgreements{agreements: c.Agreements}, options...))
			mux.Handle(operatorv1connect.NewOfferingServiceHandler(&operatorOfferings{offerings: c.Offerings}, options...))
			mux.Handle(operatorv1connect.NewListingServiceHandler(&operatorListings{listings: c.Listings, partners: c.Partners}, options...))
			mux.Handle(operatorv1connect.NewOrderServiceHandler(&operatorOrders{orders: c.Orders}, options...))
			mux.Handle(operatorv1connect.NewSubscriptionServiceHandler(&operatorSubscriptions{subscriptions: c.Subscriptions}, options...))
			mux.Handle(operatorv1connect.NewLedgerServiceHandler(&operatorLedgers{ledgers: c.Ledgers}, options...))
			mux.Handle(operatorv1connect.NewPortalServiceHandler(&operatorPortals{portals: c.Portals}, options...))
			mux.Handle(operatorv1connect.NewJobServiceHandler(&operatorJobs{jobs: c.Jobs}, options...))
		},
	}.handler()
}

// operatorGate recognises the operator, who may do everything that the table names.
type operatorGate struct{ operators Operators }

func (g operatorGate) admit(r *http.Request, p procedure) (caller, error) {
	token, err := bearerToken(r)
	if err != nil {
		return caller{}, err
	}
	if err := g.operators.Authenticate(token); err != nil {
		return caller{}, err
	}
	if p.scope != scopeOperator {
		return caller{}, fault.New(fault.Denied, "scope_missing", "the operator does not have the scope %s", p.scope)
	}
	return caller{ctx: r.Context(), name: "operator"}, nil
}
