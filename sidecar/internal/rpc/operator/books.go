package operator

import (
	"context"
	"encoding/hex"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	desk "github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// orderService implements hanse.operator.v1.OrderService.
type orderService struct {
	desk   Desk
	orders Orders
	held   HeldOrders
}

// ListOrders implements operatorv1connect.OrderServiceHandler.
func (h *orderService) ListOrders(ctx context.Context, req *connect.Request[operatorv1.ListOrdersRequest]) (*connect.Response[operatorv1.ListOrdersResponse], error) {
	list, next, err := h.desk.Orders(ctx, desk.Side(req.Msg.GetSide()), req.Msg.GetOpenOnly(), req.Msg.GetPageToken(),
		gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	out := gate.Each(list, orderOf)
	for _, o := range out {
		o.Timeline = nil
		for _, it := range o.Items {
			it.Timeline = nil
		}
	}
	return connect.NewResponse(&operatorv1.ListOrdersResponse{Orders: out, NextPageToken: next}), nil
}

// CancelOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) CancelOrder(ctx context.Context, req *connect.Request[operatorv1.CancelOrderRequest]) (*connect.Response[operatorv1.CancelOrderResponse], error) {
	q := desk.Query{ID: req.Msg.GetId(), Side: desk.Retail, Partner: req.Msg.GetPartner(), Portal: req.Msg.GetPortal()}
	o, err := h.desk.Order(ctx, q)
	if err != nil {
		return nil, err
	}
	if _, err := h.orders.Cancel(ctx, o.Portal, "", o.ID); err != nil {
		return nil, err
	}
	if o, err = h.desk.Order(ctx, desk.Query{ID: o.ID, Side: desk.Retail, Portal: o.Portal}); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.CancelOrderResponse{Order: orderOf(o)}), nil
}

// AbandonOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) AbandonOrder(ctx context.Context, req *connect.Request[operatorv1.AbandonOrderRequest]) (*connect.Response[operatorv1.AbandonOrderResponse], error) {
	if !req.Msg.GetDryRun() && req.Msg.GetReason() == "" {
		return nil, fault.New(fault.Invalid, "reason_missing", "an order is given up for a reason, which stays on record").At("reason").Do("say why")
	}
	o, err := h.desk.Order(ctx, desk.Query{ID: req.Msg.GetId(), Side: desk.Retail, Partner: req.Msg.GetPartner(), Portal: req.Msg.GetPortal()})
	if err != nil {
		return nil, err
	}
	given, items, err := h.orders.Abandon(ctx, o.Portal, o.ID, req.Msg.GetDryRun(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	out := &operatorv1.AbandonOrderResponse{}
	for _, i := range items {
		it := given.Items[i]
		out.Items = append(out.Items, &operatorv1.AbandonedItem{
			CorrelationId: it.CorrelationID, Partner: it.Partner, AcceptBy: gate.Timestamp(it.AcceptBy()), Meaning: desk.Abandoning(it),
		})
	}
	if o, err = h.desk.Order(ctx, desk.Query{ID: o.ID, Side: desk.Retail, Portal: o.Portal}); err != nil {
		return nil, err
	}
	out.Order = orderOf(o)
	return connect.NewResponse(out), nil
}

// EraseOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) EraseOrder(ctx context.Context, req *connect.Request[operatorv1.EraseOrderRequest]) (*connect.Response[operatorv1.EraseOrderResponse], error) {
	o, err := h.desk.Order(ctx, desk.Query{ID: req.Msg.GetId(), Side: desk.Retail, Partner: req.Msg.GetPartner(), Portal: req.Msg.GetPortal()})
	if err != nil {
		return nil, err
	}
	erased, items, err := h.orders.Erase(ctx, o.Portal, o.ID, req.Msg.GetDryRun(), word(""))
	if err != nil {
		return nil, err
	}
	out := &operatorv1.EraseOrderResponse{}
	for _, i := range items {
		it := erased.Items[i]
		out.Items = append(out.Items, &operatorv1.ErasedItem{CorrelationId: it.CorrelationID, Partner: it.Partner, SubscriptionId: it.SubscriptionID})
	}
	if o, err = h.desk.Order(ctx, desk.Query{ID: o.ID, Side: desk.Retail, Portal: o.Portal}); err != nil {
		return nil, err
	}
	out.Order = orderOf(o)
	return connect.NewResponse(out), nil
}

// GetOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) GetOrder(ctx context.Context, req *connect.Request[operatorv1.GetOrderRequest]) (*connect.Response[operatorv1.GetOrderResponse], error) {
	o, err := h.desk.Order(ctx, desk.Query{ID: req.Msg.GetId(), Side: desk.Side(req.Msg.GetSide()), Partner: req.Msg.GetPartner(), Portal: req.Msg.GetPortal()})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.GetOrderResponse{Order: orderOf(o)}), nil
}

// ExplainOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) ExplainOrder(ctx context.Context, req *connect.Request[operatorv1.ExplainOrderRequest]) (*connect.Response[operatorv1.ExplainOrderResponse], error) {
	o, deals, err := h.desk.Explain(ctx, desk.Query{ID: req.Msg.GetId(), Side: desk.Side(req.Msg.GetSide()), Partner: req.Msg.GetPartner(), Portal: req.Msg.GetPortal()})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ExplainOrderResponse{
		Id: o.ID, Side: string(o.Side), State: string(o.State), Portal: o.Portal, Items: gate.Each(deals, explanationOf),
	}), nil
}

// outcomes are what an operator may have seen of a held order.
var outcomes = map[operatorv1.HeldOutcome]provision.Seen{
	operatorv1.HeldOutcome_HELD_OUTCOME_MADE:     provision.Made,
	operatorv1.HeldOutcome_HELD_OUTCOME_NOT_MADE: provision.NotMade,
	operatorv1.HeldOutcome_HELD_OUTCOME_FAILED:   provision.GivenUp,
}

// ResolveOrder implements operatorv1connect.OrderServiceHandler.
func (h *orderService) ResolveOrder(ctx context.Context, req *connect.Request[operatorv1.ResolveOrderRequest]) (*connect.Response[operatorv1.ResolveOrderResponse], error) {
	q := desk.Query{ID: req.Msg.GetId(), Side: desk.Resale, Partner: req.Msg.GetPartner()}
	o, err := h.desk.Order(ctx, q)
	if err != nil {
		return nil, err
	}
	q.Partner = o.Items[0].Partner
	if err := h.held.Resolve(ctx, q.Partner, o.ID, outcomes[req.Msg.GetOutcome()], req.Msg.GetOutputs(), word(req.Msg.GetObserved())); err != nil {
		return nil, err
	}
	if o, err = h.desk.Order(ctx, q); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ResolveOrderResponse{Order: orderOf(o)}), nil
}

func explanationOf(e desk.Explanation) *operatorv1.OrderExplanation {
	return &operatorv1.OrderExplanation{
		CorrelationId: e.CorrelationID, Partner: e.Partner, State: string(e.State), Wait: e.Wait, Next: e.Next, Who: string(e.Who),
		Since: gate.Timestamp(e.Since), Commands: e.Commands,
		Happened: gate.Each(e.Happened, func(h desk.Happening) *operatorv1.OrderHappening {
			return &operatorv1.OrderHappening{At: gate.Timestamp(h.At), What: h.What, Message: h.Message, Source: h.Source}
		}),
	}
}

// orderOf says of the order itself what is said of one deal only where there is one.
func orderOf(o desk.Order) *operatorv1.Order {
	out := &operatorv1.Order{
		Id: o.ID, Side: string(o.Side), State: string(o.State), Reason: o.Reason, Message: o.Message, Portal: o.Portal,
		PlacedAt: gate.Timestamp(o.PlacedAt), UpdatedAt: gate.Timestamp(o.UpdatedAt), Timeline: gate.Each(o.Timeline, eventOf),
		Items: gate.Each(o.Items, itemOf), Customer: o.Customer, Totals: gate.Each(o.Totals, totalOf), ErasedAt: gate.Timestamp(o.ErasedAt),
	}
	if len(out.Items) == 1 {
		it := out.Items[0]
		out.Partner, out.Action, out.OfferingId, out.OfferingRevision = it.Partner, it.Action, it.OfferingId, it.OfferingRevision
		out.CorrelationId, out.SubscriptionId = it.CorrelationId, it.SubscriptionId
		out.WholesaleOneOff, out.WholesaleRecurring = it.WholesaleOneOff, it.WholesaleRecurring
	}
	return out
}

