package gate

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

func TestNoTextHoldsNUL(t *testing.T) {
	t.Parallel()
	inputs := func(v map[string]any) *portalv1.PlaceOrderRequest {
		s, err := structpb.NewStruct(v)
		if err != nil {
			t.Fatal(err)
		}
		return &portalv1.PlaceOrderRequest{Id: "order-0001", Items: []*portalv1.OrderItem{{}, {Inputs: s}}}
	}
	for _, c := range []struct {
		name, field string
		message     proto.Message
	}{
		{"none", "", inputs(map[string]any{"a": "b", "c": []any{"d", 1, nil, true}})},
		{"a field", "id", &portalv1.GetOrderRequest{Id: "order\x00"}},
		{"a field of an item", "items[1].listing_id", &portalv1.PlaceOrderRequest{Items: []*portalv1.OrderItem{{}, {ListingId: "\x00"}}}},
		{"a list of texts", "scopes[1]", &operatorv1.AddPortalRequest{Name: "shop", Scopes: []string{"a", "b\x00"}}},
		{"an input", "items[1].inputs.title", inputs(map[string]any{"title": "a\x00b"})},
		{"deep in an input", "items[1].inputs.a.b[1]", inputs(map[string]any{"a": map[string]any{"b": []any{"x", "\x00"}}})},
		{"the name of an input", "items[1].inputs", inputs(map[string]any{"a\x00": 1})},
		{"bytes are no text", "", &operatorv1.ApplyOfferingsRequest{Yaml: []byte("a\x00")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := checkText(c.message)
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Reason != "text_invalid" || f.Field != c.field {
				t.Errorf("%v, want %s", err, c.field)
			}
		})
	}
}
