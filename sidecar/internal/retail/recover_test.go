package retail_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// gone is what the store knew that is gone: an order's items as they were signed.
func gone(t *testing.T, items ...retail.ItemCommand) retail.Order {
	t.Helper()
	c := newCounter(t)
	o, err := c.place(items...)
	if err != nil {
		t.Fatal(err)
	}
	c.View(func(tx *store.Tx) error {
		for i := range o.Items {
			if o.Items[i].Escrow, err = tx.RetailOrders().Escrow(o.Items[i].CorrelationID); err != nil {
				return err
			}
		}
		return nil
	})
	return o
}

// recalls has an item come back of which our own log has the placing entry, without its escrow.
func (c *counter) recalls(it retail.Item) error {
	c.t.Helper()
	it.Escrow = nil
	err := c.givesBack(it)
	if partly := (retail.PartlyError{}); errors.As(err, &partly) {
		return nil
	}
	return err
}

// givesBack has an item come back with the escrow that it has. What came back in part is a PartlyError, and there.
func (c *counter) givesBack(it retail.Item) error { return c.comesBackAs(it, false) }

func (c *counter) comesBackAs(it retail.Item, erased bool) error {
	c.t.Helper()
	payload, err := signed.Payload(it.Document)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := c.service.Recollect(c.t.Context(), it.Partner, retail.Recalled{JWS: it.Document, Payload: payload, Inputs: []byte("{}"), InputsSalt: it.InputsSalt, Escrow: it.Escrow, Erased: erased})
	if err != nil {
		return err
	}
	var partly retail.PartlyError
	err = c.Store.Do(c.t.Context(), func(tx *store.Tx) error {
		err := c.service.Recover(tx, placingEntry(c.t, it), r)
		if errors.As(err, &partly) {
			return nil
		}
		return err
	})
	if err == nil && partly != (retail.PartlyError{}) {
		return partly
	}
	return err
}

// recallsCancel has the cancel of an item come back, which an entry of our own log placed.
func (c *counter) recallsCancel(e ledger.Entry, it retail.Item) error {
	c.t.Helper()
	payload, err := signed.Payload(it.CancelDocument)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := c.service.RecollectCancel(c.t.Context(), it.Partner, e.Position(), retail.RecalledCancel{JWS: it.CancelDocument, Payload: payload})
	if err != nil {
		return err
	}
	return c.Store.Do(c.t.Context(), func(tx *store.Tx) error { return c.service.RecoverCancel(tx, e, r) })
}

func placingEntry(t *testing.T, it retail.Item) ledger.Entry {
	t.Helper()
	body, err := json.Marshal(order.Body{
		Order: it.CorrelationID, DocumentSHA256: hex.EncodeToString(it.PayloadDigest), Agreement: it.AgreementID, Subscription: it.SubscriptionID,
		Action: it.Action, Intent: it.Intent,
	})
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Entry{Partner: it.Partner, Direction: ledger.Own, Seq: 7, Kind: ledger.OrderPlaced, Subject: it.SubscriptionID, Body: body}
}

func (c *counter) get(portal, customer string) (retail.Order, error) {
	return c.service.Get(c.t.Context(), portal, customer, "order-0001")
}

