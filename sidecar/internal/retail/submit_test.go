package retail_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

const (
	buyer  = "https://buyer.localhost:2"
	vendor = "https://vendor.localhost:9"
	second = "https://second.localhost:8"
)

// counter is a reseller with one listing, and a link whose answers a test scripts.
type counter struct {
	*markettest.Member
	t       *testing.T
	service *retail.Service
	// agreement is the one with the vendor, other the one with the second.
	agreement, other agreement.Agreement
	answer           func(retail.Submission) (order.Receipt, error)
}

// Offer implements retail.Offers: "other" is another vendor's, "gone" is not there, the rest the vendor's; "notebook" asks for inputs, and of
// "dozen" one can have twelve.
func (c *counter) Offer(_ context.Context, id string) (listing.Offer, error) {
	most := int64(0)
	if id == "dozen" {
		most = 12
	}
	from, agreed, inputs := vendor, c.agreement, `{"type":"object"}`
	switch id {
	case "notebook":
		inputs = `{"type":"object","additionalProperties":false,"required":["title","readers"],
			"properties":{"title":{"type":"string"},"readers":{"enum":["everyone","sales"],"default":"everyone"}}}`
	case "gone":
		return listing.Offer{}, fault.New(fault.NotFound, "listing_not_found", "there is no listing gone")
	case "other":
		from, agreed = second, c.other
	}
	return listing.Offer{
		ListingID: id, Name: "Database", Digest: "d", Orderable: id != "held", Partner: from,
		Foreign:   catalog.Foreign{Partner: from, ID: "db", Revision: 3},
		Document:  catalog.Document{ID: "db", Currency: "EUR", MaxQuantity: most, Prices: []price.Component{{ID: "fee", Kind: price.OneOff, Amount: "10.00"}}, Inputs: json.RawMessage(inputs)},
		Agreement: agreed,
	}, nil
}

