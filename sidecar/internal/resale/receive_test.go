package resale_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const (
	self  = "https://supplier.localhost:1"
	buyer = "https://buyer.localhost:2"
	other = "https://other.localhost:3"
)

// desk is a supplier with one offering in two revisions, and two resellers with an agreement each.
type desk struct {
	*markettest.Member
	t       *testing.T
	service *resale.Service
	members map[string]*markettest.Member
	// agreed is what each reseller signed with us, current the offering.
	agreed  map[string]agreement.Agreement
	current catalog.Offering
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, Member: markettest.NewMember(t, self)}
	d.members = map[string]*markettest.Member{self: d.Member, buyer: markettest.NewMember(t, buyer), other: markettest.NewMember(t, other)}
	d.Meet(d.members[buyer], d.members[other])
	terms := agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"}
	d.agreed = map[string]agreement.Agreement{
		buyer: markettest.Agree(d.Member, d.members[buyer], "agr-buyer", terms), other: markettest.Agree(d.Member, d.members[other], "agr-other", terms),
	}
	d.service = &resale.Service{
		Self: self, Work: store.For[resale.Tx](d.Store), Schemas: recipe.NewSchemas(0), Now: d.Clock.Now, Book: d.Book,
	}
	d.apply("10.00")
	d.Clock.Pass(time.Hour)
	d.apply("12.00")
	return d
}

func (d *desk) apply(price string) {
	d.t.Helper()
	d.current = d.Offer(markettest.Offering{
		Price: price, MaxQuantity: 3,
		// The orders here leave readers to its default.
		Inputs: `{type: object, additionalProperties: false, required: [title, readers], properties: {title: {type: string, maxLength: 9}, readers: {enum: [all, few], default: all}}}`,
	})
}

func (d *desk) agreementDigest(reseller string) string {
	digest := d.agreed[reseller].Digest
	return hex.EncodeToString(digest[:])
}

// document is a good order of the current revision by the buyer, as JSON members.
func (d *desk) document(id string) map[string]any {
	now := d.Clock.Now()
	return map[string]any{
		"iss": buyer, "aud": self, "jti": id, "placed_at": now.Format(time.RFC3339), "accept_by": now.Add(time.Hour).Format(time.RFC3339),
		"action": "add", "intent": "purchase", "agreement": "agr-buyer", "agreement_sha256": d.agreementDigest(buyer),
		"subscription": order.SubscriptionID(id), "customer": "cus-1", "offering": "db", "revision": d.current.Revision,
		"offering_sha256": hex.EncodeToString(d.current.Digest[:]), "quantity": 2, "inputs_sha256": order.InputsDigest([]byte("salt"), []byte(`{"title":"mine"}`)),
		"one_off_minor": 1920, "currency": "EUR",
	}
}

func (d *desk) command(signer string, document map[string]any) resale.ReceiveCommand {
	d.t.Helper()
	payload, err := json.Marshal(document)
	if err != nil {
		d.t.Fatal(err)
	}
	jws, err := d.members[signer].Keys.Sign(keys.Business, signed.Order, payload)
	if err != nil {
		d.t.Fatal(err)
	}
	return resale.ReceiveCommand{Partner: buyer, AgreementID: "agr-buyer", Document: jws, Inputs: []byte(`{"title":"mine"}`), InputsSalt: []byte("salt")}
}