// TestAnOrderThatCameBackIsThePortalsThatNamesIt: neither portal, order id nor customer stand in its documents. The ids of its items prove
// the first two, the pseudonym the third.
func TestAnOrderThatCameBackIsThePortalsThatNamesIt(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	for _, it := range was.Items {
		if err := c.recalls(it); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.recalls(was.Items[0]); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := c.hear(vendor, "corr-0001", ledger.OrderAccepted, `{}`); err != nil {
		t.Errorf("its supplier is not heard: %v", err)
	}
	if _, err := c.get("shop", "d"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another customer reads it: %v", err)
	}
	o, err := c.get("shop", "")
	if err != nil || o.Portal != "shop" || o.ID != "order-0001" || o.Customer != "" || len(o.Items) != 2 || o.Items[0].State != order.InProgress ||
		o.Items[1].Partner != second || o.Items[0].Name != "Database" || o.Items[0].Retail.OneOff.Minor != was.Items[0].Retail.OneOff.Minor {
		t.Fatalf("the portal reads %+v, %v", o, err)
	}
	if _, err := c.get("elsewhere", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("another portal reads it: %v", err)
	}
	if _, err := c.get("shop", "d"); !fault.Is(err, fault.NotFound) {
		t.Errorf("then another customer reads it: %v", err)
	}
	if o, err = c.get("shop", "c"); err != nil || o.Customer != "c" {
		t.Errorf("its customer reads %+v, %v", o, err)
	}
	sub, err := c.subscriptionOf(o.Items[0])
	if err != nil || sub.Portal != "shop" || sub.Customer != "c" || sub.OrderID != "order-0001" {
		t.Errorf("the subscription is %+v, %v", sub, err)
	}
	if _, jobs, subscriptions := c.traces(); jobs != 1 || subscriptions != 2 { // the accepted one's is gone
		t.Errorf("%d jobs, %d subscriptions", jobs, subscriptions)
	}
}

func (c *counter) subscriptionOf(it retail.Item) (sub subscription.Subscription, err error) {
	c.View(func(tx *store.Tx) error {
		sub, err = tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
		return nil
	})
	return sub, err
}

// TestAnOrderThatCameBackIsNotBoughtAgain whatever the portal repeats.
func TestAnOrderThatCameBackIsNotBoughtAgain(t *testing.T) {
	t.Parallel()
	was := gone(t, add(catalog.ListingID(vendor, "db")))
	for name, test := range map[string]struct {
		customer string
		wish     retail.ItemCommand
		reason   string
	}{
		"the same":         {"c", add(catalog.ListingID(vendor, "db")), ""},
		"another listing":  {"c", add("other"), "order_id_conflict"},
		"another customer": {"d", add(catalog.ListingID(vendor, "db")), "order_not_found"},
	} {
		c := newCounter(t)
		if err := c.recalls(was.Items[0]); err != nil {
			t.Fatal(err)
		}
		before, jobs, _ := c.traces()
		for range 2 {
			o, err := c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: test.customer, ID: "order-0001", Items: []retail.ItemCommand{test.wish}})
			if test.reason == "" && (err != nil || o.Customer != "c" || o.Items[0].Document != was.Items[0].Document) {
				t.Errorf("%s: %+v, %v", name, o, err)
			}
			if test.reason != "" && err == nil {
				t.Errorf("%s: it is placed", name)
			}
		}
		if entries, now, subscriptions := c.traces(); entries != before || now != jobs || subscriptions != 1 {
			t.Errorf("%s: %d entries, %d jobs, %d subscriptions", name, entries, now, subscriptions)
		}
	}
}

// TestAnOrderThatMayNotHaveComeBackYetIsUnavailable: nobody is told that it is unknown.
func TestAnOrderThatMayNotHaveComeBackYetIsUnavailable(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	if _, err := c.get("shop", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("before: %v", err)
	}
	c.stand(second, ledger.Behind)
	if _, err := c.get("shop", ""); fault.ReasonOf(err) != "books_behind" {
		t.Errorf("an id that it does not know: %v", err)
	}
}

// TestWhatWasSignedBeforeWinsOverWhatWaitsToBeSigned: it was acknowledged anew before it was known that it had been placed.
func TestWhatWasSignedBeforeWinsOverWhatWaitsToBeSigned(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"))
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	if err := c.recalls(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	it := c.order().Items[0]
	if it.Document != was.Items[0].Document || it.Unsigned != nil || it.State != order.Acknowledged {
		t.Errorf("the item is %+v", it)
	}
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobSubmit}) {
		t.Errorf("the jobs are %v", jobs)
	}
	if err := c.apply(ledger.OrderAccepted, `{}`); err != nil || c.order().State() != order.InProgress {
		t.Errorf("its supplier says that it was accepted: %v", err)
	}
}

