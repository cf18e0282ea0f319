package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

type orderCmd struct {
	List     orderListCmd     `cmd:"" help:"List orders, newest first."`
	Show     orderShowCmd     `cmd:"" help:"Show one order."`
	Timeline orderTimelineCmd `cmd:"" help:"Show what happened to one order."`
	Explain  orderExplainCmd  `cmd:"" help:"Say what happened to an order so far, what comes next, who must act, and which command helps."`
	Resolve  orderResolveCmd  `cmd:"" help:"Say of a reseller's order that is held.indeterminate whether the platform made it, as you saw there."`
	Cancel   orderCancelCmd   `cmd:"" help:"Ask the suppliers to cancel what is still under way of one of our customers' orders; each decides."`
	Abandon  orderAbandonCmd  `cmd:"" help:"Give up what no supplier ended of one of our customers' orders, a day after accept_by or later: the customer is told that it failed."`
	Erase    orderEraseCmd    `cmd:"" help:"Erase what one of our customers' orders that has ended says of the customer, and have the suppliers delete what they keep for us beside it."`
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

// orderName names one order.
type orderName struct {
	ID      string `arg:"" help:"Order id or correlation id."`
	Side    string `enum:"retail,resale," default:"" help:"Only a retail order (ours at suppliers) or a resale order (a reseller's at us), where several orders have the id."`
	Partner string `placeholder:"ORIGIN" help:"Only this partner's, where several orders have the id."`
	Portal  string `placeholder:"NAME" help:"Only this portal's, where several orders have the id."`
}

type orderShowCmd struct{ orderName }

func (c *orderShowCmd) Run(a *app) error {
	res, err := c.get(a)
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
		t.fact("Customer", o.GetCustomer())
		t.fact("Placed", when(o.GetPlacedAt()))
		t.fact("Updated", when(o.GetUpdatedAt()))
		t.fact("Erased", when(o.GetErasedAt()))
		for i, it := range o.GetItems() {
			if several := len(o.GetItems()) > 1; several {
				t.fact("Item", number(int64(i+1)))
				t.fact("State", it.GetState())
				t.fact("Reason", it.GetReason())
				t.fact("Message", it.GetMessage())
			}
			t.fact("Action", it.GetAction())
			t.fact("Name", it.GetName())
			t.fact("Quantity", number(it.GetQuantity()))
			t.fact("Partner", it.GetPartner())
			t.fact("Offering", it.GetOfferingId()+" revision "+number(it.GetOfferingRevision()))
			t.fact("Correlation", it.GetCorrelationId())
			t.fact("Subscription", it.GetSubscriptionId())
			if o.GetSide() == "resale" {
				t.fact("Pseudonym", it.GetPseudonym())
			}
			t.fact("Wholesale once", amount(it.GetWholesaleOneOff()))
			t.fact("Wholesale recurring", per(it.GetWholesaleRecurring(), it.GetPeriod()))
			if o.GetSide() == "retail" {
				t.fact("Listing", it.GetListingId())
				t.fact("Retail once", amount(it.GetRetailOneOff()))
				t.fact("Retail recurring", per(it.GetRetailRecurring(), it.GetPeriod()))
				t.fact("Margin once", amount(it.GetMarginOneOff()))
				t.fact("Margin recurring", per(it.GetMarginRecurring(), it.GetPeriod()))
			}
		}
		for _, sum := range o.GetTotals() { // what failed or was rejected is not in it
			label := "Total once"
			if sum.GetPeriod() != "" {
				label = "Total recurring"
			}
			t.fact(label, fmt.Sprintf("%s retail - %s wholesale = %s margin",
				per(sum.GetRetail(), sum.GetPeriod()), amount(sum.GetWholesale()), amount(sum.GetMargin())))
		}
	})
}

// per is an amount that is owed by the period.
func per(a *typev1.Amount, period string) string {
	if a == nil || period == "" {
		return amount(a)
	}
	return amount(a) + " per " + period
}

type orderTimelineCmd struct{ orderName }

func (c *orderTimelineCmd) Run(a *app) error {
	res, err := c.get(a)
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

type orderExplainCmd struct{ orderName }

func (c *orderExplainCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.ExplainOrder,
		&operatorv1.ExplainOrderRequest{Id: c.ID, Side: c.Side, Partner: c.Partner, Portal: c.Portal})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.fact("Order", res.GetId())
		t.fact("Side", res.GetSide())
		t.fact("State", res.GetState())
		for i, it := range res.GetItems() {
			if len(res.GetItems()) > 1 {
				t.fact("Item", number(int64(i+1)))
				t.fact("State", it.GetState())
			}
			t.fact("Partner", it.GetPartner())
			t.fact("Next", it.GetNext())
			t.fact("Who must act", it.GetWho())
			t.fact("Since", when(it.GetSince()))
			for _, command := range it.GetCommands() {
				t.fact("Helps", command)
			}
			t.row("AT", "WHAT", "WHERE OR WHO", "MESSAGE")
			for _, h := range it.GetHappened() {
				t.row(when(h.GetAt()), h.GetWhat(), h.GetSource(), h.GetMessage())
			}
		}
	})
}

