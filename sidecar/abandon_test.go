package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// removing is providing, and tells what it destroys.
type removing struct {
	providing
	destroyed chan string
}

func (p removing) Destroy(_ context.Context, r adapters.Request) error {
	p.destroyed <- r.Tag
	return nil
}

// lateMarket is a market whose members share a clock that a test moves.
type lateMarket struct {
	*market
	ahead           *atomic.Int64
	made, destroyed chan string
}

func newLateMarket(t *testing.T) *lateMarket {
	t.Helper()
	m := &lateMarket{ahead: new(atomic.Int64), made: make(chan string, 4), destroyed: make(chan string, 4)}
	apply := func(r adapters.Request) (adapters.Result, error) {
		m.made <- r.Tag
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	}
	m.market = openMarket(t, sidecartest.New(t, func(_ string, cfg *sidecar.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }
		cfg.Platforms = map[string]adapters.Adapter{"providing": removing{providing{apply: apply}, m.destroyed}}
		cfg.Adapters.Connections = map[string]sidecar.Connection{"nowhere": {Adapter: "providing"}}
	}, "reseller", "supplier"))
	return m
}

func (m *lateMarket) pass(d time.Duration) { m.ahead.Add(int64(d)) }

func (m *lateMarket) desk() operatorv1connect.OrderServiceClient {
	return operatorv1connect.NewOrderServiceClient(http.DefaultClient, m.reseller.OperatorURL, m.reseller.OperatorAuth())
}