func itemOf(it desk.Item) *operatorv1.OrderItem {
	return &operatorv1.OrderItem{
		CorrelationId: it.CorrelationID, Partner: it.Partner, State: string(it.State), Reason: it.Reason, Message: it.Message,
		Action: string(it.Action), OfferingId: it.OfferingID, OfferingRevision: it.Revision, SubscriptionId: it.SubscriptionID,
		Quantity: it.Quantity, WholesaleOneOff: gate.Amount(it.Wholesale.OneOff), WholesaleRecurring: gate.Amount(it.Wholesale.Recurring),
		Period: it.Wholesale.Period, Timeline: gate.Each(it.Events, eventOf), Name: it.Name, ListingId: it.ListingID,
		RetailOneOff: gate.Amount(it.Retail.OneOff), RetailRecurring: gate.Amount(it.Retail.Recurring),
		MarginOneOff: gate.Amount(it.Margin.OneOff), MarginRecurring: gate.Amount(it.Margin.Recurring), Pseudonym: it.Pseudonym,
	}
}

func totalOf(t desk.Total) *operatorv1.OrderTotal {
	return &operatorv1.OrderTotal{
		Period: t.Period, Retail: gate.Amount(&t.Retail), Wholesale: gate.Amount(&t.Wholesale), Margin: gate.Amount(&t.Margin),
	}
}

func eventOf(e order.Event) *operatorv1.OrderEvent {
	return &operatorv1.OrderEvent{At: gate.Timestamp(e.At), State: string(e.State), Message: e.Message, Source: e.Source}
}

// subscriptionService implements hanse.operator.v1.SubscriptionService.
type subscriptionService struct {
	desk   Desk
	orders Orders
}

// RotateAccess implements operatorv1connect.SubscriptionServiceHandler.
func (h *subscriptionService) RotateAccess(ctx context.Context, req *connect.Request[operatorv1.RotateAccessRequest]) (*connect.Response[operatorv1.RotateAccessResponse], error) {
	placed, err := h.orders.Rotate(ctx, req.Msg.GetSubscriptionId(), req.Msg.GetOrderId())
	if err != nil {
		return nil, err
	}
	o, err := h.desk.Order(ctx, desk.Query{ID: placed.ID, Side: desk.Retail, Portal: placed.Portal})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RotateAccessResponse{Order: orderOf(o)}), nil
}

// ListSubscriptions implements operatorv1connect.SubscriptionServiceHandler.
func (h *subscriptionService) ListSubscriptions(ctx context.Context, req *connect.Request[operatorv1.ListSubscriptionsRequest]) (*connect.Response[operatorv1.ListSubscriptionsResponse], error) {
	list, next, err := h.desk.Subscriptions(ctx, subscription.Side(req.Msg.GetSide()), req.Msg.GetPageToken(),
		gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListSubscriptionsResponse{
		Subscriptions: gate.Each(list, func(s subscription.Subscription) *operatorv1.Subscription {
			return &operatorv1.Subscription{
				Id: s.ID, Side: string(s.Side), Partner: s.Partner, State: string(s.State), OfferingId: s.OfferingID,
				OrderId: s.OrderID, Adapter: s.Adapter, ActiveSince: gate.Timestamp(s.ActiveSince), EndedAt: gate.Timestamp(s.EndedAt),
			}
		}),
		NextPageToken: next,
	}), nil
}

// ledgerService implements hanse.operator.v1.LedgerService.
type ledgerService struct {
	desk       Desk
	books      Books
	lives      Lives
	auditor    Auditor
	reconciler Reconciler
	now        func() time.Time
}

