package retail_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// endAgreed gives a subscription the end that both operators agreed on.
func (c *counter) endAgreed(id string, to subscription.State) {
	c.t.Helper()
	orders, err := c.service.OpenAbout(c.t.Context(), vendor, map[string]bool{id: true})
	if err != nil {
		c.t.Fatal(err)
	}
	c.Do(func(tx *store.Tx) error { return c.service.EndAgreed(tx, vendor, id, to, orders, "life 1") })
}

// TestWhatIsOrderedBetweenTheLookAndTheEndIsFound: it would stay open for ever about a subscription that both ended.
func TestWhatIsOrderedBetweenTheLookAndTheEndIsFound(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	sub := shop.order().Items[0].SubscriptionID
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := shop.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	open, err := shop.service.OpenAbout(t.Context(), vendor, map[string]bool{sub: true})
	if err != nil {
		t.Fatal(err)
	}
	item := retail.ItemCommand{Action: order.Modify, Intent: order.Rotate, SubscriptionID: sub}
	if _, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{item}}); err != nil {
		t.Fatal(err)
	}
	err = shop.Store.Do(t.Context(), func(tx *store.Tx) error {
		return shop.service.EndAgreed(tx, vendor, sub, subscription.Terminated, open, "life 1")
	})
	if !errors.Is(err, unit.ErrStale) {
		t.Fatalf("it ends without the order: %v", err)
	}
	shop.endAgreed(sub, subscription.Terminated)
	if o, err := shop.service.Get(t.Context(), "shop", "c", "order-0002"); err != nil || !o.Items[0].State.Ended() {
		t.Errorf("the order is %s, %v", o.Items[0].State, err)
	}
}

// TestWhatBecomesOfAnOpenOrderWhoseSubscriptionBothEnd: a customer is told that it was carried out only where that is so.
func TestWhatBecomesOfAnOpenOrderWhoseSubscriptionBothEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		intent      order.Intent
		progress    string
		to, becomes subscription.State
		end         order.State
	}{
		{order.Purchase, "taken", subscription.Terminated, subscription.Terminated, order.Completed},
		{order.Purchase, "untaken", subscription.Terminated, subscription.Aborted, order.Failed},
		{order.Purchase, "cancelling", subscription.Terminated, subscription.Aborted, order.Failed},
		{order.Purchase, "overdue", subscription.Terminated, subscription.Aborted, order.Failed},
		{order.Purchase, "taken", subscription.Aborted, subscription.Aborted, order.Failed},
		{order.Purchase, "untaken", subscription.Aborted, subscription.Aborted, order.Failed},
		{order.Purchase, "cancelling", subscription.Aborted, subscription.Aborted, order.Failed},
		{order.Purchase, "overdue", subscription.Aborted, subscription.Aborted, order.Failed},
		{order.Terminate, "taken", subscription.Terminated, subscription.Terminated, order.Completed},
		{order.Terminate, "untaken", subscription.Terminated, subscription.Terminated, order.Completed},
		{order.Terminate, "cancelling", subscription.Terminated, subscription.Terminated, order.Completed},
		{order.Terminate, "overdue", subscription.Terminated, subscription.Terminated, order.Completed},
		{order.Rotate, "taken", subscription.Terminated, subscription.Terminated, order.Failed},
		{order.Rotate, "untaken", subscription.Terminated, subscription.Terminated, order.Failed},
		{order.Rotate, "cancelling", subscription.Terminated, subscription.Terminated, order.Failed},
		{order.Rotate, "overdue", subscription.Terminated, subscription.Terminated, order.Failed},
	} {
		t.Run(fmt.Sprintf("%s, %s, %s", c.intent, c.progress, c.to), func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			id, sub := "order-0001", shop.order().Items[0].SubscriptionID
			if c.intent != order.Purchase {
				for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
					if err := shop.apply(kind, `{}`); err != nil {
						t.Fatal(err)
					}
				}
				item := retail.ItemCommand{Action: order.Delete, SubscriptionID: sub}
				if c.intent == order.Rotate {
					item.Action, item.Intent = order.Modify, order.Rotate
				}
				id = "order-0002"
				if _, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: id, Items: []retail.ItemCommand{item}}); err != nil {
					t.Fatal(err)
				}
			}
			get := func() retail.Item {
				o, err := shop.service.Get(t.Context(), "shop", "c", id)
				if err != nil {
					t.Fatal(err)
				}
				return o.Items[0]
			}
			switch c.progress {
			case "taken":
				if err := shop.hear(vendor, get().CorrelationID, ledger.OrderAccepted, `{}`); err != nil {
					t.Fatal(err)
				}
			case "overdue":
				shop.Clock.Pass(week + overdueGrace + time.Second)
				if begun := shop.sweep(); begun != 1 || get().State != order.PendingCancellation {
					t.Fatalf("%d are overdue, the item is %s", begun, get().State)
				}
			case "cancelling":
				if _, err := shop.service.Cancel(t.Context(), "shop", "c", id); err != nil {
					t.Fatal(err)
				}
			}
			shop.endAgreed(sub, c.to)
			if it := get(); it.State != c.end || it.Reason != "life_agreed" {
				t.Errorf("the item is %s (%s), want %s", it.State, it.Reason, c.end)
			}
			if got := shop.subscription(sub); got.State != c.becomes {
				t.Errorf("the subscription is %s, want %s", got.State, c.becomes)
			}
			if left := shop.jobs(); len(left) != 0 {
				t.Errorf("left are the jobs %v", left)
			}
		})
	}
}

