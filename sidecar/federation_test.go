package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hanse-market/hanse/adapters"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

const shopOffering = `apiVersion: hanse/v1
kind: Offering
id: db
name: Database
summary: A database of your own.
category: database
region: helsinki
country: FI
currency: EUR
prices:
  - {id: setup, name: Setup, kind: one_off, amount: "PRICE"}
  - {id: monthly, name: Monthly fee, kind: recurring, period: P1M, amount: "4.90"}
recipe:
  inputs:
    type: object
    additionalProperties: false
    required: [title]
    properties: {title: {type: string, minLength: 1, maxLength: 20}}
  outputs:
    type: object
    properties: {url: {type: string, title: Address}}
  step: {adapter: providing, connection: nowhere}
`

// providing is an adapter without a platform whose answers a test chooses.
type providing struct {
	accepting
	apply func(adapters.Request) (adapters.Result, error)
}

func (p providing) Describe() adapters.Description {
	return adapters.Description{Name: "providing", Tier: adapters.TierA, Outputs: []adapters.Output{{Name: "url"}}, Actions: []string{"rotate"}}
}

func (p providing) Act(_ context.Context, r adapters.Request, action string) (adapters.Result, error) {
	return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag + "?after=" + action}}, nil
}

func (p providing) Apply(_ context.Context, r adapters.Request) (adapters.Result, error) {
	if p.apply != nil {
		return p.apply(r)
	}
	return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
}

// market is a reseller and a supplier with an agreement, in this process and on the real wire.
type market struct {
	t                  *testing.T
	reseller, supplier *sidecartest.Member
	key                string
	listing            *portalv1.Listing
}

func newMarket(t *testing.T, apply func(adapters.Request) (adapters.Result, error)) *market {
	t.Helper()
	return newMarketOn(t, apply, func(*sidecar.Config) {})
}

func newMarketOn(t *testing.T, apply func(adapters.Request) (adapters.Result, error), change func(*sidecar.Config)) *market {
	t.Helper()
	return openMarket(t, newMembers(t, apply, change, "reseller", "supplier"))
}

// newMembers run sidecars whose only adapter is providing.
func newMembers(t *testing.T, apply func(adapters.Request) (adapters.Result, error), change func(*sidecar.Config), names ...string) []*sidecartest.Member {
	t.Helper()
	return sidecartest.New(t, func(_ string, cfg *sidecar.Config) {
		change(cfg)
		cfg.Platforms = map[string]adapters.Adapter{"providing": providing{apply: apply}}
		cfg.Adapters.Connections = map[string]sidecar.Connection{"nowhere": {Adapter: "providing"}}
	}, names...)
}

// openMarket makes the first member resell what the second one sells.
func openMarket(t *testing.T, members []*sidecartest.Member) *market {
	t.Helper()
	m := &market{t: t, reseller: members[0], supplier: members[1]}
	m.price("10.00")
	sidecartest.Connect(t, m.reseller, m.supplier, 2000, "EUR")
	_, err := operatorv1connect.NewListingServiceClient(http.DefaultClient, m.reseller.OperatorURL, m.reseller.OperatorAuth()).
		SetMarkup(context.Background(), connect.NewRequest(&operatorv1.SetMarkupRequest{MarkupBp: 2500}))
	if err != nil {
		t.Fatal(err)
	}
	m.key = m.reseller.AddPortal("shop")
	m.seePrice(1000) // 10.00 - 20 % + 25 %
	return m
}

func (m *market) price(amount string) {
	m.t.Helper()
	m.supplier.Apply(strings.Replace(shopOffering, "PRICE", amount, 1))
}

func (m *market) catalog() portalv1connect.CatalogServiceClient {
	return portalv1connect.NewCatalogServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key))
}

func (m *market) orders() portalv1connect.OrderServiceClient {
	return portalv1connect.NewOrderServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key))
}

