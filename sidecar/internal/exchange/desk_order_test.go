package exchange_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

func TestWhatCannotBeTrustedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	resign := func(signer, typ string) func(b *bench, m members, c *exchange.Call) {
		return func(b *bench, m members, c *exchange.Call) { c.Documents[0].JWS = b.sign(signer, typ, m) }
	}
	cases := []struct {
		name, reason string
		final        bool
		change       members
		call         func(b *bench, m members, c *exchange.Call)
	}{
		{"signed by another reseller inside the buyer's token", "document_signature_invalid", false, nil, resign(other, signed.Order)},
		{"a document that is none", "document_signature_invalid", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Documents[0].JWS = "x.y.z" }},
		{"a header without a type", "document_signature_invalid", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Documents[0].JWS = "e30.e30.e30" }},
		{"a type that nobody knows, signed by another", "document_signature_invalid", false, nil, resign(other, "hanse-order2+jwt")},
		{"no document at all", "document_signature_invalid", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Documents[0].JWS = "" }},
		{"a header of another document than was signed", "document_signature_invalid", false, nil, func(b *bench, m members, c *exchange.Call) {
			head, _, _ := strings.Cut(b.sign(buyer, signed.Cancel, m), ".")
			_, rest, _ := strings.Cut(c.Documents[0].JWS, ".")
			c.Documents[0].JWS = head + "." + rest
		}},
		{"an order that says to be a cancel", "document_version", true, nil, func(b *bench, m members, c *exchange.Call) {
			c.Documents[0] = exchange.Document{JWS: b.sign(buyer, signed.Cancel, m)}
		}},
		{"inputs beside a cancel", "attachment_unexpected", true, nil, func(b *bench, m members, c *exchange.Call) {
			c.Documents[0].JWS = b.sign(buyer, signed.Cancel, b.cancel(m))
		}},
		{"a checkpoint where a command belongs", "document_type_unknown", true, nil, resign(buyer, signed.Checkpoint)},
		{"a type that nobody knows", "document_type_unknown", true, nil, resign(buyer, "hanse-order2+jwt")},
		{"a document beyond the limit", "document_too_large", true, nil, func(_ *bench, _ members, c *exchange.Call) {
			c.Documents[0].JWS += strings.Repeat("A", exchange.MaxDocumentBytes)
		}},
		{"another version of the document", "document_version", true, members{"type": "hanse-order/2"}, nil},
		{"a member that the version does not have", "document_malformed", true, members{"gift": true}, nil},
		{"issued in another's name", "document_parties", true, members{"iss": other}, nil},
		{"meant for another supplier", "document_parties", true, members{"aud": other}, nil},
		{"another partner's agreement in document and token", "agreement_not_yours", true, members{"agreement": "agr-other"}, func(_ *bench, _ members, c *exchange.Call) { c.Agreement = "agr-other" }},
		{"an agreement that does not exist", "agreement_not_yours", true, members{"agreement": "agr-none"}, func(_ *bench, _ members, c *exchange.Call) { c.Agreement = "agr-none" }},
		{"another agreement than the token's", "agreement_mismatch", true, members{"agreement": "agr-other"}, nil},
		{"a token without an agreement", "agreement_missing", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Agreement = "" }},
		{"a token without the scope of the document", "scope_missing", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Scopes = []string{scope.LedgerRead, scope.OrdersCancel} }},
		{"a token that may not read the answer", "scope_missing", false, nil, func(_ *bench, _ members, c *exchange.Call) { c.Scopes = []string{scope.OrdersWrite} }},
		{"a negative quantity", "order_document_invalid", true, members{"quantity": -1}, nil},
		{"an overflowing quantity", "document_malformed", true, members{"quantity": int64(1) << 62}, nil},
		{"a quantity that is no integer", "document_malformed", true, members{"quantity": 1.5}, nil},
		{"a subscription id of somebody else", "order_document_invalid", true, members{"subscription": "sub-mine"}, nil},
		{"an unknown action", "order_action_unknown", true, members{"action": "modify"}, nil},
		{"an id that is too short", "order_document_invalid", true, members{"jti": "short"}, nil},
		{"no date to decide by", "document_malformed", true, members{"accept_by": nil}, nil},
		{"inputs beyond the limit", "inputs_too_large", true, nil, func(_ *bench, _ members, c *exchange.Call) {
			c.Documents[0].Inputs = make([]byte, order.MaxInputsBytes+1)
		}},
		{"escrow beyond the limit", "escrow_too_large", true, nil, func(_ *bench, _ members, c *exchange.Call) {
			c.Documents[0].Escrow = make([]byte, resale.MaxEscrowBytes+1)
		}},
		{"escrow that the document does not name", "escrow_digest", true, nil, func(_ *bench, _ members, c *exchange.Call) { c.Documents[0].Escrow = []byte("mine") }},
		{"other escrow than the document names", "escrow_digest", true, members{"escrow_sha256": signed.Digest([]byte("mine"))}, func(_ *bench, _ members, c *exchange.Call) { c.Documents[0].Escrow = []byte("yours") }},
		{"no escrow where the document names one", "escrow_digest", true, members{"escrow_sha256": signed.Digest([]byte("mine"))}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			document := b.purchase("order-0001").with(c.change)
			call := b.call(b.order(document))
			if c.call != nil {
				c.call(b, document, &call)
			}
			reply, err := b.desk.Submit(context.Background(), call)
			if err != nil {
				t.Fatal(err)
			}
			wantUndecided(t, reply.Outcomes[0], c.reason, c.final)
			if n := b.traces(); n != (traces{}) {
				t.Errorf("left %+v", n)
			}
		})
	}
}

