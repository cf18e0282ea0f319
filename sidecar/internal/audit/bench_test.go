package audit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

const (
	vendor = "https://vendor.localhost:1"
	shop   = "https://shop.localhost:2"
)

// supplied is a supplier with n completed orders of a reseller, two entries of its ledger each.
func supplied(tb testing.TB, n int) *markettest.Member {
	tb.Helper()
	supplier, reseller := markettest.NewMember(tb, vendor), markettest.NewMember(tb, shop)
	supplier.Meet(reseller)
	supplier.Sell(reseller, n)
	return supplier
}

// BenchmarkAudit is the time of one audit by the entries that there are: it grows as they do.
func BenchmarkAudit(b *testing.B) {
	for _, entries := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("%d entries", entries), func(b *testing.B) {
			m := supplied(b, entries/2)
			auditor := &audit.Auditor{Self: vendor, Work: store.For[audit.Tx](m.Store), Book: m.Book, Now: m.Clock.Now}
			for b.Loop() {
				report, err := auditor.Run(context.Background(), "", nil)
				if err != nil || report.Broken() || report.Ledgers[0].Entries != int64(entries) {
					b.Fatal(report.Invariants, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(entries), "µs/entry")
		})
	}
}
