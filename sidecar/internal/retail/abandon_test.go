package retail_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var word = act.Word{By: "operator", Reason: "out of business"}

// abandon gives the order up and returns it.
func (c *counter) abandon() retail.Order {
	c.t.Helper()
	o, _, err := c.service.Abandon(c.t.Context(), "shop", "order-0001", false, word)
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

func (c *counter) subscription(id string) (sub subscription.Subscription) {
	c.t.Helper()
	c.View(func(tx *store.Tx) (err error) {
		sub, err = tx.Subscriptions().Get(subscription.RetailKey(id))
		return err
	})
	return sub
}

// deal is what we say of the purchase when both sides compare what they have.
func (c *counter) deal() exchange.DealState {
	c.t.Helper()
	var s exchange.States
	c.View(func(tx *store.Tx) (err error) {
		s, err = exchange.ReadStates(tx, buyer, vendor, exchange.StatesAsked{Subjects: []string{order.SubscriptionID("corr-0001")}})
		return err
	})
	if len(s.Deals) != 1 {
		c.t.Fatalf("the deals are %+v", s.Deals)
	}
	return s.Deals[0].State
}

// dealAt is what a supplier has that has told so much of it.
func dealAt(told []ledger.Kind) exchange.DealState {
	at := exchange.DealUnknown
	for _, kind := range told {
		switch {
		case kind == ledger.OrderAccepted && at == exchange.DealUnknown:
			at = exchange.DealAccepted
		case kind == ledger.OrderCompleted:
			at = exchange.DealActive
		case kind == ledger.OrderFailed, kind == ledger.OrderCancelled && at != exchange.DealUnknown:
			at = exchange.DealEnded
		}
	}
	return at
}

// TestWhenAnOrderMayBeGivenUp: not before the supplier had its day to say what it decided, and never what has ended.
func TestWhenAnOrderMayBeGivenUp(t *testing.T) {
	t.Parallel()
	accepted := []ledger.Kind{ledger.OrderAccepted}
	for name, c := range map[string]struct {
		hears   []ledger.Kind
		swept   bool
		cancel  bool
		passes  time.Duration
		refused string
		cancels int
	}{
		"in time":                      {passes: week, refused: "order_not_abandonable"},
		"within the day":               {swept: true, passes: week + 23*time.Hour, refused: "order_not_abandonable", cancels: 1},
		"a day later":                  {swept: true, passes: week + 24*time.Hour, cancels: 1},
		"before a sweep found it":      {passes: week + 24*time.Hour, cancels: 1},
		"cancelled by the customer":    {cancel: true, passes: 2 * week, cancels: 1},
		"accepted":                     {hears: accepted, passes: 2 * week, cancels: 1},
		"accepted, too late to cancel": {hears: append(accepted, ledger.CancelRefused), cancel: true, passes: 2 * week, cancels: 1},
		"held":                         {hears: append(accepted, ledger.OrderHeld), passes: 2 * week, cancels: 1},
		"completed":                    {hears: append(accepted, ledger.OrderCompleted), passes: 2 * week, refused: "order_ended"},
		"rejected":                     {hears: []ledger.Kind{ledger.OrderRejected}, passes: 2 * week, refused: "order_ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			if c.cancel && len(c.hears) == 0 {
				shop.cancel()
			}
			for i, kind := range c.hears {
				if i == 1 && c.cancel {
					shop.cancel()
				}
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			shop.Clock.Pass(c.passes)
			if c.swept {
				shop.sweep()
			}
			before := shop.order()
			_, dry, err := shop.service.Abandon(t.Context(), "shop", "order-0001", true, word)
			if after := shop.order(); fault.ReasonOf(err) != c.refused || after.Version != before.Version || (err == nil) != (len(dry) == 1) {
				t.Fatalf("dry: %v, %v, version %d after %d", dry, err, after.Version, before.Version)
			}
			o, given, err := shop.service.Abandon(t.Context(), "shop", "order-0001", false, word)
			if fault.ReasonOf(err) != c.refused {
				t.Fatal(err)
			}
			if cancels := shop.placedCancels(); cancels != c.cancels {
				t.Errorf("%d cancels stand in our ledger, want %d", cancels, c.cancels)
			}
			if err != nil {
				if c.refused == "order_not_abandonable" && !strings.Contains(err.Error(), "can be given up from 2026-") {
					t.Errorf("it does not say from when on: %v", err)
				}
				return
			}
			it := o.Items[0]
			if len(given) != 1 || it.State != order.Failed || it.PublicReason() != "order_refused" || it.Abandoned == nil || shop.subscription(it.SubscriptionID).State != subscription.Aborted {
				t.Errorf("it is %s (%s), given up %v", it.State, it.PublicReason(), it.Abandoned)
			}
			shop.View(func(tx *store.Tx) error {
				acts, err := tx.Acts().About(vendor, it.CorrelationID)
				if len(acts) != 1 || acts[0].Verb != "order abandon" || acts[0].By != "operator" || acts[0].Reason != "out of business" {
					t.Errorf("on record is %+v", acts)
				}
				return err
			})
			again, given, err := shop.service.Abandon(t.Context(), "shop", "order-0001", false, word)
			if err != nil || len(given) != 0 || again.Version != o.Version {
				t.Errorf("once more: %v, version %d after %d, %v", given, again.Version, o.Version, err)
			}
		})
	}
}

