package portal

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	portals "github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

func TestActionsThereAndBack(t *testing.T) {
	t.Parallel()
	for _, a := range []order.Action{order.Add, order.Modify, order.Delete} {
		back, err := action(actionOf(a))
		if err != nil || back != a {
			t.Errorf("%s became %s, %v", a, back, err)
		}
	}
	if _, err := action(typev1.OrderItemAction_ORDER_ITEM_ACTION_UNSPECIFIED); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
}

func TestEveryPriceKindIsKnown(t *testing.T) {
	t.Parallel()
	for _, kind := range []price.Kind{price.OneOff, price.Recurring, price.Usage} {
		if priceKinds[kind] == typev1.PriceKind_PRICE_KIND_UNSPECIFIED {
			t.Errorf("%s has no wire name", kind)
		}
	}
}

func TestPricesStayExact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*typev1.UnitPrice{
		"0.0043": {Value: 43, Scale: 4, Currency: "EUR"},
		"19.99":  {Value: 1999, Scale: 2, Currency: "EUR"},
		"20.00":  {Value: 2000, Scale: 2, Currency: "EUR"},
		"0":      {Value: 0, Scale: 0, Currency: "EUR"},
	} {
		got, err := priceComponent(price.Component{ID: "x", Kind: price.Usage, Amount: text}, "EUR")
		if err != nil || !reflect.DeepEqual(got.GetPrice().String(), want.String()) {
			t.Errorf("%s became %v, %v", text, got.GetPrice(), err)
		}
	}
	if gate.Amount(nil) != nil || gate.Amount(&money.Amount{Minor: -5, Currency: "JPY"}).GetMinorUnits() != -5 {
		t.Error("amounts changed")
	}
	if gate.Timestamp(time.Time{}) != nil {
		t.Error("the zero time became 1 January 1")
	}
}

func TestTheSameInputsAreTheSameBytes(t *testing.T) {
	t.Parallel()
	inputs, err := structpb.NewStruct(map[string]any{
		"z": 1.0, "a": "<&>", "list": []any{true, nil, 2.5, math.Copysign(0, -1)}, "o": map[string]any{"b": 1e2, "a": -0.001}, "n": float64(1<<53 - 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"a":"<&>","list":[true,null,2.5,0],"n":9007199254740991,"o":{"a":-0.001,"b":100},"z":1}`
	for range 20 {
		got, err := inputsJSON(inputs)
		if err != nil || string(got) != want {
			t.Fatalf("got %s, %v", got, err)
		}
	}
	for _, empty := range []*structpb.Struct{nil, {}} {
		if got, err := inputsJSON(empty); err != nil || got != nil {
			t.Fatalf("got %s, %v", got, err)
		}
	}
}

func TestPlaceCommand(t *testing.T) {
	t.Parallel()
	inputs, err := structpb.NewStruct(map[string]any{"plan": "s"})
	if err != nil {
		t.Fatal(err)
	}
	item := &portalv1.OrderItem{
		Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: "lst-1", ListingDigest: "d", Quantity: 3, Inputs: inputs, SubscriptionId: "sub",
	}
	key := caller{Principal: portals.Principal{Portal: "shop"}}
	session := caller{Principal: portals.Principal{Portal: "shop", Customer: "alice", Session: true}}
	ending := &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: "sub"}
	want := retail.PlaceCommand{
		Portal: "shop", Customer: "alice", ID: "order-0001", Items: []retail.ItemCommand{
			{
				Action: order.Add, ListingID: "lst-1", ListingDigest: "d", Quantity: 3, Inputs: []byte(`{"plan":"s"}`), SubscriptionID: "sub",
			},
			{Action: order.Delete, SubscriptionID: "sub"},
		},
	}
	for name, c := range map[string]struct {
		who      caller
		customer string
		reason   string
	}{
		"a portal names the customer":    {key, "alice", ""},
		"a portal names nobody":          {key, "", "customer_missing"},
		"a session need not":             {session, "", ""},
		"a session may name itself":      {session, "alice", ""},
		"a session names somebody other": {session, "bob", "customer_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := placeCommand(c.who, &portalv1.PlaceOrderRequest{Id: "order-0001", Customer: c.customer, Items: []*portalv1.OrderItem{item, ending}})
			if fault.ReasonOf(err) != c.reason {
				t.Fatalf("got %v", err)
			}
			if c.reason == "" && !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v", got)
			}
		})
	}
}

func TestARetailOrderTellsNothingOfThePartner(t *testing.T) {
	t.Parallel()
	secret := &money.Amount{Minor: 4711, Currency: "EUR"}
	o := retail.Order{
		ID: "order-0001", Portal: "shop", Customer: "alice", Items: []retail.Item{{
			CorrelationID: "hidden-correlation", Partner: "hidden-partner", ListingID: "lst-1",
			Retail: price.Line{Recurring: &money.Amount{Minor: 5000, Currency: "EUR"}, Period: "P1M"},
			Item: order.Item{
				State: order.HeldIndeterminate, Reason: "hidden_reason", AgreementID: "hidden-agreement", OfferingID: "hidden-offering",
				Wholesale: price.Line{OneOff: secret, Recurring: secret}, Document: "hidden-document",
				Events: []order.Event{{State: order.Acknowledged, Message: "placed", Source: "hidden-source"}},
			},
		}},
	}
	raw, err := json.Marshal(retailOrder(o))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(raw); strings.Contains(text, "hidden") || strings.Contains(text, "4711") || !strings.Contains(text, "5000") {
		t.Fatalf("got %s", text)
	}
}
