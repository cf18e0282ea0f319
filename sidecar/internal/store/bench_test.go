package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// BenchmarkGroupCommit compares the grouping writer with one commit for each closure, on two stores of their own, pair by
// pair in turned order, and reports the median of the paired ratios: how many times as many small orders a second.
func BenchmarkGroupCommit(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			group := openAt(b, "group.db")
			single := openAt(b, "single.db")
			single.CommitEach()
			const orders = 512
			ratios := make([]float64, 0, 64)
			for pair, more := 0, true; ; pair++ {
				// Loop may not be asked again once it has said no.
				if more = more && b.Loop(); !more && pair >= 9 {
					break
				}
				var grouped, singled time.Duration
				if pair%2 == 0 {
					grouped = placeOrders(b, group, callers, orders, pair)
					singled = placeOrders(b, single, callers, orders, pair)
				} else {
					singled = placeOrders(b, single, callers, orders, pair)
					grouped = placeOrders(b, group, callers, orders, pair)
				}
				ratios = append(ratios, singled.Seconds()/grouped.Seconds())
				b.Logf("pair %d: %.0f/s grouped, %.0f/s single", pair, orders/grouped.Seconds(), orders/singled.Seconds())
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x-one-commit-each")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func openAt(b *testing.B, name string) *store.Store {
	return open(b, store.Config{Path: filepath.Join(b.TempDir(), name)})
}

// placeOrders is one small order each: a record, in its own closure.
func placeOrders(b *testing.B, s *store.Store, callers, orders, pair int) time.Duration {
	b.Helper()
	begun := time.Now()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range orders / callers {
				o := resale.Order{Partner: "https://r.example", ID: fmt.Sprint(pair, "-", c, "-", i), Item: order.Item{State: order.Acknowledged}}
				err := s.Do(b.Context(), func(tx *store.Tx) error { _, err := tx.ResaleOrders().Put(o); return err })
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(begun)
}