func TestABusinessRefusalIsADecisionThatIsKept(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, reason string
		change       func(b *bench, m members) members
	}{
		{"a lower price", "price_mismatch", func(_ *bench, m members) members { return m.with(members{"one_off_minor": 1919}) }},
		{"the price of an older revision", "price_mismatch", func(_ *bench, m members) members { return m.with(members{"one_off_minor": 1600}) }},
		{"no price at all", "price_mismatch", func(_ *bench, m members) members { return m.with(members{"one_off_minor": nil}) }},
		{"a fee that is not owed", "price_mismatch", func(_ *bench, m members) members { return m.with(members{"recurring_minor": 1}) }},
		{"more pieces than are sold at once", "quantity_range", func(_ *bench, m members) members { return m.with(members{"quantity": 4, "one_off_minor": 3840}) }},
		{"another currency", "price_mismatch", func(_ *bench, m members) members { return m.with(members{"currency": "SEK"}) }},
		{"a revision beyond its grace", "offering_revision_stale", func(b *bench, m members) members {
			b.Clock.Pass(catalog.Grace)
			return m.with(members{"revision": 1, "accept_by": b.Clock.Now().Add(time.Hour).Format(time.RFC3339)})
		}},
		{"a revision that never was", "offering_unknown", func(_ *bench, m members) members { return m.with(members{"revision": 9}) }},
		{"an offering that never was", "offering_unknown", func(_ *bench, m members) members { return m.with(members{"offering": "nothing"}) }},
		{"another content of the revision", "offering_digest", func(_ *bench, m members) members {
			return m.with(members{"offering_sha256": strings.Repeat("0", 64)})
		}},
		{"other terms than those signed", "agreement_digest", func(_ *bench, m members) members {
			return m.with(members{"agreement_sha256": strings.Repeat("0", 64)})
		}},
		{"other inputs than those signed", "inputs_digest", func(_ *bench, m members) members {
			return m.with(members{"inputs_sha256": strings.Repeat("0", 64)})
		}},
		{"too late by our clock", "accept_by_passed", func(b *bench, m members) members {
			return m.with(members{"accept_by": b.Clock.Now().Add(-time.Second).Format(time.RFC3339)})
		}},
		{"the end of a subscription that is not there", "subscription_unknown", func(b *bench, _ members) members { return b.termination("order-0001", "none") }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			doc := b.order(c.change(b, b.purchase("order-0001")))
			first := b.decided(b.submit(doc), 0)
			body, err := order.ParseBody(first)
			if err != nil || first.Kind != ledger.OrderRejected || body.Reason != c.reason || body.Order != "order-0001" {
				t.Fatalf("decided %s, want a rejection for %s", first.Bytes, c.reason)
			}
			if again := b.decided(b.submit(doc), 0); again.Position() != first.Position() {
				t.Fatalf("the repetition is decided in %s", again.Bytes)
			}
			if n := b.traces(); n != (traces{orders: 1, entries: 1}) {
				t.Errorf("left %+v", n)
			}
		})
	}
}

