package sidecar_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

func (m *market) cancel(id string) (*portalv1.Order, error) {
	res, err := m.orders().CancelOrder(context.Background(), connect.NewRequest(&portalv1.CancelOrderRequest{Id: id}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetOrder(), nil
}

// cancelTried waits until a cancel was sent to the supplier in vain. Since a cancel overtakes its order, and one call at a time is under
// way, nothing that was sent before the customer cancelled can arrive any more, however slow it was.
func (m *market) cancelTried() {
	m.t.Helper()
	sidecartest.Eventually(m.t, 60*time.Second, "the cancel was tried", func() error {
		jobs := booksOf(m.t, m.reseller).Jobs
		for _, j := range jobs {
			if j.GetKind() == "order.cancel" && j.GetAttempts() > 0 {
				return nil
			}
		}
		return fmt.Errorf("there are %v", jobs)
	})
}

// TestACancelEndsWhatHasNotBegun: over the wire, an order is cancelled while its supplier is away and never begins there; one whose work
// has begun goes on and says why.
func TestACancelEndsWhatHasNotBegun(t *testing.T) {
	working, release := make(chan struct{}, 1), make(chan struct{})
	var opened sync.Once
	open := func() { opened.Do(func() { close(release) }) }
	var made sync.Map
	m := newMarket(t, func(r adapters.Request) (adapters.Result, error) {
		made.Store(r.Tag, true)
		working <- struct{}{}
		<-release
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	})
	t.Cleanup(open) // before the sidecars end, which wait for their adapters

	// Nothing submitted arrives; what is cut off in the middle might, and would begin.
	m.supplier.Cut(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Submit") })
	if _, err := m.order("order-early", nil); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is a repetition
		o, err := m.cancel("order-early")
		if err != nil || o.GetState() != "assessingCancellation" {
			t.Fatalf("%v, %v", o, err)
		}
	}
	m.cancelTried()
	m.supplier.Cut(nil)
	m.reaches("order-early", "cancelled")
	if _, err := m.cancel("order-early"); err != nil {
		t.Errorf("once more: %v", err)
	}

	if _, err := m.order("order-late", nil); err != nil {
		t.Fatal(err)
	}
	<-working
	m.reaches("order-late", "inProgress")
	if _, err := m.cancel("order-late"); err != nil {
		t.Fatal(err)
	}
	sidecartest.Eventually(t, 20*time.Second, "the customer reads that it is too late", func() error {
		res, err := m.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: "order-late"}))
		if err != nil {
			return err
		}
		if o := res.Msg.GetOrder(); o.GetState() != "inProgress" || o.GetReason() != "too_late" || o.GetMessage() == "" {
			return fmt.Errorf("it is %s (%s)", o.GetState(), o.GetReason())
		}
		return nil
	})
	_, err := m.cancel("order-late")
	if connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("a second cancel: %v", err)
	}
	open()
	m.reaches("order-late", "completed")
	if _, err := m.cancel("order-late"); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("the cancel of what has ended: %v", err)
	}
	m.idle()
	m.verified()
	count := 0
	made.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d services were made, want the one that was too late to cancel", count)
	}
}

// TestACancelEndsWhatWaitsForAWorker: over the wire, an accepted order that stands behind slow ones of the same reseller is cancelled,
// and never begins.
func TestACancelEndsWhatWaitsForAWorker(t *testing.T) {
	const atOnce = 16 // of one partner, as the sidecar sets up its runner
	working, release := make(chan struct{}, atOnce+1), make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	m := newMarket(t, func(r adapters.Request) (adapters.Result, error) {
		working <- struct{}{}
		<-release
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	})
	t.Cleanup(open) // before the sidecars end, which wait for their adapters
	for i := range atOnce {
		if _, err := m.order(fmt.Sprintf("order-slow-%02d", i), nil); err != nil {
			t.Fatal(err)
		}
		<-working
	}
	if _, err := m.order("order-waits", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-waits", "inProgress")
	if _, err := m.cancel("order-waits"); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-waits", "cancelled")
	open()
	for i := range atOnce {
		m.reaches(fmt.Sprintf("order-slow-%02d", i), "completed")
	}
	m.idle()
	m.verified()
	if len(working) != 0 {
		t.Error("what was cancelled has begun")
	}
}

// TestAnOutageHealsWithinSeconds: orders that wait for a supplier, those that stand behind them, and completions that it could not tell,
// are all there soon after it is back, however long its absence let the pauses grow.
func TestAnOutageHealsWithinSeconds(t *testing.T) {
	m := newMarket(t, func(r adapters.Request) (adapters.Result, error) {
		return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
	})
	m.supplier.Unplug()
	const orders = 20
	for i := range orders {
		if _, err := m.order(fmt.Sprintf("order-outage-%02d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	sidecartest.Eventually(t, 20*time.Second, "all say that they wait", func() error {
		res, err := m.orders().ListOrders(context.Background(), connect.NewRequest(&portalv1.ListOrdersRequest{}))
		if err != nil {
			return err
		}
		for _, o := range res.Msg.GetOrders() {
			if o.GetState() != "pending.unreachable" || o.GetReason() != "platform_unreachable" {
				return fmt.Errorf("%s is %s (%s)", o.GetId(), o.GetState(), o.GetReason())
			}
		}
		return nil
	})
	m.supplier.Plug()
	for i := range orders {
		m.reaches(fmt.Sprintf("order-outage-%02d", i), "completed")
	}
	m.idle()
	m.verified()
}
