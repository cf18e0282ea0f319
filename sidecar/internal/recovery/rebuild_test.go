package recovery_test

import (
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/recovery"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestWorkThatCameBackMayHaveBegun: the order has the record of its step before any run of its job.
func TestWorkThatCameBackMayHaveBegun(t *testing.T) {
	t.Parallel()
	const seller, buyer = "https://supplier.localhost:1", "https://reseller.localhost:2"
	m := markettest.NewMember(t, seller)
	reseller := markettest.Open(t, buyer, markettest.Config{Clock: m.Clock})
	m.Meet(reseller)
	agreed := markettest.Agree(m, reseller, "agr-1", agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"})
	offering, minor, salt := m.Offer(markettest.Offering{}), int64(900), []byte("sixteen bytes of it")
	d := order.Document{
		Type: signed.OrderV1, Issuer: buyer, Audience: seller, ID: "order-0001", PlacedAt: "2026-11-21T12:00:00Z", AcceptBy: "2026-11-22T12:00:00Z",
		Action: order.Add, Intent: order.Purchase, Agreement: "agr-1", AgreementSHA256: hex.EncodeToString(agreed.Digest[:]),
		Subscription: order.SubscriptionID("order-0001"), Customer: "cus-1", Offering: "db", Revision: offering.Revision,
		OfferingSHA256: hex.EncodeToString(offering.Digest[:]), Quantity: 1, InputsSHA256: order.InputsDigest(salt, []byte("{}")), OneOffMinor: &minor, Currency: "EUR",
	}
	payload, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := reseller.Keys.Sign(keys.Business, signed.Order, payload)
	if err != nil {
		t.Fatal(err)
	}
	doc := exchange.Document{JWS: jws}
	doc.Inputs, doc.InputsSalt = []byte("{}"), salt
	body, err := json.Marshal(order.Body{
		Order: d.ID, DocumentSHA256: signed.Digest(payload), Agreement: "agr-1", Subscription: d.Subscription, Action: d.Action,
	})
	if err != nil {
		t.Fatal(err)
	}
	e := ledger.Entry{Partner: buyer, Direction: ledger.Own, Seq: 1, At: m.Clock.Now(), Kind: ledger.OrderAccepted, Subject: d.Subscription, Body: body}
	loop := &recovery.Loop{
		Self: seller, Book: m.Book, Now: m.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Resale: &resale.Service{Self: seller, Work: store.For[resale.Tx](m.Store), Now: m.Clock.Now, Book: m.Book},
	}
	from := member.Partner{Origin: buyer, BusinessKey: reseller.Key()}
	m.Do(func(tx *store.Tx) error { return loop.Remake(t.Context(), tx, from, e, doc) })
	m.View(func(tx *store.Tx) error {
		steps, err := tx.Steps().Of(subscription.ResaleKey(buyer, d.Subscription))
		if len(steps) != 1 || steps[0].Phase != provision.Asking || steps[0].Order != d.ID {
			t.Errorf("the steps are %+v", steps)
		}
		return err
	})
}
