package gate

import (
	"errors"
	"fmt"
	"math"
	"strings"
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
			err := checkValues(c.message)
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

func TestNumbersAreWhatTheCallerWrote(t *testing.T) {
	t.Parallel()
	const order = `{"id":"order-0001","customer":"c","items":[{},{"quantity":"7","inputs":{"a":%s,"b":{"c":[true,%s]}}}]}`
	for number, field := range map[string]string{
		"0": "", "-0": "", "1.0": "", "1e2": "", "0.1": "", "-9007199254740991": "", "0.30000000000000004": "", `"9007199254740993"`: "",
		"9007199254740992": "!", "9007199254740993": "!", "-18446744073709551615": "!", "1e16": "!", "1e400": "!", "1e-400": "!", "0.12345678901234567890": "!",
		"1" + strings.Repeat("0", 300): "!",
	} {
		for at, body := range map[string]string{
			"items[1].inputs.a": fmt.Sprintf(order, number, "1"), "items[1].inputs.b.c[1]": fmt.Sprintf(order, "1", number),
		} {
			err := checkNumbers([]byte(body), (&portalv1.PlaceOrderRequest{}).ProtoReflect().Descriptor())
			var f *fault.Error
			switch {
			case field == "" && err != nil:
				t.Errorf("%s: %v", number, err)
			case field != "" && (!errors.As(err, &f) || f.Reason != "number_inexact" || f.Field != at):
				t.Errorf("%s: %v, want number_inexact at %s", number, err, at)
			}
		}
	}
	// Other fields may be as long as their own decoders take them, and shapes that do not fit are refused by those.
	for _, body := range []string{`{"id":9007199254740993,"items":[{"quantity":9007199254740993}]}`, `{"items":{"inputs":1e400}}`, `[]`, `{"items":[{"inputs":null}]}`} {
		if err := checkNumbers([]byte(body), (&portalv1.PlaceOrderRequest{}).ProtoReflect().Descriptor()); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, n := range []float64{1 << 53, -(1 << 53), 1e300, math.Inf(1), math.Inf(-1), math.NaN()} {
		deep := &structpb.Struct{Fields: map[string]*structpb.Value{"l": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNumberValue(n)}})}}
		err := checkValues(&portalv1.PlaceOrderRequest{Items: []*portalv1.OrderItem{{Inputs: deep}}})
		var f *fault.Error
		if !errors.As(err, &f) || f.Reason != "number_inexact" || f.Field != "items[0].inputs.l[0]" {
			t.Errorf("%v: %v", n, err)
		}
	}
}