// TestGivenUpIsTheOneItemThatMayBe and the others of the order go on.
func TestGivenUpIsTheOneItemThatMayBe(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	if _, err := shop.place(add("lst"), add("other")); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := shop.hear(second, "corr-0002", kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	shop.Clock.Pass(2 * week)
	if o := shop.abandon(); o.State() != order.Partial || o.Items[0].State != order.Failed || o.Items[1].Abandoned != nil {
		t.Errorf("the order is %s", o.State())
	}
}

// TestWhatASupplierTellsOfWhatWasGivenUp: the customer's order stays as it was told, and what the supplier made is ended there.
func TestWhatASupplierTellsOfWhatWasGivenUp(t *testing.T) {
	t.Parallel()
	accepted, held, completed, failed, rejected := ledger.OrderAccepted, ledger.OrderHeld, ledger.OrderCompleted, ledger.OrderFailed, ledger.OrderRejected
	cancelled, refused := ledger.OrderCancelled, ledger.CancelRefused
	for name, c := range map[string]struct {
		before, after []ledger.Kind
		there         order.State
		// ends: what was made is ended.
		ends  bool
		wrong string
		// repeats: the supplier says in its log what it said, which an audit finds wrong of it.
		repeats bool
	}{
		"nothing":                             {},
		"it never had it":                     {after: []ledger.Kind{cancelled}, there: order.Cancelled},
		"it refused it":                       {after: []ledger.Kind{rejected, refused}, there: order.Rejected},
		"it took it":                          {after: []ledger.Kind{accepted}, there: order.InProgress},
		"it took it, and takes it back":       {after: []ledger.Kind{accepted, cancelled}, there: order.Cancelled},
		"it took it, and looks":               {after: []ledger.Kind{accepted, held, refused}, there: order.HeldIndeterminate, ends: true},
		"it took it, and failed":              {after: []ledger.Kind{accepted, refused, failed}, there: order.Failed, ends: true},
		"it made it":                          {after: []ledger.Kind{accepted, completed, refused}, there: order.Completed, ends: true},
		"it made it, too late to cancel":      {after: []ledger.Kind{accepted, refused, completed}, there: order.Completed, ends: true},
		"it made what it had taken":           {before: []ledger.Kind{accepted}, after: []ledger.Kind{completed}, there: order.Completed, ends: true},
		"it made what it held":                {before: []ledger.Kind{accepted, held}, after: []ledger.Kind{completed}, there: order.Completed, ends: true},
		"it made it, and says so twice":       {after: []ledger.Kind{accepted, completed, completed, accepted}, there: order.Completed, ends: true, repeats: true},
		"its whole log is read again":         {after: []ledger.Kind{accepted, held, completed, accepted, held, completed}, there: order.Completed, ends: true, repeats: true},
		"it failed, and its log again":        {after: []ledger.Kind{accepted, held, failed, accepted, held, failed}, there: order.Failed, repeats: true},
		"it took it back, and its log again":  {after: []ledger.Kind{accepted, cancelled, accepted, cancelled}, there: order.Cancelled, repeats: true},
		"it holds what it had cancelled":      {after: []ledger.Kind{accepted, cancelled, held}, there: order.Cancelled, wrong: "order_contradiction"},
		"it refused what it had taken":        {before: []ledger.Kind{accepted}, after: []ledger.Kind{rejected}, there: order.InProgress, wrong: "order_contradiction"},
		"it makes what it had cancelled":      {after: []ledger.Kind{cancelled, completed}, there: order.Cancelled, wrong: "order_contradiction"},
		"it takes what it had refused":        {after: []ledger.Kind{rejected, accepted}, there: order.Rejected, wrong: "order_contradiction"},
		"it says that it took it, repeatedly": {after: []ledger.Kind{accepted, held, accepted, accepted}, there: order.HeldIndeterminate, repeats: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			shop.keepsLog(vendor)
			for _, kind := range c.before {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			shop.Clock.Pass(2 * week)
			told := shop.abandon()
			shop.inOrder()
			if ours, theirs := shop.deal(), dealAt(c.before); ours != theirs {
				t.Errorf("given up, the deal is %s here and %s there", ours, theirs)
			}
			var err error
			for i, kind := range c.after {
				body := `{}`
				if kind == refused {
					body = `{"reason":"too_late"}`
				}
				if err = shop.apply(kind, body); err != nil && i < len(c.after)-1 {
					t.Fatalf("%s: %v", kind, err)
				}
				if !c.repeats {
					shop.inOrder()
				}
				if ours, theirs := shop.deal(), dealAt(append(slices.Clone(c.before), c.after[:i+1]...)); err == nil && ours != theirs {
					t.Errorf("after %s the deal is %s here and %s there", kind, ours, theirs)
				}
			}
			if fault.ReasonOf(err) != c.wrong {
				t.Errorf("the last is %v, want %q", err, c.wrong)
			}
			o := shop.order()
			it := o.Items[0]
			if it.State != order.Failed || it.Message != told.Items[0].Message || len(o.PublicTimeline()) != len(told.PublicTimeline()) {
				t.Errorf("the customer reads %s: %s", it.State, it.Message)
			}
			if it.Abandoned.There != c.there || (it.Abandoned.Ending != "") != c.ends {
				t.Errorf("at the supplier it is %q, ended by %q", it.Abandoned.There, it.Abandoned.Ending)
			}
			if shop.subscription(it.SubscriptionID).State != subscription.Aborted {
				t.Errorf("the subscription is %s", shop.subscription(it.SubscriptionID).State)
			}
		})
	}
}

// TestWhatWasMadeLateIsEndedByASignedDocument of our own, which no portal sees, and which does not lapse.
func TestWhatWasMadeLateIsEndedByASignedDocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		decides []ledger.Kind
		state   order.State
		sub     subscription.State
	}{
		"ended":   {[]ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, order.Completed, subscription.Terminated},
		"refused": {[]ledger.Kind{ledger.OrderRejected}, order.Rejected, subscription.Aborted},
		"failed":  {[]ledger.Kind{ledger.OrderAccepted, ledger.OrderFailed}, order.Failed, subscription.Aborted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			shop.keepsLog(vendor)
			shop.Clock.Pass(2 * week)
			shop.abandon()
			for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			shop.inOrder()
			given := shop.order().Items[0]
			if err := shop.sign(); err != nil && !errors.Is(err, job.ErrFinished) {
				t.Fatal(err)
			}
			ending := func() (o retail.Order) {
				shop.View(func(tx *store.Tx) (err error) {
					o, _, err = tx.RetailOrders().ByCorrelation(given.Abandoned.Ending)
					return err
				})
				return o
			}
			o := ending()
			payload, err := signed.Open(o.Items[0].Document, signed.Order, shop.Key())
			if err != nil {
				t.Fatal(err)
			}
			var d order.Document
			if err := json.Unmarshal(payload, &d); err != nil {
				t.Fatal(err)
			}
			if d.Intent != order.Terminate || d.Action != order.Delete || d.Subscription != given.SubscriptionID || d.Customer != "cus-c" || d.Agreement != given.AgreementID {
				t.Errorf("signed is %s", payload)
			}
			if o.Portal != "" || o.Customer != "" || o.Recovered() {
				t.Errorf("it is an order of portal %q, customer %q, recovered %t", o.Portal, o.Customer, o.Recovered())
			}
			late := func(want int) {
				t.Helper()
				told, err := shop.service.Late(t.Context())
				if err != nil || len(told) != want || want == 1 && !strings.Contains(told[0], "hanse order explain "+o.ID) {
					t.Errorf("operators read %v, %v", told, err)
				}
			}
			late(1)
			shop.Clock.Pass(50 * week)
			if begun := shop.sweep(); begun != 0 {
				t.Error("the end is cancelled for having waited")
			}
			for _, kind := range c.decides {
				shop.inOrder()
				if err := shop.hear(vendor, given.Abandoned.Ending, kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			shop.inOrder()
			if want := map[bool]exchange.DealState{true: exchange.DealEnded, false: exchange.DealActive}[c.state == order.Completed]; shop.deal() != want {
				t.Errorf("the deal is %s, want %s", shop.deal(), want)
			}
			if o := ending(); o.State() != c.state || shop.subscription(given.SubscriptionID).State != c.sub {
				t.Errorf("the end is %s, the subscription %s", o.State(), shop.subscription(given.SubscriptionID).State)
			}
			late(0)
			if _, err := shop.place(end(given.SubscriptionID)); fault.ReasonOf(err) != "order_id_conflict" {
				t.Errorf("the same id again: %v", err)
			}
			_, err = shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{end(given.SubscriptionID)}})
			if fault.ReasonOf(err) != "subscription_state" {
				t.Errorf("a customer ends what was given up: %v", err)
			}
		})
	}
}