// TestACancelThatWaitsIsAboutTheDocumentThatCameBack: about another one no supplier decides it, and the order goes on.
func TestACancelThatWaitsIsAboutTheDocumentThatCameBack(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst")).Items[0]
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	c.cancel()
	if err := c.recalls(was); err != nil {
		t.Fatal(err)
	}
	it := c.order().Items[0]
	cancel, err := order.ParseCancel(it.UnsignedCancel)
	if err != nil || cancel.OrderSHA256 != hex.EncodeToString(was.PayloadDigest) || cancel.Agreement != was.AgreementID {
		t.Errorf("the cancel is %+v, %v", cancel, err)
	}
	if sum := sha256.Sum256(it.UnsignedCancel); !bytes.Equal(sum[:], it.CancelDigest) {
		t.Error("its digest is another's")
	}
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobCancel, retail.JobSignCancel, retail.JobSubmit}) {
		t.Errorf("the jobs are %v", jobs)
	}
}

// TestACancelComesBack for an item that came back, and for one whose cancel waits to be signed.
func TestACancelComesBack(t *testing.T) {
	t.Parallel()
	old := newCounter(t)
	if _, err := old.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	was := old.cancel().Items[0]
	e := placingEntry(t, was)
	e.Kind = ledger.CancelPlaced
	for name, before := range map[string]func(c *counter) error{
		"of an order that came back": func(c *counter) error { return c.recalls(was) },
		"that waits to be signed": func(c *counter) error {
			c.stand(vendor, ledger.Unproven)
			if _, err := c.place(add("lst")); err != nil {
				return err
			}
			c.cancel()
			return c.recalls(was)
		},
	} {
		c := newCounter(t)
		if err := before(c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for range 2 {
			if err := c.recallsCancel(e, was); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		it := c.order().Items[0]
		if it.State != order.AssessingCancel || it.CancelDocument != was.CancelDocument || it.UnsignedCancel != nil {
			t.Errorf("%s: it is %+v", name, it)
		}
		if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobCancel, retail.JobSubmit}) {
			t.Errorf("%s: the jobs are %v", name, jobs)
		}
		if err := c.apply(ledger.OrderCancelled, `{}`); err != nil || c.order().State() != order.Cancelled {
			t.Errorf("%s: then it is %s, %v", name, c.order().State(), err)
		}
	}
}

// TestACancelComesBackAlone where the supplier had it before the order, which it never had: what it says of the cancel is heard.
func TestACancelComesBackAlone(t *testing.T) {
	t.Parallel()
	old := newCounter(t)
	if _, err := old.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	was := old.cancel().Items[0]
	e := placingEntry(t, was)
	e.Kind = ledger.CancelPlaced
	c := newCounter(t)
	if err := c.recallsCancel(e, was); err != nil {
		t.Fatal(err)
	}
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobCancel}) {
		t.Errorf("the jobs are %v", jobs)
	}
	if err := c.apply(ledger.OrderCancelled, `{}`); err != nil {
		t.Error(err)
	}
	o, err := c.get("shop", "")
	if err != nil || o.State() != order.Cancelled || len(c.jobs()) > 0 {
		t.Errorf("it is %+v, %v, the jobs are %v", o, err, c.jobs())
	}
	// Its portal repeats what it asked for, and nothing is bought by it.
	if o, err = c.place(add("lst")); err != nil || o.State() != order.Cancelled || len(c.jobs()) > 0 {
		t.Errorf("placed again it is %s, %v, the jobs are %v", o.State(), err, c.jobs())
	}
	if _, err := c.place(add("other")); fault.ReasonOf(err) != "order_id_conflict" {
		t.Errorf("then with something else: %v", err)
	}
}

