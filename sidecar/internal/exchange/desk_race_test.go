package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestAnEndIsTakenWhateverElseChangesAtThatInstant: a reseller ends what was completed a moment ago, while our own catalog,
// agreement and provisioning write what the decision reads. Races that we lose against ourselves are no decision.
func TestAnEndIsTakenWhateverElseChangesAtThatInstant(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		const orders = 40
		id := func(i int) string { return fmt.Sprintf("order-%04d", i) }
		key := func(i int) subscription.Key { return subscription.ResaleKey(buyer, order.SubscriptionID(id(i))) }
		for i := range orders {
			b.submit(b.order(b.purchase(id(i))))
		}
		ends := make([]exchange.Outcome, orders)
		group, ctx := errgroup.WithContext(t.Context())
		for i := range orders {
			call := b.call(b.order(b.termination(fmt.Sprintf("end-%04d", i), id(i))))
			completed := make(chan struct{})
			group.Go(func() error {
				defer close(completed)
				return b.Store.Do(ctx, func(tx *store.Tx) error {
					o, err := tx.ResaleOrders().Get(buyer, id(i))
					if err != nil {
						return err
					}
					return b.desk.Orders.Complete(tx, o, subscription.Result{Adapter: "x"})
				})
			})
			group.Go(func() error {
				<-completed
				reply, err := b.desk.Submit(ctx, call)
				if err == nil {
					ends[i] = reply.Outcomes[0]
				}
				return err
			})
			group.Go(func() error {
				<-completed
				return b.Store.Do(ctx, func(tx *store.Tx) error {
					a, err := tx.Agreements().Get(self, "agr-buyer")
					if err != nil {
						return err
					}
					if _, err := tx.Agreements().Put(a); err != nil {
						return err
					}
					p, err := tx.Partners().Get(buyer)
					if err != nil {
						return err
					}
					_, err = tx.Partners().Put(p)
					return err
				})
			})
			group.Go(func() error { // whatever else looks after a subscription
				<-completed
				return b.Store.Do(ctx, func(tx *store.Tx) error {
					s, err := tx.Subscriptions().Get(key(i))
					if err != nil {
						return err
					}
					_, err = tx.Subscriptions().Put(s)
					return err
				})
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for i, end := range ends {
			if end.Undecided != nil || b.entry(end.At).Kind != ledger.OrderAccepted {
				t.Errorf("end %d became %+v", i, end)
			}
		}
	})
}

// TestFiftyIdenticalDocumentsHaveOneEffect: from different calls, alone and among others.
func TestFiftyIdenticalDocumentsHaveOneEffect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		const calls = 50
		same := b.purchase("order-same")
		outcomes := make([]exchange.Outcome, calls)
		var all sync.WaitGroup
		var mu sync.Mutex
		var failed []error
		for i := range calls {
			docs := []exchange.Document{b.order(same)}
			if i%2 == 0 { // among others, in either order
				docs = append(docs, b.order(b.purchase(fmt.Sprintf("order-%04d", i))))
				if i%4 == 0 {
					slices.Reverse(docs)
				}
			}
			call := b.call(docs...)
			all.Go(func() {
				reply, err := b.desk.Submit(t.Context(), call)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = append(failed, err)
					return
				}
				outcomes[i] = reply.Outcomes[0]
				if i%4 == 0 {
					outcomes[i] = reply.Outcomes[1]
				}
			})
		}
		all.Wait()
		if len(failed) > 0 {
			t.Fatal(failed[0])
		}
		for i, o := range outcomes {
			if o.Undecided != nil || o != outcomes[0] {
				t.Errorf("call %d: %+v, the first %+v", i, o, outcomes[0])
			}
		}
		if n := b.traces(); n != (traces{orders: 26, entries: 26, jobs: 26, subscriptions: 26}) {
			t.Errorf("left %+v", n)
		}
	})
}

// TestOneIdWithTwoContentsHasOneEffect: whichever comes first stands, the other is told so for ever.
func TestOneIdWithTwoContentsHasOneEffect(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		one := b.call(b.order(b.purchase("order-0001")))
		two := b.call(b.order(b.purchase("order-0001").with(members{"quantity": 1, "one_off_minor": 960})))
		var group errgroup.Group
		outcomes := make([]exchange.Outcome, 20)
		for i := range outcomes {
			call := one
			if i%2 == 0 {
				call = two
			}
			group.Go(func() error {
				reply, err := b.desk.Submit(t.Context(), call)
				if err == nil {
					outcomes[i] = reply.Outcomes[0]
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		won := 0
		for _, o := range outcomes {
			if o.Undecided == nil {
				won++
			} else if reasonOf(o) != "document_conflict" || !o.Final() {
				t.Errorf("outcome %+v", o)
			}
		}
		if n := b.traces(); won != 10 || n != (traces{orders: 1, entries: 1, jobs: 1, subscriptions: 1}) {
			t.Errorf("%d of 20 won, left %+v", won, n)
		}
	})
}

// TestAnOrderAndItsCancelMeetInOneDecision: they arrive at the same instant by different calls; the books say the same to both.
func TestAnOrderAndItsCancelMeetInOneDecision(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		const pairs = 20
		var group errgroup.Group
		kinds := make([][2]ledger.Kind, pairs)
		for i := range pairs {
			document := b.purchase(fmt.Sprintf("order-%04d", i))
			for j, call := range []exchange.Call{b.call(b.order(document)), b.call(b.cancelling(document))} {
				group.Go(func() error {
					reply, err := b.desk.Submit(t.Context(), call)
					if err != nil {
						return err
					}
					if u := reply.Outcomes[0].Undecided; u != nil {
						return u
					}
					return b.Store.View(t.Context(), func(tx *store.Tx) error {
						e, err := tx.Ledger().Entry(buyer, ledger.Own, reply.Outcomes[0].At)
						kinds[i][j] = e.Kind
						return err
					})
				})
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for i, k := range kinds {
			o, found := b.resaleOrder(fmt.Sprintf("order-%04d", i))
			switch {
			case k == [2]ledger.Kind{ledger.OrderCancelled, ledger.OrderCancelled} && !found:
			case k == [2]ledger.Kind{ledger.OrderAccepted, ledger.OrderCancelled} && o.State == order.Cancelled:
			default:
				t.Errorf("pair %d was decided as %v, and the order is %q", i, k, o.State)
			}
		}
		for _, j := range b.jobs() {
			t.Errorf("job %s %s is left", j.Kind, j.Key)
		}
	})
}

func TestTheRaceTestsSpeakOfBothEngines(t *testing.T) {
	t.Parallel()
	var names []string
	for name := range engines {
		names = append(names, name)
	}
	slices.Sort(names)
	if strings.Join(names, " ") != "postgres sqlite" {
		t.Error(names)
	}
}