type orderResolveCmd struct {
	ID       string `arg:"" help:"The resale order's id."`
	Partner  string `placeholder:"ORIGIN" help:"Only this reseller's, where several orders have the id."`
	Made     bool   `xor:"outcome" help:"It is there and ready: the order is completed; one that ends it has the platform asked again."`
	NotMade  bool   `xor:"outcome" help:"Neither it nor a part of it is there: the platform is asked again; an order that ends it is completed."`
	GiveUp   bool   `xor:"outcome" help:"Neither it nor a part of it is there, and it shall not be: the order fails; one that ends it is completed."`
	Observed string `required:"" placeholder:"TEXT" help:"What you saw on the platform, for the record; at most 200 characters."`
	Outputs  string `placeholder:"FILE" help:"With --made: a JSON object with what the service gave, names and texts, where the offering promises access data; - is standard input."`
}

func (c *orderResolveCmd) Run(a *app) error {
	req := &operatorv1.ResolveOrderRequest{Id: c.ID, Partner: c.Partner, Observed: c.Observed}
	switch {
	case c.Made:
		req.Outcome = operatorv1.HeldOutcome_HELD_OUTCOME_MADE
	case c.NotMade:
		req.Outcome = operatorv1.HeldOutcome_HELD_OUTCOME_NOT_MADE
	case c.GiveUp:
		req.Outcome = operatorv1.HeldOutcome_HELD_OUTCOME_FAILED
	default:
		return &commandError{Code: exitFailure, Reason: "outcome_missing", Field: "outcome", Cause: "nothing says what was seen", Action: "give --made, --not-made or --give-up"}
	}
	if c.Outputs != "" {
		raw, err := a.read(c.Outputs)
		if err == nil {
			err = json.Unmarshal(raw, &req.Outputs)
		}
		if err != nil {
			return &commandError{Code: exitFailure, Reason: "outputs_unreadable", Field: "outputs", Cause: c.Outputs + ": " + err.Error(), Action: `write a JSON object of texts: {"url": "https://..."}`}
		}
	}
	res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.ResolveOrder, req)
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.fact("Order", res.GetOrder().GetId())
		t.fact("State", res.GetOrder().GetState())
		t.fact("Next", "hanse order explain "+res.GetOrder().GetId())
	})
}

// read is a file's content, at most 1 MiB; - is standard input.
func (a *app) read(name string) ([]byte, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, 1<<20))
}

type orderCancelCmd struct {
	ID      string `arg:"" help:"Order id or correlation id; the whole order is meant."`
	Partner string `placeholder:"ORIGIN" help:"Only an order at this supplier, where several orders have the id."`
	Portal  string `placeholder:"NAME" help:"Only this portal's, where several orders have the id."`
}

func (c *orderCancelCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.CancelOrder,
		&operatorv1.CancelOrderRequest{Id: c.ID, Partner: c.Partner, Portal: c.Portal})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.fact("Order", res.GetOrder().GetId())
		t.fact("State", res.GetOrder().GetState())
		t.fact("Next", "each supplier decides: hanse order show "+res.GetOrder().GetId())
		t.row("ITEM", "PARTNER", "STATE", "REASON", "MESSAGE")
		for i, it := range res.GetOrder().GetItems() {
			t.row(number(int64(i+1)), it.GetPartner(), it.GetState(), it.GetReason(), it.GetMessage())
		}
	})
}

type orderAbandonCmd struct {
	ID      string `arg:"" help:"Order id or correlation id; all items of the order that may be given up are meant."`
	Partner string `placeholder:"ORIGIN" help:"Only an order at this supplier, where several orders have the id."`
	Portal  string `placeholder:"NAME" help:"Only this portal's, where several orders have the id."`
	Reason  string `xor:"confirm" placeholder:"TEXT" help:"Why, for the record; at most 200 characters."`
	DryRun  bool   `xor:"confirm" help:"Say what would be given up; give up nothing."`
	Yes     bool   `short:"y" help:"Give it up as it is shown."`
}