// traces counts what a command may leave behind.
func (d *desk) traces() (orders, entries, jobs int) {
	d.t.Helper()
	err := d.Store.View(context.Background(), func(tx *store.Tx) error {
		list, err := tx.ResaleOrders().List(false, order.Place{}, 100)
		if err != nil {
			return err
		}
		orders = len(list)
		for _, partner := range []string{buyer, other} {
			head, err := tx.Ledger().Head(partner, ledger.Own)
			if err != nil {
				return err
			}
			entries += int(head.Seq)
		}
		waiting, err := tx.Jobs().List(100)
		jobs = len(waiting)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return orders, entries, jobs
}

func TestWhatCannotBeTrustedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, signer, reason string
		kind                 fault.Kind
		change               func(document map[string]any, c *resale.ReceiveCommand)
	}{
		{"signed by another reseller inside the buyer's token", other, "document_signature_invalid", fault.Unauthenticated, nil},
		{"a document that is none", buyer, "document_signature_invalid", fault.Unauthenticated, func(_ map[string]any, c *resale.ReceiveCommand) { c.Document = "x.y.z" }},
		{"issued in another's name", buyer, "document_parties", fault.Denied, func(m map[string]any, _ *resale.ReceiveCommand) { m["iss"] = other }},
		{"meant for another supplier", buyer, "document_parties", fault.Denied, func(m map[string]any, _ *resale.ReceiveCommand) { m["aud"] = other }},
		{"another partner's agreement in document and token", buyer, "agreement_not_yours", fault.Denied, func(m map[string]any, c *resale.ReceiveCommand) {
			m["agreement"], c.AgreementID = "agr-other", "agr-other"
		}},
		{"another agreement than the token's", buyer, "agreement_mismatch", fault.Denied, func(m map[string]any, _ *resale.ReceiveCommand) { m["agreement"] = "agr-other" }},
		{"an agreement that does not exist", buyer, "agreement_not_yours", fault.Denied, func(m map[string]any, c *resale.ReceiveCommand) {
			m["agreement"], c.AgreementID = "agr-none", "agr-none"
		}},
		{"a negative quantity", buyer, "order_document_invalid", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { m["quantity"] = -1 }},
		{"an overflowing quantity", buyer, "document_malformed", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { m["quantity"] = int64(1) << 62 }},
		{"a quantity that is no integer", buyer, "document_malformed", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { m["quantity"] = 1.5 }},
		{"a subscription id of somebody else", buyer, "order_document_invalid", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { m["subscription"] = "sub-mine" }},
		{"an unknown action", buyer, "order_action_unknown", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { m["action"] = "modify" }},
		{"no date to decide by", buyer, "document_malformed", fault.Invalid, func(m map[string]any, _ *resale.ReceiveCommand) { delete(m, "accept_by") }},
		{"a countersigned checkpoint that nobody signed", buyer, "document_signature_invalid", fault.Unauthenticated, func(_ map[string]any, c *resale.ReceiveCommand) { c.Seen = "forged" }},
		{"inputs beyond the limit", buyer, "inputs_too_large", fault.Invalid, func(_ map[string]any, c *resale.ReceiveCommand) { c.Inputs = make([]byte, order.MaxInputsBytes+1) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			document := d.document("order-0001")
			command := resale.ReceiveCommand{AgreementID: "agr-buyer"}
			if c.change != nil {
				c.change(document, &command)
			}
			signed := d.command(c.signer, document)
			signed.AgreementID = command.AgreementID
			if command.Document != "" {
				signed.Document = command.Document
			}
			if command.Inputs != nil {
				signed.Inputs = command.Inputs
			}
			signed.Seen = command.Seen
			_, err := d.service.Receive(context.Background(), signed)
			if fault.ReasonOf(err) != c.reason || fault.KindOf(err) != c.kind {
				t.Fatalf("error is %v of kind %s, want %s of kind %s", err, fault.KindOf(err), c.reason, c.kind)
			}
			if orders, entries, jobs := d.traces(); orders+entries+jobs != 0 {
				t.Errorf("left %d orders, %d ledger entries, %d jobs", orders, entries, jobs)
			}
		})
	}
}

