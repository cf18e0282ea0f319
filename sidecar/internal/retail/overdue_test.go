package retail_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const week = 7 * 24 * time.Hour

// sweep lets a sweep that has seen nothing yet look once, and returns how many orders it began to cancel.
func (c *counter) sweep() int {
	c.t.Helper()
	begun, err := (&retail.Sweep{Orders: c.service}).Once(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	return begun
}

// TestTheStoryOfAnOrderThatIsNotDecidedInTime: what was heard of it before accept_by passed, and what the supplier tells afterwards, for it
// may have decided in time.
func TestTheStoryOfAnOrderThatIsNotDecidedInTime(t *testing.T) {
	t.Parallel()
	accepted, held, completed, failed, rejected := ledger.OrderAccepted, ledger.OrderHeld, ledger.OrderCompleted, ledger.OrderFailed, ledger.OrderRejected
	cancelled, refused := ledger.OrderCancelled, ledger.CancelRefused
	for name, c := range map[string]struct {
		before []ledger.Kind
		// cancel: the customer asked for it before.
		cancel       bool
		passes       time.Duration
		begun        int
		after        []ledger.Kind
		state        order.State
		reason       string
		subscription subscription.State
	}{
		"in time":                {passes: week, state: order.Acknowledged, subscription: subscription.PendingActive},
		"within the grace":       {passes: week + 10*time.Minute, state: order.Acknowledged, subscription: subscription.PendingActive},
		"nothing heard":          {passes: week + 11*time.Minute, begun: 1, state: order.PendingCancellation, reason: "not_accepted_in_time", subscription: subscription.PendingActive},
		"accepted before":        {before: []ledger.Kind{accepted}, passes: 2 * week, state: order.InProgress, subscription: subscription.PendingActive},
		"held before":            {before: []ledger.Kind{accepted, held}, passes: 2 * week, state: order.HeldIndeterminate, reason: "order_check", subscription: subscription.PendingActive},
		"completed before":       {before: []ledger.Kind{accepted, completed}, passes: 2 * week, state: order.Completed, subscription: subscription.Active},
		"the customer cancelled": {cancel: true, passes: 2 * week, begun: 1, state: order.PendingCancellation, reason: "not_accepted_in_time", subscription: subscription.PendingActive},
		"the customer cancelled what was accepted": {before: []ledger.Kind{accepted}, cancel: true, passes: 2 * week, state: order.AssessingCancel, subscription: subscription.PendingActive},
		"cancelled":                            {passes: 2 * week, begun: 1, after: []ledger.Kind{cancelled}, state: order.Cancelled, subscription: subscription.Aborted},
		"rejected":                             {passes: 2 * week, begun: 1, after: []ledger.Kind{rejected, refused}, state: order.Rejected, reason: "order_refused", subscription: subscription.Aborted},
		"accepted in time after all":           {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted}, state: order.AssessingCancel, subscription: subscription.PendingActive},
		"accepted in time, then cancelled":     {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted, cancelled}, state: order.Cancelled, subscription: subscription.Aborted},
		"accepted in time, too late to cancel": {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted, refused}, state: order.InProgress, reason: "too_late", subscription: subscription.PendingActive},
		"accepted and held in time":            {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted, held, refused}, state: order.HeldIndeterminate, reason: "too_late", subscription: subscription.PendingActive},
		"completed in time after all":          {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted, completed, refused}, state: order.Completed, subscription: subscription.Active},
		"failed in time":                       {passes: 2 * week, begun: 1, after: []ledger.Kind{accepted, failed, refused}, state: order.Failed, reason: "order_refused", subscription: subscription.Aborted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			for _, kind := range c.before {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			if c.cancel {
				shop.cancel()
			}
			shop.Clock.Pass(c.passes)
			if begun := shop.sweep(); begun != c.begun {
				t.Errorf("%d cancels began, want %d", begun, c.begun)
			}
			if again := shop.sweep(); again != 0 {
				t.Errorf("%d cancels began once more", again)
			}
			for _, kind := range c.after {
				body := `{}`
				if kind == refused {
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
			if c.begun == 1 {
				if cancels := shop.placedCancels(); cancels != 1 {
					t.Errorf("%d cancels stand in our ledger", cancels)
				}
			}
		})
	}
}

// placedCancels counts the cancels in our ledger towards the vendor.
func (c *counter) placedCancels() (n int) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		entries, err := tx.Ledger().Entries(vendor, ledger.Own, ledger.Position{}, 100)
		for _, e := range entries {
			if e.Kind == ledger.CancelPlaced {
				n++
			}
		}
		return err
	})
	return n
}

// TestAnOverdueOrderIsCancelledOnce: a repeated cancel of the customer's changes nothing, and says what is going on.
func TestAnOverdueOrderIsCancelledOnce(t *testing.T) {
	t.Parallel()
	shop := newOrder(t)
	shop.Clock.Pass(2 * week)
	shop.sweep()
	before := shop.order()
	if o := shop.cancel(); o.Version != before.Version || o.State() != order.PendingCancellation {
		t.Errorf("it is %s, version %d, and was version %d", o.State(), o.Version, before.Version)
	}
	if sent, _ := shop.sentFirst(); sent != retail.JobCancel {
		t.Errorf("%s is sent first", sent)
	}
}