// VerifyLedgers implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) VerifyLedgers(ctx context.Context, req *connect.Request[operatorv1.VerifyLedgersRequest]) (*connect.Response[operatorv1.VerifyLedgersResponse], error) {
	list, err := h.desk.VerifyLedgers(ctx, req.Msg.GetPartner())
	if err != nil {
		return nil, err
	}
	logs, entries, differences := logsOf(list, req.Msg.GetPartner() != "")
	return connect.NewResponse(&operatorv1.VerifyLedgersResponse{Ledgers: logs, Entries: entries, Differences: differences, Verified: differences == 0}), nil
}

// logsOf shows the reports on logs, with the evidence where it is asked for.
func logsOf(list []ledger.Verify, evidence bool) (out []*operatorv1.LedgerVerification, entries, differences int64) {
	for _, v := range list {
		entries += v.Entries
		differences += int64(len(v.Problems))
		if !evidence {
			v.Evidence = nil
		}
		out = append(out, &operatorv1.LedgerVerification{
			Partner: v.Partner, Direction: string(v.Direction), Entries: v.Entries, Head: hex.EncodeToString(v.Head[:]),
			CheckpointSeq: v.Checkpoint.Seq, Problems: v.Problems, Books: string(v.Books.State), BooksEvidence: v.Evidence,
			BooksReason: v.Books.Reason, PartnerBehind: v.Books.Older(),
		})
	}
	return out, entries, differences
}

// ListEntries implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ListEntries(ctx context.Context, req *connect.Request[operatorv1.ListEntriesRequest]) (*connect.Response[operatorv1.ListEntriesResponse], error) {
	list, err := h.desk.Entries(ctx, req.Msg.GetPartner(), ledger.Direction(req.Msg.GetDirection()), ledger.Position{Life: req.Msg.GetAfterLife(), Seq: req.Msg.GetAfterSeq()},
		gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListEntriesResponse{
		Entries: gate.Each(list, func(e ledger.Entry) string { return string(e.Bytes) }),
	}), nil
}

// ListParked implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ListParked(ctx context.Context, req *connect.Request[operatorv1.ListParkedRequest]) (*connect.Response[operatorv1.ListParkedResponse], error) {
	list, next, err := h.desk.Parked(ctx, req.Msg.GetPartner(), req.Msg.GetPageToken(), gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListParkedResponse{Parked: gate.Each(list, parkedOf), NextPageToken: next}), nil
}

// ApplyParked implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ApplyParked(ctx context.Context, req *connect.Request[operatorv1.ApplyParkedRequest]) (*connect.Response[operatorv1.ApplyParkedResponse], error) {
	applied, left, err := h.books.Apply(ctx, req.Msg.GetPartner(), req.Msg.GetSubject(), word(""))
	if err != nil {
		return nil, err
	}
	shown, err := h.desk.ShowParked(ctx, left)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ApplyParkedResponse{Applied: int64(applied), Left: gate.Each(shown, parkedOf)}), nil
}

// ReleaseParked implements operatorv1connect.LedgerServiceHandler.
func (h *ledgerService) ReleaseParked(ctx context.Context, req *connect.Request[operatorv1.ReleaseParkedRequest]) (*connect.Response[operatorv1.ReleaseParkedResponse], error) {
	applied, left, err := h.books.Release(ctx, req.Msg.GetPartner(), req.Msg.GetSubject(), req.Msg.GetSeq(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	shown, err := h.desk.ShowParked(ctx, left)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ReleaseParkedResponse{Applied: int64(applied), Left: gate.Each(shown, parkedOf)}), nil
}

func parkedOf(p desk.Parked) *operatorv1.ParkedEntry {
	return &operatorv1.ParkedEntry{
		Seq: p.Seq, Reason: p.Reason, ParkedAt: gate.Timestamp(p.At), Partner: p.Partner, Subject: p.Subject, Kind: string(p.Kind),
		Release: p.Release,
	}
}

// portalService implements hanse.operator.v1.PortalService.
type portalService struct{ portals PortalClients }

// AddPortal implements operatorv1connect.PortalServiceHandler.
func (h *portalService) AddPortal(ctx context.Context, req *connect.Request[operatorv1.AddPortalRequest]) (*connect.Response[operatorv1.AddPortalResponse], error) {
	client, key, err := h.portals.Add(ctx, req.Msg.GetName(), req.Msg.GetScopes(), req.Msg.GetReuse())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.AddPortalResponse{Portal: portalOf(client), Key: key}), nil
}