// TestWhatIsEndedTooEarlyIsEndedAgain: who refuses the cancel has begun, or said that it was done in an entry that was left aside.
func TestWhatIsEndedTooEarlyIsEndedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// refusedBefore: the cancel was refused before the order was given up.
		refusedBefore bool
		// early is what the supplier says of the first end before it says that it made it; made that it says so at all.
		early []ledger.Kind
		made  bool
		ends  int
	}{
		"made in an entry that was left aside":                      {early: []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, ends: 1},
		"made in an entry that was left aside, refused long before": {refusedBefore: true, early: []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, ends: 1},
		"made later":                        {early: []ledger.Kind{ledger.OrderRejected}, made: true, ends: 2},
		"made before the first end arrives": {made: true, ends: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			shop.keepsLog(vendor)
			defer shop.inOrder()
			hear := func(id string, kind ledger.Kind) {
				t.Helper()
				if err := shop.hear(vendor, id, kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			signed := func() {
				t.Helper()
				if err := shop.sign(); !errors.Is(err, job.ErrFinished) {
					t.Fatal(err)
				}
			}
			hear("corr-0001", ledger.OrderAccepted)
			if c.refusedBefore {
				shop.cancel()
				hear("corr-0001", ledger.CancelRefused)
			}
			shop.Clock.Pass(2 * week)
			shop.abandon()
			if !c.refusedBefore {
				hear("corr-0001", ledger.CancelRefused)
			}
			signed()
			first := shop.order().Items[0].Abandoned.Ending
			for _, kind := range c.early {
				hear(first, kind)
			}
			ends := map[string]bool{first: true}
			if c.made {
				hear("corr-0001", ledger.OrderCompleted)
				ends[shop.order().Items[0].Abandoned.Ending] = true
			}
			if len(ends) != c.ends || ends[""] {
				t.Errorf("it is ended by %v", ends)
			}
			if c.ends == 2 {
				signed()
			}
			if !c.made && shop.subscription(shop.order().Items[0].SubscriptionID).State != subscription.Terminated {
				t.Error("it is not ended")
			}
		})
	}
}

