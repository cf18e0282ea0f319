package retail_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// escrow is a supplier's store of sealed access data, by subscription.
type escrow map[string]string

func (e escrow) AccessData(_ context.Context, _, _, id string) (string, error) { return e[id], nil }

// TestWhatEndsTheInstantItRunsIsNeverToldOfOurOwnRaces: the customer ends a subscription while the feed completes it and a job
// fetches its access data. All three write the same record; the customer hears that it does not run yet, or nothing.
func TestWhatEndsTheInstantItRunsIsNeverToldOfOurOwnRaces(t *testing.T) {
	t.Parallel()
	const orders = 80
	c := newCounter(t)
	sealed := escrow{}
	access := &subscription.Service{
		Self: buyer, Work: store.For[subscription.Tx](c.Store), Link: sealed, Book: c.Book, Signer: c.Keys, Opener: c.Keys, Now: c.Clock.Now,
	}
	placed := make([]retail.Item, orders)
	for i := range placed {
		o, err := c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: fmt.Sprintf("order-%04d", i), Items: []retail.ItemCommand{add("lst")}})
		if err != nil {
			t.Fatal(err)
		}
		placed[i] = o.Items[0]
		data, err := json.Marshal(subscription.AccessData{Subscription: placed[i].SubscriptionID, Fields: []subscription.AccessField{}})
		if err != nil {
			t.Fatal(err)
		}
		if sealed[placed[i].SubscriptionID], err = keys.Seal(c.Keys.PublicJWK(keys.Sealing), data); err != nil {
			t.Fatal(err)
		}
	}
	group, ctx := errgroup.WithContext(t.Context())
	for i, it := range placed {
		completed := make(chan struct{})
		group.Go(func() error {
			defer close(completed)
			for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted, ledger.OrderCompleted} {
				body := fmt.Sprintf(`{"access_sha256":%q}`, signed.Digest([]byte(sealed[it.SubscriptionID])))
				if err := c.hear(vendor, it.CorrelationID, kind, body); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			<-completed
			err := access.FetchAccess(ctx, job.Job{ID: 1, Kind: subscription.JobAccessFetch, Key: it.SubscriptionID, Partner: vendor})
			if !errors.Is(err, job.ErrFinished) {
				return fmt.Errorf("fetch access data: %w", err)
			}
			return nil
		})
		for n := range 2 { // two clicks on the same button, each an order of its own
			group.Go(func() error {
				for ctx.Err() == nil {
					_, err := c.service.Place(ctx, retail.PlaceCommand{
						Portal: "shop", Customer: "c", ID: fmt.Sprintf("end-%04d-%d", i, n), Items: []retail.ItemCommand{end(it.SubscriptionID)},
					})
					var state subscription.State
					if readErr := c.Store.View(ctx, func(tx *store.Tx) error {
						s, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
						state = s.State
						return err
					}); readErr != nil {
						return readErr
					}
					if err != nil && fault.ReasonOf(err) != "subscription_state" {
						return fmt.Errorf("the customer is told %w", err)
					}
					if err == nil || state == subscription.PendingTerminate {
						return nil
					}
				}
				return ctx.Err()
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	c.View(func(tx *store.Tx) error {
		for _, it := range placed {
			s, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
			if err != nil {
				return err
			}
			if s.State != subscription.PendingTerminate || s.Before != subscription.Active {
				t.Errorf("subscription %s is %s, before %q", s.ID, s.State, s.Before)
			}
		}
		ends := 0
		list, err := tx.RetailOrders().List(false, order.Place{}, 10*orders)
		for _, o := range list {
			if o.Items[0].Action == order.Delete {
				ends++
			}
		}
		if ends != orders {
			t.Errorf("%d orders end %d subscriptions", ends, orders)
		}
		return err
	})
}
