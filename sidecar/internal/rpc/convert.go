package rpc

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// Page sizes.
const (
	defaultPage         = 25
	defaultListings     = 24
	defaultOperatorPage = 100
)

func pageSize(asked int32, otherwise int) int {
	if asked == 0 {
		return otherwise
	}
	return int(asked)
}

// timestamp is unset for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func amount(a *money.Amount) *typev1.Amount {
	if a == nil {
		return nil
	}
	return &typev1.Amount{MinorUnits: a.Minor, Currency: a.Currency}
}

func unitPrice(p money.UnitPrice) *typev1.UnitPrice {
	return &typev1.UnitPrice{Value: p.Value, Scale: uint32(p.Scale), Currency: p.Currency}
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
	return "", fault.New(fault.Invalid, "order_action_unknown", "the action is not known here")
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

// eachOf converts a list.
func eachOf[From, To any](list []From, convert func(From) To) []To {
	out := make([]To, 0, len(list))
	for _, v := range list {
		out = append(out, convert(v))
	}
	return out
}