// RotatePortalKey implements operatorv1connect.PortalServiceHandler.
func (h *portalService) RotatePortalKey(ctx context.Context, req *connect.Request[operatorv1.RotatePortalKeyRequest]) (*connect.Response[operatorv1.RotatePortalKeyResponse], error) {
	client, key, err := h.portals.Rotate(ctx, req.Msg.GetName(), time.Duration(req.Msg.GetOverlapSeconds())*time.Second)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RotatePortalKeyResponse{Portal: portalOf(client), Key: key}), nil
}

// ListPortals implements operatorv1connect.PortalServiceHandler.
func (h *portalService) ListPortals(ctx context.Context, _ *connect.Request[operatorv1.ListPortalsRequest]) (*connect.Response[operatorv1.ListPortalsResponse], error) {
	list, err := h.portals.List(ctx)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListPortalsResponse{Portals: gate.Each(list, portalOf)}), nil
}

// RemovePortal implements operatorv1connect.PortalServiceHandler.
func (h *portalService) RemovePortal(ctx context.Context, req *connect.Request[operatorv1.RemovePortalRequest]) (*connect.Response[operatorv1.RemovePortalResponse], error) {
	if err := h.portals.Remove(ctx, req.Msg.GetName()); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RemovePortalResponse{}), nil
}

func portalOf(c portal.Client) *operatorv1.Portal {
	return &operatorv1.Portal{Name: c.Name, Scopes: c.Scopes, CreatedAt: gate.Timestamp(c.CreatedAt), RotatedAt: gate.Timestamp(c.RotatedAt)}
}

// jobService implements hanse.operator.v1.JobService.
type jobService struct{ desk Desk }

// ListJobs implements operatorv1connect.JobServiceHandler.
func (h *jobService) ListJobs(ctx context.Context, req *connect.Request[operatorv1.ListJobsRequest]) (*connect.Response[operatorv1.ListJobsResponse], error) {
	list, err := h.desk.Jobs(ctx, gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ListJobsResponse{Jobs: gate.Each(list, jobOf)}), nil
}

func jobOf(j job.Job) *operatorv1.Job {
	return &operatorv1.Job{
		Id: j.ID, Kind: j.Kind, Key: j.Key, Partner: j.Partner, State: string(j.State), Attempts: int32(j.Attempts),
		LastError: j.LastError, DueAt: gate.Timestamp(j.DueAt),
	}
}

// RetryJob implements operatorv1connect.JobServiceHandler.
func (h *jobService) RetryJob(ctx context.Context, req *connect.Request[operatorv1.RetryJobRequest]) (*connect.Response[operatorv1.RetryJobResponse], error) {
	if err := h.desk.RetryJob(ctx, req.Msg.GetId(), word("")); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.RetryJobResponse{}), nil
}

// ParkJob implements operatorv1connect.JobServiceHandler.
func (h *jobService) ParkJob(ctx context.Context, req *connect.Request[operatorv1.ParkJobRequest]) (*connect.Response[operatorv1.ParkJobResponse], error) {
	j, err := h.desk.ParkJob(ctx, req.Msg.GetId(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ParkJobResponse{Job: jobOf(j)}), nil
}

// DropJob implements operatorv1connect.JobServiceHandler.
func (h *jobService) DropJob(ctx context.Context, req *connect.Request[operatorv1.DropJobRequest]) (*connect.Response[operatorv1.DropJobResponse], error) {
	j, meaning, err := h.desk.DropJob(ctx, req.Msg.GetId(), req.Msg.GetDryRun(), word(req.Msg.GetReason()))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.DropJobResponse{Job: jobOf(j), Meaning: meaning}), nil
}
