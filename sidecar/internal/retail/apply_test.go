package retail_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// counter is a reseller with one listing, whose suppliers are what a test says of their ledgers.
type counter struct {
	*markettest.Member
	t       *testing.T
	service *retail.Service
	// agreement is the one with the vendor, other the one with the second.
	agreement, other agreement.Agreement
	// logs are suppliers' own, where a test keeps them: see keepsLog.
	logs map[string]*ledger.Book
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
				ID: "agr-" + origin, Supplier: origin, Reseller: buyer, State: agreement.Active, Payload: []byte(origin),
				Terms: agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	c.service = c.newService()
	return c
}

func (c *counter) newService() *retail.Service {
	c.t.Helper()
	escrow, err := retail.NewEscrow([]byte("the recovery key of the counters"))
	if err != nil {
		c.t.Fatal(err)
	}
	return &retail.Service{
		Escrow: escrow,
		Self:   buyer, Work: store.For[retail.Tx](c.Store), Offers: c, Schemas: recipe.NewSchemas(0), Signer: c.Keys, Now: c.Clock.Now,
		Book:      c.Book,
		Pseudonym: func(_, _, customer string) string { return "cus-" + customer }, Correlate: correlate,
		Rand: func(b []byte) { _, _ = rand.Read(b) },
	}
}

// correlate names the items of order-0001 corr-0001 and so on; of others, their order before that.
func correlate(_, orderID string, position int) string {
	if orderID == "order-0001" {
		return fmt.Sprintf("corr-%04d", position+1)
	}
	return fmt.Sprintf("%s-corr-%04d", orderID, position+1)
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

// hear applies an entry of a supplier's ledger about one item. Its body says what all entries about the item say, where the test does
// not say otherwise, as far as its kind has them: null takes a member out.
func (c *counter) hear(from, correlationID string, kind ledger.Kind, body string) error {
	c.t.Helper()
	e := ledger.Entry{Partner: from, Direction: ledger.Theirs, Seq: 1, Kind: kind}
	err := c.Store.View(context.Background(), func(tx *store.Tx) error {
		o, i, err := tx.RetailOrders().ByCorrelation(correlationID)
		if err != nil {
			return err
		}
		e.Subject = o.Items[i].SubscriptionID
		e.Body, err = said(o.Items[i], kind, body)
		return err
	})
	if err != nil {
		return err
	}
	checkpoint := ""
	if c.logs[from] != nil {
		e, checkpoint = c.writes(from, e)
	}
	return c.Store.Do(context.Background(), func(tx *store.Tx) error {
		if checkpoint != "" {
			if err := copies(tx, e, checkpoint); err != nil {
				return err
			}
		}
		return c.service.Apply(tx, e)
	})
}

// said is the body of an entry about an item.
func said(it retail.Item, kind ledger.Kind, body string) (json.RawMessage, error) {
	b := map[string]any{"order": it.CorrelationID, "subscription": it.SubscriptionID, "action": it.Action}
	switch kind {
	case ledger.OrderAccepted, ledger.OrderRejected:
		b["document_sha256"], b["agreement"] = hex.EncodeToString(it.PayloadDigest), it.AgreementID
	case ledger.OrderCancelled, ledger.CancelRefused:
		b["document_sha256"], b["action"] = hex.EncodeToString(it.CancelDigest), nil
		if len(it.CancelDigest) == 0 {
			b["document_sha256"] = strings.Repeat("cd", 32) // of a cancel that nobody sent
		}
	}
	switch kind {
	case ledger.OrderRejected, ledger.OrderHeld, ledger.OrderFailed, ledger.CancelRefused:
		b["reason"] = "a_reason"
	}
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		return nil, err
	}
	if kind != ledger.OrderCompleted {
		delete(b, "access_sha256")
	}
	if kind == ledger.OrderAccepted || kind == ledger.OrderCompleted || kind == ledger.OrderCancelled {
		delete(b, "reason")
	}
	maps.DeleteFunc(b, func(_ string, v any) bool { return v == nil })
	return json.Marshal(b)
}

