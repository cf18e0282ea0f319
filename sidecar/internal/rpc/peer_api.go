package rpc

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/bearer"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// PeerConfig of the Peer API. All services are required.
type PeerConfig struct {
	Config
	Partners    PeerPartners
	Agreements  PeerAgreements
	Catalog     PeerCatalog
	Orders      PeerOrders
	Access      PeerAccess
	Ledger      PeerLedger
	Checkpoints Checkpoints
	// Relation refuses a caller that may not go on listening to a stream; it is asked at every poll. Default: nobody is
	// refused before its token ends.
	Relation func(ctx context.Context, p bearer.Principal) error
	// Caller finds who calls in a request's context. Default: bearer.FromContext.
	Caller func(ctx context.Context) (bearer.Principal, bool)
}

// NewPeer makes the handler of hanse.peer.v1, to be mounted behind bearer's middleware, which decides who calls.
func NewPeer(c PeerConfig) (http.Handler, error) {
	if c.Partners == nil || c.Agreements == nil || c.Catalog == nil || c.Orders == nil || c.Access == nil || c.Ledger == nil ||
		c.Checkpoints == nil || c.Wakeups == nil {
		return nil, errors.New("rpc: the Peer API needs all its services and Wakeups")
	}
	config, err := c.complete()
	if err != nil {
		return nil, err
	}
	if c.Relation == nil {
		c.Relation = func(context.Context, bearer.Principal) error { return nil }
	}
	if c.Caller == nil {
		c.Caller = bearer.FromContext
	}
	who := peerCaller(c.Caller).of
	streams := peerStreams{caller: who, config: config, catalog: c.Catalog, ledger: c.Ledger, checkpoints: c.Checkpoints, relation: c.Relation}
	return surface{
		config: config,
		file:   peerv1.File_hanse_peer_v1_peer_proto,
		scopes: bearer.PeerScopes(),
		admit:  peerCaller(c.Caller).admit,
		mount: func(mux *http.ServeMux, options ...connect.HandlerOption) {
			mux.Handle(peerv1connect.NewPeeringServiceHandler(&peerPartners{caller: who, partners: c.Partners}, options...))
			mux.Handle(peerv1connect.NewAgreementServiceHandler(&peerAgreements{caller: who, agreements: c.Agreements}, options...))
			mux.Handle(peerv1connect.NewCatalogServiceHandler(&streams, options...))
			mux.Handle(peerv1connect.NewOrderServiceHandler(&peerOrders{caller: who, orders: c.Orders, access: c.Access, checkpoints: c.Checkpoints}, options...))
			mux.Handle(peerv1connect.NewLedgerServiceHandler(&streams, options...))
		},
	}.handler()
}

// peerCaller reads the principal that bearer's middleware left.
type peerCaller func(ctx context.Context) (bearer.Principal, bool)

// admit takes over what bearer proved. Its middleware has compared the scope with the same table; comparing again costs
// nothing and holds when somebody wires the two wrongly.
func (f peerCaller) admit(r *http.Request, p procedure) (caller, error) {
	who, err := f.of(r.Context())
	if err != nil {
		return caller{}, fault.New(fault.Unauthenticated, "token_missing", "the call carries no access token").Because(err)
	}
	if who.Procedure != r.URL.Path || who.Scope != p.scope {
		return caller{}, fault.New(fault.Denied, "scope_missing", "the token does not have the scope %s", p.scope)
	}
	return caller{ctx: r.Context(), name: "peer/" + who.Origin}, nil
}

// of unpacks the caller once, at the entry of each handler.
func (f peerCaller) of(ctx context.Context) (bearer.Principal, error) {
	who, ok := f(ctx)
	if !ok || who.Origin == "" {
		return bearer.Principal{}, errors.New("rpc: a peer handler was reached without a caller")
	}
	return who, nil
}

// peerPartners implements hanse.peer.v1.PeeringService.
type peerPartners struct {
	caller   func(ctx context.Context) (bearer.Principal, error)
	partners PeerPartners
}

// Propose implements peerv1connect.PeeringServiceHandler.
func (h *peerPartners) Propose(ctx context.Context, req *connect.Request[peerv1.ProposeRequest]) (*connect.Response[peerv1.ProposeResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	state, err := h.partners.ReceiveProposal(ctx, who.Origin, req.Msg.GetDocument())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.ProposeResponse{State: string(state)}), nil
}

// peerAgreements implements hanse.peer.v1.AgreementService.
type peerAgreements struct {
	caller     func(ctx context.Context) (bearer.Principal, error)
	agreements PeerAgreements
}

// Offer implements peerv1connect.AgreementServiceHandler.
func (h *peerAgreements) Offer(ctx context.Context, req *connect.Request[peerv1.OfferRequest]) (*connect.Response[peerv1.OfferResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	state, err := h.agreements.ReceiveOffer(ctx, who.Origin, req.Msg.GetDocument())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.OfferResponse{State: string(state)}), nil
}

// Accept implements peerv1connect.AgreementServiceHandler.
func (h *peerAgreements) Accept(ctx context.Context, req *connect.Request[peerv1.AcceptRequest]) (*connect.Response[peerv1.AcceptResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	state, err := h.agreements.ReceiveAcceptance(ctx, who.Origin, req.Msg.GetDocument())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.AcceptResponse{State: string(state)}), nil
}

// peerOrders implements hanse.peer.v1.OrderService.
type peerOrders struct {
	caller      func(ctx context.Context) (bearer.Principal, error)
	orders      PeerOrders
	access      PeerAccess
	checkpoints Checkpoints
}

// PlaceOrder implements peerv1connect.OrderServiceHandler.
func (h *peerOrders) PlaceOrder(ctx context.Context, req *connect.Request[peerv1.PlaceOrderRequest]) (*connect.Response[peerv1.PlaceOrderResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	command := order.ReceiveCommand{
		Partner: who.Origin, AgreementID: who.Agreement, Document: req.Msg.GetDocument(),
		Inputs: req.Msg.GetInputs(), InputsSalt: req.Msg.GetInputsSalt(),
	}
	if seen := req.Msg.GetSeenCheckpoint(); seen != "" {
		var checkpoint ledger.Checkpoint
		if checkpoint, command.SeenJWS, err = h.checkpoints.Open(ctx, who.Origin, seen); err != nil {
			return nil, err
		}
		command.Seen = &checkpoint
	}
	receipt, err := h.orders.Receive(ctx, command)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.PlaceOrderResponse{Entry: receipt.Entry, Checkpoint: receipt.Checkpoint}), nil
}

// GetAccessData implements peerv1connect.OrderServiceHandler.
func (h *peerOrders) GetAccessData(ctx context.Context, req *connect.Request[peerv1.GetAccessDataRequest]) (*connect.Response[peerv1.GetAccessDataResponse], error) {
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

// ConfirmAccessData implements peerv1connect.OrderServiceHandler.
func (h *peerOrders) ConfirmAccessData(ctx context.Context, req *connect.Request[peerv1.ConfirmAccessDataRequest]) (*connect.Response[peerv1.ConfirmAccessDataResponse], error) {
	who, err := h.caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.access.ConfirmAccess(ctx, who.Origin, who.Agreement, req.Msg.GetDocument()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&peerv1.ConfirmAccessDataResponse{}), nil
}
