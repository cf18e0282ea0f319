package rpc_test

import (
	"errors"
	"math"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// A number beyond what a double counts is refused in every codec, at the field, before anything is ordered.
func TestInputsAreExactInEveryCodec(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, options := range map[string][]connect.ClientOption{
		"connect": nil, "connect with JSON": {connect.WithProtoJSON()}, "grpc": {connect.WithGRPC()}, "grpc with JSON": {connect.WithGRPC(), connect.WithProtoJSON()},
		"grpc-web": {connect.WithGRPCWeb()}, "connect with gzip": {connect.WithSendGzip()},
	} {
		t.Run(name, func(t *testing.T) {
			client := portalv1connect.NewOrderServiceClient(b.server.Client(), b.server.URL, options...)
			for _, n := range []float64{1 << 53, -(1 << 53), 9007199254740994, 1e300, math.MaxFloat64} {
				deep, err := structpb.NewStruct(map[string]any{"a": map[string]any{"b": []any{1, n}}})
				if err != nil {
					t.Fatal(err)
				}
				req := connect.NewRequest(&portalv1.PlaceOrderRequest{Id: "order-0001", Customer: "c", Items: []*portalv1.OrderItem{
					{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: "l", Inputs: deep},
				}})
				req.Header().Set("Authorization", "Bearer "+b.key)
				_, err = client.PlaceOrder(t.Context(), req)
				var e *connect.Error
				if !errors.As(err, &e) || e.Code() != connect.CodeInvalidArgument {
					t.Fatalf("%v: %v", n, err)
				}
				if info := infoOf(t, e); info.GetReason() != "number_inexact" || info.GetField() != "items[0].inputs.a.b[1]" {
					t.Errorf("%v: %v", n, info)
				}
			}
		})
	}
	if n := b.orders.count(); n != 0 {
		t.Errorf("%d orders were placed", n)
	}
}
