package recovery_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
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

// TestWhatWasDecidedStaysDecided though its document is withheld: one that comes late is not decided twice.
func TestWhatWasDecidedStaysDecided(t *testing.T) {
	t.Parallel()
	const seller, buyer = "https://supplier.localhost:1", "https://reseller.localhost:2"
	m := markettest.NewMember(t, seller)
	reseller := markettest.Open(t, buyer, markettest.Config{Clock: m.Clock})
	m.Meet(reseller)
	loop := &recovery.Loop{
		Self: seller, Book: m.Book, Now: m.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Resale: &resale.Service{Self: seller, Work: store.For[resale.Tx](m.Store), Now: m.Clock.Now, Book: m.Book},
	}
	from := member.Partner{Origin: buyer, BusinessKey: reseller.Key()}
	digest := sha256.Sum256([]byte("a document"))
	told := map[string]any{
		"order": "order-0001", "document_sha256": hex.EncodeToString(digest[:]), "agreement": "agr-1", "subscription": "sub-order-0001", "action": "add",
	}
	var all []exchange.Key
	for i, test := range []struct {
		kind ledger.Kind
		keys []exchange.Key
	}{
		{ledger.OrderAccepted, []exchange.Key{{Type: signed.Order, ID: "order-0001"}}},
		{ledger.CancelRefused, []exchange.Key{{Type: signed.Cancel, ID: "cnl-order-0001"}}},
		{ledger.OrderRejected, []exchange.Key{{Type: signed.Order, ID: "order-0002"}}},
		{ledger.OrderCancelled, []exchange.Key{{Type: signed.Cancel, ID: "cnl-order-0003"}, {Type: signed.Order, ID: "order-0003"}}},
	} {
		told := maps.Clone(told)
		told["order"] = strings.TrimPrefix(test.keys[0].ID, "cnl-")
		if test.kind == ledger.CancelRefused || test.kind == ledger.OrderCancelled {
			delete(told, "agreement")
			delete(told, "action")
		}
		if test.kind == ledger.CancelRefused || test.kind == ledger.OrderRejected {
			told["reason"] = "too_late"
		}
		body, err := json.Marshal(told)
		if err != nil {
			t.Fatal(err)
		}
		e := ledger.Entry{Partner: buyer, Direction: ledger.Own, Seq: int64(i + 1), At: m.Clock.Now(), Kind: test.kind, Subject: "sub-order-0001", Body: body}
		m.Do(func(tx *store.Tx) error {
			if err := loop.Remake(t.Context(), tx, from, e, exchange.Document{}); fault.ReasonOf(err) != "document_not_given_back" {
				t.Errorf("%s: %v", test.kind, err)
			}
			return nil
		})
		m.View(func(tx *store.Tx) error {
			known, err := tx.Decisions().Decisions(buyer, test.keys)
			for _, key := range test.keys {
				if d, is := known[key]; !is || d.At != e.Position() || key == test.keys[0] && !bytes.Equal(d.Digest, digest[:]) {
					t.Errorf("%s: %s is decided as %+v", test.kind, key.ID, d)
				}
			}
			return err
		})
		all = append(all, test.keys...)
	}
	if len(all) != 5 {
		t.Errorf("%d documents are decided", len(all))
	}
}

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
