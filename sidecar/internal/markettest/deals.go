package markettest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Sell puts n completed orders of a reseller that the member knows into its store, two entries of its ledger each. The reseller's own store
// hears nothing of them.
func (m *Member) Sell(reseller *Member, n int) {
	m.t.Helper()
	terms := agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"}
	a := Agree(m, reseller, "agr-1", terms)
	o := m.Offer(Offering{})
	doc, err := catalog.Known(o.Document)
	if err != nil {
		m.t.Fatal(err)
	}
	line, err := doc.PriceList().Line(1, price.Terms{DiscountBP: terms.WholesaleDiscountBP})
	if err != nil {
		m.t.Fatal(err)
	}
	now := m.Clock.Now()
	at := now.UTC().Format(time.RFC3339)
	sold := func(i int) resale.Order {
		id := fmt.Sprintf("order-%08d", i)
		d := order.Document{
			Type: signed.OrderV1, Issuer: reseller.Origin, Audience: m.Origin, ID: id, PlacedAt: at, AcceptBy: at, Action: order.Add, Intent: order.Purchase,
			Agreement: a.ID, AgreementSHA256: hex.EncodeToString(a.Digest[:]), Subscription: order.SubscriptionID(id), Customer: "cus-1",
			Offering: o.ID, Revision: o.Revision, OfferingSHA256: hex.EncodeToString(o.Digest[:]), Quantity: 1, InputsSHA256: hex.EncodeToString(o.Digest[:]),
		}
		d.SetPrice(line, "EUR")
		payload, err := json.Marshal(d)
		if err != nil {
			m.t.Fatal(err)
		}
		jws, err := reseller.Keys.Sign(keys.Business, signed.Order, payload)
		if err != nil {
			m.t.Fatal(err)
		}
		sum := sha256.Sum256(payload)
		return resale.Order{Partner: reseller.Origin, ID: id, PlacedAt: now.Add(time.Duration(i) * time.Millisecond), UpdatedAt: now, Item: order.Item{
			Action: order.Add, Intent: order.Purchase, AgreementID: a.ID, OfferingID: o.ID, Revision: o.Revision, Quantity: 1,
			SubscriptionID: d.Subscription, Wholesale: line, Document: jws, PayloadDigest: sum[:],
		}}
	}
	const batch = 100
	for first := 0; first < n; first += batch {
		var orders []resale.Order
		for i := first; i < min(n, first+batch); i++ {
			orders = append(orders, sold(i))
		}
		m.Do(func(tx *store.Tx) error { return m.complete(tx, orders) })
	}
}

// complete writes orders with the subscriptions that they made and the entries that say so.
func (m *Member) complete(tx *store.Tx, orders []resale.Order) error {
	var drafts []ledger.Draft
	for _, o := range orders {
		drafts = append(drafts,
			ledger.Draft{Kind: ledger.OrderAccepted, Subject: o.SubscriptionID, Body: order.Body{
				Action: order.Add, Agreement: o.AgreementID, DocumentSHA256: hex.EncodeToString(o.PayloadDigest), Order: o.ID, Subscription: o.SubscriptionID,
			}},
			ledger.Draft{Kind: ledger.OrderCompleted, Subject: o.SubscriptionID, Body: order.Body{Action: order.Add, Order: o.ID, Subscription: o.SubscriptionID}})
	}
	entries, err := m.Book.AppendAll(tx, orders[0].Partner, drafts)
	if err != nil {
		return err
	}
	now := m.Clock.Now()
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
			ID: o.SubscriptionID, Side: subscription.Resale, Partner: o.Partner, OrderID: o.ID, AgreementID: o.AgreementID, OfferingID: o.OfferingID,
			Revision: o.Revision, Quantity: 1, State: subscription.Active, Price: o.Wholesale, CreatedAt: now, UpdatedAt: now,
		}); err != nil {
			return err
		}
	}
	return nil
}