// TestACancelThatCameBackAloneIsItsCustomers: it says nothing of who that is, and the portal does.
func TestACancelThatCameBackAloneIsItsCustomers(t *testing.T) {
	t.Parallel()
	old := newCounter(t)
	if _, err := old.place(add("lst"), add("other")); err != nil {
		t.Fatal(err)
	}
	was := old.cancel()
	for name, c := range map[string]struct {
		// whole is how many of the two items have their documents too.
		whole    int
		portal   bool
		customer string
		found    bool
	}{
		"alone":                              {0, false, "c", true},
		"alone, its portal asked before":     {0, true, "c", true},
		"beside a whole item":                {1, false, "c", true},
		"beside a whole item, of another":    {1, false, "d", false},
		"beside a whole one, asked before":   {1, true, "c", true},
		"beside a whole one, then another's": {1, true, "d", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newCounter(t)
			for i, it := range was.Items {
				if i >= 2-c.whole {
					if err := shop.recalls(it); err != nil {
						t.Fatal(err)
					}
				}
				e := placingEntry(t, it)
				e.Kind = ledger.CancelPlaced
				if err := shop.recallsCancel(e, it); err != nil {
					t.Fatal(err)
				}
			}
			if c.portal {
				if _, err := shop.get("shop", ""); err != nil {
					t.Fatal(err)
				}
			}
			o, err := shop.get("shop", c.customer)
			if !c.found && !fault.Is(err, fault.NotFound) || c.found && (err != nil || o.Customer != c.customer || len(o.Items) != 2) {
				t.Errorf("%s reads %+v, %v", c.customer, o, err)
			}
		})
	}
}

// TestAnUnclaimedSubscriptionIsItsCustomersAlone: while it is not known who that is nobody rotates it, and what ends it says what its own
// document said.
func TestAnUnclaimedSubscriptionIsItsCustomersAlone(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst")).Items[0]
	shop := newCounter(t)
	if err := shop.recalls(was); err != nil {
		t.Fatal(err)
	}
	if err := shop.hear(vendor, "corr-0001", ledger.OrderAccepted, `{}`); err != nil {
		t.Fatal(err)
	}
	unclaimed := func(when string) {
		t.Helper()
		if _, err := shop.service.Rotate(t.Context(), was.SubscriptionID, "order-0009"); fault.ReasonOf(err) != "subscription_unclaimed" {
			t.Errorf("%s it is rotated: %v", when, err)
		}
	}
	unclaimed("before any portal asked")
	if _, err := shop.get("shop", ""); err != nil {
		t.Fatal(err)
	}
	unclaimed("before its customer is known")
	shop.Clock.Pass(4 * week)
	given := shop.abandon().Items[0].CorrelationID
	if err := shop.hear(vendor, "corr-0001", ledger.OrderCompleted, `{}`); err != nil {
		t.Fatal(err)
	}
	shop.View(func(tx *store.Tx) error {
		o, _, err := tx.RetailOrders().ByCorrelation(given)
		if err != nil {
			return err
		}
		ending, i, err := tx.RetailOrders().ByCorrelation(o.Items[0].Abandoned.Ending)
		if err != nil {
			return err
		}
		d, _, err := order.ParseDocument(ending.Items[i].Unsigned)
		if d.Customer != "cus-c" {
			t.Errorf("its end is for %q", d.Customer)
		}
		return err
	})
}

func TestADocumentOfOthersMakesNoOrder(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	theirs := was.Items[1]
	theirs.Partner = vendor // the second's order, given back by the vendor
	if err := c.recalls(theirs); fault.ReasonOf(err) != "document_parties" {
		t.Errorf("another supplier's: %v", err)
	}
	mixed := was.Items[0]
	mixed.SubscriptionID = "sub-another"
	if err := c.recalls(mixed); err == nil {
		t.Errorf("another entry's: %v", err)
	}
	if _, jobs, subscriptions := c.traces(); jobs != 0 || subscriptions != 0 {
		t.Errorf("%d jobs, %d subscriptions", jobs, subscriptions)
	}
}