// TestATerminationThatWasGivenUpCountsWhenItsSupplierCarriedItOut: the customer wanted it so.
func TestATerminationThatWasGivenUpCountsWhenItsSupplierCarriedItOut(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	shop.keepsLog(vendor)
	defer shop.inOrder()
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := shop.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	sub := shop.order().Items[0].SubscriptionID
	_, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{end(sub)}})
	if err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(2 * week)
	o, _, err := shop.service.Abandon(t.Context(), "shop", "order-0002", false, word)
	if err != nil || o.Items[0].PublicReason() != "termination_refused" || shop.subscription(sub).State != subscription.Active {
		t.Fatalf("%s, the subscription %s, %v", o.Items[0].PublicReason(), shop.subscription(sub).State, err)
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := shop.hear(vendor, o.Items[0].CorrelationID, kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if shop.subscription(sub).State != subscription.Terminated {
		t.Errorf("the subscription is %s", shop.subscription(sub).State)
	}
}

// TestATerminationThatWasGivenUpCountsDuringTheNextOrder, which its supplier then refuses.
func TestATerminationThatWasGivenUpCountsDuringTheNextOrder(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	place := func(id string, item retail.ItemCommand) string {
		t.Helper()
		o, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: id, Items: []retail.ItemCommand{item}})
		if err != nil {
			t.Fatal(err)
		}
		return o.Items[0].CorrelationID
	}
	hear := func(id string, kinds ...ledger.Kind) {
		t.Helper()
		for _, kind := range kinds {
			if err := shop.hear(vendor, id, kind, `{}`); err != nil {
				t.Fatal(err)
			}
		}
	}
	hear("corr-0001", ledger.OrderAccepted)
	if err := shop.apply(ledger.OrderCompleted, `{"access_sha256":"`+strings.Repeat("ab", 32)+`"}`); err != nil {
		t.Fatal(err)
	}
	sub := shop.order().Items[0].SubscriptionID
	given := place("order-0002", end(sub))
	shop.Clock.Pass(2 * week)
	if _, _, err := shop.service.Abandon(t.Context(), "shop", "order-0002", false, word); err != nil {
		t.Fatal(err)
	}
	next := place("order-0003", retail.ItemCommand{Action: order.Modify, Intent: order.Rotate, SubscriptionID: sub})
	hear(given, ledger.OrderAccepted, ledger.OrderCompleted)
	hear(next, ledger.OrderRejected)
	if shop.subscription(sub).State != subscription.Terminated {
		t.Errorf("the subscription is %s", shop.subscription(sub).State)
	}
}

