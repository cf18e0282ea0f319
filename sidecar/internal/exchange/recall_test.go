package exchange_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// tells has the buyer write an entry about a document of its own.
func (b *bench) tells(kind ledger.Kind, subject string, body any) {
	b.t.Helper()
	m := b.members[buyer]
	m.Do(func(tx *store.Tx) error {
		_, err := m.Book.Append(tx, self, kind, subject, body)
		return err
	})
}

// places is what an order's entry in the buyer's log says.
func places(m members, digest string) order.Body {
	id, _ := m["jti"].(string)
	return order.Body{
		Order: id, DocumentSHA256: digest, Agreement: "agr-buyer", Subscription: order.SubscriptionID(id), Action: order.Add, Intent: order.Purchase,
	}
}

// copies has our copy of the buyer's log read to its end.
func (b *bench) copies() {
	b.t.Helper()
	page, err := b.members[buyer].Book.Tail(b.t.Context(), self, ledger.Position{}, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	b.copied(page)
}

func (b *bench) recall(after int64) exchange.Recalled {
	b.t.Helper()
	page, err := b.desk.Recall(b.t.Context(), buyer, ledger.Position{Seq: after})
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

func TestAPartnerGetsBackWhatItSignedAndNothingElse(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if page := b.recall(0); len(page.Entries) != 0 || page.Checkpoint != "" || page.More {
		t.Errorf("before anything: %+v", page)
	}
	bought, unsent := b.purchase("order-0001"), b.purchase("order-0002")
	b.completed("order-0001")
	receipt := b.receipt("order-0001")
	b.submit(exchange.Document{JWS: b.sign(buyer, signed.AccessReceipt, receipt)})
	// Another reseller's order has the same id.
	theirs := bought.with(members{"iss": other, "agreement": "agr-other", "agreement_sha256": b.agreementDigest(other)})
	foreign := exchange.Document{JWS: b.sign(other, signed.Order, theirs), Attachments: b.order(bought).Attachments}
	if _, err := b.desk.Submit(t.Context(), exchange.Call{
		Partner: other, Agreement: "agr-other", Scopes: b.call().Scopes, Documents: []exchange.Document{foreign}, Checkpoint: b.checkpoint(other),
	}); err != nil {
		t.Fatal(err)
	}
	b.tells(ledger.OrderPlaced, "sub-order-0001", places(bought, signed.Digest(bought.bytes(t))))
	b.tells(ledger.OrderPlaced, "sub-order-0002", places(unsent, signed.Digest(unsent.bytes(t))))
	b.tells(ledger.OrderPlaced, "sub-order-0001", places(bought, signed.Digest(theirs.bytes(t)))) // it knows their digest
	b.tells(ledger.AccessConfirmed, "sub-order-0001", subscription.Body{
		AccessSHA256: receipt["access_sha256"].(string), DocumentSHA256: signed.Digest(receipt.bytes(t)), Subscription: "sub-order-0001",
	})
	b.copies()
	page := b.recall(0)
	if len(page.Entries) != 4 || page.More || page.Last.Seq != 4 || page.Checkpoint == "" {
		t.Fatalf("it gets %d entries up to %s", len(page.Entries), page.Last)
	}
	if len(page.Documents) != 2 {
		t.Fatalf("it gets %d documents", len(page.Documents))
	}
	for i, want := range []members{bought, receipt} {
		payload, err := signed.Payload(page.Documents[i].JWS)
		if err != nil || string(payload) != string(want.bytes(t)) {
			t.Errorf("document %d is %s", i, payload)
		}
	}
	if d := page.Documents[0]; string(d.Inputs) != `{"title":"mine"}` || string(d.InputsSalt) != "sixteen bytes of it" {
		t.Errorf("beside it lie %+v", d.Attachments)
	}
	if page := b.recall(3); len(page.Entries) != 1 || len(page.Documents) != 1 || page.More {
		t.Errorf("after the third it gets %+v", page)
	}
}

func TestRecallIsAnsweredInEveryStateOfTheBooks(t *testing.T) {
	t.Parallel()
	for _, state := range []ledger.BooksState{ledger.Level, ledger.Unproven, ledger.Behind, ledger.Forked} {
		b := newBench(t)
		bought := b.purchase("order-0001")
		b.submit(b.order(bought))
		b.tells(ledger.OrderPlaced, "sub-order-0001", places(bought, signed.Digest(bought.bytes(t))))
		b.copies()
		b.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(buyer)
			if err != nil {
				return err
			}
			books.State = state
			_, err = tx.Ledger().PutBooks(books)
			return err
		})
		if page := b.recall(0); len(page.Entries) != 1 || len(page.Documents) != 1 {
			t.Errorf("%s: %+v", state, page)
		}
	}
}

func TestAPageOfRecallHasBounds(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 2*exchange.RecallEntries + 1 {
		b.tells(ledger.OrderPlaced, "sub", map[string]string{"long": strings.Repeat("x", i%7), "order": fmt.Sprint(i)})
	}
	b.copies()
	after, pages := int64(0), 0
	for more := true; more; pages++ {
		page := b.recall(after)
		if len(page.Entries) > exchange.RecallEntries || page.Last.Seq != after+int64(len(page.Entries)) {
			t.Fatalf("a page after %d has %d entries up to %s", after, len(page.Entries), page.Last)
		}
		after, more = page.Last.Seq, page.More
	}
	if after != 2*exchange.RecallEntries+1 || pages != 3 {
		t.Errorf("%d pages up to %d", pages, after)
	}
}