// sentFirst is the kind of the first job about the order that has a document, and how many jobs there are.
func (c *counter) sentFirst() (kind string, jobs int) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		all, err := tx.Jobs().List(100)
		jobs = len(all)
		for _, j := range all {
			if kind == "" || j.Kind == retail.JobCancel {
				kind = j.Kind
			}
		}
		return err
	})
	return kind, jobs
}

// TestAnOverdueItemIsCancelledAndNoOther of the same order.
func TestAnOverdueItemIsCancelledAndNoOther(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	if _, err := shop.place(add("lst"), add("other")); err != nil {
		t.Fatal(err)
	}
	if err := shop.hear(second, "corr-0002", ledger.OrderAccepted, `{}`); err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(2 * week)
	if begun := shop.sweep(); begun != 1 {
		t.Fatalf("%d cancels began", begun)
	}
	if o := shop.order(); o.Items[0].State != order.PendingCancellation || o.Items[1].State != order.InProgress || o.State() != order.PendingCancellation {
		t.Errorf("the items are %s and %s, the order %s", o.Items[0].State, o.Items[1].State, o.State())
	}
}

// TestASweepGoesOnWhereItEnded: what was looked at is read again after an hour, which finds what was rebuilt meanwhile.
func TestASweepGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	place := func(id string) {
		t.Helper()
		if _, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: id, Items: []retail.ItemCommand{add("lst")}}); err != nil {
			t.Fatal(err)
		}
	}
	w := &retail.Sweep{Orders: shop.service}
	once := func(want int) {
		t.Helper()
		if begun, err := w.Once(t.Context()); err != nil || begun != want {
			t.Fatalf("%d cancels began, want %d, %v", begun, want, err)
		}
	}
	const orders = 120 // more than one transaction looks at
	for i := range orders {
		place(fmt.Sprintf("order-%04d", i+1000))
		shop.Clock.Pass(time.Second)
	}
	once(0)
	shop.Clock.Pass(week + overdueGrace - 60*time.Second)
	once(60)
	shop.Clock.Pass(time.Minute)
	once(60)
	once(0)
	shop.Clock.Pass(time.Hour)
	once(0)
}

// TestWhoHasLittleTimeIsNotWaitedForMuchLonger: in tests the waits are as short as the time to decide.
func TestWhoHasLittleTimeIsNotWaitedForMuchLonger(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	shop.service.AcceptWithin = 5 * time.Second
	if every := (&retail.Sweep{Orders: shop.service}).Every(time.Minute); every != 5*time.Second {
		t.Errorf("it is looked every %s", every)
	}
	if _, err := shop.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0001", Items: []retail.ItemCommand{add("lst")}}); err != nil {
		t.Fatal(err)
	}
	word := act.Word{By: "operator", Reason: "nobody answers"}
	for _, step := range []struct {
		passes time.Duration
		begun  int
		given  bool
	}{{9 * time.Second, 0, false}, {2 * time.Second, 1, true}} {
		shop.Clock.Pass(step.passes)
		if begun := shop.sweep(); begun != step.begun {
			t.Errorf("%d cancels began, want %d", begun, step.begun)
		}
		if _, given, err := shop.service.Abandon(t.Context(), "shop", "order-0001", true, word); (err == nil && len(given) == 1) != step.given {
			t.Errorf("%v may be given up, %v", given, err)
		}
	}
}

// overdueGrace is what the package waits after accept_by.
const overdueGrace = 10 * time.Minute

// TestAnOverdueOrderWaitsUnsignedLikeAnyOther where the books are not level: its cancel is signed when they are.
func TestAnOverdueOrderWaitsUnsignedLikeAnyOther(t *testing.T) {
	t.Parallel()
	shop := newCounter(t)
	shop.stand(vendor, ledger.Unproven)
	if _, err := shop.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	shop.Clock.Pass(2 * week)
	if begun := shop.sweep(); begun != 1 {
		t.Fatalf("%d cancels began", begun)
	}
	it := shop.order().Items[0]
	if it.State != order.PendingCancellation || it.CancelDocument != "" || it.UnsignedCancel == nil || shop.placedCancels() != 0 {
		t.Fatalf("it is %s, signed %t, unsigned %t", it.State, it.CancelDocument != "", it.UnsignedCancel != nil)
	}
	shop.stand(vendor, ledger.Level)
	for range 2 { // the order's own signature, which is due first, waits for the cancel's
		if err := shop.sign(); err != nil && !errors.Is(err, job.ErrFinished) {
			t.Log(err)
		}
	}
	if it := shop.order().Items[0]; it.State != order.PendingCancellation || it.CancelDocument == "" || shop.placedCancels() != 1 || it.PublicReason() != "not_accepted_in_time" {
		t.Errorf("it is %s (%s), signed %t", it.State, it.PublicReason(), it.CancelDocument != "")
	}
}

