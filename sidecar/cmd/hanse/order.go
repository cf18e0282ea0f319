package main

import (
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type orderCmd struct {
	List     orderListCmd     `cmd:"" help:"List orders, newest first."`
	Show     orderShowCmd     `cmd:"" help:"Show one order."`
	Timeline orderTimelineCmd `cmd:"" help:"Show what happened to one order."`
}

type orderListCmd struct {
	Side  string `enum:"retail,resale," default:"" help:"Only retail orders (ours at suppliers) or resale orders (resellers' at us)."`
	Open  bool   `help:"Only orders that have not ended."`
	Limit int    `default:"100" help:"At most this many."`
}

func (c *orderListCmd) Run(a *app) error {
	all := &operatorv1.ListOrdersResponse{}
	err := pages(c.Limit, &all.NextPageToken, func(size int32, token string) (int, string, error) {
		res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.ListOrders,
			&operatorv1.ListOrdersRequest{Side: c.Side, OpenOnly: c.Open, PageSize: size, PageToken: token})
		all.Orders = append(all.Orders, res.GetOrders()...)
		return len(res.GetOrders()), res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	defer a.more(all.GetNextPageToken())
	return a.show(all, func(t *table) {
		t.row("ID", "SIDE", "PARTNER", "ACTION", "OFFERING", "STATE", "REASON", "PLACED", "UPDATED")
		for _, o := range all.GetOrders() {
			for _, it := range o.GetItems() { // a line each: they go to partners of their own and end on their own
				t.row(o.GetId(), o.GetSide(), it.GetPartner(), it.GetAction(), it.GetOfferingId(), it.GetState(), it.GetReason(), when(o.GetPlacedAt()), when(o.GetUpdatedAt()))
			}
		}
	})
}

type orderShowCmd struct {
	ID string `arg:"" help:"Order id or correlation id."`
}

func (c *orderShowCmd) Run(a *app) error {
	res, err := getOrder(a, c.ID)
	if err != nil {
		return err
	}
	o := res.GetOrder()
	return a.show(res, func(t *table) {
		t.fact("Order", o.GetId())
		t.fact("Side", o.GetSide())
		t.fact("State", o.GetState())
		t.fact("Reason", o.GetReason())
		t.fact("Message", o.GetMessage())
		t.fact("Portal", o.GetPortal())
		t.fact("Placed", when(o.GetPlacedAt()))
		t.fact("Updated", when(o.GetUpdatedAt()))
		for i, it := range o.GetItems() {
			if several := len(o.GetItems()) > 1; several {
				t.fact("Item", number(int64(i+1)))
				t.fact("State", it.GetState())
				t.fact("Reason", it.GetReason())
				t.fact("Message", it.GetMessage())
			}
			t.fact("Action", it.GetAction())
			t.fact("Partner", it.GetPartner())
			t.fact("Offering", it.GetOfferingId()+" revision "+number(it.GetOfferingRevision()))
			t.fact("Correlation", it.GetCorrelationId())
			t.fact("Subscription", it.GetSubscriptionId())
			t.fact("Wholesale once", amount(it.GetWholesaleOneOff()))
			t.fact("Wholesale recurring", amount(it.GetWholesaleRecurring()))
		}
	})
}

type orderTimelineCmd struct {
	ID string `arg:"" help:"Order id or correlation id."`
}

func (c *orderTimelineCmd) Run(a *app) error {
	res, err := getOrder(a, c.ID)
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("AT", "STATE", "SOURCE", "MESSAGE")
		for _, e := range res.GetOrder().GetTimeline() {
			t.row(when(e.GetAt()), e.GetState(), e.GetSource(), e.GetMessage())
		}
	})
}

func getOrder(a *app, id string) (*operatorv1.GetOrderResponse, error) {
	return call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.GetOrder, &operatorv1.GetOrderRequest{Id: id})
}

type subscriptionCmd struct {
	List subscriptionListCmd `cmd:"" help:"List subscriptions, newest first."`
}

type subscriptionListCmd struct {
	Side  string `enum:"retail,resale," default:"" help:"Only retail subscriptions (our customers') or resale subscriptions (resellers')."`
	Limit int    `default:"100" help:"At most this many."`
}

func (c *subscriptionListCmd) Run(a *app) error {
	all := &operatorv1.ListSubscriptionsResponse{}
	err := pages(c.Limit, &all.NextPageToken, func(size int32, token string) (int, string, error) {
		res, err := call(a, operatorv1connect.NewSubscriptionServiceClient, operatorv1connect.SubscriptionServiceClient.ListSubscriptions,
			&operatorv1.ListSubscriptionsRequest{Side: c.Side, PageSize: size, PageToken: token})
		all.Subscriptions = append(all.Subscriptions, res.GetSubscriptions()...)
		return len(res.GetSubscriptions()), res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	defer a.more(all.GetNextPageToken())
	return a.show(all, func(t *table) {
		t.row("ID", "SIDE", "PARTNER", "OFFERING", "STATE", "ADAPTER", "ACTIVE SINCE", "ENDED")
		for _, s := range all.GetSubscriptions() {
			t.row(s.GetId(), s.GetSide(), s.GetPartner(), s.GetOfferingId(), s.GetState(), s.GetAdapter(), when(s.GetActiveSince()), when(s.GetEndedAt()))
		}
	})
}
