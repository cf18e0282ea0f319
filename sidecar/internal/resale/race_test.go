package resale_test

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestAnEndIsTakenWhateverElseChangesAtThatInstant: a reseller ends what was completed a moment ago, while our own catalog,
// agreement and provisioning write what the decision reads. Races that we lose against ourselves are no decision.
func TestAnEndIsTakenWhateverElseChangesAtThatInstant(t *testing.T) {
	t.Parallel()
	const orders = 40
	d := newDesk(t)
	key := func(i int) subscription.Key {
		return subscription.ResaleKey(buyer, order.SubscriptionID(fmt.Sprintf("order-%04d", i)))
	}
	var ends [][]byte
	group, ctx := errgroup.WithContext(t.Context())
	take := func(i int, from string) error {
		document := d.document(fmt.Sprintf("%s-%04d", from, i))
		if from == "end" {
			document["action"], document["intent"], document["subscription"] = "delete", "terminate", key(i).ID
		}
		receipt, err := d.service.Receive(ctx, d.command(buyer, document))
		if err == nil && from == "end" {
			ends[i] = receipt.Entry
		}
		return err
	}
	ends = make([][]byte, orders)
	for i := range orders {
		if err := take(i, "order"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range orders {
		completed := make(chan struct{})
		group.Go(func() error {
			defer close(completed)
			return d.Store.Do(ctx, func(tx *store.Tx) error {
				o, err := tx.ResaleOrders().Get(buyer, fmt.Sprintf("order-%04d", i))
				if err != nil {
					return err
				}
				return d.service.Complete(tx, o, subscription.Result{Adapter: "x"})
			})
		})
		group.Go(func() error { <-completed; return take(i, "end") })
		group.Go(func() error {
			<-completed
			return d.Store.Do(ctx, func(tx *store.Tx) error {
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
			return d.Store.Do(ctx, func(tx *store.Tx) error {
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
	for i, entry := range ends {
		if !bytes.Contains(entry, []byte(ledger.OrderAccepted)) {
			t.Errorf("end %d was decided as %s", i, entry)
		}
	}
}
