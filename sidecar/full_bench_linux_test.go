package sidecar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkFull100k runs a real daemon on a store of 100,000 foreign offerings and 100,000 orders with their subscriptions, of which
// 1,000 are open. Reported are how long it takes from its start until it is ready, with the search complete (the median, and the CPU
// time); its resident memory then; and what a scrape of its metrics takes (the median, and the CPU time), beside one of the same daemon
// when it was empty.
func BenchmarkFull100k(b *testing.B) {
	const many = 100_000
	d := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "full", DevCA: b.TempDir()})
	d.Start()
	emptyMS, emptyCPU := scrapes(b, d)
	d.Stop()
	forgetPartners(b, d)
	seed(b, d, many)
	var starts, cpu, rss []float64
	for range b.N {
		for range 3 {
			begun := time.Now()
			d.Start()
			starts = append(starts, time.Since(begun).Seconds())
			cpu = append(cpu, d.CPU().Seconds())
			rss = append(rss, d.RSS())
			if len(starts) < 3*b.N {
				d.Stop()
			}
		}
	}
	fullMS, fullCPU := scrapes(b, d)
	b.ReportMetric(median(starts), "start-s")
	b.ReportMetric(median(cpu), "start-cpu-s")
	b.ReportMetric(median(rss), "start-rss-MiB")
	b.ReportMetric(fullMS, "scrape-ms")
	b.ReportMetric(fullCPU, "scrape-cpu-ms")
	b.ReportMetric(emptyMS, "empty-scrape-ms")
	b.ReportMetric(emptyCPU, "empty-scrape-cpu-ms")
	b.ReportMetric(0, "ns/op")
}

// scrapes is how long a scrape takes, the median, and its CPU time, both in milliseconds.
func scrapes(b *testing.B, d *sidecartest.Daemon) (took, cpu float64) {
	b.Helper()
	const n = 50
	scrape(b, d)
	<-time.After(100 * time.Millisecond)
	var all []float64
	before := d.CPU()
	for range n {
		begun := time.Now()
		scrape(b, d)
		all = append(all, float64(time.Since(begun).Microseconds())/1000)
		<-time.After(20 * time.Millisecond)
	}
	return median(all), float64((d.CPU() - before).Microseconds()) / 1000 / n
}

// seed gives a daemon that does not run n offerings of a partner, and n orders with a subscription each.
func seed(b *testing.B, d *sidecartest.Daemon, n int) {
	b.Helper()
	ctx := context.Background()
	st := openStore(b, d)
	const suppliers = 4
	supplier := func(i int) string { return fmt.Sprintf("https://away%d.localhost:1", i%suppliers) }
	offered := markettest.NewMember(b, supplier(0)).Offer(markettest.Offering{}).Document
	reader := &catalog.Reader{Work: store.For[catalog.Tx](st), Schemas: recipe.NewSchemas(0), Now: time.Now}
	for of := range suppliers {
		var cursor []byte
		for at := 0; at < n/suppliers; at += catalog.MaxPage {
			end := min(n/suppliers, at+catalog.MaxPage)
			page := catalog.Page{SnapshotBegin: at == 0, SnapshotEnd: end == n/suppliers, Cursor: fmt.Append(nil, at)}
			for i := at; i < end; i++ {
				id := fmt.Sprintf("db-%06d", i)
				document := bytes.Replace(offered, []byte(`"id":"db"`), fmt.Appendf(nil, `"id":%q`, id), 1)
				document = bytes.Replace(document, []byte(`"name":"Database"`), fmt.Appendf(nil, `"name":"Database %d"`, i), 1)
				page.Items = append(page.Items, catalog.Change{OfferingID: id, Revision: 1, Document: document, Digest: sha256.Sum256(document)})
			}
			applied, err := reader.ApplyPage(ctx, supplier(of), cursor, page)
			if err != nil || applied.Stored != len(page.Items) {
				b.Fatalf("%d of %d offerings stored: %v", applied.Stored, len(page.Items), err)
			}
			cursor = page.Cursor
		}
	}
	now := time.Now().UTC()
	for at := 0; at < n; at += 1000 {
		err := st.Do(ctx, func(tx *store.Tx) error {
			for i := at; i < min(n, at+1000); i++ {
				state := order.Completed
				if i%100 == 0 {
					state = order.InProgress
				}
				id, placed := fmt.Sprintf("order-%06d", i), now.Add(time.Duration(i-n)*time.Second)
				item := order.Item{
					Action: order.Add, Intent: order.Purchase, AgreementID: "agr", OfferingID: "db-000000", Revision: 1, Name: "Database", Quantity: 1,
					SubscriptionID: "sub-" + id, State: state, Document: "a document",
				}
				if _, err := tx.RetailOrders().Put(retail.Order{
					Portal: "shop", ID: id, Customer: fmt.Sprintf("c-%d", i%1000), PlacedAt: placed, UpdatedAt: placed,
					Items: []retail.Item{{Item: item, CorrelationID: "c-" + id, Partner: supplier(i), ListingID: "lst"}},
				}); err != nil {
					return err
				}
				if _, err := tx.Subscriptions().Put(subscription.Subscription{
					ID: "sub-" + id, Side: subscription.Retail, Partner: supplier(i), Portal: "shop", Customer: fmt.Sprintf("c-%d", i%1000), OrderID: id,
					AgreementID: "agr", OfferingID: "db-000000", Name: "Database", Quantity: 1, State: subscription.Active, CreatedAt: placed, UpdatedAt: placed,
				}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}
