package store_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestWhatWasRebuiltIsListedForTheCustomerItGetsLater, and for the portal.
func TestWhatWasRebuiltIsListedForTheCustomerItGetsLater(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		o, u := smallOrder("order-0001"), fullSubscription()
		portal := o.Portal
		o.Customer, u.Portal, u.Customer = "", "", ""
		do(t, s, func(tx *store.Tx) error {
			o, u = must(tx.RetailOrders().Put(o)), must(tx.Subscriptions().Put(u))
			return nil
		})
		o.Customer, u.Portal, u.Customer = "c-1", portal, "c-1"
		do(t, s, func(tx *store.Tx) error {
			must(tx.RetailOrders().Put(o))
			must(tx.Subscriptions().Put(u))
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			orders, _, err := tx.RetailOrders().OfCustomer(portal, "c-1", "", 10)
			if err != nil || len(orders) != 1 {
				t.Errorf("%d orders, %v", len(orders), err)
			}
			subs, _, err := tx.Subscriptions().OfCustomer(portal, "c-1", "", 10)
			if err != nil || len(subs) != 1 {
				t.Errorf("%d subscriptions, %v", len(subs), err)
			}
			return nil
		})
	})
}
