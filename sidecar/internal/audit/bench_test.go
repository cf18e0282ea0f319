package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
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
	terms := agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"}
	a := markettest.Agree(supplier, reseller, "agr-1", terms)
	o := supplier.Offer(markettest.Offering{})
	doc, err := catalog.Known(o.Document)
	if err != nil {
		tb.Fatal(err)
	}
	line, err := doc.PriceList().Line(1, price.Terms{DiscountBP: terms.WholesaleDiscountBP})
	if err != nil {
		tb.Fatal(err)
	}
	now := supplier.Clock.Now()
	at := now.UTC().Format(time.RFC3339)
	const batch = 100
	for first := 0; first < n; first += batch {
		var orders []resale.Order
		for i := range batch {
			id := fmt.Sprintf("order-%08d", first+i)
			d := order.Document{
				Type: signed.OrderV1, Issuer: shop, Audience: vendor, ID: id, PlacedAt: at, AcceptBy: at, Action: order.Add, Intent: order.Purchase,
				Agreement: a.ID, AgreementSHA256: hex.EncodeToString(a.Digest[:]), Subscription: order.SubscriptionID(id), Customer: "cus-1",
				Offering: o.ID, Revision: o.Revision, OfferingSHA256: hex.EncodeToString(o.Digest[:]), Quantity: 1, InputsSHA256: hex.EncodeToString(o.Digest[:]),
			}
			d.SetPrice(line, "EUR")
			payload, err := json.Marshal(d)
			if err != nil {
				tb.Fatal(err)
			}
			jws, err := reseller.Keys.Sign(keys.Business, signed.Order, payload)
			if err != nil {
				tb.Fatal(err)
			}
			sum := sha256.Sum256(payload)
			orders = append(orders, resale.Order{Partner: shop, ID: id, PlacedAt: now.Add(time.Duration(first+i) * time.Millisecond), UpdatedAt: now, Item: order.Item{
				Action: order.Add, Intent: order.Purchase, AgreementID: a.ID, OfferingID: o.ID, Revision: o.Revision, Quantity: 1,
				SubscriptionID: d.Subscription, Wholesale: line, Document: jws, PayloadDigest: sum[:],
			}})
		}
		supplier.Do(func(tx *store.Tx) error {
			var drafts []ledger.Draft
			for _, o := range orders {
				drafts = append(drafts,
					ledger.Draft{Kind: ledger.OrderAccepted, Subject: o.SubscriptionID, Body: order.Body{
						Action: order.Add, Agreement: a.ID, DocumentSHA256: hex.EncodeToString(o.PayloadDigest), Order: o.ID, Subscription: o.SubscriptionID,
					}},
					ledger.Draft{Kind: ledger.OrderCompleted, Subject: o.SubscriptionID, Body: order.Body{Action: order.Add, Order: o.ID, Subscription: o.SubscriptionID}})
			}
			entries, err := supplier.Book.AppendAll(tx, shop, drafts)
			if err != nil {
				return err
			}
			for i, o := range orders {
				for k, state := range []order.State{order.InProgress, order.Completed} {
					if o.Item, err = o.Move(now, state, "", "", order.Source(entries[2*i+k])); err != nil {
						return err
					}
				}
				if _, err := tx.ResaleOrders().Put(o); err != nil {
					return err
				}
				if _, err := tx.Subscriptions().Put(subscription.Subscription{
					ID: o.SubscriptionID, Side: subscription.Resale, Partner: shop, OrderID: o.ID, AgreementID: o.AgreementID, OfferingID: o.OfferingID,
					Revision: o.Revision, Quantity: 1, State: subscription.Active, Price: line, CreatedAt: now, UpdatedAt: now,
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
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