func TestAnAcceptedOrderIsDecidedOnceForEver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	first := b.decided(b.submit(b.order(document)), 0)
	if first.Kind != ledger.OrderAccepted || first.Subject != order.SubscriptionID("order-0001") {
		t.Fatalf("decided %s", first.Bytes)
	}
	// Signed anew, with the same payload, years later.
	b.Clock.Pass(9 * 365 * 24 * time.Hour)
	renewed := b.order(document)
	if renewed.JWS == b.order(document).JWS {
		t.Fatal("the signature is the same; nothing is proved")
	}
	if again := b.decided(b.submit(renewed), 0); again.Position() != first.Position() {
		t.Fatalf("the repetition is decided in %s", again.Bytes)
	}
	changed := b.order(document.with(members{"quantity": 1, "one_off_minor": 960}))
	wantUndecided(t, b.submit(changed).Outcomes[0], "document_conflict", true)
	if n := b.traces(); n != (traces{orders: 1, entries: 1, jobs: 1, subscriptions: 1}) {
		t.Errorf("left %+v", n)
	}
	if sub := b.bought("order-0001"); sub.State != subscription.PendingActive || sub.Price.OneOff.Minor != 1920 {
		t.Errorf("subscription is %+v", sub)
	}
}

func TestTwoResellersMayChooseTheSameId(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(b.order(b.purchase("order-0001")))
	document := b.purchase("order-0001").with(members{"iss": other, "agreement": "agr-other", "agreement_sha256": b.agreementDigest(other)})
	doc := b.order(document)
	doc.JWS = b.sign(other, signed.Order, document)
	call := b.call(doc)
	call.Partner, call.Agreement, call.Checkpoint = other, "agr-other", b.checkpoint(other)
	reply, err := b.desk.Submit(t.Context(), call)
	if err != nil || reply.Outcomes[0].Undecided != nil {
		t.Fatalf("%+v, %v", reply.Outcomes, err)
	}
	if n := b.traces(); n != (traces{orders: 2, entries: 2, jobs: 2, subscriptions: 2}) {
		t.Errorf("left %+v", n)
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
			b := newBench(t)
			b.stored(c.inputs)
			reply := b.submit(b.order(b.purchase("order-0001")))
			if c.kind == "" {
				wantUndecided(t, reply.Outcomes[0], "internal", false)
				if n := b.traces(); n != (traces{}) {
					t.Errorf("left %+v", n)
				}
				return
			}
			if e := b.decided(reply, 0); e.Kind != c.kind {
				t.Errorf("decided %s; want %s", e.Bytes, c.kind)
			}
		})
	}
}

// stored makes the current revision ask for other inputs, past all checks.
func (b *bench) stored(inputs string) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) error {
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
		b.current = o
		return tx.Catalog().PutRevision(o)
	})
}

func TestWhatIsKeptWithADecision(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc := b.order(b.purchase("order-0001").with(members{"escrow_sha256": signed.Digest([]byte("sealed"))}))
	doc.Escrow = []byte("sealed")
	b.members[buyer].Append(self, ledger.OrderPlaced, "sub-order-0001")
	call := b.call(doc)
	reply, err := b.desk.Submit(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	entry := b.decided(reply, 0)
	b.View(func(tx *store.Tx) error {
		key := exchange.Key{Type: signed.Order, ID: "order-0001"}
		all, err := tx.Decisions().Decisions(buyer, []exchange.Key{key})
		if err != nil {
			return err
		}
		if d := all[key]; string(d.Escrow) != "sealed" || d.Checkpoint != call.Checkpoint || d.Held.Seq != 1 || d.At != entry.Position() {
			t.Errorf("kept %+v", d)
		}
		return nil
	})
}

// completed is an order that was placed and completed, with access data to fetch.
func (b *bench) completed(id string) {
	b.t.Helper()
	if e := b.decided(b.submit(b.order(b.purchase(id))), 0); e.Kind != ledger.OrderAccepted {
		b.t.Fatalf("decided %s", e.Bytes)
	}
	b.complete(id, subscription.Result{Adapter: "x", AccessDigest: []byte(signed.Digest([]byte("sealed " + id)))})
	b.Do(func(tx *store.Tx) error {
		return tx.Subscriptions().PutSecret(subscription.ResaleKey(buyer, order.SubscriptionID(id)), subscription.SecretSealed, []byte("sealed "+id))
	})
}

// receipt is a good receipt for the access data of an order.
func (b *bench) receipt(id string) members {
	access := signed.Digest([]byte("sealed " + id))
	return members{
		"type": signed.AccessReceiptV1, "iss": buyer, "aud": self, "jti": subscription.ReceiptID(access), "agreement": "agr-buyer",
		"subscription": order.SubscriptionID(id), "access_sha256": access,
	}
}

func TestAReceiptDeletesOurCopyOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	doc := exchange.Document{JWS: b.sign(buyer, signed.AccessReceipt, b.receipt("order-0001"))}
	first := b.decided(b.submit(doc), 0)
	var body subscription.Body
	if err := json.Unmarshal(first.Body, &body); err != nil || first.Kind != ledger.AccessDeleted || first.Subject != "sub-order-0001" ||
		body.DocumentSHA256 != signed.Digest(b.receipt("order-0001").bytes(t)) {
		t.Fatalf("decided %s", first.Bytes)
	}
	if again := b.decided(b.submit(doc), 0); again.Position() != first.Position() {
		t.Fatalf("the repetition is decided in %s", again.Bytes)
	}
	if _, err := b.desk.Subscriptions.SealedAccess(t.Context(), buyer, "agr-buyer", "sub-order-0001"); err == nil {
		t.Error("our copy is still there")
	}
}

func TestAReceiptForSomethingElseLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	before := b.traces()
	for name, c := range map[string]struct {
		reason string
		change members
	}{
		"other access data":        {"access_digest", members{"jti": "rcp-" + strings.Repeat("0", 60), "access_sha256": strings.Repeat("0", 64)}},
		"the id of others":         {"receipt_document_invalid", members{"jti": "rcp-" + strings.Repeat("0", 60)}},
		"no such subscription":     {"subscription_not_found", members{"subscription": "sub-none"}},
		"another agreement":        {"agreement_mismatch", members{"agreement": "agr-other"}},
		"issued in another's name": {"document_parties", members{"iss": other}},
		"no digest":                {"receipt_document_invalid", members{"access_sha256": "all of it"}},
	} {
		reply := b.submit(exchange.Document{JWS: b.sign(buyer, signed.AccessReceipt, b.receipt("order-0001").with(c.change))})
		if got := reasonOf(reply.Outcomes[0]); got != c.reason || !reply.Outcomes[0].Final() {
			t.Errorf("%s: %+v", name, reply.Outcomes[0])
		}
	}
	if after := b.traces(); after != before {
		t.Errorf("left %+v after %+v", after, before)
	}
	if jwe, err := b.desk.Subscriptions.SealedAccess(t.Context(), buyer, "agr-buyer", "sub-order-0001"); err != nil || jwe == "" {
		t.Errorf("our copy is gone: %v", err)
	}
}

func TestEveryKeyButTheBusinessKeyIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jws, err := b.members[buyer].Keys.Sign(keys.Client, signed.Order, b.purchase("order-0001").bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	wantUndecided(t, b.submit(exchange.Document{JWS: jws}).Outcomes[0], "document_signature_invalid", false)
}

func TestWhatIsWrongAboutACallSaysNothingAboutItsDocuments(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	many := make([]exchange.Document, exchange.MaxDocuments+1)
	for name, c := range map[string]struct {
		reason string
		change func(c *exchange.Call)
	}{
		"no document":        {"documents_range", func(c *exchange.Call) { c.Documents = nil }},
		"too many documents": {"documents_range", func(c *exchange.Call) { c.Documents = many }},
		"too much altogether": {"call_too_large", func(c *exchange.Call) {
			for range 20 {
				c.Documents = append(c.Documents, exchange.Document{JWS: "x", Attachments: resale.Attachments{Inputs: make([]byte, 60<<10)}})
			}
		}},
		"no checkpoint of the caller":                         {"document_signature_invalid", func(c *exchange.Call) { c.Checkpoint = "" }},
		"a checkpoint of somebody else":                       {"document_signature_invalid", func(c *exchange.Call) { c.Checkpoint = b.checkpoint(other) }},
		"a countersigned checkpoint that nobody signed":       {"document_signature_invalid", func(c *exchange.Call) { c.Seen = "forged" }},
		"our checkpoint towards another, countersigned":       {"checkpoint_parties", func(c *exchange.Call) { c.Seen = b.seen(buyer, b.ownCheckpoint(other)) }},
		"a checkpoint of the caller's own where ours belongs": {"document_signature_invalid", func(c *exchange.Call) { c.Seen = b.seen(buyer, b.checkpoint(buyer)) }},
		"a partner that is none":                              {"partner_not_found", func(c *exchange.Call) { c.Partner = "https://nobody.localhost:9" }},
	} {
		call := b.call(b.order(b.purchase("order-0001")))
		c.change(&call)
		if _, err := b.desk.Submit(t.Context(), call); !strings.Contains(fmt.Sprint(err), c.reason) {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
	if n := b.traces(); n != (traces{}) {
		t.Errorf("left %+v", n)
	}
}

// ownCheckpoint signs where our log towards a partner ends.
func (b *bench) ownCheckpoint(partner string) string {
	b.t.Helper()
	page, err := b.Book.Tail(b.t.Context(), partner, ledger.Position{}, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return page.Checkpoint
}

// seen is a checkpoint countersigned by a member.
func (b *bench) seen(by, checkpoint string) string {
	b.t.Helper()
	jws, err := b.members[by].Book.Countersign(self, checkpoint)
	if err != nil {
		b.t.Fatal(err)
	}
	return jws
}
