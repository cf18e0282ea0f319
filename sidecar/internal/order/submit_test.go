package order_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const vendor = "https://vendor.localhost:9"

// counter is a reseller with a real store, one listing, and a link whose answers a test scripts.
type counter struct {
	t       *testing.T
	store   *store.Store
	service *order.Service
	answer  func(order.Submission) (order.Receipt, error)
}

// Offer implements order.Offers.
func (c *counter) Offer(_ context.Context, id string) (order.Offer, error) {
	return order.Offer{
		ListingID: id, Name: "Database", Digest: "d", Orderable: true, Partner: vendor,
		Foreign:  catalog.Foreign{Partner: vendor, ID: "db", Revision: 3},
		Document: catalog.Document{ID: "db", Currency: "EUR", Prices: []catalog.PriceComponent{{ID: "fee", Kind: catalog.OneOff, Amount: "10.00"}}, Inputs: json.RawMessage(`{"type":"object"}`)},
		Agreement: agreement.Agreement{
			ID: "agr-1", Supplier: vendor, State: agreement.Active, Terms: agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"},
		},
	}, nil
}

// PlaceOrder implements order.Link.
func (c *counter) PlaceOrder(_ context.Context, s order.Submission) (order.Receipt, error) {
	return c.answer(s)
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	ctx := context.Background()
	clock := func() time.Time { return noon }
	st, err := store.Open(ctx, store.Config{Path: filepath.Join(t.TempDir(), "hanse.db"), SiteKey: bytes.Repeat([]byte{2}, 32), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	manager, err := keys.New(ctx, keys.Config{Store: st, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{t: t, store: st}
	c.service = &order.Service{
		Self: buyer, Work: store.For[order.Tx](st), Offers: c, Link: c, Schemas: recipe.NewSchemas(0), Signer: manager, Now: clock,
		Book:      &ledger.Book{Self: buyer, Work: store.For[ledger.Tx](st), Signer: manager, Now: clock},
		Pseudonym: func(_, _, customer string) string { return "cus-" + customer }, NewID: func() string { return "corr-0001" },
		Rand: func(b []byte) { _, _ = rand.Read(b) },
	}
	err = st.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Partners().Put(member.Partner{
			Origin: vendor, PartnershipID: trust.PartnershipID(buyer, vendor), State: member.Active, BusinessKey: manager.PublicJWK(keys.Business),
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.service.Place(ctx, order.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0001", Action: order.Add, ListingID: "lst"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *counter) order() order.Order {
	c.t.Helper()
	o, err := c.service.Get(context.Background(), "shop", "c", "order-0001")
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// apply applies an entry of the vendor's ledger, as the feed does.
func (c *counter) apply(kind ledger.Kind, body string) error {
	return c.store.Do(context.Background(), func(tx *store.Tx) error {
		return c.service.Apply(tx, ledger.Entry{
			Partner: vendor, Direction: ledger.Theirs, Seq: 1, Kind: kind, Subject: "corr-0001", Body: json.RawMessage(body),
		})
	})
}

func TestAnErrorIsNeverADecision(t *testing.T) {
	for _, kind := range []fault.Kind{
		fault.Internal, fault.Invalid, fault.NotFound, fault.Conflict, fault.Precondition, fault.Denied, fault.Unauthenticated,
		fault.Exhausted, fault.Unavailable,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			c := newCounter(t)
			c.answer = func(order.Submission) (order.Receipt, error) {
				return order.Receipt{}, fault.New(kind, "procedure_unknown", "what a misrouted proxy says")
			}
			err := c.service.Submit(context.Background(), job.Job{Kind: order.JobSubmit, Key: "corr-0001", Partner: vendor})
			var parked *job.ParkError
			wantPark := kind == fault.Invalid || kind == fault.NotFound || kind == fault.Conflict || kind == fault.Precondition
			if err == nil || errors.As(err, &parked) != wantPark {
				t.Fatalf("the job ends with %v, parked should be %v", err, wantPark)
			}
			if o := c.order(); o.State != order.PendingUnreachable || o.PublicReason() != "platform_unreachable" {
				t.Fatalf("the order is %s (%s)", o.State, o.Reason)
			}
			// What an earlier attempt did at the supplier still counts when its word arrives.
			if err := c.apply(ledger.OrderAccepted, `{}`); err != nil {
				t.Fatal(err)
			}
			if err := c.apply(ledger.OrderCompleted, `{"access_sha256":"00"}`); err != nil {
				t.Fatal(err)
			}
			if o := c.order(); o.State != order.Completed {
				t.Fatalf("the order is %s", o.State)
			}
		})
	}
}

func TestASupplierThatContradictsItselfIsSeen(t *testing.T) {
	cases := []struct {
		name          string
		first, second ledger.Kind
		refused       bool
	}{
		{"accepted twice", ledger.OrderAccepted, ledger.OrderAccepted, false},
		{"rejected twice", ledger.OrderRejected, ledger.OrderRejected, false},
		{"completed twice", ledger.OrderCompleted, ledger.OrderCompleted, false},
		{"accepted after completion", ledger.OrderCompleted, ledger.OrderAccepted, false},
		{"rejected, then accepted", ledger.OrderRejected, ledger.OrderAccepted, true},
		{"rejected, then completed", ledger.OrderRejected, ledger.OrderCompleted, true},
		{"accepted, then rejected", ledger.OrderAccepted, ledger.OrderRejected, true},
		{"completed, then failed", ledger.OrderCompleted, ledger.OrderFailed, true},
		{"failed, then completed", ledger.OrderFailed, ledger.OrderCompleted, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			shop := newCounter(t)
			if err := shop.apply(c.first, `{"reason":"buy_direct_at_acme"}`); err != nil {
				t.Fatal(err)
			}
			before := shop.order()
			err := shop.apply(c.second, `{}`)
			if (err != nil) != c.refused || (err != nil && fault.ReasonOf(err) != "order_contradiction") {
				t.Fatalf("error is %v", err)
			}
			if after := shop.order(); after.State != before.State {
				t.Errorf("the order went from %s to %s", before.State, after.State)
			}
			if got := shop.order().PublicReason(); got != "" && got != "order_refused" {
				t.Errorf("the customer's portal is told %q", got)
			}
		})
	}
}

func TestARejectionGivesBackNothingAndErasesTheInputs(t *testing.T) {
	c := newCounter(t)
	if err := c.apply(ledger.OrderRejected, `{"reason":"price_mismatch"}`); err != nil {
		t.Fatal(err)
	}
	err := c.store.View(context.Background(), func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.Retail, "sub-corr-0001")
		if err != nil || sub.State != subscription.Aborted {
			t.Errorf("subscription is %s, %v", sub.State, err)
		}
		if _, err := tx.Subscriptions().Secret(subscription.Retail, sub.ID, subscription.SecretInputs); !fault.Is(err, fault.NotFound) {
			t.Errorf("the inputs are still there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
