package sidecar_test

import (
	"net/http"
	"strings"
	"testing"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
)

// TestADealBeginsEachUnitOfWorkAgain: PostgreSQL asks for a transaction to be run again whenever it lost a race, which on a quiet machine hardly
// any does. Here every one is run twice, on both sides and from the agreement to the end of what was bought: what reads in its second run
// what its first one changed fails. The suites on markettest run so too, reading back after a restore and ending a fork among them.
func TestADealBeginsEachUnitOfWorkAgain(t *testing.T) {
	for engine, database := range map[string]func(t *testing.T) sidecar.Database{
		"on SQLite": func(*testing.T) sidecar.Database { return sidecar.Database{} },
		"on PostgreSQL": func(t *testing.T) sidecar.Database {
			return sidecar.Database{Driver: "postgres", DSN: servers.Postgres(t).Database(t)}
		},
	} {
		t.Run(engine, func(t *testing.T) {
			m := newMarketOn(t, nil, func(cfg *sidecar.Config) {
				cfg.Database = database(t)
				cfg.Rehearse = true
			})
			if _, err := m.order("order-bought", nil); err != nil {
				t.Fatal(err)
			}
			bought := m.reaches("order-bought", "completed").GetItems()[0].GetSubscriptionId()
			first := m.reveal(bought)[0].GetValue()
			if _, err := m.order("order-rotated", func(r *portalv1.PlaceOrderRequest) {
				r.Items[0] = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY, Intent: "rotate", SubscriptionId: bought}
			}); err != nil {
				t.Fatal(err)
			}
			m.reaches("order-rotated", "completed")
			m.idle()
			if again := m.reveal(bought)[0].GetValue(); again == first {
				t.Errorf("the access data are %q as before", again)
			}

			m.supplier.Cut(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/Submit") })
			if _, err := m.order("order-cancelled", nil); err != nil {
				t.Fatal(err)
			}
			if _, err := m.cancel("order-cancelled"); err != nil {
				t.Fatal(err)
			}
			m.cancelTried()
			m.supplier.Cut(nil)
			m.reaches("order-cancelled", "cancelled")

			m.price("12.50")
			m.seePrice(1250)
			m.end("order-the-end", bought)
			m.reaches("order-the-end", "completed")
			m.idle()
			m.verified()
		})
	}
}