// TestNothingIsOverdueBeforeTheSuppliersLogIsReadBack: a store that was put back may lack what the supplier decided in time.
func TestNothingIsOverdueBeforeTheSuppliersLogIsReadBack(t *testing.T) {
	t.Parallel()
	for name, doubt := range map[string]ledger.Books{
		"behind":                     {State: ledger.Behind, Reason: "ledger_recovering"},
		"restored":                   {State: ledger.Unproven, Reason: ledger.ReasonRestored},
		"went back":                  {State: ledger.Unproven, Reason: ledger.ReasonWentBack},
		"on another database server": {State: ledger.Unproven, Reason: ledger.ReasonServerChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newCounter(t)
			if _, err := shop.place(add("lst"), add("other")); err != nil {
				t.Fatal(err)
			}
			put := func(state ledger.BooksState, reason string) {
				shop.Do(func(tx *store.Tx) error {
					b, err := tx.Ledger().Books(vendor)
					if err == nil {
						b.State, b.Reason = state, reason
						_, err = tx.Ledger().PutBooks(b)
					}
					return err
				})
			}
			if err := shop.hear(second, "corr-0002", ledger.OrderAccepted, `{}`); err != nil {
				t.Fatal(err)
			}
			if err := shop.hear(second, "corr-0002", ledger.OrderCompleted, `{}`); err != nil {
				t.Fatal(err)
			}
			put(doubt.State, doubt.Reason)
			shop.Clock.Pass(2 * week)
			if begun := shop.sweep(); begun != 0 || shop.order().Items[0].State != order.Acknowledged {
				t.Errorf("%d cancels began, it is %s", begun, shop.order().Items[0].State)
			}
			for _, dry := range []bool{true, false} {
				_, _, err := shop.service.Abandon(t.Context(), "shop", "order-0001", dry, word)
				if fault.ReasonOf(err) != "order_not_abandonable" || !strings.Contains(err.Error(), vendor) {
					t.Errorf("it is given up: %v", err)
				}
			}
			put(ledger.Level, "")
			if begun := shop.sweep(); begun != 1 {
				t.Errorf("%d cancels began once they are level", begun)
			}
			if o := shop.abandon(); o.Items[0].Abandoned == nil {
				t.Error("then it is not given up")
			}
		})
	}
}

// killedStore and killedAt have the test run itself again over this store, until it dies at this point.
const killedStore, killedAt = "HANSE_TEST_KILLED_STORE", "HANSE_TEST_KILLED_AT"

// TestAnEndIsKilledAtItsCommit: whoever sweeps, or gives up, next finds it done whole, or not begun, and no second cancel stands in our ledger.
func TestAnEndIsKilledAtItsCommit(t *testing.T) {
	if path := os.Getenv(killedStore); path != "" {
		shop := reopened(t, path)
		shop.Clock.Pass(2 * week)
		var err error
		if shop.service.Fail, err = failpoint.Parse(os.Getenv(killedAt)); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(os.Getenv(killedAt), "retail.overdue.") {
			shop.sweep()
		} else {
			shop.abandon()
		}
		t.Fatal("the point was not passed")
	}
	for point, c := range map[string]struct {
		// begun is how many cancels the next sweep begins.
		begun int
		state order.State
		jobs  int
	}{
		"retail.overdue.before_commit": {1, order.PendingCancellation, 2},
		"retail.overdue.after_commit":  {0, order.PendingCancellation, 2},
		"retail.abandon.before_commit": {1, order.PendingCancellation, 2},
		"retail.abandon.after_commit":  {0, order.Failed, 1},
	} {
		t.Run(point, func(t *testing.T) {
			shop := newOrder(t)
			path := shop.Path
			if err := shop.Store.Close(); err != nil {
				t.Fatal(err)
			}
			child := exec.Command(os.Args[0], "-test.run=^TestAnEndIsKilledAtItsCommit$")
			child.Env = append(os.Environ(), killedStore+"="+path, killedAt+"="+point)
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v\n%s", err, out)
			}
			shop = reopened(t, path)
			shop.Clock.Pass(2 * week)
			if begun := shop.sweep(); begun != c.begun {
				t.Errorf("%d cancels were left to begin, want %d", begun, c.begun)
			}
			kind, jobs := shop.sentFirst()
			if it := shop.order().Items[0]; it.State != c.state || shop.placedCancels() != 1 || kind != retail.JobCancel || jobs != c.jobs {
				t.Errorf("it is %s with %d cancels and %d jobs, %s first", it.State, shop.placedCancels(), jobs, kind)
			}
		})
	}
}

// reopened is the counter of a store that was closed, or whose process died.
func reopened(t *testing.T, path string) *counter {
	t.Helper()
	c := &counter{t: t, Member: markettest.Open(t, buyer, markettest.Config{Path: path})}
	c.service = c.newService()
	return c
}
