package operator_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const (
	us    = "https://us.localhost:1"
	one   = "https://one.localhost:2"
	other = "https://other.localhost:3"
)

func newDesk(t *testing.T) (*markettest.Member, *operator.Desk) {
	t.Helper()
	m := markettest.NewMember(t, us)
	return m, &operator.Desk{Self: us, Work: store.For[operator.Tx](m.Store), Book: m.Book, Now: m.Clock.Now}
}

// eur, sek and owes build what is owed once and by a month; -1 is nothing.
func owes(currency string, once, monthly int64) (l price.Line) {
	if once >= 0 {
		l.OneOff = &money.Amount{Minor: once, Currency: currency}
	}
	if monthly >= 0 {
		l.Recurring, l.Period = &money.Amount{Minor: monthly, Currency: currency}, "P1M"
	}
	return l
}

func item(id, partner string, state order.State, retailLine, wholesale price.Line) retail.Item {
	return retail.Item{
		CorrelationID: id, Partner: partner, ListingID: "lst-" + id, Retail: retailLine,
		Item: order.Item{Action: order.Add, Intent: order.Purchase, Name: "Database", Quantity: 2, State: state, Wholesale: wholesale},
	}
}

func TestARetailOrderShowsWhatIsOursOfIt(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	yearly := owes("EUR", -1, 90000)
	yearly.Period = "P1Y"
	yearlyCost := owes("EUR", -1, 60000)
	yearlyCost.Period = "P1Y"
	m.Do(func(tx *store.Tx) error {
		_, err := tx.RetailOrders().Put(retail.Order{
			Portal: "shop", ID: "order-1", Customer: "alice", PlacedAt: m.Clock.Now(), Items: []retail.Item{
				item("c-1", one, order.Completed, owes("EUR", 1500, 490), owes("EUR", 1000, 392)),
				item("c-2", other, order.Completed, owes("SEK", -1, 9900), owes("SEK", -1, 8000)),
				item("c-3", one, order.InProgress, owes("EUR", 500, 10), owes("EUR", 500, 8)),
				item("c-4", one, order.Rejected, owes("EUR", 7777, 7777), owes("EUR", 1, 1)),
				item("c-5", one, order.Failed, owes("SEK", 7777, -1), owes("SEK", 1, -1)),
				item("c-6", one, order.Completed, yearly, yearlyCost),
				item("c-7", one, order.Completed, price.Line{}, price.Line{}),
			},
		})
		return err
	})
	o, err := desk.Order(t.Context(), operator.Query{ID: "order-1"})
	if err != nil {
		t.Fatal(err)
	}
	amount := func(minor int64, currency string) money.Amount {
		return money.Amount{Minor: minor, Currency: currency}
	}
	want := []operator.Total{
		{Period: "", Retail: amount(2000, "EUR"), Wholesale: amount(1500, "EUR"), Margin: amount(500, "EUR")},
		{Period: "P1M", Retail: amount(500, "EUR"), Wholesale: amount(400, "EUR"), Margin: amount(100, "EUR")},
		{Period: "P1Y", Retail: amount(90000, "EUR"), Wholesale: amount(60000, "EUR"), Margin: amount(30000, "EUR")},
		{Period: "P1M", Retail: amount(9900, "SEK"), Wholesale: amount(8000, "SEK"), Margin: amount(1900, "SEK")},
	}
	if d := cmp.Diff(want, o.Totals); d != "" {
		t.Errorf("the order comes to:\n%s", d)
	}
	if d := cmp.Diff(owes("EUR", 500, 98), o.Items[0].Margin); d != "" || o.Customer != "alice" || o.Items[0].ListingID != "lst-c-1" {
		t.Errorf("the first item of %+v has the margin:\n%s", o, d)
	}
	if d := cmp.Diff(price.Line{}, o.Items[6].Margin); d != "" {
		t.Errorf("what owes nothing has a margin:\n%s", d)
	}
}

func TestASumBeyondMeasureIsLeftOutRatherThanWrong(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	m.Do(func(tx *store.Tx) error {
		_, err := tx.RetailOrders().Put(retail.Order{Portal: "shop", ID: "order-1", Items: []retail.Item{
			item("c-1", one, order.Completed, owes("EUR", math.MaxInt64, 10), owes("EUR", 1, 5)), item("c-2", one, order.Completed, owes("EUR", 1, 10), owes("EUR", 1, 5)),
		}})
		return err
	})
	o, err := desk.Order(t.Context(), operator.Query{ID: "order-1"})
	if err != nil || len(o.Totals) != 1 || o.Totals[0].Period != "P1M" || o.Totals[0].Margin.Minor != 10 {
		t.Errorf("totals %+v, %v", o.Totals, err)
	}
}

// TestOrdersOfOneIdAreToldApart: ids are chosen by portals and partners, and a resale order's id is its correlation id.
func TestOrdersOfOneIdAreToldApart(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	const id = "order-same"
	m.Do(func(tx *store.Tx) error {
		for i, portal := range []string{"shop", "mall"} {
			if _, err := tx.RetailOrders().Put(retail.Order{Portal: portal, ID: id, Customer: "c", Items: []retail.Item{
				item("c-"+portal, []string{one, other}[i], order.Completed, price.Line{}, price.Line{}),
			}}); err != nil {
				return err
			}
		}
		for _, partner := range []string{one, other} {
			if _, err := tx.ResaleOrders().Put(resale.Order{Partner: partner, ID: id, Item: order.Item{SubscriptionID: order.SubscriptionID(id), State: order.Completed}}); err != nil {
				return err
			}
			if _, err := tx.Subscriptions().Put(subscription.Subscription{
				Side: subscription.Resale, Partner: partner, ID: order.SubscriptionID(id), Pseudonym: "cus of " + partner,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := desk.Order(t.Context(), operator.Query{ID: id})
	if fault.ReasonOf(err) != "order_id_ambiguous" {
		t.Fatalf("error is %v", err)
	}
	for _, owner := range []string{"portal shop", "portal mall", "partner " + one, "partner " + other} {
		if !strings.Contains(err.Error(), owner) {
			t.Errorf("no %q in: %v", owner, err)
		}
	}
	for _, c := range []struct {
		query operator.Query
		side  operator.Side
		found string
	}{
		{operator.Query{ID: id, Portal: "shop"}, operator.Retail, "shop"},
		{operator.Query{ID: id, Portal: "mall", Partner: other}, operator.Retail, "mall"},
		{operator.Query{ID: "c-shop"}, operator.Retail, "shop"},
		{operator.Query{ID: id, Side: operator.Resale, Partner: one}, operator.Resale, ""},
	} {
		if o, err := desk.Order(t.Context(), c.query); err != nil || o.Side != c.side || o.Portal != c.found {
			t.Errorf("%+v finds %+v, %v", c.query, o, err)
		}
	}
	for query, reason := range map[operator.Query]string{
		{ID: id, Partner: one}:                   "order_id_ambiguous", // a supplier of ours that buys from us too
		{ID: id, Portal: "shop", Partner: other}: "order_not_found",
		{ID: id, Portal: "nowhere"}:              "order_not_found",
		{ID: "nothing"}:                          "order_not_found",
	} {
		if _, err := desk.Order(t.Context(), query); fault.ReasonOf(err) != reason {
			t.Errorf("%+v: %v, want %s", query, err, reason)
		}
	}
}