func TestABusinessRefusalIsADecisionThatIsKept(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, reason string
		change       func(d *desk, document map[string]any)
	}{
		{"a lower price", "price_mismatch", func(_ *desk, m map[string]any) { m["one_off_minor"] = 1919 }},
		{"the price of an older revision", "price_mismatch", func(_ *desk, m map[string]any) { m["one_off_minor"] = 1600 }},
		{"no price at all", "price_mismatch", func(_ *desk, m map[string]any) { delete(m, "one_off_minor") }},
		{"a fee that is not owed", "price_mismatch", func(_ *desk, m map[string]any) { m["recurring_minor"] = 1 }},
		{"more pieces than are sold at once", "quantity_range", func(_ *desk, m map[string]any) { m["quantity"], m["one_off_minor"] = 4, 3840 }},
		{"another currency", "price_mismatch", func(_ *desk, m map[string]any) { m["currency"] = "SEK" }},
		{"a revision beyond its grace", "offering_revision_stale", func(d *desk, m map[string]any) {
			m["revision"] = 1
			d.Clock.Pass(catalog.Grace)
			m["accept_by"] = d.Clock.Now().Add(time.Hour).Format(time.RFC3339)
		}},
		{"a revision that never was", "offering_unknown", func(_ *desk, m map[string]any) { m["revision"] = 9 }},
		{"an offering that never was", "offering_unknown", func(_ *desk, m map[string]any) { m["offering"] = "nothing" }},
		{"another content of the revision", "offering_digest", func(_ *desk, m map[string]any) { m["offering_sha256"] = strings.Repeat("0", 64) }},
		{"other terms than those signed", "agreement_digest", func(_ *desk, m map[string]any) { m["agreement_sha256"] = strings.Repeat("0", 64) }},
		{"other inputs than those signed", "inputs_digest", func(_ *desk, m map[string]any) { m["inputs_sha256"] = strings.Repeat("0", 64) }},
		{"too late by our clock", "accept_by_passed", func(d *desk, m map[string]any) { m["accept_by"] = d.Clock.Now().Add(-time.Second).Format(time.RFC3339) }},
		{"the end of a subscription that is not there", "subscription_unknown", func(_ *desk, m map[string]any) {
			m["action"], m["intent"], m["subscription"] = "delete", "terminate", "sub-none"
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			document := d.document("order-0001")
			c.change(d, document)
			command := d.command(buyer, document)
			first, err := d.service.Receive(context.Background(), command)
			if err != nil {
				t.Fatal(err)
			}
			var body struct {
				Kind string `json:"kind"`
				Body struct {
					Reason string `json:"reason"`
				} `json:"body"`
			}
			if err := json.Unmarshal(first.Entry, &body); err != nil || body.Kind != string(ledger.OrderRejected) || body.Body.Reason != c.reason {
				t.Fatalf("decided %s, want a rejection for %s", first.Entry, c.reason)
			}
			again, err := d.service.Receive(context.Background(), command)
			if err != nil || !bytes.Equal(again.Entry, first.Entry) {
				t.Fatalf("the repetition answers %s, %v", again.Entry, err)
			}
			if orders, entries, jobs := d.traces(); orders != 1 || entries != 1 || jobs != 0 {
				t.Errorf("left %d orders, %d ledger entries, %d jobs", orders, entries, jobs)
			}
		})
	}
}

