package rpc

import (
	"context"
	"encoding/hex"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// operatorOrders implements hanse.operator.v1.OrderService.
type operatorOrders struct{ orders OperatorOrders }

// ListOrders implements operatorv1connect.OrderServiceHandler.
func (h *operatorOrders) ListOrders(ctx context.Context, req *connect.Request[operatorv1.ListOrdersRequest]) (*connect.Response[operatorv1.ListOrdersResponse], error) {
	list, next, err := h.orders.All(ctx, order.Side(req.Msg.GetSide()), req.Msg.GetOpenOnly(), req.Msg.GetPageToken(),
		pageSize(req.Msg.GetPageSize(), defaultOperatorPage))
	if err != nil {
		return nil, err
	}
	out := eachOf(list, operatorOrder)
	for _, o := range out {
		o.Timeline = nil
	}
	return connect.NewResponse(&operatorv1.ListOrdersResponse{Orders: out, NextPageToken: next}), nil
}

// GetOrder implements operatorv1connect.OrderServiceHandler. An id that two portals chose names two orders; their
// correlation ids tell them apart.
func (h *operatorOrders) GetOrder(ctx context.Context, req *connect.Request[operatorv1.GetOrderRequest]) (*connect.Response[operatorv1.GetOrderResponse], error) {
	list, err := h.orders.Find(ctx, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	switch len(list) {
	case 0:
		return nil, fault.New(fault.NotFound, "order_not_found", "there is no order %s", req.Msg.GetId())
	case 1:
		return connect.NewResponse(&operatorv1.GetOrderResponse{Order: operatorOrder(list[0])}), nil
	}
	return nil, fault.New(fault.Precondition, "order_id_ambiguous", "%d orders have the id %s", len(list), req.Msg.GetId()).At("id").
		Do("name the order by its correlation id")
}

func operatorOrder(o order.Order) *operatorv1.Order {
	return &operatorv1.Order{
		Id: o.ID, Side: string(o.Side), Partner: o.Partner, State: string(o.State), Reason: o.Reason, Message: o.Message,
		Action: string(o.Action), OfferingId: o.OfferingID, OfferingRevision: o.Revision, CorrelationId: o.CorrelationID,
		SubscriptionId: o.SubscriptionID, WholesaleOneOff: amount(o.WholesaleOneOff), WholesaleRecurring: amount(o.WholesaleRecurring),
		PlacedAt: timestamp(o.PlacedAt), UpdatedAt: timestamp(o.UpdatedAt), Portal: o.Portal,
		Timeline: eachOf(o.Events, func(e order.Event) *operatorv1.OrderEvent {
			return &operatorv1.OrderEvent{At: timestamp(e.At), State: string(e.State), Message: e.Message, Source: e.Source}
		}),
	}
}

// operatorSubscriptions implements hanse.operator.v1.SubscriptionService.
type operatorSubscriptions struct{ subscriptions OperatorSubscriptions }

// ListSubscriptions implements operatorv1connect.SubscriptionServiceHandler.
func (h *operatorSubscriptions) ListSubscriptions(ctx context.Context, req *connect.Request[operatorv1.ListSubscriptionsRequest]) (*connect.Response[operatorv1.ListSubscriptionsResponse], error) {
	list, next, err := h.subscriptions.All(ctx, subscription.Side(req.Msg.GetSide()), req.Msg.GetPageToken(),
		pageSize(req.Msg.GetPageSize(), defaultOperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListSubscriptionsResponse{
		Subscriptions: eachOf(list, func(s subscription.Subscription) *operatorv1.Subscription {
			return &operatorv1.Subscription{
				Id: s.ID, Side: string(s.Side), Partner: s.Partner, State: string(s.State), OfferingId: s.OfferingID,
				OrderId: s.OrderID, Adapter: s.Adapter, ActiveSince: timestamp(s.ActiveSince), EndedAt: timestamp(s.EndedAt),
			}
		}),
		NextPageToken: next,
	}), nil
}

// operatorLedgers implements hanse.operator.v1.LedgerService.
type operatorLedgers struct{ ledgers Ledgers }

// VerifyLedgers implements operatorv1connect.LedgerServiceHandler.
func (h *operatorLedgers) VerifyLedgers(ctx context.Context, req *connect.Request[operatorv1.VerifyLedgersRequest]) (*connect.Response[operatorv1.VerifyLedgersResponse], error) {
	list, err := h.ledgers.Verify(ctx, req.Msg.GetPartner())
	if err != nil {
		return nil, err
	}
	out := &operatorv1.VerifyLedgersResponse{}
	for _, v := range list {
		out.Entries += v.Entries
		out.Differences += int64(len(v.Problems))
		out.Ledgers = append(out.Ledgers, &operatorv1.LedgerVerification{
			Partner: v.Partner, Direction: string(v.Direction), Entries: v.Entries, Head: hex.EncodeToString(v.Head[:]),
			CheckpointSeq: v.CheckpointSeq, Problems: v.Problems,
		})
	}
	out.Verified = out.Differences == 0
	return connect.NewResponse(out), nil
}

// ListEntries implements operatorv1connect.LedgerServiceHandler.
func (h *operatorLedgers) ListEntries(ctx context.Context, req *connect.Request[operatorv1.ListEntriesRequest]) (*connect.Response[operatorv1.ListEntriesResponse], error) {
	list, err := h.ledgers.Entries(ctx, req.Msg.GetPartner(), ledger.Direction(req.Msg.GetDirection()), req.Msg.GetAfterSeq(),
		pageSize(req.Msg.GetPageSize(), defaultOperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListEntriesResponse{
		Entries: eachOf(list, func(e ledger.Entry) string { return string(e.Bytes) }),
	}), nil
}

// operatorPortals implements hanse.operator.v1.PortalService.
type operatorPortals struct{ portals PortalClients }

// AddPortal implements operatorv1connect.PortalServiceHandler.
func (h *operatorPortals) AddPortal(ctx context.Context, req *connect.Request[operatorv1.AddPortalRequest]) (*connect.Response[operatorv1.AddPortalResponse], error) {
	client, key, err := h.portals.Add(ctx, req.Msg.GetName(), req.Msg.GetScopes())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.AddPortalResponse{Portal: portalOf(client), Key: key}), nil
}

// RotatePortalKey implements operatorv1connect.PortalServiceHandler.
func (h *operatorPortals) RotatePortalKey(ctx context.Context, req *connect.Request[operatorv1.RotatePortalKeyRequest]) (*connect.Response[operatorv1.RotatePortalKeyResponse], error) {
	client, key, err := h.portals.Rotate(ctx, req.Msg.GetName(), time.Duration(req.Msg.GetOverlapSeconds())*time.Second)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RotatePortalKeyResponse{Portal: portalOf(client), Key: key}), nil
}

// ListPortals implements operatorv1connect.PortalServiceHandler.
func (h *operatorPortals) ListPortals(ctx context.Context, _ *connect.Request[operatorv1.ListPortalsRequest]) (*connect.Response[operatorv1.ListPortalsResponse], error) {
	list, err := h.portals.List(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListPortalsResponse{Portals: eachOf(list, portalOf)}), nil
}

// RemovePortal implements operatorv1connect.PortalServiceHandler.
func (h *operatorPortals) RemovePortal(ctx context.Context, req *connect.Request[operatorv1.RemovePortalRequest]) (*connect.Response[operatorv1.RemovePortalResponse], error) {
	if err := h.portals.Remove(ctx, req.Msg.GetName()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RemovePortalResponse{}), nil
}

func portalOf(c portal.Client) *operatorv1.Portal {
	return &operatorv1.Portal{Name: c.Name, Scopes: c.Scopes, CreatedAt: timestamp(c.CreatedAt), RotatedAt: timestamp(c.RotatedAt)}
}

// operatorJobs implements hanse.operator.v1.JobService.
type operatorJobs struct{ jobs Jobs }

// ListJobs implements operatorv1connect.JobServiceHandler.
func (h *operatorJobs) ListJobs(ctx context.Context, req *connect.Request[operatorv1.ListJobsRequest]) (*connect.Response[operatorv1.ListJobsResponse], error) {
	list, err := h.jobs.List(ctx, pageSize(req.Msg.GetPageSize(), defaultOperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListJobsResponse{
		Jobs: eachOf(list, func(j job.Job) *operatorv1.Job {
			return &operatorv1.Job{
				Id: j.ID, Kind: j.Kind, Key: j.Key, Partner: j.Partner, State: string(j.State), Attempts: int32(j.Attempts),
				LastError: j.LastError, DueAt: timestamp(j.DueAt),
			}
		}),
	}), nil
}

// RetryJob implements operatorv1connect.JobServiceHandler.
func (h *operatorJobs) RetryJob(ctx context.Context, req *connect.Request[operatorv1.RetryJobRequest]) (*connect.Response[operatorv1.RetryJobResponse], error) {
	if err := h.jobs.Retry(ctx, req.Msg.GetId()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RetryJobResponse{}), nil
}
