package retail_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// cancel asks for the cancel of the order and returns it.
func (c *counter) cancel() retail.Order {
	c.t.Helper()
	o, err := c.service.Cancel(context.Background(), "shop", "c", "order-0001")
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// TestTheStoryOfACancel: what the supplier tells before and after a cancel was sent, and what becomes of item and subscription.
func TestTheStoryOfACancel(t *testing.T) {
	t.Parallel()
	accepted, held, completed, failed, rejected := ledger.OrderAccepted, ledger.OrderHeld, ledger.OrderCompleted, ledger.OrderFailed, ledger.OrderRejected
	for name, c := range map[string]struct {
		before, after []ledger.Kind
		state         order.State
		reason        string
		subscription  subscription.State
	}{
		"nothing heard":                       {nil, nil, order.AssessingCancel, "", subscription.PendingActive},
		"before the order arrived":            {nil, []ledger.Kind{ledger.OrderCancelled}, order.Cancelled, "", subscription.Aborted},
		"after it was accepted":               {[]ledger.Kind{accepted}, []ledger.Kind{ledger.OrderCancelled}, order.Cancelled, "", subscription.Aborted},
		"accepted on the way":                 {nil, []ledger.Kind{accepted}, order.AssessingCancel, "", subscription.PendingActive},
		"accepted on the way, then cancelled": {nil, []ledger.Kind{accepted, ledger.OrderCancelled}, order.Cancelled, "", subscription.Aborted},
		"too late":                            {[]ledger.Kind{accepted}, []ledger.Kind{ledger.CancelRefused}, order.InProgress, "too_late", subscription.PendingActive},
		"too late, accepted on the way":       {nil, []ledger.Kind{accepted, ledger.CancelRefused}, order.InProgress, "too_late", subscription.PendingActive},
		"too late, held on the way":           {[]ledger.Kind{accepted}, []ledger.Kind{held, ledger.CancelRefused}, order.HeldIndeterminate, "too_late", subscription.PendingActive},
		"too late, completed on the way":      {[]ledger.Kind{accepted}, []ledger.Kind{completed, ledger.CancelRefused}, order.Completed, "", subscription.Active},
		"too late, then completed":            {[]ledger.Kind{accepted}, []ledger.Kind{ledger.CancelRefused, completed}, order.Completed, "", subscription.Active},
		"failed on the way":                   {[]ledger.Kind{accepted}, []ledger.Kind{failed, ledger.CancelRefused}, order.Failed, "order_refused", subscription.Aborted},
		"rejected on the way":                 {nil, []ledger.Kind{rejected, ledger.CancelRefused}, order.Rejected, "order_refused", subscription.Aborted},
		"cancelled, and told twice":           {nil, []ledger.Kind{ledger.OrderCancelled, ledger.OrderCancelled}, order.Cancelled, "", subscription.Aborted},
		"too late, and told twice":            {[]ledger.Kind{accepted}, []ledger.Kind{ledger.CancelRefused, ledger.CancelRefused}, order.InProgress, "too_late", subscription.PendingActive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			for _, kind := range c.before {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			shop.cancel()
			for _, kind := range c.after {
				body := `{}`
				if kind == ledger.CancelRefused {
					body = `{"reason":"too_late"}`
				}
				if err := shop.apply(kind, body); err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
			}
			it := shop.order().Items[0]
			if it.State != c.state || it.PublicReason() != c.reason || (it.Message == "") != (c.reason == "") {
				t.Errorf("the item is %s (%s: %s), want %s (%s)", it.State, it.PublicReason(), it.Message, c.state, c.reason)
			}
			shop.View(func(tx *store.Tx) error {
				sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
				if sub.State != c.subscription {
					t.Errorf("the subscription is %s, want %s", sub.State, c.subscription)
				}
				return err
			})
		})
	}
}

func TestASupplierCannotTakeACancelBack(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	shop.cancel()
	if err := shop.apply(ledger.OrderCancelled, `{}`); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderRejected} {
		if err := shop.apply(kind, `{}`); fault.ReasonOf(err) != "order_contradiction" {
			t.Errorf("%s of what was cancelled: %v", kind, err)
		}
	}
}

func TestACancelIsDecidedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hears  []ledger.Kind
		second ledger.Kind
	}{
		"refused, then granted":                  {[]ledger.Kind{ledger.CancelRefused}, ledger.OrderCancelled},
		"refused while it is held, then granted": {[]ledger.Kind{ledger.OrderHeld, ledger.CancelRefused}, ledger.OrderCancelled},
		"granted, then refused":                  {[]ledger.Kind{ledger.OrderCancelled}, ledger.CancelRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			if err := shop.apply(ledger.OrderAccepted, `{}`); err != nil {
				t.Fatal(err)
			}
			shop.cancel()
			for _, kind := range c.hears {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			before := shop.order()
			if err := shop.apply(c.second, `{}`); fault.ReasonOf(err) != "order_contradiction" {
				t.Errorf("error is %v", err)
			}
			if after := shop.order(); after.Version != before.Version {
				t.Errorf("the order went from %s to %s", before.State(), after.State())
			}
		})
	}
}