func TestAnAcceptedOrderIsDecidedOnceForEver(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := context.Background()
	command := d.command(buyer, d.document("order-0001"))
	first, err := d.service.Receive(ctx, command)
	if err != nil {
		t.Fatal(err)
	}
	// Signed anew, with the same payload, years later.
	d.Clock.Pass(9 * 365 * 24 * time.Hour)
	renewed := command
	payload, err := signed.Open(command.Document, signed.Order, d.members[buyer].Key())
	if err != nil {
		t.Fatal(err)
	}
	if renewed.Document, err = d.members[buyer].Keys.Sign(keys.Business, signed.Order, payload); err != nil {
		t.Fatal(err)
	}
	if renewed.Document == command.Document {
		t.Fatal("the signature is the same; nothing is proved")
	}
	again, err := d.service.Receive(ctx, renewed)
	if err != nil || !bytes.Equal(again.Entry, first.Entry) {
		t.Fatalf("the repetition answers %s, %v", again.Entry, err)
	}
	changed := d.document("order-0001")
	changed["quantity"] = 1
	changed["one_off_minor"] = 960
	if _, err := d.service.Receive(ctx, d.command(buyer, changed)); fault.ReasonOf(err) != "order_conflict" {
		t.Fatalf("other content under the same id: %v", err)
	}
	if orders, entries, jobs := d.traces(); orders != 1 || entries != 1 || jobs != 1 {
		t.Errorf("left %d orders, %d ledger entries, %d jobs", orders, entries, jobs)
	}
	err = d.Store.View(ctx, func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, order.SubscriptionID("order-0001")))
		if err == nil && (sub.State != subscription.PendingActive || sub.Price.OneOff.Minor != 1920) {
			t.Errorf("subscription is %+v", sub)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTwoResellersMayChooseTheSameId(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := context.Background()
	if _, err := d.service.Receive(ctx, d.command(buyer, d.document("order-0001"))); err != nil {
		t.Fatal(err)
	}
	document := d.document("order-0001")
	document["iss"], document["agreement"], document["agreement_sha256"] = other, "agr-other", d.agreementDigest(other)
	command := d.command(other, document)
	command.Partner, command.AgreementID = other, "agr-other"
	receipt, err := d.service.Receive(ctx, command)
	if err != nil || !bytes.Contains(receipt.Entry, []byte(ledger.OrderAccepted)) {
		t.Fatalf("%s, %v", receipt.Entry, err)
	}
	if orders, entries, jobs := d.traces(); orders != 2 || entries != 2 || jobs != 2 {
		t.Errorf("left %d orders, %d ledger entries, %d jobs", orders, entries, jobs)
	}
}

func TestAFaultOfOurOwnOfferingIsNoDecisionAboutTheOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, inputs string
		kind         ledger.Kind
	}{
		// What was stored by an older look at schemas is ordered by it.
		{"a default that is not among the choices", `{"type":"object","properties":{"title":{"type":"string"},"readers":{"enum":["all"],"default":"none"}}}`, ledger.OrderRejected},
		{"such a default that the order does not take", `{"type":"object","properties":{"title":{"enum":["mine"],"default":"none"}}}`, ledger.OrderAccepted},
		{"a bound that a double does not hold", `{"type":"object","properties":{"title":{"maximum":9007199254740993}}}`, ""},
		{"a keyword of a later version", `{"type":"object","$id":"https://example.com"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.stored(c.inputs)
			receipt, err := d.service.Receive(context.Background(), d.command(buyer, d.document("order-0001")))
			if c.kind == "" {
				if orders, entries, jobs := d.traces(); !fault.Is(err, fault.Internal) || orders+entries+jobs != 0 {
					t.Errorf("%v; left %d orders, %d ledger entries, %d jobs", err, orders, entries, jobs)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if entry, err := ledger.Decode(receipt.Entry); err != nil || entry.Kind != c.kind {
				t.Errorf("decided %s, %v; want %s", receipt.Entry, err, c.kind)
			}
		})
	}
}

// stored makes the current revision ask for other inputs, past all checks.
func (d *desk) stored(inputs string) {
	d.t.Helper()
	err := d.Store.Do(context.Background(), func(tx *store.Tx) error {
		o, err := tx.Catalog().Current("db")
		if err != nil {
			return err
		}
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(o.Document, &doc); err != nil {
			return err
		}
		doc["inputs"] = json.RawMessage(inputs)
		if o.Document, err = json.Marshal(doc); err != nil {
			return err
		}
		o.Revision++
		d.current = o
		return tx.Catalog().PutRevision(o)
	})
	if err != nil {
		d.t.Fatal(err)
	}
}
