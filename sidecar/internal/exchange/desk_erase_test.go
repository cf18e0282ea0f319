package exchange_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// escrowed is a purchase with escrow beside it, and that.
func (b *bench) escrowed(id string) (members, exchange.Document) {
	b.t.Helper()
	escrow := []byte("the escrow of " + id)
	m := b.purchase(id).with(members{"escrow_sha256": signed.Digest(escrow)})
	doc := b.order(m)
	doc.Escrow = escrow
	return m, doc
}

// erase is a good request to erase an order.
func (b *bench) erase(of members) members {
	id, _ := of["jti"].(string)
	return members{
		"type": signed.EraseV1, "iss": buyer, "aud": self, "jti": "ers-" + id, "agreement": of["agreement"], "subscription": of["subscription"],
		"order": id, "order_sha256": signed.Digest(of.bytes(b.t)), "escrow_sha256": of["escrow_sha256"],
	}
}

// asks submits requests to erase, under the partnership alone.
func (b *bench) asks(requests ...members) exchange.Reply {
	b.t.Helper()
	call := b.call()
	call.Agreement = ""
	for _, m := range requests {
		if m["escrow_sha256"] == nil {
			delete(m, "escrow_sha256")
		}
		call.Documents = append(call.Documents, exchange.Document{JWS: b.sign(buyer, signed.Erase, m)})
	}
	r, err := b.desk.Submit(b.t.Context(), call)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// kept is the escrow beside an order, and the salt of its inputs.
func (b *bench) kept(id string) (escrow, salt string) {
	b.t.Helper()
	b.View(func(tx *store.Tx) error {
		key := exchange.Key{Type: signed.Order, ID: id}
		known, err := tx.Decisions().Decisions(buyer, []exchange.Key{key})
		escrow = string(known[key].Escrow)
		return err
	})
	o, _ := b.resaleOrder(id)
	return escrow, string(o.InputsSalt)
}

// over has an order completed, and what it made ended by another.
func (b *bench) over(id string) members {
	b.t.Helper()
	m, doc := b.escrowed(id)
	b.submit(doc)
	b.complete(id, subscription.Result{})
	b.submit(b.order(b.termination("end-"+id, id)))
	b.complete("end-"+id, subscription.Result{})
	return m
}

func TestARequestDeletesTheEscrowOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bought, other := b.over("order-0001"), b.over("order-0002")
	ended := b.termination("end-order-0001", "order-0001")
	request := b.erase(bought)
	first := b.decided(b.asks(request), 0)
	told, err := ledger.ReadBody(first)
	if err != nil || first.Kind != ledger.OrderErased || first.Subject != "sub-order-0001" || told.Order != "order-0001" ||
		told.Document != signed.Digest(request.bytes(t)) || told.Escrow != bought["escrow_sha256"] {
		t.Fatalf("decided %s, %v", first.Bytes, err)
	}
	if escrow, salt := b.kept("order-0001"); escrow != "" || salt != "" {
		t.Errorf("kept are %q and %q", escrow, salt)
	}
	if escrow, salt := b.kept("order-0002"); escrow == "" || salt == "" {
		t.Error("what lies beside another order is gone")
	}
	if again := b.decided(b.asks(request), 0); again.Position() != first.Position() {
		t.Errorf("the repetition is decided in %s", again.Bytes)
	}
	// Of the order that ended it nothing was kept, and both go in one call.
	both := b.asks(b.erase(ended), b.erase(other))
	if told, err = ledger.ReadBody(b.decided(both, 0)); err != nil || told.Escrow != "" {
		t.Errorf("deleted beside the end is %+v, %v", told, err)
	}
	b.decided(both, 1)
	// The partner has its order back without it, and the request.
	b.tells(ledger.OrderPlaced, "sub-order-0001", places(bought, signed.Digest(bought.bytes(t))))
	b.tells(ledger.ErasePlaced, "sub-order-0001", order.Body{
		Agreement: "agr-buyer", Order: "order-0001", DocumentSHA256: signed.Digest(request.bytes(t)), Subscription: "sub-order-0001",
	})
	b.copies()
	page := b.recall(0)
	if len(page.Documents) != 2 || len(page.Documents[0].Escrow)+len(page.Documents[0].Inputs)+len(page.Documents[0].InputsSalt) > 0 {
		t.Fatalf("it gets back %+v", page.Documents)
	}
	if payload, err := signed.Payload(page.Documents[1].JWS); err != nil || string(payload) != string(request.bytes(t)) {
		t.Errorf("the request is %s, %v", payload, err)
	}
}

// TestARequestBeforeTheEndWaits without a trace.
func TestARequestBeforeTheEndWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, doc := b.escrowed("order-0001")
	waits := func(when string) {
		t.Helper()
		before := b.traces()
		r := b.asks(b.erase(m))
		if wantUndecided(t, r.Outcomes[0], "erase_too_early", false); b.traces() != before {
			t.Errorf("%s it left a trace", when)
		}
	}
	waits("before the order")
	b.submit(doc)
	waits("before its work")
	b.complete("order-0001", subscription.Result{})
	waits("while it runs")
	b.submit(b.order(b.termination("end-0001", "order-0001")))
	waits("while it ends")
	if escrow, salt := b.kept("order-0001"); escrow == "" || salt == "" {
		t.Error("what lies beside it is gone")
	}
	b.complete("end-0001", subscription.Result{})
	b.decided(b.asks(b.erase(m)), 0)
}