// seePrice waits until the reseller's listing shows a set-up price in cents.
func (m *market) seePrice(cents int64) {
	m.t.Helper()
	ctx := context.Background()
	sidecartest.Eventually(m.t, 20*time.Second, fmt.Sprintf("the listing shows %d cents", cents), func() error {
		res, err := m.catalog().SearchListings(ctx, connect.NewRequest(&portalv1.SearchListingsRequest{Query: "datab"}))
		if err != nil {
			return err
		}
		if len(res.Msg.GetListings()) != 1 {
			return fmt.Errorf("%d listings", len(res.Msg.GetListings()))
		}
		got, err := m.catalog().GetListing(ctx, connect.NewRequest(&portalv1.GetListingRequest{Id: res.Msg.GetListings()[0].GetId()}))
		if err != nil {
			return err
		}
		m.listing = got.Msg.GetListing()
		p := m.listing.GetPrices()[0].GetPrice()
		shown := p.GetValue() * 100
		for range p.GetScale() {
			shown /= 10
		}
		if shown != cents {
			return fmt.Errorf("it shows %d", shown)
		}
		return nil
	})
}

func (m *market) order(id string, change func(*portalv1.PlaceOrderRequest)) (*portalv1.Order, error) {
	inputs, err := structpb.NewStruct(map[string]any{"title": "mine"})
	if err != nil {
		m.t.Fatal(err)
	}
	r := &portalv1.PlaceOrderRequest{Id: id, Customer: "c-1", Items: []*portalv1.OrderItem{{
		Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: m.listing.GetSummary().GetId(), ListingDigest: m.listing.GetDigest(), Inputs: inputs,
	}}}
	if change != nil {
		change(r)
	}
	res, err := m.orders().PlaceOrder(context.Background(), connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetOrder(), nil
}

func (m *market) reaches(id, state string) *portalv1.Order {
	m.t.Helper()
	var order *portalv1.Order
	sidecartest.Eventually(m.t, 30*time.Second, "order "+id+" is "+state, func() error {
		res, err := m.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		if err != nil {
			return err
		}
		order = res.Msg.GetOrder()
		if order.GetState() != state {
			return fmt.Errorf("it is %s (%s)", order.GetState(), order.GetReason())
		}
		return nil
	})
	return order
}

// reason is the stable code in an error's detail.
func reason(err error) string {
	var c *connect.Error
	if !errors.As(err, &c) {
		return ""
	}
	for _, d := range c.Details() {
		if v, err := d.Value(); err == nil {
			if info, ok := v.(*typev1.ErrorInfo); ok {
				return info.GetReason()
			}
		}
	}
	return ""
}

func TestAnOrderGoesTheWholeWay(t *testing.T) {
	t.Run("on SQLite alone", func(t *testing.T) { wholeWay(t, newMarket(t, nil)) })
	t.Run("on PostgreSQL and Redis", func(t *testing.T) {
		redis := servers.Redis(t).Socket
		wholeWay(t, newMarketOn(t, nil, func(cfg *sidecar.Config) {
			cfg.Database = sidecar.Database{Driver: "postgres", DSN: servers.Postgres(t).Database(t)}
			cfg.Redis.Addresses = []string{redis}
		}))
	})
}

func wholeWay(t *testing.T, m *market) {
	placed, err := m.order("order-whole-way", nil)
	if err != nil {
		t.Fatal(err)
	}
	if line := placed.GetItems()[0]; line.GetOneOff().GetMinorUnits() != 1000 || line.GetRecurring().GetMinorUnits() != 490 || line.GetPeriod() != "P1M" {
		t.Errorf("the customer pays %v", line)
	}
	order := m.reaches("order-whole-way", "completed")
	// The customer's portal learns neither who the supplier is nor what it charges (8.00).
	if shown := order.String() + m.listing.String(); strings.Contains(shown, "supplier") || strings.Contains(shown, "minor_units:800") {
		t.Errorf("the portal is told %s", shown)
	}
	id := order.GetItems()[0].GetSubscriptionId()
	subscriptions := portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key))
	sidecartest.Eventually(t, 20*time.Second, "the access data are revealed", func() error {
		res, err := subscriptions.RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: id}))
		if err != nil {
			return err
		}
		if f := res.Msg.GetFields(); len(f) != 1 || f[0].GetName() != "url" || !strings.HasPrefix(f[0].GetValue(), "https://service.example/h") {
			t.Fatalf("revealed %v", f)
		}
		return nil
	})
	if _, err := m.order("order-the-end", func(r *portalv1.PlaceOrderRequest) {
		r.Items[0] = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: id}
	}); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-the-end", "completed")
	if _, err := subscriptions.RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: id})); reason(err) != "subscription_ended" {
		t.Errorf("after the end: %v", err)
	}
	m.verified()
}