// TestARotationThatWasGivenUpCountsWhenItsSupplierCarriedItOut: the access data of before are ended there.
func TestARotationThatWasGivenUpCountsWhenItsSupplierCarriedItOut(t *testing.T) {
	t.Parallel()
	one, another := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	shop := newOrder(t)
	shop.keepsLog(vendor)
	defer shop.inOrder()
	if err := shop.apply(ledger.OrderAccepted, `{}`); err != nil {
		t.Fatal(err)
	}
	if err := shop.apply(ledger.OrderCompleted, `{"access_sha256":"`+one+`"}`); err != nil {
		t.Fatal(err)
	}
	sub := shop.order().Items[0].SubscriptionID
	_, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{
		{Action: order.Modify, Intent: order.Rotate, SubscriptionID: sub},
	}})
	if err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(2 * week)
	o, _, err := shop.service.Abandon(t.Context(), "shop", "order-0002", false, word)
	if err != nil || o.Items[0].PublicReason() != "rotation_refused" || string(shop.subscription(sub).AccessDigest) != one {
		t.Fatalf("%s, access data %s, %v", o.Items[0].PublicReason(), shop.subscription(sub).AccessDigest, err)
	}
	if err := shop.hear(vendor, o.Items[0].CorrelationID, ledger.OrderAccepted, `{}`); err != nil {
		t.Fatal(err)
	}
	if err := shop.hear(vendor, o.Items[0].CorrelationID, ledger.OrderCompleted, `{"access_sha256":"`+another+`"}`); err != nil {
		t.Fatal(err)
	}
	if got := shop.subscription(sub); got.State != subscription.Active || string(got.AccessDigest) != another || got.AccessReady {
		t.Errorf("the subscription is %s with access data %s", got.State, got.AccessDigest)
	}
}

