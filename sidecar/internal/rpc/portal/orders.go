package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// orderService implements hanse.portal.v1.OrderService.
type orderService struct {
	config gate.Config
	orders Orders
}

// PlaceOrder implements portalv1connect.OrderServiceHandler.
func (h *orderService) PlaceOrder(ctx context.Context, req *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	command, err := placeCommand(who, req.Msg)
	if err != nil {
		return nil, err
	}
	o, err := h.orders.Place(ctx, command)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.PlaceOrderResponse{Order: retailOrder(o)}), nil
}

func placeCommand(who caller, m *portalv1.PlaceOrderRequest) (retail.PlaceCommand, error) {
	customer, err := who.customer(m.GetCustomer())
	if err != nil {
		return retail.PlaceCommand{}, err
	}
	if customer == "" {
		return retail.PlaceCommand{}, fault.New(fault.Invalid, "customer_missing", "an order is for a customer").At("customer").
			Do("send the portal's own id of the customer")
	}
	command := retail.PlaceCommand{Portal: who.Portal, Customer: customer, ID: m.GetId()}
	for i, item := range m.GetItems() {
		it, err := itemCommand(item)
		if err != nil {
			return retail.PlaceCommand{}, fault.Under(fmt.Sprintf("items[%d]", i), err)
		}
		command.Items = append(command.Items, it)
	}
	return command, nil
}

func itemCommand(item *portalv1.OrderItem) (retail.ItemCommand, error) {
	act, err := action(item.GetAction())
	if err != nil {
		return retail.ItemCommand{}, err
	}
	inputs, err := inputsJSON(item.GetInputs())
	if err != nil {
		return retail.ItemCommand{}, err
	}
	return retail.ItemCommand{
		Action: act, Intent: order.Intent(item.GetIntent()), ListingID: item.GetListingId(), ListingDigest: item.GetListingDigest(), Quantity: item.GetQuantity(),
		Inputs: inputs, SubscriptionID: item.GetSubscriptionId(),
	}, nil
}