func TestARequestForSomethingElseLeavesNoTrace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := b.over("order-0001")
	before := b.traces()
	for name, c := range map[string]struct {
		reason string
		change members
	}{
		"another content":          {"erase_mismatch", members{"order_sha256": strings.Repeat("0", 64)}},
		"another subscription":     {"erase_mismatch", members{"subscription": "sub-none"}},
		"another agreement":        {"erase_mismatch", members{"agreement": "agr-other"}},
		"another escrow":           {"erase_mismatch", members{"escrow_sha256": strings.Repeat("0", 64)}},
		"no escrow":                {"erase_mismatch", members{"escrow_sha256": nil}},
		"issued in another's name": {"document_parties", members{"iss": other}},
		"to another":               {"document_parties", members{"aud": other}},
		"an id of its own":         {"erase_document_invalid", members{"jti": "ers-order-0002"}},
		"no digest":                {"erase_document_invalid", members{"order_sha256": "all of it"}},
	} {
		reply := b.asks(b.erase(m).with(c.change))
		if got := reasonOf(reply.Outcomes[0]); got != c.reason || !reply.Outcomes[0].Final() {
			t.Errorf("%s: %+v", name, reply.Outcomes[0])
		}
	}
	under := b.submit(exchange.Document{JWS: b.sign(buyer, signed.Erase, b.erase(m))})
	wantUndecided(t, under.Outcomes[0], "agreement_unexpected", false)
	if after := b.traces(); after != before {
		t.Errorf("left %+v after %+v", after, before)
	}
	if escrow, _ := b.kept("order-0001"); escrow == "" {
		t.Error("the escrow is gone")
	}
	b.decided(b.asks(b.erase(m)), 0)
	wantUndecided(t, b.asks(b.erase(m).with(members{"escrow_sha256": nil})).Outcomes[0], "document_conflict", true)
}

// TestARequestOfWhatNeverArrived is decided: a cancel came before the order, and nothing was kept.
func TestARequestOfWhatNeverArrived(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, _ := b.escrowed("order-0001")
	b.submit(b.cancelling(m))
	if told, err := ledger.ReadBody(b.decided(b.asks(b.erase(m)), 0)); err != nil || told.Escrow != "" {
		t.Errorf("it says %+v, %v", told, err)
	}
}

// TestARequestOfWhatBothEndedBeforeItCame is decided, and so is the order that comes late all the same: nothing of it was kept, and none will be.
func TestARequestOfWhatBothEndedBeforeItCame(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m, late := b.escrowed("order-0001")
	wantUndecided(t, b.asks(b.erase(m)).Outcomes[0], "erase_too_early", false)
	d := b.newLife("order-0001")
	d.Subjects[0].State = subscription.Aborted
	payload, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	b.Do(func(tx *store.Tx) error {
		return tx.Lives().Put(life.Record{Partner: buyer, ID: d.ID, Ours: true, Life: 1, Round: 1, State: life.Opened, Payload: payload})
	})
	erased := b.decided(b.asks(b.erase(m)), 0)
	if told, err := ledger.ReadBody(erased); err != nil || erased.Kind != ledger.OrderErased || told.Escrow != "" {
		t.Errorf("it says %s, %v", erased.Bytes, err)
	}
	if again := b.decided(b.submit(late), 0); again.Position() != erased.Position() {
		t.Errorf("the late order is decided in %s", again.Bytes)
	}
	if escrow, salt := b.kept("order-0001"); escrow != "" || salt != "" {
		t.Errorf("kept are %q and %q", escrow, salt)
	}
}

// TestARequestNeedsNoAgreementAndNoLevelBooks: it winds down, and only a store in doubt lets it wait.
func TestARequestNeedsNoAgreementAndNoLevelBooks(t *testing.T) {
	t.Parallel()
	for state, reason := range map[ledger.BooksState]string{
		ledger.Level: "", ledger.Forked: "", ledger.Unproven: "books_unproven", ledger.Behind: "books_behind",
	} {
		b := newBench(t)
		m := b.over("order-0001")
		b.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(buyer)
			if err == nil && state != ledger.Level {
				books.State = state
				_, err = tx.Ledger().PutBooks(books)
			}
			return err
		})
		if r := b.asks(b.erase(m)); reasonOf(r.Outcomes[0]) != reason || reason != "" && r.Outcomes[0].Final() {
			t.Errorf("%s: %+v", state, r.Outcomes[0])
		}
		if escrow, _ := b.kept("order-0001"); (escrow == "") != (reason == "") {
			t.Errorf("%s: kept is %q", state, escrow)
		}
	}
	if needed, known := scope.OfDocument(signed.Erase, ""); !known || scope.NeedsAgreement(needed) || !slices.Contains(scope.All(), needed) {
		t.Errorf("it needs %q", needed)
	}
}