// verified checks both stores' ledgers.
func (m *market) verified() {
	m.t.Helper()
	for _, member := range []*sidecartest.Member{m.reseller, m.supplier} {
		res, err := operatorv1connect.NewLedgerServiceClient(http.DefaultClient, member.OperatorURL, member.OperatorAuth()).
			VerifyLedgers(context.Background(), connect.NewRequest(&operatorv1.VerifyLedgersRequest{}))
		if err != nil || !res.Msg.GetVerified() || res.Msg.GetEntries() == 0 {
			m.t.Errorf("%s: %v %v", member.Origin, res, err)
		}
		entriesStandOnThePage(m.t, member)
	}
}

func TestWhatAPortalMayNotOrder(t *testing.T) {
	m := newMarket(t, nil)
	if _, err := m.order("order-taken", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-taken", "completed")
	value := func(v any) *structpb.Struct {
		s, err := structpb.NewStruct(map[string]any{"title": v})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cases := []struct {
		name, id, reason string
		change           func(*portalv1.PlaceOrderRequest)
	}{
		{"inputs of the wrong type", "order-bad-1", "inputs_invalid", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Inputs = value(7) }},
		{"inputs too long", "order-bad-2", "inputs_invalid", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Inputs = value(strings.Repeat("x", 21)) }},
		{"inputs missing", "order-bad-3", "inputs_invalid", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Inputs = nil }},
		{"a listing that is not there", "order-bad-4", "listing_not_found", func(r *portalv1.PlaceOrderRequest) { r.Items[0].ListingId = "lst-unknown" }},
		{"another price than the customer saw", "order-bad-5", "listing_changed", func(r *portalv1.PlaceOrderRequest) { r.Items[0].ListingDigest = "other" }},
		{"the id of another order", "order-taken", "order_id_conflict", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Quantity = 3 }},
		{"too many pieces", "order-bad-6", "invalid_field", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Quantity = 10001 }},
		{"a negative number of pieces", "order-bad-7", "invalid_field", func(r *portalv1.PlaceOrderRequest) { r.Items[0].Quantity = -1 }},
		{"no item", "order-bad-8", "invalid_field", func(r *portalv1.PlaceOrderRequest) { r.Items = nil }},
		{"the end of an unknown subscription", "order-bad-9", "subscription_not_found", func(r *portalv1.PlaceOrderRequest) {
			r.Items[0] = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: "sub-unknown"}
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := m.order(c.id, c.change); reason(err) != c.reason {
				t.Fatalf("error is %v, want reason %s", err, c.reason)
			}
		})
	}
	list, err := m.orders().ListOrders(context.Background(), connect.NewRequest(&portalv1.ListOrdersRequest{}))
	if err != nil || len(list.Msg.GetOrders()) != 1 {
		t.Fatalf("orders left behind: %v, %v", list, err)
	}
	again, err := m.order("order-taken", nil)
	if err != nil || again.GetState() != "completed" {
		t.Fatalf("the repetition answers %v, %v", again, err)
	}
}

func TestASupplierAwayMakesTheOrderWaitAndSaySo(t *testing.T) {
	m := newMarket(t, nil)
	m.supplier.Unplug()
	if _, err := m.order("order-waits", nil); err != nil {
		t.Fatal(err)
	}
	waiting := m.reaches("order-waits", "pending.unreachable")
	if waiting.GetReason() != "platform_unreachable" || strings.Contains(strings.ToLower(waiting.String()), "supplier") || waiting.GetEnded() {
		t.Errorf("the customer reads %q (%s)", waiting.GetMessage(), waiting.GetReason())
	}
	m.supplier.Plug()
	m.reaches("order-waits", "completed")
	m.verified()
}

