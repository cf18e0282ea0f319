package peer

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// Config of the Peer API. All services are required.
type Config struct {
	gate.Config
	Partners Partners
	Exchange Exchange
	Catalog  Catalog
	Access   Access
	Ledger   Ledger
	// Relation refuses a caller that may not go on listening to a stream; *bearer.Verifier's Still does. Default: nobody is
	// refused before its token ends.
	Relation func(ctx context.Context, p bearer.Principal) error
	// Caller finds who calls in a request's context. Default: bearer.FromContext.
	Caller func(ctx context.Context) (bearer.Principal, bool)
}

// New makes the handler of hanse.peer.v1, to be mounted behind bearer's middleware, which decides who calls.
func New(c Config) (http.Handler, error) {
	if c.Partners == nil || c.Exchange == nil || c.Catalog == nil || c.Access == nil || c.Ledger == nil || c.Wakeups == nil {
		return nil, errors.New("rpc/peer: the Peer API needs all its services and Wakeups")
	}
	config, err := c.Config.Complete()
	if err != nil {
		return nil, err
	}
	if c.Relation == nil {
		c.Relation = func(context.Context, bearer.Principal) error { return nil }
	}
	if c.Caller == nil {
		c.Caller = bearer.FromContext
	}
	who := callers(c.Caller).of
	streams := feedService{caller: who, config: config, catalog: c.Catalog, ledger: c.Ledger, relation: c.Relation}
	return gate.Surface{
		Config: config,
		File:   peerv1.File_hanse_peer_v1_peer_proto,
		Scopes: bearer.PeerScopes(),
		Admit:  callers(c.Caller).admit,
		Mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			mux.Handle(peerv1connect.NewPeeringServiceHandler(&peeringService{caller: who, partners: c.Partners}, options...))
			mux.Handle(peerv1connect.NewExchangeServiceHandler(&exchangeService{caller: who, exchange: c.Exchange, config: config, relation: c.Relation}, options...))
			mux.Handle(peerv1connect.NewCatalogServiceHandler(&streams, options...))
			mux.Handle(peerv1connect.NewOrderServiceHandler(&orderService{caller: who, access: c.Access}, options...))
			mux.Handle(peerv1connect.NewLedgerServiceHandler(&streams, options...))
		},
	}.Handler()
}

// callers reads the principal that bearer's middleware left.
type callers func(ctx context.Context) (bearer.Principal, bool)

// admit takes over what bearer proved. Its middleware has compared the scope with the same table; comparing again costs
// nothing and holds when somebody wires the two wrongly.
func (f callers) admit(r *http.Request, p gate.Procedure) (gate.Caller, error) {
	who, err := f.of(r.Context())
	if err != nil {
		return gate.Caller{}, fault.New(fault.Unauthenticated, "token_missing", "the call carries no access token").Because(err)
	}
	if who.Procedure != r.URL.Path || who.Scope != p.Scope {
		return gate.Caller{}, fault.New(fault.Denied, "scope_missing", "the token does not have the scope %s", p.Scope)
	}
	return gate.Caller{Context: r.Context(), Name: "peer/" + who.Origin, Partner: who.Origin}, nil
}

// of unpacks the caller once, at the entry of each handler.
func (f callers) of(ctx context.Context) (bearer.Principal, error) {
	who, ok := f(ctx)
	if !ok || who.Origin == "" {
		return bearer.Principal{}, errors.New("rpc/peer: a peer handler was reached without a caller")
	}
	return who, nil
}

// peeringService implements hanse.peer.v1.PeeringService.
type peeringService struct {
	caller   func(ctx context.Context) (bearer.Principal, error)
	partners Partners
}

// Propose implements peerv1connect.PeeringServiceHandler.
func (h *peeringService) Propose(ctx context.Context, req *connect.Request[peerv1.ProposeRequest]) (*connect.Response[peerv1.ProposeResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := h.partners.ReceiveProposal(ctx, who.Origin, req.Msg.GetDocument())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.ProposeResponse{State: string(answer.State), Reason: answer.Reason}), nil
}

// orderService implements hanse.peer.v1.OrderService.
type orderService struct {
	caller func(ctx context.Context) (bearer.Principal, error)
	access Access
}

// GetAccessData implements peerv1connect.OrderServiceHandler.
func (h *orderService) GetAccessData(ctx context.Context, req *connect.Request[peerv1.GetAccessDataRequest]) (*connect.Response[peerv1.GetAccessDataResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	jwe, err := h.access.SealedAccess(ctx, who.Origin, who.Agreement, req.Msg.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.GetAccessDataResponse{Jwe: jwe}), nil
}