func (m *lateMarket) abandon(id string, dry bool) (*operatorv1.AbandonOrderResponse, error) {
	res, err := m.desk().AbandonOrder(context.Background(), connect.NewRequest(&operatorv1.AbandonOrderRequest{Id: id, DryRun: dry, Reason: "out of business"}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// waitsFor waits until the order waits for this, as its operator reads.
func (m *lateMarket) waitsFor(id, wait string) *operatorv1.OrderExplanation {
	m.t.Helper()
	var item *operatorv1.OrderExplanation
	sidecartest.Eventually(m.t, 60*time.Second, "order "+id+" waits for "+wait, func() error {
		res, err := m.desk().ExplainOrder(context.Background(), connect.NewRequest(&operatorv1.ExplainOrderRequest{Id: id, Side: "retail"}))
		if err != nil {
			return err
		}
		if item = res.Msg.GetItems()[0]; item.GetWait() != wait {
			return fmt.Errorf("it waits for %q: %s", item.GetWait(), item.GetNext())
		}
		return nil
	})
	return item
}

// givesUp passes the week, and the day, after which the reseller's operator gives the order up, and checks what both read meanwhile.
func (m *lateMarket) givesUp(id string) {
	m.t.Helper()
	if _, err := m.abandon(id, false); reason(err) != "order_not_abandonable" || !strings.Contains(err.Error(), "can be given up from") {
		m.t.Fatalf("given up at once: %v", err)
	}
	m.pass(7*24*time.Hour + 11*time.Minute)
	if begun, err := m.reseller.Sweep(context.Background()); err != nil || begun != 1 {
		m.t.Fatalf("%d cancels began, %v", begun, err)
	}
	if o := m.reaches(id, "pendingCancellation"); o.GetReason() != "not_accepted_in_time" || o.GetMessage() == "" {
		m.t.Errorf("the customer reads %s: %s", o.GetReason(), o.GetMessage())
	}
	if _, err := m.abandon(id, false); reason(err) != "order_not_abandonable" {
		m.t.Errorf("given up before its day: %v", err)
	}
	m.pass(24 * time.Hour)
	if item := m.waitsFor(id, "abandon"); item.GetWho() != "operator" || !strings.HasPrefix(item.GetCommands()[0], "hanse order abandon ") {
		m.t.Errorf("helps %v by %s", item.GetCommands(), item.GetWho())
	}
	dry, err := m.abandon(id, true)
	if err != nil || len(dry.GetItems()) != 1 || dry.GetOrder().GetState() != "pendingCancellation" {
		m.t.Fatalf("dry: %v, %v", dry, err)
	}
	command := []string{"order", "abandon", id, "--reason", "out of business"}
	if code, out := m.reseller.Command(command...); code == 0 || out != "" {
		m.t.Errorf("given up without a yes: %d, %s", code, out)
	}
	m.reaches(id, "pendingCancellation")
	var given struct {
		Order struct{ State string }
		Items []struct{ CorrelationID, Meaning string }
	}
	code, out := m.reseller.Command(append(command, "--yes", "-o", "json")...)
	if err := json.Unmarshal([]byte(out), &given); code != 0 || err != nil || given.Order.State != "failed" || len(given.Items) != 1 || given.Items[0].Meaning == "" {
		m.t.Fatalf("given up: %d, %s, %v", code, out, err)
	}
	if o := m.reaches(id, "failed"); o.GetReason() != "order_refused" {
		m.t.Errorf("the customer reads %s: %s", o.GetReason(), o.GetMessage())
	}
	m.waitsFor(id, "given_up")
}

// TestASupplierThatWasAwayForTooLongNeverTakesTheOrder: its cancel, which was signed by itself, arrives first.
func TestASupplierThatWasAwayForTooLongNeverTakesTheOrder(t *testing.T) {
	m := newLateMarket(t)
	m.supplier.Unplug()
	if _, err := m.order("order-away", nil); err != nil {
		t.Fatal(err)
	}
	m.givesUp("order-away")
	m.supplier.Plug()
	m.waitsFor("order-away", "")
	m.idle()
	m.verified()
	m.reaches("order-away", "failed")
	if len(m.made) != 0 {
		t.Error("what was given up was made")
	}
}

// TestWhatASupplierTookAllTheSameIsEndedThere: it took the order in time and could not say so. Its platform removes what it made, and the
// customer's order stays as it was told.
func TestWhatASupplierTookAllTheSameIsEndedThere(t *testing.T) {
	m := newLateMarket(t)
	// The order arrives, and nothing else passes: no answer to it, and no ledger.
	m.supplier.Alter("/hanse.peer.v1.ExchangeService/Submit", func(_ *http.Request, answer *httptest.ResponseRecorder) {
		answer.Code = http.StatusServiceUnavailable
		answer.Body.Reset()
	})
	m.supplier.Cut(func(r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/hanse.peer.v1.") && !strings.HasSuffix(r.URL.Path, "/Submit")
	})
	m.supplier.Unplug() // ends the streams
	m.supplier.Plug()
	if _, err := m.order("order-late", nil); err != nil {
		t.Fatal(err)
	}
	made := <-m.made
	m.supplier.Unplug()
	m.givesUp("order-late")

	m.supplier.Cut(nil)
	m.supplier.Alter("", nil)
	m.supplier.Plug()
	if destroyed := <-m.destroyed; destroyed != made {
		t.Errorf("destroyed is %s, made was %s", destroyed, made)
	}
	item := m.waitsFor("order-late", "")
	if !strings.Contains(item.GetNext(), "8.00 EUR once, 3.92 EUR per P1M") {
		t.Errorf("its charge is not shown: %s", item.GetNext())
	}
	m.idle()
	m.verified()
	m.reaches("order-late", "failed")
	subs, err := portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key)).
		ListSubscriptions(context.Background(), connect.NewRequest(&portalv1.ListSubscriptionsRequest{}))
	if err != nil || len(subs.Msg.GetSubscriptions()) != 1 || subs.Msg.GetSubscriptions()[0].GetState() != "terminated" {
		t.Errorf("the customer has %v, %v", subs, err)
	}
	orders, err := m.orders().ListOrders(context.Background(), connect.NewRequest(&portalv1.ListOrdersRequest{}))
	if err != nil || len(orders.Msg.GetOrders()) != 1 {
		t.Errorf("the portal lists %v, %v", orders, err)
	}
	for _, s := range booksOf(t, m.supplier).Subscriptions {
		if s.GetState() != "terminated" {
			t.Errorf("at the supplier %s is %s", s.GetId(), s.GetState())
		}
	}
}