// TestARotationThatWasGivenUpLeavesTheNextOrderItsOwn: what the supplier carries out late neither ends the course of the order that has the
// subscription by then, nor takes its outcome away.
func TestARotationThatWasGivenUpLeavesTheNextOrderItsOwn(t *testing.T) {
	t.Parallel()
	const done, refused = ledger.OrderCompleted, ledger.OrderRejected
	one, late, next := strings.Repeat("ab", 32), strings.Repeat("cd", 32), strings.Repeat("ef", 32)
	access := func(digest string) string { return `{"access_sha256":"` + digest + `"}` }
	for name, c := range map[string]struct {
		next retail.ItemCommand
		// before: the next order ended before what was given up was carried out.
		before  bool
		decides ledger.Kind
		brings  string
		// between is the subscription after both the next order was placed and the late one was carried out.
		between subscription.State
		state   subscription.State
		access  string
	}{
		"another rotation":                    {retail.ItemCommand{Action: order.Modify, Intent: order.Rotate}, false, done, next, subscription.ActivePendingChange, subscription.Active, next},
		"another rotation, refused":           {retail.ItemCommand{Action: order.Modify, Intent: order.Rotate}, false, refused, "", subscription.ActivePendingChange, subscription.Active, late},
		"another rotation, carried out first": {retail.ItemCommand{Action: order.Modify, Intent: order.Rotate}, true, done, next, subscription.Active, subscription.Active, late},
		"a termination":                       {retail.ItemCommand{Action: order.Delete}, false, done, "", subscription.PendingTerminate, subscription.Terminated, late},
		"a termination, refused":              {retail.ItemCommand{Action: order.Delete}, false, refused, "", subscription.PendingTerminate, subscription.Active, late},
		"a termination, carried out first":    {retail.ItemCommand{Action: order.Delete}, true, done, "", subscription.Terminated, subscription.Terminated, one},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			hear := func(id string, kind ledger.Kind, body string) {
				t.Helper()
				if err := shop.hear(vendor, id, kind, body); err != nil {
					t.Fatal(err)
				}
			}
			carriedOut := func(id, digest string) {
				t.Helper()
				hear(id, ledger.OrderAccepted, `{}`)
				if digest == "" {
					hear(id, done, `{}`)
					return
				}
				hear(id, done, access(digest))
			}
			place := func(id string, item retail.ItemCommand) string {
				t.Helper()
				item.SubscriptionID = shop.order().Items[0].SubscriptionID
				o, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: id, Items: []retail.ItemCommand{item}})
				if err != nil {
					t.Fatal(err)
				}
				return o.Items[0].CorrelationID
			}
			sub := shop.order().Items[0].SubscriptionID
			carriedOut(shop.order().Items[0].CorrelationID, one)
			given := place("order-0002", retail.ItemCommand{Action: order.Modify, Intent: order.Rotate})
			shop.Clock.Pass(2 * week)
			if _, _, err := shop.service.Abandon(t.Context(), "shop", "order-0002", false, word); err != nil {
				t.Fatal(err)
			}
			then := place("order-0003", c.next)
			decide := func() {
				t.Helper()
				if c.decides == done {
					carriedOut(then, c.brings)
				} else {
					hear(then, c.decides, `{}`)
				}
			}
			if c.before {
				decide()
			}
			carriedOut(given, late)
			if got := shop.subscription(sub); got.State != c.between {
				t.Errorf("between them it is %s, want %s", got.State, c.between)
			}
			if !c.before {
				decide()
			}
			got := shop.subscription(sub)
			if got.State != c.state || string(got.AccessDigest) != c.access || got.AccessReady {
				t.Errorf("it is %s with access data %s, want %s with %s", got.State, got.AccessDigest, c.state, c.access)
			}
		})
	}
}

