package sidecar_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkBesideASlowPartner measures how long orders to one partner take, from placed to decided, while others go to a second
// partner. The baseline in the same run is the same load with a second partner that answers at once; then its answers take half
// a second each. Reported are the medians of paired ratios of p50 and p99.
func BenchmarkBesideASlowPartner(b *testing.B) {
	members := sidecartest.New(b, acceptingMember, "reseller", "quick", "slow")
	key := members[0].AddPortal("shop")
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	orders := portalv1connect.NewOrderServiceClient(h, members[0].PortalURL, sidecartest.Bearer(key))
	listings := make(map[string]string)
	for i, m := range members[1:] {
		m.Apply(strings.Replace(benchOffering, "name: Bench", "name: "+[]string{"quick", "slow"}[i], 1))
		sidecartest.Connect(b, members[0], m, 2000, "EUR")
	}
	catalog := portalv1connect.NewCatalogServiceClient(h, members[0].PortalURL, sidecartest.Bearer(key))
	sidecartest.Eventually(b, 20*time.Second, "the offerings are listed", func() error {
		res, err := catalog.SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{}))
		if err != nil {
			return err
		}
		for _, l := range res.Msg.GetListings() {
			listings[l.GetName()] = l.GetId()
		}
		if len(listings) != 2 {
			return fmt.Errorf("listings of %v", listings)
		}
		return nil
	})
	place := func(supplier, id string) error {
		_, err := orders.PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
			Id: id, Customer: "c", Items: []*portalv1.OrderItem{{
				Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: listings[supplier],
			}},
		}))
		return err
	}
	decided := func(id string) (bool, error) {
		res, err := orders.GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		return res != nil && res.Msg.GetOrder().GetItems()[0].GetState() == "inProgress", err
	}
	round := 0
	// run places 400 orders with the quick one from 4 callers, beside 200 a second with the other, and returns how long each took.
	run := func() []time.Duration {
		round++
		stop := make(chan struct{})
		var beside, wg sync.WaitGroup
		beside.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if err := place("slow", fmt.Sprintf("beside-%d-%d", round, i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
		var mu sync.Mutex
		var took []time.Duration
		for c := range 4 {
			wg.Go(func() {
				for i := range 100 {
					id := fmt.Sprintf("order-%d-%d-%d", round, c, i)
					began := time.Now()
					if err := place("quick", id); err != nil {
						b.Error(err)
						return
					}
					for there := false; !there; {
						time.Sleep(time.Millisecond)
						var err error
						if there, err = decided(id); err != nil {
							b.Error(err)
							return
						}
					}
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		close(stop)
		beside.Wait()
		slices.Sort(took)
		return took
	}
	submit := peerv1connect.ExchangeServiceSubmitProcedure
	late := func(*http.Request, *httptest.ResponseRecorder) { time.Sleep(500 * time.Millisecond) }
	run()
	b.ResetTimer()
	var half, most []float64
	for range b.N {
		for range 5 {
			quick := run()
			members[2].Alter(submit, late)
			slow := run()
			members[2].Alter("", nil)
			half = append(half, float64(slow[len(slow)/2])/float64(quick[len(quick)/2]))
			most = append(most, float64(slow[len(slow)*99/100])/float64(quick[len(quick)*99/100]))
		}
	}
	b.ReportMetric(median(half), "p50-of-quick")
	b.ReportMetric(median(most), "p99-of-quick")
}
