package sidecar_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/adapters"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// TestAPartnerAwayAtAnyStep takes one side off the network at each step of an order: the order waits, says so where the
// customer can see it, and finishes when the side is back.
func TestAPartnerAwayAtAnyStep(t *testing.T) {
	hasProcedure := func(suffix string) func(*http.Request) bool {
		return func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, suffix) }
	}
	cases := []struct {
		name string
		// before and during run before the order is placed and while the adapter works.
		before, during func(m *market)
		// waits is the state in which the customer reads that the order waits; "" where it completes meanwhile.
		waits string
		heal  func(m *market)
	}{
		{
			name: "the supplier, before the order arrives", before: func(m *market) { m.supplier.Unplug() },
			waits: "pending.unreachable", heal: func(m *market) { m.supplier.Plug() },
		},
		{
			name: "the supplier, while it provides", during: func(m *market) { m.supplier.Unplug() },
			waits: "inProgress", heal: func(m *market) { m.supplier.Plug() },
		},
		{
			name: "the reseller, while the supplier provides", during: func(m *market) { m.reseller.Unplug() },
			heal: func(m *market) { m.reseller.Plug() },
		},
		{
			name:   "the supplier, when the access data are fetched",
			before: func(m *market) { m.supplier.Cut(hasProcedure("/GetAccessData")) }, heal: func(m *market) { m.supplier.Cut(nil) },
		},
		{
			name:   "the supplier, when the access data are confirmed",
			before: func(m *market) { m.supplier.Cut(hasProcedure("/Submit")) }, heal: func(m *market) { m.supplier.Cut(nil) },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			working, release := make(chan struct{}, 1), make(chan struct{})
			m := newMarket(t, func(r adapters.Request) (adapters.Result, error) {
				working <- struct{}{}
				<-release
				return adapters.Result{Outputs: map[string]string{"url": "https://service.example/" + r.Tag}}, nil
			})
			if c.before != nil {
				c.before(m)
			}
			if _, err := m.order("order-outage", nil); err != nil {
				t.Fatal(err)
			}
			if c.during != nil {
				<-working
				m.reaches("order-outage", "inProgress")
				c.during(m)
			}
			if c.waits == "inProgress" || c.during == nil {
				close(release)
			}
			if c.waits != "" {
				sidecartest.Eventually(t, 30*time.Second, "the customer reads that the order waits", func() error {
					res, err := m.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: "order-outage"}))
					if err != nil {
						return err
					}
					if o := res.Msg.GetOrder(); o.GetState() != c.waits || o.GetReason() != "platform_unreachable" || o.GetMessage() == "" {
						return fmt.Errorf("it is %s: %q", o.GetState(), o.GetMessage())
					}
					return nil
				})
			}
			if c.during != nil && c.waits != "inProgress" {
				close(release)
			}
			c.heal(m)
			order := m.reaches("order-outage", "completed")
			subscriptions := portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, m.reseller.PortalURL, sidecartest.Bearer(m.key))
			sidecartest.Eventually(t, 30*time.Second, "the access data are revealed", func() error {
				_, err := subscriptions.RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{
					SubscriptionId: order.GetItems()[0].GetSubscriptionId(),
				}))
				return err
			})
			m.idle()
			m.verified()
		})
	}
}
