package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// portalOrders implements hanse.portal.v1.OrderService.
type portalOrders struct {
	config Config
	orders RetailOrders
}

// PlaceOrder implements portalv1connect.OrderServiceHandler.
func (h *portalOrders) PlaceOrder(ctx context.Context, req *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
	who, err := portalCallerOf(ctx)
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

func placeCommand(who portalCaller, m *portalv1.PlaceOrderRequest) (order.PlaceCommand, error) {
	customer, err := who.customer(m.GetCustomer())
	if err != nil {
		return order.PlaceCommand{}, err
	}
	if len(m.GetItems()) != 1 {
		return order.PlaceCommand{}, fault.New(fault.Invalid, "order_items", "an order has one item").At("items")
	}
	item := m.GetItems()[0]
	act, err := action(item.GetAction())
	if err != nil {
		return order.PlaceCommand{}, err
	}
	if customer == "" {
		return order.PlaceCommand{}, fault.New(fault.Invalid, "customer_missing", "an order is for a customer").At("customer").
			Do("send the portal's own id of the customer")
	}
	inputs, err := inputsJSON(item.GetInputs())
	if err != nil {
		return order.PlaceCommand{}, err
	}
	return order.PlaceCommand{
		Portal: who.Portal, Customer: customer, ID: m.GetId(), Action: act,
		ListingID: item.GetListingId(), ListingDigest: item.GetListingDigest(), Quantity: item.GetQuantity(), Inputs: inputs,
		SubscriptionID: item.GetSubscriptionId(),
	}, nil
}

// inputsJSON renders inputs with sorted keys, so that the same inputs are the same bytes: they are hashed, and a repetition
// is recognised by them. protojson varies its spaces on purpose. Numbers that JSON lacks become the words NaN and Infinity,
// which a schema that asks for a number refuses.
func inputsJSON(inputs *structpb.Struct) ([]byte, error) {
	if len(inputs.GetFields()) == 0 {
		return nil, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(inputs.AsMap()); err != nil {
		return nil, fmt.Errorf("render inputs: %w", err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// GetOrder implements portalv1connect.OrderServiceHandler.
func (h *portalOrders) GetOrder(ctx context.Context, req *connect.Request[portalv1.GetOrderRequest]) (*connect.Response[portalv1.GetOrderResponse], error) {
	who, err := portalCallerOf(ctx)
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
func (h *portalOrders) ListOrders(ctx context.Context, req *connect.Request[portalv1.ListOrdersRequest]) (*connect.Response[portalv1.ListOrdersResponse], error) {
	who, err := portalCallerOf(ctx)
	if err != nil {
		return nil, err
	}
	customer, err := who.customer(req.Msg.GetCustomer())
	if err != nil {
		return nil, err
	}
	list, next, err := h.orders.List(ctx, who.Portal, customer, req.Msg.GetPageToken(), pageSize(req.Msg.GetPageSize(), defaultPage))
	if err != nil {
		return nil, err
	}
	out := eachOf(list, retailOrder)
	for _, o := range out {
		o.Events = nil
	}
	return connect.NewResponse(&portalv1.ListOrdersResponse{Orders: out, NextPageToken: next}), nil
}

// WatchOrder implements portalv1connect.OrderServiceHandler. As a heartbeat it repeats the order as it stands, so that
// nothing between us and the browser takes the stream for dead.
func (h *portalOrders) WatchOrder(ctx context.Context, req *connect.Request[portalv1.WatchOrderRequest], stream *connect.ServerStream[portalv1.WatchOrderResponse]) error {
	who, err := portalCallerOf(ctx)
	if err != nil {
		return err
	}
	id, last := req.Msg.GetId(), int64(-1)
	return follower{
		config: h.config,
		topic:  unit.Order(who.Portal, id),
		still:  who.recheck,
		look: func(force bool) (sent, done bool, err error) {
			o, err := h.orders.Get(ctx, who.Portal, who.Customer, id)
			if err != nil {
				return false, false, err
			}
			if o.Version == last && !force {
				return false, o.State.Ended(), nil
			}
			last = o.Version
			err = stream.Send(&portalv1.WatchOrderResponse{Order: retailOrder(o)})
			return true, o.State.Ended(), broken(ctx, err)
		},
	}.run(ctx)
}

// retailOrder is an order as a portal sees it: no wholesale price, no partner, no source of an event.
func retailOrder(o order.Order) *portalv1.Order {
	return &portalv1.Order{
		Id: o.ID, Customer: o.Customer, State: string(o.State), Message: o.Message, Reason: o.PublicReason(),
		Items: []*portalv1.OrderLine{{
			Action: actionOf(o.Action), ListingId: o.ListingID, Name: o.Name, Quantity: o.Quantity,
			OneOff: amount(o.RetailOneOff), Recurring: amount(o.RetailRecurring), Period: o.Period, SubscriptionId: o.SubscriptionID,
		}},
		PlacedAt: timestamp(o.PlacedAt), UpdatedAt: timestamp(o.UpdatedAt), Ended: o.State.Ended(),
		Events: eachOf(o.Events, func(e order.Event) *portalv1.OrderEvent {
			return &portalv1.OrderEvent{At: timestamp(e.At), State: string(e.State), Message: e.Message}
		}),
	}
}
