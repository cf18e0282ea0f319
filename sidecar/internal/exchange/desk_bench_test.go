package exchange_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// badDocuments are bad in each of the places where a document can be found to be: before our books are read, and in the commit.
var badDocuments = []struct {
	name string
	make func(b *bench, id string) exchange.Document
}{
	{"not signed by the partner", func(b *bench, id string) exchange.Document {
		return exchange.Document{JWS: b.sign(other, signed.Order, b.purchase(id))}
	}},
	{"of another agreement", func(b *bench, id string) exchange.Document {
		return b.order(b.purchase(id).with(members{"agreement": "agr-other"}))
	}},
	{"that cannot be written", func(b *bench, id string) exchange.Document {
		document := b.purchase(id)
		key, _ := document["subscription"].(string)
		b.Do(func(tx *store.Tx) error { return tx.Subscriptions().Erase(subscription.ResaleKey(buyer, key)) })
		return b.order(document)
	}},
}

// BenchmarkBatchWithOneBadDocument submits full batches, clean ones and such with one bad document by turns, so that a busy machine
// slows both. Reported is the p99 of each and the ratio; 63 of a bad batch's 64 documents must be decided.
func BenchmarkBatchWithOneBadDocument(b *testing.B) {
	for _, bad := range badDocuments {
		b.Run(bad.name, func(b *testing.B) {
			desk := newBench(b)
			orders, last := 0, ""
			batch := func(spoil bool) time.Duration {
				docs := make([]exchange.Document, exchange.MaxDocuments)
				for i := range docs {
					orders++
					id := fmt.Sprintf("order-%07d", orders)
					if spoil && i == len(docs)/3 {
						docs[i] = bad.make(desk, id)
					} else {
						docs[i] = desk.order(desk.purchase(id))
					}
				}
				call := desk.call(docs...)
				if last != "" { // as a partner does that has read each reply: the next page holds the new decisions alone
					call.Seen = desk.seen(buyer, last)
				}
				began := time.Now()
				reply, err := desk.desk.Submit(b.Context(), call)
				took := time.Since(began)
				if err != nil {
					b.Fatal(err)
				}
				last = reply.Page.Checkpoint
				decided := 0
				for _, o := range reply.Outcomes {
					if o.Undecided == nil {
						decided++
					}
				}
				if want := map[bool]int{false: len(docs), true: len(docs) - 1}[spoil]; decided != want {
					b.Fatalf("%d of %d are decided, want %d", decided, len(docs), want)
				}
				return took
			}
			var clean, spoilt []time.Duration
			for range 5 {
				batch(false)
				batch(true)
			}
			b.ResetTimer()
			for range b.N {
				clean, spoilt = append(clean, batch(false)), append(spoilt, batch(true))
			}
			b.ReportMetric(p99(clean).Seconds()*1e3, "clean-p99-ms")
			b.ReportMetric(p99(spoilt).Seconds()*1e3, "bad-p99-ms")
			b.ReportMetric(p99(spoilt).Seconds()/p99(clean).Seconds(), "of-the-clean")
		})
	}
}

func p99(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[(len(of)*99+99)/100-1]
}