// PlaceOrder implements retail.Link.
func (c *counter) PlaceOrder(_ context.Context, s retail.Submission) (order.Receipt, error) {
	return c.answer(s)
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{t: t, Member: markettest.NewMember(t, buyer)}
	// The suppliers are records alone: nothing here reads what they sign, and two stores more would double the time.
	c.Do(func(tx *store.Tx) error {
		for origin, into := range map[string]*agreement.Agreement{vendor: &c.agreement, second: &c.other} {
			_, err := tx.Partners().Put(member.Partner{
				Origin: origin, PartnershipID: trust.PartnershipID(buyer, origin), State: member.Active, BusinessKey: c.Key(),
			})
			if err != nil {
				return err
			}
			*into, err = tx.Agreements().Put(agreement.Agreement{
				ID: "agr " + origin, Supplier: origin, Reseller: buyer, State: agreement.Active, Payload: []byte(origin),
				Terms: agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	var ids atomic.Int64 // many may order at once
	c.service = &retail.Service{
		Self: buyer, Work: store.For[retail.Tx](c.Store), Offers: c, Link: c, Schemas: recipe.NewSchemas(0), Signer: c.Keys, Now: c.Clock.Now,
		Book:      c.Book,
		Pseudonym: func(_, _, customer string) string { return "cus-" + customer }, NewID: func() string { return fmt.Sprintf("corr-%04d", ids.Add(1)) },
		Rand: func(b []byte) { _, _ = rand.Read(b) },
	}
	return c
}

// newOrder is a counter at which one database was ordered.
func newOrder(t *testing.T) *counter {
	t.Helper()
	c := newCounter(t)
	if _, err := c.service.Place(context.Background(), retail.PlaceCommand{
		Portal: "shop", Customer: "c", ID: "order-0001", Items: []retail.ItemCommand{{Action: order.Add, ListingID: "lst"}},
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *counter) order() retail.Order {
	c.t.Helper()
	o, err := c.service.Get(context.Background(), "shop", "c", "order-0001")
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// apply applies an entry of the vendor's ledger, as the feed does.
func (c *counter) apply(kind ledger.Kind, body string) error {
	return c.hear(vendor, "corr-0001", kind, body)
}

// hear applies an entry of a supplier's ledger about one item: its order, and what else body says.
func (c *counter) hear(from, correlationID string, kind ledger.Kind, body string) error {
	if rest, object := strings.CutPrefix(body, "{"); object && !strings.Contains(body, `"order"`) {
		body = strings.Replace(fmt.Sprintf(`{"order":%q,`, correlationID)+rest, ",}", "}", 1)
	}
	return c.Store.Do(context.Background(), func(tx *store.Tx) error {
		return c.service.Apply(tx, ledger.Entry{
			Partner: from, Direction: ledger.Theirs, Seq: 1, Kind: kind, Subject: correlationID, Body: json.RawMessage(body),
		})
	})
}

func TestAnErrorIsNeverADecision(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{
		fault.Internal, fault.Invalid, fault.NotFound, fault.Conflict, fault.Precondition, fault.Denied, fault.Unauthenticated,
		fault.Exhausted, fault.Unavailable,
	} {
		t.Run(kind.String(), func(t *testing.T) {
			c := newOrder(t)
			c.answer = func(retail.Submission) (order.Receipt, error) {
				return order.Receipt{}, fault.New(kind, "procedure_unknown", "what a misrouted proxy says")
			}
			err := c.service.Submit(context.Background(), job.Job{Kind: retail.JobSubmit, Key: "corr-0001", Partner: vendor})
			var parked *job.ParkError
			wantPark := kind == fault.Invalid || kind == fault.NotFound || kind == fault.Conflict || kind == fault.Precondition
			if err == nil || errors.As(err, &parked) != wantPark {
				t.Fatalf("the job ends with %v, parked should be %v", err, wantPark)
			}
			reason := "platform_unreachable"
			if wantPark { // waiting mends nothing then, and nobody is told that it would
				reason = "order_check"
			}
			if o := c.order(); o.State() != order.PendingUnreachable || o.Telling().PublicReason() != reason {
				t.Fatalf("the order is %s (%s)", o.State(), o.Telling().Reason)
			}
			// What an earlier attempt did at the supplier still counts when its word arrives.
			if err := c.apply(ledger.OrderAccepted, `{}`); err != nil {
				t.Fatal(err)
			}
			if err := c.apply(ledger.OrderCompleted, `{"access_sha256":"00"}`); err != nil {
				t.Fatal(err)
			}
			if o := c.order(); o.State() != order.Completed {
				t.Fatalf("the order is %s", o.State())
			}
		})
	}
}

// TestAnItemSaysWhatItWaitsForNow: a supplier that was away and then refuses the call is waited for by nobody.
func TestAnItemSaysWhatItWaitsForNow(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	for _, step := range []struct {
		kind   fault.Kind
		reason string
	}{{fault.Unavailable, "platform_unreachable"}, {fault.Conflict, "order_check"}, {fault.Unavailable, "platform_unreachable"}} {
		c.answer = func(retail.Submission) (order.Receipt, error) {
			return order.Receipt{}, fault.New(step.kind, "any", "any")
		}
		if err := c.service.Submit(context.Background(), job.Job{Kind: retail.JobSubmit, Key: "corr-0001", Partner: vendor}); err == nil {
			t.Fatal("sent")
		}
		if o := c.order(); o.State() != order.PendingUnreachable || o.Telling().PublicReason() != step.reason {
			t.Errorf("after %s the order is %s (%s), want %s", step.kind, o.State(), o.Telling().Reason, step.reason)
		}
	}
}

func TestASupplierThatContradictsItselfIsSeen(t *testing.T) {
	t.Parallel()
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
			shop := newOrder(t)
			if err := shop.apply(c.first, `{"reason":"buy_direct_at_acme"}`); err != nil {
				t.Fatal(err)
			}
			before := shop.order()
			err := shop.apply(c.second, `{}`)
			if (err != nil) != c.refused || (err != nil && fault.ReasonOf(err) != "order_contradiction") {
				t.Fatalf("error is %v", err)
			}
			if after := shop.order(); after.State() != before.State() {
				t.Errorf("the order went from %s to %s", before.State(), after.State())
			}
			if got := shop.order().Telling().PublicReason(); got != "" && got != "order_refused" {
				t.Errorf("the customer's portal is told %q", got)
			}
		})
	}
}

func TestARejectionGivesBackNothingAndErasesTheInputs(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	if err := c.apply(ledger.OrderRejected, `{"reason":"price_mismatch"}`); err != nil {
		t.Fatal(err)
	}
	err := c.Store.View(context.Background(), func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.RetailKey("sub-corr-0001"))
		if err != nil || sub.State != subscription.Aborted {
			t.Errorf("subscription is %s, %v", sub.State, err)
		}
		if _, err := tx.Subscriptions().Secret(sub.Key(), subscription.SecretInputs); !fault.Is(err, fault.NotFound) {
			t.Errorf("the inputs are still there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