func TestWhatGoesOffSaleOnTheWayIsRefusedAndNothingRuns(t *testing.T) {
	m := newMarket(t, nil)
	m.supplier.Unplug()
	if _, err := m.order("order-stale", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-stale", "pending.unreachable")
	// The offering goes off sale while the order waits.
	m.supplier.Apply(strings.Replace(strings.Replace(shopOffering, "PRICE", "10.00", 1), "currency: EUR", "currency: EUR\nstate: onHold", 1))
	m.supplier.Plug()
	order := m.reaches("order-stale", "rejected")
	if order.GetReason() != "offering_not_orderable" || order.GetMessage() == "" {
		t.Errorf("rejected with %s: %q", order.GetReason(), order.GetMessage())
	}
	for _, member := range []*sidecartest.Member{m.reseller, m.supplier} {
		res, err := operatorv1connect.NewSubscriptionServiceClient(http.DefaultClient, member.OperatorURL, member.OperatorAuth()).
			ListSubscriptions(context.Background(), connect.NewRequest(&operatorv1.ListSubscriptionsRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range res.Msg.GetSubscriptions() {
			if s.GetState() != "aborted" {
				t.Errorf("%s keeps subscription %v", member.Origin, s)
			}
		}
	}
	m.verified()
}

func TestAnEditBecomesVisibleAndOldPricesAreHonoured(t *testing.T) {
	m := newMarket(t, nil)
	m.supplier.Unplug()
	if _, err := m.order("order-honoured", nil); err != nil {
		t.Fatal(err)
	}
	m.price("12.00")
	m.supplier.Plug()
	// Revision 1 is superseded, and honoured for its grace at the price that was signed.
	order := m.reaches("order-honoured", "completed")
	if got := order.GetItems()[0].GetOneOff().GetMinorUnits(); got != 1000 {
		t.Errorf("charged %d", got)
	}
	m.seePrice(1200)
}

func TestWhatAnAdapterSaysEndsOrDelaysTheOrder(t *testing.T) {
	cases := []struct {
		name   string
		apply  func(call int) (adapters.Result, error)
		state  string
		reason string
	}{
		{"never: the order fails", func(int) (adapters.Result, error) {
			return adapters.Result{}, adapters.Errorf(adapters.Quota, "no capacity left for password=hunter2")
		}, "failed", "provisioning_quota"},
		{"not ready yet: it is asked again", func(call int) (adapters.Result, error) {
			if call < 3 {
				return adapters.Result{}, &adapters.Error{Class: adapters.NotReady, Message: "soon", After: time.Millisecond}
			}
			return adapters.Result{Outputs: map[string]string{"url": "https://x"}}, nil
		}, "completed", ""},
		{"a panic: it is asked again", func(call int) (adapters.Result, error) {
			if call == 1 {
				panic("broken")
			}
			return adapters.Result{Outputs: map[string]string{"url": "https://x"}}, nil
		}, "completed", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			m := newMarket(t, func(adapters.Request) (adapters.Result, error) { calls++; return c.apply(calls) })
			if _, err := m.order("order-adapter", nil); err != nil {
				t.Fatal(err)
			}
			order := m.reaches("order-adapter", c.state)
			if order.GetReason() != c.reason || strings.Contains(order.String(), "hunter2") {
				t.Errorf("order is %v", order)
			}
			m.verified()
		})
	}
}

// idle waits until neither side has a job left.
func (m *market) idle() {
	m.t.Helper()
	for _, member := range []*sidecartest.Member{m.reseller, m.supplier} {
		jobs := operatorv1connect.NewJobServiceClient(http.DefaultClient, member.OperatorURL, member.OperatorAuth())
		sidecartest.Eventually(m.t, 30*time.Second, member.Origin+" has nothing left to do", func() error {
			res, err := jobs.ListJobs(context.Background(), connect.NewRequest(&operatorv1.ListJobsRequest{}))
			if err == nil && len(res.Msg.GetJobs()) > 0 {
				err = fmt.Errorf("jobs are left: %v", res.Msg.GetJobs())
			}
			return err
		})
	}
}
