package retail_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

func add(listing string) retail.ItemCommand {
	return retail.ItemCommand{Action: order.Add, ListingID: listing}
}

func end(subscriptionID string) retail.ItemCommand {
	return retail.ItemCommand{Action: order.Delete, SubscriptionID: subscriptionID}
}

func (c *counter) place(items ...retail.ItemCommand) (retail.Order, error) {
	return c.service.Place(context.Background(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0001", Items: items})
}

// traces counts what a command may leave behind: entries towards both suppliers, jobs, subscriptions.
func (c *counter) traces() (entries, jobs, subscriptions int) {
	c.t.Helper()
	err := c.Store.View(context.Background(), func(tx *store.Tx) error {
		for _, partner := range []string{vendor, second} {
			head, err := tx.Ledger().Head(partner, ledger.Own)
			if err != nil {
				return err
			}
			entries += int(head.Seq)
		}
		waiting, err := tx.Jobs().List(100)
		if err != nil {
			return err
		}
		jobs = len(waiting)
		all, _, err := tx.Subscriptions().List("", "", 100)
		subscriptions = len(all)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return entries, jobs, subscriptions
}

func TestAnOrderGoesToAsManySuppliersAsItHasItems(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	o, err := c.place(add("lst"), add("other"), add("lst"))
	if err != nil {
		t.Fatal(err)
	}
	var partners, ids []string
	for _, it := range o.Items {
		partners, ids = append(partners, it.Partner), append(ids, it.CorrelationID)
	}
	if want := []string{vendor, second, vendor}; !slices.Equal(partners, want) {
		t.Errorf("the items go to %v", partners)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != 3 || o.State() != order.Acknowledged {
		t.Errorf("the items are %v, the order %s", ids, o.State())
	}
	if entries, jobs, subscriptions := c.traces(); entries != 3 || jobs != 3 || subscriptions != 3 {
		t.Errorf("%d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
	}
	steps := []struct {
		from, id string
		kind     ledger.Kind
		want     order.State
	}{
		{vendor, o.Items[0].CorrelationID, ledger.OrderAccepted, order.InProgress},
		{second, o.Items[1].CorrelationID, ledger.OrderAccepted, order.InProgress},
		{second, o.Items[1].CorrelationID, ledger.OrderHeld, order.HeldIndeterminate},
		{vendor, o.Items[2].CorrelationID, ledger.OrderRejected, order.HeldIndeterminate},
		{second, o.Items[1].CorrelationID, ledger.OrderCompleted, order.InProgress},
		{vendor, o.Items[0].CorrelationID, ledger.OrderCompleted, order.Partial},
	}
	for _, s := range steps {
		if err := c.hear(s.from, s.id, s.kind, `{}`); err != nil {
			t.Fatal(err)
		}
		if got := c.order().State(); got != s.want {
			t.Errorf("after %s of %s the order is %s, want %s", s.kind, s.id, got, s.want)
		}
	}
	var states []subscription.State
	err = c.Store.View(t.Context(), func(tx *store.Tx) error {
		for _, it := range o.Items {
			sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
			if err != nil {
				return err
			}
			states = append(states, sub.State)
		}
		return nil
	})
	if want := []subscription.State{subscription.Active, subscription.Active, subscription.Aborted}; err != nil || !slices.Equal(states, want) {
		t.Errorf("the subscriptions are %v, want %v (%v)", states, want, err)
	}
}

func TestASupplierSpeaksForItsOwnItemsAlone(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	o, err := c.place(add("lst"), add("other"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.Kind{
		ledger.OrderAccepted, ledger.OrderRejected, ledger.OrderHeld, ledger.OrderCompleted, ledger.OrderFailed, ledger.OrderCancelled, ledger.CancelRefused,
	} {
		if err := c.hear(vendor, o.Items[1].CorrelationID, kind, `{}`); fault.ReasonOf(err) != "order_not_found" {
			t.Errorf("%s about another supplier's item: %v", kind, err)
		}
	}
	if got := c.order().State(); got != order.Acknowledged {
		t.Errorf("the order is %s", got)
	}
}

func TestWhatCannotBeOrderedLeavesNothing(t *testing.T) {
	t.Parallel()
	quantity := add("dozen")
	quantity.Quantity = 13
	two := add("lst")
	two.Quantity = 2
	negative := add("lst")
	negative.Quantity = -1
	inputs := add("lst")
	inputs.Inputs = []byte(`[]`)
	large := add("lst")
	large.Inputs = make([]byte, order.MaxInputsBytes+1)
	stale := add("lst")
	stale.ListingDigest = "what the customer saw"
	cases := []struct {
		name          string
		items         []retail.ItemCommand
		reason, field string
	}{
		{"nothing", nil, "order_items", "items"},
		{"too much", slices.Repeat([]retail.ItemCommand{add("lst")}, order.MaxItems+1), "order_items", "items"},
		{"a listing that is not there, as the second", []retail.ItemCommand{add("lst"), add("gone")}, "listing_not_found", "items[1]"},
		{"one that is on hold", []retail.ItemCommand{add("held")}, "listing_not_orderable", "items[0].listing_id"},
		{"one that changed", []retail.ItemCommand{add("other"), stale}, "listing_changed", "items[1].listing_digest"},
		{"too many pieces", []retail.ItemCommand{add("other"), add("lst"), quantity}, "quantity_range", "items[2].quantity"},
		{"two pieces of what is sold one at a time", []retail.ItemCommand{two}, "quantity_range", "items[0].quantity"},
		{"less than one piece", []retail.ItemCommand{negative}, "quantity_range", "items[0].quantity"},
		{"inputs that are no object", []retail.ItemCommand{add("lst"), inputs}, "inputs_invalid", "items[1].inputs"},
		{"inputs beyond the limit", []retail.ItemCommand{add("lst"), large}, "inputs_too_large", "items[1].inputs"},
		{"an action of a later version", []retail.ItemCommand{add("lst"), {Action: order.Modify}}, "order_action_unknown", "items[1].action"},
		{"the end of what is not there", []retail.ItemCommand{end("sub-none")}, "subscription_not_found", "items[0].subscription_id"},
		{"two ends of one subscription", []retail.ItemCommand{end("sub-1"), add("lst"), end("sub-1")}, "order_items_overlap", "items[2].subscription_id"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			shop := newCounter(t)
			_, err := shop.place(c.items...)
			var f *fault.Error
			if !errors.As(err, &f) || f.Reason != c.reason || f.Field != c.field {
				t.Fatalf("error is %v, want %s at %s", err, c.reason, c.field)
			}
			if entries, jobs, subscriptions := shop.traces(); entries+jobs+subscriptions != 0 {
				t.Errorf("left %d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
			}
		})
	}
}

func TestAsManyPiecesAsTheOfferingAllows(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	dozen := add("dozen")
	dozen.Quantity = 12
	o, err := shop.place(dozen, add("dozen"))
	if err != nil || o.Items[0].Quantity != 12 || o.Items[1].Quantity != 1 || o.Items[0].Retail.OneOff.Minor != 10_800 {
		t.Errorf("%+v, %v", o.Items, err)
	}
}

func TestWhatHasADefaultIsNotAskedOfTheCustomer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inputs, sent string }{
		{`{"title":"Team"}`, `{"readers":"everyone","title":"Team"}`},
		{`{"title": "Team", "readers": "sales"}`, `{"readers":"sales","title":"Team"}`},
	} {
		shop := newCounter(t)
		item := add("notebook")
		item.Inputs = []byte(c.inputs)
		o, err := shop.place(item)
		if err != nil {
			t.Fatal(err)
		}
		var sent dispatch.Document
		shop.View(func(tx *store.Tx) error {
			sent, err = shop.service.OrderDocument(tx, job.Job{Kind: retail.JobSubmit, Key: o.Items[0].CorrelationID, Partner: vendor})
			return err
		})
		if string(sent.Inputs) != c.sent {
			t.Errorf("%s is sent as %s, want %s", c.inputs, sent.Inputs, c.sent)
		}
		if again, err := shop.place(item); err != nil || again.ID != o.ID {
			t.Errorf("the same once more: %v", err)
		}
	}
	shop := newCounter(t)
	_, err := shop.place(add("notebook"))
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != "inputs_invalid" || f.Field != "items[0].inputs.title" {
		t.Errorf("without a title: %v", err)
	}
}

func TestOneOrderPerIdHoweverManyCallersAsk(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			o, err := c.place(add("lst"), add("other"))
			if err != nil || len(o.Items) != 2 {
				t.Errorf("caller %d: %+v, %v", i, o, err)
			}
		})
	}
	all.Wait()
	if entries, jobs, subscriptions := c.traces(); entries != 2 || jobs != 2 || subscriptions != 2 {
		t.Errorf("%d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
	}
	for name, items := range map[string][]retail.ItemCommand{
		"fewer items": {add("lst")}, "another order of items": {add("other"), add("lst")}, "more items": {add("lst"), add("other"), add("lst")},
	} {
		if _, err := c.place(items...); fault.ReasonOf(err) != "order_id_conflict" {
			t.Errorf("%s under the same id: %v", name, err)
		}
	}
}

// shifting changes the agreement once, after an order was prepared and before it is written.
type shifting struct {
	*counter
	once sync.Once
}

func (s *shifting) Offer(ctx context.Context, id string) (listing.Offer, error) {
	offer, err := s.counter.Offer(ctx, id)
	s.once.Do(func() {
		doErr := s.Store.Do(ctx, func(tx *store.Tx) error {
			a, err := tx.Agreements().Get(offer.Partner, offer.Agreement.ID)
			if err != nil {
				return err
			}
			a.Terms.WholesaleDiscountBP = 5000
			s.agreement, err = tx.Agreements().Put(a)
			return err
		})
		if doErr != nil {
			s.t.Error(doErr)
		}
	})
	return offer, err
}

func TestAnOrderIsMadeOfTheFactsThatHoldWhenItIsWritten(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.service.Offers = &shifting{counter: c}
	o, err := c.place(add("lst"))
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Items[0].Wholesale.OneOff.Minor; got != 500 {
		t.Errorf("the order asks %d, the agreement of its commit gives 500", got)
	}
	if entries, jobs, subscriptions := c.traces(); entries != 1 || jobs != 1 || subscriptions != 1 {
		t.Errorf("%d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
	}
}

func TestAnOrderWhoseFactsNeverStandStillSaysSo(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.service.Offers = restless{c}
	_, err := c.place(add("lst"))
	if !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "contention" {
		t.Fatalf("error is %v", err)
	}
}

// restless offers under an agreement that is never the one in the store.
type restless struct{ *counter }

func (r restless) Offer(ctx context.Context, id string) (listing.Offer, error) {
	offer, err := r.counter.Offer(ctx, id)
	offer.Agreement = agreement.Agreement{ID: offer.Agreement.ID, Version: 99, Terms: offer.Agreement.Terms}
	return offer, err
}

// closed offers what cannot be ordered.
type closed struct{ *counter }

func (o closed) Offer(ctx context.Context, id string) (listing.Offer, error) {
	offer, err := o.counter.Offer(ctx, id)
	offer.Orderable = false
	return offer, err
}

func TestWhatIsRememberedRefusesNobody(t *testing.T) {
	t.Parallel()
	for name, remembered := range map[string]func(*counter) retail.Offers{
		"an agreement of before": func(c *counter) retail.Offers { return restless{c} },
		"a listing on hold":      func(c *counter) retail.Offers { return closed{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			c.service.Remembered = remembered(c)
			if _, err := c.place(add("lst")); err != nil {
				t.Error(err)
			}
			if entries, jobs, subscriptions := c.traces(); entries != 1 || jobs != 1 || subscriptions != 1 {
				t.Errorf("%d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
			}
		})
	}
}

func TestASubscriptionThatComesToNoEndRunsOn(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := c.apply(kind, fmt.Sprintf(`{"access_sha256":%q}`, strings.Repeat("00", 32))); err != nil {
			t.Fatal(err)
		}
	}
	sub := c.order().Items[0].SubscriptionID
	o, err := c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{end(sub)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0003", Items: []retail.ItemCommand{end(sub)}}); fault.ReasonOf(err) != "subscription_state" {
		t.Errorf("ended twice: %v", err)
	}
	if err := c.hear(vendor, o.Items[0].CorrelationID, ledger.OrderRejected, `{"reason":"subscription_state"}`); err != nil {
		t.Fatal(err)
	}
	var jobs []job.Job
	err = c.Store.View(t.Context(), func(tx *store.Tx) error {
		s, err := tx.Subscriptions().Get(subscription.RetailKey(sub))
		if s.State != subscription.Active || s.Before != "" {
			t.Errorf("the subscription is %s, before %q", s.State, s.Before)
		}
		if err != nil {
			return err
		}
		jobs, err = tx.Jobs().List(10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, j := range jobs {
		kinds = append(kinds, j.Kind)
	}
	slices.Sort(kinds)
	if want := []string{subscription.JobAccessFetch}; !slices.Equal(kinds, want) {
		t.Errorf("jobs %v, want %v", kinds, want)
	}
}

// asking offers with a form of its own.
type asking struct {
	*counter
	inputs string
}

func (a asking) Offer(ctx context.Context, id string) (listing.Offer, error) {
	offer, err := a.counter.Offer(ctx, id)
	offer.Document.Inputs = json.RawMessage(a.inputs)
	return offer, err
}

func TestAFormThatCannotBeReadIsNotTheCustomersFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ inputs, reason string }{
		"a bound that a double does not hold": {`{"type":"object","properties":{"a":{"maximum":9007199254740993}}}`, "listing_not_orderable"},
		"no schema":                           {`[]`, "listing_not_orderable"},
		"a default that customers may change": {`{"type":"object","properties":{"a":{"enum":["a"],"default":"b"}}}`, ""},
	} {
		shop := newCounter(t)
		shop.service.Offers = asking{shop, c.inputs}
		item := add("lst")
		item.Inputs = []byte(`{"a":"a"}`)
		_, err := shop.place(item)
		if fault.ReasonOf(err) != c.reason || err != nil && !fault.Is(err, fault.Precondition) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