// TestWhatIsToldAgainWhileACancelIsOnItsWayIsNotKeptAgain: a supplier cannot make the record of an order grow.
func TestWhatIsToldAgainWhileACancelIsOnItsWayIsNotKeptAgain(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	shop.cancel()
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld} {
		if err := shop.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	before := shop.order()
	for _, kind := range []ledger.Kind{ledger.OrderHeld, ledger.OrderAccepted, ledger.OrderHeld} {
		if err := shop.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if after := shop.order(); after.Version != before.Version || len(after.Items[0].Events) != len(before.Items[0].Events) {
		t.Errorf("%d events became %d", len(before.Items[0].Events), len(after.Items[0].Events))
	}
}

func TestACancelIsOneDocumentPerItem(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	if _, err := c.place(add("lst"), add("other"), add("lst")); err != nil {
		t.Fatal(err)
	}
	if err := c.hear(vendor, "corr-0001", ledger.OrderRejected, `{}`); err != nil {
		t.Fatal(err)
	}
	first, again := c.cancel(), c.cancel()
	for i, it := range first.Items {
		if (it.CancelDocument != "") != (i > 0) || it.CancelDocument != again.Items[i].CancelDocument {
			t.Errorf("item %d is %s, its cancel %.20q and then %.20q", i, it.State, it.CancelDocument, again.Items[i].CancelDocument)
		}
	}
	it := first.Items[1]
	payload, err := signed.Open(it.CancelDocument, signed.Cancel, c.Key())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := order.ParseCancel(payload)
	if err != nil || doc.Order != it.CorrelationID || doc.Audience != second || doc.Issuer != buyer || doc.Subscription != it.SubscriptionID || doc.Agreement != it.AgreementID {
		t.Errorf("the document says %+v, %v", doc, err)
	}
	if entries, _, _ := c.traces(); entries != 5 {
		t.Errorf("%d entries are written, want three orders and two cancels", entries)
	}
}

func TestWhatCannotBeCancelledSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hears        []ledger.Kind
		customer, id string
		cancelFirst  bool
		reason       string
	}{
		"an order of nobody":         {nil, "c", "order-none", false, "order_not_found"},
		"another customer's":         {nil, "d", "order-0001", false, "order_not_found"},
		"one that is completed":      {[]ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, "c", "order-0001", false, "order_ended"},
		"one that was rejected":      {[]ledger.Kind{ledger.OrderRejected}, "c", "order-0001", false, "order_ended"},
		"one that is held":           {[]ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld}, "c", "order-0001", false, "order_not_cancellable"},
		"one that was too late once": {[]ledger.Kind{ledger.OrderAccepted, ledger.CancelRefused}, "c", "order-0001", true, "order_not_cancellable"},
		"one that was cancelled":     {[]ledger.Kind{ledger.OrderCancelled}, "c", "order-0001", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			if c.cancelFirst {
				shop.cancel()
			}
			for _, kind := range c.hears {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := shop.service.Cancel(t.Context(), "shop", c.customer, c.id); fault.ReasonOf(err) != c.reason {
				t.Errorf("%v, want %s", err, c.reason)
			}
		})
	}
}

func TestCorrelationIdsAreDerived(t *testing.T) {
	t.Parallel()
	one := retail.Correlate([]byte("key one"))
	seen := map[string]string{}
	for name, id := range map[string]string{
		"an item": one("shop", "order-1", 0), "the next item": one("shop", "order-1", 1), "another order": one("shop", "order-10", 0),
		"another portal": one("shopo", "rder-1", 0), "another key": retail.Correlate([]byte("key two"))("shop", "order-1", 0),
	} {
		if before, twice := seen[id]; twice {
			t.Errorf("%s has the id of %s", name, before)
		}
		seen[id] = name
		if len(order.SubscriptionID(id)) > 64 || len(id) < 8 || !ledger.PlainText(id) {
			t.Errorf("%s: %q is no id", name, id)
		}
	}
	mac := hmac.New(sha256.New, []byte("key one"))
	mac.Write([]byte("\x06portal\x04shop\x07order-1\x00"))
	if want := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil))); one("shop", "order-1", 0) != want {
		t.Errorf("the id is %s, want that of the key's use in portals alone, %s", one("shop", "order-1", 0), want)
	}
	if one("shop", "order-1", 0) != retail.Correlate([]byte("key one"))("shop", "order-1", 0) {
		t.Error("the same item has another id")
	}
}