// TestWhatWasGivenUpMayEndWithBoth: its supplier took it late, and its reseller never heard; neither could end it otherwise.
func TestWhatWasGivenUpMayEndWithBoth(t *testing.T) {
	t.Parallel()
	for _, to := range []subscription.State{subscription.Terminated, subscription.Aborted} {
		shop := newOrder(t)
		shop.Clock.Pass(2 * week)
		shop.abandon()
		if left := shop.jobs(); len(left) == 0 {
			t.Fatal("its cancel is not on its way")
		}
		sub := shop.order().Items[0].SubscriptionID
		if !subscription.MayEnd(shop.subscription(sub).State, to) {
			t.Fatalf("what is %s cannot become %s", shop.subscription(sub).State, to)
		}
		for range 2 {
			shop.endAgreed(sub, to)
		}
		if got := shop.subscription(sub).State; got != to {
			t.Errorf("the subscription is %s, want %s", got, to)
		}
		if it := shop.order().Items[0]; it.State != order.Failed || it.Reason != "abandoned" || it.Abandoned == nil || !it.Abandoned.There.Ended() {
			t.Errorf("the item is %s (%s), there %+v", it.State, it.Reason, it.Abandoned)
		}
		if left := shop.jobs(); len(left) != 0 {
			t.Errorf("left are the jobs %v", left)
		}
	}
}

// TestWhatWasOrderedBeforeBothEndedItComesBack, told again in the life that began so: a copy has that end before the order.
func TestWhatWasOrderedBeforeBothEndedItComesBack(t *testing.T) {
	t.Parallel()
	bought := func() (c *counter, sub string) {
		c = newOrder(t)
		for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
			if err := c.apply(kind, `{}`); err != nil {
				t.Fatal(err)
			}
		}
		return c, c.order().Items[0].SubscriptionID
	}
	lost, sub := bought()
	item := retail.ItemCommand{Action: order.Delete, SubscriptionID: sub}
	was, err := lost.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{item}})
	if err != nil {
		t.Fatal(err)
	}
	it := was.Items[0]
	payload, err := signed.Payload(it.Document)
	if err != nil {
		t.Fatal(err)
	}
	shop, same := bought()
	if same != sub {
		t.Fatalf("the copy has %s, not %s", same, sub)
	}
	shop.endAgreed(sub, subscription.Terminated)
	r, err := shop.service.Recollect(t.Context(), vendor, retail.Recalled{JWS: it.Document, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	e := placingEntry(t, it)
	e.Life = 1
	shop.Do(func(tx *store.Tx) error { return shop.service.Recover(tx, e, r) })
	shop.endAgreed(sub, subscription.Terminated) // as once more after what was told again
	shop.View(func(tx *store.Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(it.CorrelationID)
		if err != nil || o.Items[i].State != order.Completed || !o.Items[i].Agreed() {
			t.Errorf("the order is %+v, %v", o, err)
		}
		return nil
	})
	if jobs := shop.jobs(); slices.Contains(jobs, retail.JobSubmit) || shop.subscription(sub).State != subscription.Terminated {
		t.Errorf("jobs are %v, the subscription is %s", jobs, shop.subscription(sub).State)
	}
}