// TestWhatHasNotComeBackKeepsNothingElseFromBeingGivenUp, and is not given up itself: nobody knows whose it is.
func TestWhatHasNotComeBackKeepsNothingElseFromBeingGivenUp(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	shop := newCounter(t)
	shop.stand(second, ledger.Unproven)
	if err := shop.givesBack(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(4 * week)
	o := shop.abandon()
	if o.Items[0].State != order.Failed || o.Items[0].Abandoned == nil || o.Items[1].State != order.PendingRebuilding || o.Items[1].Abandoned != nil {
		t.Errorf("the items are %s and %s", o.Items[0].State, o.Items[1].State)
	}
	_, _, err := shop.service.Abandon(t.Context(), "shop", "order-0001", false, word)
	if fault.ReasonOf(err) != "order_not_abandonable" || !strings.Contains(err.Error(), "has not come back") {
		t.Errorf("the rest is given up: %v", err)
	}
	shop.stand(second, ledger.Level)
	if err := shop.givesBack(was.Items[1]); err != nil {
		t.Fatal(err)
	}
	if o := shop.abandon(); o.Items[1].Abandoned == nil {
		t.Errorf("once it is back it is %s", o.Items[1].State)
	}
}

// TestWhatIsGivenUpUnsignedKeepsItsCancel: it is signed when the books are level, and the order itself never.
func TestWhatIsGivenUpUnsignedKeepsItsCancel(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	shop.stand(vendor, ledger.Unproven)
	if _, err := shop.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(2 * week)
	if o := shop.abandon(); o.State() != order.Failed || shop.placedCancels() != 0 {
		t.Fatalf("it is %s", o.State())
	}
	shop.stand(vendor, ledger.Level)
	if err := shop.sign(); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	if kind, jobs := shop.sentFirst(); kind != retail.JobCancel || jobs != 1 || shop.placedCancels() != 1 {
		t.Errorf("%d jobs, %s first, %d cancels", jobs, kind, shop.placedCancels())
	}
	if it := shop.order().Items[0]; it.State != order.Failed || it.Document != "" {
		t.Errorf("it is %s, signed %t", it.State, it.Document != "")
	}
}

// viewed counts views.
type viewed struct {
	unit.Work[retail.Tx]
	views int
}

func (v *viewed) View(ctx context.Context, fn func(retail.Tx) error) error {
	v.views++
	return v.Work.View(ctx, fn)
}

// TestLateLooksAtEveryOpenOrder: what charges longest is the oldest, behind many that have ended.
func TestLateLooksAtEveryOpenOrder(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	put := func(name string, n int, state order.State) {
		shop.Do(func(tx *store.Tx) error {
			for i := range n {
				id := fmt.Sprintf("%s-%03d", name, i)
				_, err := tx.RetailOrders().Put(retail.Order{
					ID: id, RequestDigest: []byte("x"), PlacedAt: shop.Clock.Now(),
					Items: []retail.Item{{Item: order.Item{Name: name, State: state}, CorrelationID: id, Partner: vendor}},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		shop.Clock.Pass(time.Hour)
	}
	read := &viewed{Work: shop.service.Work}
	shop.service.Work = read
	late := func() []string {
		t.Helper()
		read.views = 0
		told, err := shop.service.Late(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	put("oldest", 3, order.InProgress)
	put("ended", 230, order.Completed)
	if told := late(); len(told) != 3 || !strings.Contains(told[2], "oldest-000") {
		t.Errorf("operators read %v", told)
	}
	if read.views != 1 {
		t.Errorf("for three open orders %d pages were read, of what has ended too", read.views)
	}
	put("newest", 220, order.InProgress)
	if told := late(); len(told) != 201 || !strings.HasPrefix(told[200], "23 more") || !strings.Contains(told[0], "newest-219") {
		t.Errorf("operators read %d lines, the last %q", len(told), told[len(told)-1])
	}
}