// jobs are the kinds of the jobs that are left.
func (c *counter) jobs() (kinds []string) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		list, err := tx.Jobs().List(100)
		for _, j := range list {
			kinds = append(kinds, j.Kind)
		}
		return err
	})
	slices.Sort(kinds)
	return kinds
}

// waits tells the item that its document was sent and is not decided.
func (c *counter) waits(check bool) {
	c.t.Helper()
	c.Do(func(tx *store.Tx) error {
		return c.service.Waits(tx, job.Job{Kind: retail.JobSubmit, Key: "corr-0001", Partner: vendor}, check)
	})
}

// TestWhatIsNotDecidedWaits: it says what it waits for now, and what an earlier attempt did at the supplier still counts.
func TestWhatIsNotDecidedWaits(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	for _, step := range []struct {
		check  bool
		reason string
	}{{false, "platform_unreachable"}, {true, "order_check"}, {false, "platform_unreachable"}} {
		c.waits(step.check)
		if o := c.order(); o.State() != order.PendingUnreachable || o.Telling().PublicReason() != step.reason {
			t.Errorf("the order is %s (%s), want %s", o.State(), o.Telling().Reason, step.reason)
		}
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := c.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	c.waits(true)
	if o := c.order(); o.State() != order.Completed {
		t.Fatalf("the order is %s", o.State())
	}
}

func TestWhatStandsBehindAPartnerThatIsAwaySaysSo(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	c.service.Away = func(partner string) bool { return partner == vendor }
	if o := c.order(); o.State() != order.PendingUnreachable || o.Telling().PublicReason() != "platform_unreachable" || o.Telling().Message == "" {
		t.Errorf("the order is %s (%s)", o.State(), o.Telling().Reason)
	}
}

// TestAnEntryIsBelievedAboutOurOwnDocumentAlone: anything else parks the subject, and changes nothing.
func TestAnEntryIsBelievedAboutOurOwnDocumentAlone(t *testing.T) {
	t.Parallel()
	another := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		before []ledger.Kind
		kind   ledger.Kind
		body   string
		reason string
	}{
		"accepts another document":         {nil, ledger.OrderAccepted, `{"document_sha256":"` + another + `"}`, "document_mismatch"},
		"accepts no document":              {nil, ledger.OrderAccepted, `{"document_sha256":null}`, "ledger_body_malformed"},
		"rejects another document":         {nil, ledger.OrderRejected, `{"document_sha256":"` + another + `"}`, "document_mismatch"},
		"grants a cancel that nobody sent": {[]ledger.Kind{ledger.OrderAccepted}, ledger.OrderCancelled, `{}`, "document_mismatch"},
		"refuses one that nobody sent":     {[]ledger.Kind{ledger.OrderAccepted}, ledger.CancelRefused, `{}`, "document_mismatch"},
		"completes what it never accepted": {nil, ledger.OrderCompleted, `{}`, "order_not_accepted"},
		"holds what it never accepted":     {nil, ledger.OrderHeld, `{}`, "order_not_accepted"},
		"fails what it never accepted":     {nil, ledger.OrderFailed, `{}`, "order_not_accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			for _, kind := range c.before {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			before := shop.order()
			if err := shop.apply(c.kind, c.body); fault.ReasonOf(err) != c.reason {
				t.Fatalf("error is %v, want %s", err, c.reason)
			}
			if after := shop.order(); after.Version != before.Version {
				t.Errorf("the order went from %s to %s", before.State(), after.State())
			}
		})
	}
}

