package portal

import (
	"context"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// subscriptionService implements hanse.portal.v1.SubscriptionService.
type subscriptionService struct{ subscriptions Subscriptions }

// ListSubscriptions implements portalv1connect.SubscriptionServiceHandler.
func (h *subscriptionService) ListSubscriptions(ctx context.Context, req *connect.Request[portalv1.ListSubscriptionsRequest]) (*connect.Response[portalv1.ListSubscriptionsResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	customer, err := who.customer(req.Msg.GetCustomer())
	if err != nil {
		return nil, err
	}
	list, next, err := h.subscriptions.List(ctx, who.Portal, customer, req.Msg.GetPageToken(), gate.PageSize(req.Msg.GetPageSize(), gate.DefaultPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.ListSubscriptionsResponse{Subscriptions: gate.Each(list, retailSubscription), NextPageToken: next}), nil
}

// GetSubscription implements portalv1connect.SubscriptionServiceHandler.
func (h *subscriptionService) GetSubscription(ctx context.Context, req *connect.Request[portalv1.GetSubscriptionRequest]) (*connect.Response[portalv1.GetSubscriptionResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	sub, err := h.subscriptions.Get(ctx, who.Portal, who.Customer, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.GetSubscriptionResponse{Subscription: retailSubscription(sub)}), nil
}

// RevealAccessData implements portalv1connect.SubscriptionServiceHandler.
func (h *subscriptionService) RevealAccessData(ctx context.Context, req *connect.Request[portalv1.RevealAccessDataRequest]) (*connect.Response[portalv1.RevealAccessDataResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	fields, err := h.subscriptions.Reveal(ctx, who.Portal, who.Customer, req.Msg.GetSubscriptionId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.RevealAccessDataResponse{
		Fields: gate.Each(fields, func(f subscription.AccessField) *portalv1.AccessField {
			return &portalv1.AccessField{Name: f.Name, Title: f.Title, Value: f.Value, Sensitive: f.Sensitive}
		}),
	}), nil
}

// retailSubscription is a subscription as a portal sees it.
func retailSubscription(s subscription.Subscription) *portalv1.Subscription {
	ended := s.State.Ended()
	return &portalv1.Subscription{
		Id: s.ID, Customer: s.Customer, State: string(s.State), ListingId: s.ListingID, Name: s.Name, Quantity: s.Quantity,
		Recurring: gate.Amount(s.Price.Recurring), Period: s.Price.Period, ActiveSince: gate.Timestamp(s.ActiveSince), EndedAt: gate.Timestamp(s.EndedAt),
		AccessDataAvailable: s.AccessReady && !ended, OrderId: s.OrderID,
	}
}

// sessionService implements hanse.portal.v1.SessionService.
type sessionService struct{ callers Callers }

// CreateCustomerSession implements portalv1connect.SessionServiceHandler.
func (h *sessionService) CreateCustomerSession(ctx context.Context, req *connect.Request[portalv1.CreateCustomerSessionRequest]) (*connect.Response[portalv1.CreateCustomerSessionResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	token, expires, err := h.callers.CreateSession(ctx, who.Principal, req.Msg.GetCustomer(), req.Msg.GetScopes(), req.Msg.GetOrigin())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.CreateCustomerSessionResponse{Token: token, ExpiresAt: gate.Timestamp(expires)}), nil
}