// inputsJSON renders inputs with sorted keys, so that the same inputs are the same bytes: they are hashed, and a repetition
// is recognised by them. protojson varies its spaces on purpose. The gate let no number through that is not exact.
func inputsJSON(inputs *structpb.Struct) ([]byte, error) {
	if len(inputs.GetFields()) == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(unsigned(inputs.AsMap())); err != nil {
		return nil, fmt.Errorf("render inputs: %w", err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// unsigned takes the sign off each -0, which is the same number as 0: whoever repeats an order with the other spelling wishes the
// same, and is recognised by these bytes before a schema is at hand.
func unsigned(v any) any {
	switch t := v.(type) {
	case float64:
		if t == 0 {
			return 0
		}
	case []any:
		for i := range t {
			t[i] = unsigned(t[i])
		}
	case map[string]any:
		for k := range t {
			t[k] = unsigned(t[k])
		}
	}
	return v
}

// CancelOrder implements portalv1connect.OrderServiceHandler.
func (h *orderService) CancelOrder(ctx context.Context, req *connect.Request[portalv1.CancelOrderRequest]) (*connect.Response[portalv1.CancelOrderResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	o, err := h.orders.Cancel(ctx, who.Portal, who.Customer, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.CancelOrderResponse{Order: retailOrder(o)}), nil
}

// GetOrder implements portalv1connect.OrderServiceHandler.
func (h *orderService) GetOrder(ctx context.Context, req *connect.Request[portalv1.GetOrderRequest]) (*connect.Response[portalv1.GetOrderResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	o, err := h.orders.Get(ctx, who.Portal, who.Customer, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.GetOrderResponse{Order: retailOrder(o)}), nil
}

// ListOrders implements portalv1connect.OrderServiceHandler.
func (h *orderService) ListOrders(ctx context.Context, req *connect.Request[portalv1.ListOrdersRequest]) (*connect.Response[portalv1.ListOrdersResponse], error) {
	who, err := callerOf(ctx)
	if err != nil {
		return nil, err
	}
	customer, err := who.customer(req.Msg.GetCustomer())
	if err != nil {
		return nil, err
	}
	list, next, err := h.orders.List(ctx, who.Portal, customer, req.Msg.GetPageToken(), gate.PageSize(req.Msg.GetPageSize(), gate.DefaultPage))
	if err != nil {
		return nil, err
	}
	out := gate.Each(list, retailOrder)
	for _, o := range out {
		o.Events = nil
	}
	return connect.NewResponse(&portalv1.ListOrdersResponse{Orders: out, NextPageToken: next}), nil
}

// WatchOrder implements portalv1connect.OrderServiceHandler. As a heartbeat it repeats the order as it stands, so that
// nothing between us and the browser takes the stream for dead.
func (h *orderService) WatchOrder(ctx context.Context, req *connect.Request[portalv1.WatchOrderRequest], stream *connect.ServerStream[portalv1.WatchOrderResponse]) error {
	who, err := callerOf(ctx)
	if err != nil {
		return err
	}
	id, last := req.Msg.GetId(), int64(-1)
	return gate.Follower{
		Config: h.config,
		Topic:  unit.Order(who.Portal, id),
		Still:  who.recheck,
		Look: func(force bool) (sent, done bool, err error) {
			o, err := h.orders.Get(ctx, who.Portal, who.Customer, id)
			if err != nil {
				return false, false, err
			}
			if o.Version == last && !force {
				return false, o.State().Ended(), nil
			}
			last = o.Version
			err = stream.Send(&portalv1.WatchOrderResponse{Order: retailOrder(o)})
			return true, o.State().Ended(), gate.Broken(ctx, err)
		},
	}.Run(ctx)
}

// retailOrder is an order as a portal sees it: no wholesale price, no partner, no source of an event.
func retailOrder(o retail.Order) *portalv1.Order {
	state, telling := o.State(), o.Telling()
	return &portalv1.Order{
		Id: o.ID, Customer: o.Customer, State: string(state), Message: telling.Message, Reason: telling.PublicReason(),
		Items:    gate.Each(o.Items, orderLine),
		PlacedAt: gate.Timestamp(o.PlacedAt), UpdatedAt: gate.Timestamp(o.UpdatedAt), Ended: state.Ended(), ErasedAt: gate.Timestamp(o.ErasedAt),
		Events: gate.Each(o.PublicTimeline(), func(e order.Event) *portalv1.OrderEvent {
			return &portalv1.OrderEvent{At: gate.Timestamp(e.At), State: string(e.State), Message: e.Message, Reason: e.Reason}
		}),
	}
}

func orderLine(it retail.Item) *portalv1.OrderLine {
	return &portalv1.OrderLine{
		Action: actionOf(it.Action), Intent: string(it.Intent), ListingId: it.ListingID, Name: it.Name, Quantity: it.Quantity,
		OneOff: gate.Amount(it.Retail.OneOff), Recurring: gate.Amount(it.Retail.Recurring), Period: it.Retail.Period,
		SubscriptionId: it.SubscriptionID, State: string(it.State), Message: it.Message, Reason: it.PublicReason(), Ended: it.State.Ended(),
	}
}

// action is TMF622's word for an item action; an unknown one is a request of a later version.
func action(a typev1.OrderItemAction) (order.Action, error) {
	switch a {
	case typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD:
		return order.Add, nil
	case typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY:
		return order.Modify, nil
	case typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE:
		return order.Delete, nil
	}
	return "", fault.New(fault.Invalid, "order_action_unknown", "the action is not known here").At("action")
}

func actionOf(a order.Action) typev1.OrderItemAction {
	switch a {
	case order.Add:
		return typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD
	case order.Modify:
		return typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY
	case order.Delete:
		return typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE
	}
	return typev1.OrderItemAction_ORDER_ITEM_ACTION_UNSPECIFIED
}