func TestADecisionEndsTheJobsOfItsDocument(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cancel bool
		hears  []ledger.Kind
		left   []string
	}{
		"nothing yet":                     {false, nil, []string{retail.JobSubmit}},
		"accepted":                        {false, []ledger.Kind{ledger.OrderAccepted}, nil},
		"rejected":                        {false, []ledger.Kind{ledger.OrderRejected}, nil},
		"a cancel on its way":             {true, nil, []string{retail.JobCancel, retail.JobSubmit}},
		"accepted, its cancel on its way": {true, []ledger.Kind{ledger.OrderAccepted}, []string{retail.JobCancel}},
		"cancelled before it arrived":     {true, []ledger.Kind{ledger.OrderCancelled}, nil},
		"too late":                        {true, []ledger.Kind{ledger.OrderAccepted, ledger.CancelRefused}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			if c.cancel {
				shop.cancel()
			}
			for _, kind := range c.hears {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			if left := shop.jobs(); !slices.Equal(left, c.left) {
				t.Errorf("left %v, want %v", left, c.left)
			}
		})
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
	after := []ledger.Kind{ledger.OrderCompleted, ledger.OrderFailed} // an acceptance
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			shop := newOrder(t)
			if slices.Contains(after, c.first) {
				if err := shop.apply(ledger.OrderAccepted, `{}`); err != nil {
					t.Fatal(err)
				}
			}
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

// TestAReasonIsTakenOfWhatHasOne: a supplier cannot make a customer believe that nothing is charged for what goes on.
func TestAReasonIsTakenOfWhatHasOne(t *testing.T) {
	t.Parallel()
	accepted := ledger.OrderAccepted
	for name, c := range map[string]struct {
		cancel bool
		before []ledger.Kind
		kind   ledger.Kind
		want   string
	}{
		"held":             {false, []ledger.Kind{accepted}, ledger.OrderHeld, "order_check"},
		"failed":           {false, []ledger.Kind{accepted}, ledger.OrderFailed, "provisioning_quota"},
		"rejected":         {false, nil, ledger.OrderRejected, "provisioning_quota"},
		"too late":         {true, []ledger.Kind{accepted}, ledger.CancelRefused, "too_late"},
		"held and waiting": {true, []ledger.Kind{accepted}, ledger.OrderHeld, "order_check"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			for _, kind := range c.before {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			if c.cancel {
				shop.cancel()
			}
			if err := shop.apply(c.kind, `{"reason":"provisioning_quota"}`); err != nil {
				t.Fatal(err)
			}
			o := shop.order()
			if it := o.Telling(); it.PublicReason() != c.want || !it.State.Ended() && strings.Contains(it.Message, "charged") {
				t.Errorf("the customer of what is %s reads %q: %q", it.State, it.PublicReason(), it.Message)
			}
			for _, e := range o.PublicTimeline() {
				if !e.State.Ended() && (strings.Contains(e.Message, "charged") || e.Reason == "provisioning_quota") {
					t.Errorf("the timeline says %q of %s: %q", e.Reason, e.State, e.Message)
				}
			}
		})
	}
}

// TestACompletionNamesItsAccessDataOnce: a second one with others is no repetition.
func TestACompletionNamesItsAccessDataOnce(t *testing.T) {
	t.Parallel()
	one, another := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	for name, c := range map[string]struct {
		first, second string
		reason        string
	}{
		"the same":  {`{"access_sha256":"` + one + `"}`, `{"access_sha256":"` + one + `"}`, ""},
		"none":      {`{}`, `{}`, ""},
		"others":    {`{"access_sha256":"` + one + `"}`, `{"access_sha256":"` + another + `"}`, "order_contradiction"},
		"then none": {`{"access_sha256":"` + one + `"}`, `{}`, "order_contradiction"},
		"some only": {`{}`, `{"access_sha256":"` + one + `"}`, "order_contradiction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			for _, told := range []struct {
				kind ledger.Kind
				body string
			}{{ledger.OrderAccepted, `{}`}, {ledger.OrderCompleted, c.first}} {
				if err := shop.apply(told.kind, told.body); err != nil {
					t.Fatal(err)
				}
			}
			if err := shop.apply(ledger.OrderCompleted, c.second); fault.ReasonOf(err) != c.reason {
				t.Errorf("error is %v, want %q", err, c.reason)
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