func (c *orderAbandonCmd) Run(a *app) error {
	if c.Reason == "" && !c.DryRun {
		return &commandError{Code: exitFailure, Reason: "reason_missing", Field: "reason", Cause: "an order is given up for a reason, which stays on record", Action: "give --reason TEXT, or --dry-run to see what it would be"}
	}
	req := &operatorv1.AbandonOrderRequest{Id: c.ID, Partner: c.Partner, Portal: c.Portal, DryRun: true}
	res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.AbandonOrder, req)
	if err != nil || c.DryRun {
		if err == nil {
			err = a.show(res, func(t *table) { describeAbandoned(t, res) })
		}
		return err
	}
	err = a.agree(c.Yes, res, func(t *table) { describeAbandoned(t, res) }, "This cannot be taken back. Give it up?", "answer y, or give --yes")
	if err != nil {
		return err
	}
	req.DryRun, req.Reason = false, c.Reason
	if res, err = call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.AbandonOrder, req); err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.fact("Order", res.GetOrder().GetId())
		t.fact("State", res.GetOrder().GetState())
		t.fact("Next", "hanse order explain "+res.GetOrder().GetId())
	})
}

func describeAbandoned(t *table, res *operatorv1.AbandonOrderResponse) {
	t.fact("Order", res.GetOrder().GetId())
	t.fact("State", res.GetOrder().GetState())
	t.row("ITEM", "PARTNER", "ACCEPT BY", "IF GIVEN UP")
	for _, it := range res.GetItems() {
		t.row(it.GetCorrelationId(), it.GetPartner(), when(it.GetAcceptBy()), it.GetMeaning())
	}
}

type orderEraseCmd struct {
	ID      string `arg:"" help:"Order id or correlation id; the whole order is meant."`
	Partner string `placeholder:"ORIGIN" help:"Only an order at this supplier, where several orders have the id."`
	Portal  string `placeholder:"NAME" help:"Only this portal's, where several orders have the id."`
	DryRun  bool   `help:"Say what would be erased; erase nothing."`
	Yes     bool   `short:"y" help:"Erase it as it is shown."`
}

func (c *orderEraseCmd) Run(a *app) error {
	req := &operatorv1.EraseOrderRequest{Id: c.ID, Partner: c.Partner, Portal: c.Portal, DryRun: true}
	res, err := call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.EraseOrder, req)
	if err != nil || c.DryRun {
		if err == nil {
			err = a.show(res, func(t *table) { describeErased(t, res) })
		}
		return err
	}
	err = a.agree(c.Yes, res, func(t *table) { describeErased(t, res) }, "This cannot be taken back. Erase it?", "answer y, or give --yes")
	if err != nil {
		return err
	}
	req.DryRun = false
	if res, err = call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.EraseOrder, req); err != nil {
		return err
	}
	return a.show(res, func(t *table) { describeErased(t, res) })
}

func describeErased(t *table, res *operatorv1.EraseOrderResponse) {
	o := res.GetOrder()
	t.fact("Order", o.GetId())
	t.fact("State", o.GetState())
	t.fact("Customer", o.GetCustomer())
	t.fact("Erased", when(o.GetErasedAt()))
	t.row("ITEM", "PARTNER", "SUBSCRIPTION")
	for _, it := range res.GetItems() {
		t.row(it.GetCorrelationId(), it.GetPartner(), it.GetSubscriptionId())
	}
}

func (n orderName) get(a *app) (*operatorv1.GetOrderResponse, error) {
	return call(a, operatorv1connect.NewOrderServiceClient, operatorv1connect.OrderServiceClient.GetOrder,
		&operatorv1.GetOrderRequest{Id: n.ID, Side: n.Side, Partner: n.Partner, Portal: n.Portal})
}

type subscriptionCmd struct {
	List   subscriptionListCmd   `cmd:"" help:"List subscriptions, newest first."`
	Rotate subscriptionRotateCmd `cmd:"" help:"Order new access data for a customer's subscription; those of before end."`
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

type subscriptionRotateCmd struct {
	ID    string `arg:"" name:"subscription" help:"The subscription; it is active, and one of our customers'."`
	Order string `placeholder:"ID" help:"The order's id, so that a repetition is the same order; a new one if it is left out."`
}

func (c *subscriptionRotateCmd) Run(a *app) error {
	id := c.Order
	if id == "" {
		id = "rotate-" + uuid.NewString()
	}
	res, err := call(a, operatorv1connect.NewSubscriptionServiceClient, operatorv1connect.SubscriptionServiceClient.RotateAccess,
		&operatorv1.RotateAccessRequest{SubscriptionId: c.ID, OrderId: id})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		t.row("Ordered, and " + res.GetOrder().GetState() + ": hanse order show " + id + " says what comes of it")
	})
}
