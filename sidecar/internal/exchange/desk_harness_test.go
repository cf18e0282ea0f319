package exchange_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
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

// bench is a supplier's desk, with one offering in two revisions, and two resellers with an agreement each.
type bench struct {
	*markettest.Member
	t       testing.TB
	desk    *exchange.Desk
	members map[string]*markettest.Member
	// agreed is what each reseller signed with us, current the offering.
	agreed  map[string]agreement.Agreement
	current catalog.Offering
}

func newBench(t testing.TB) *bench { t.Helper(); return openBench(t, markettest.Config{}) }

func openBench(t testing.TB, cfg markettest.Config) *bench {
	t.Helper()
	b := &bench{t: t, Member: markettest.Open(t, self, cfg)}
	b.members = map[string]*markettest.Member{self: b.Member}
	for _, origin := range []string{buyer, other} {
		b.members[origin] = markettest.Open(t, origin, markettest.Config{Clock: b.Clock})
		b.Meet(b.members[origin])
	}
	terms := agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"}
	b.agreed = map[string]agreement.Agreement{
		buyer: markettest.Agree(b.Member, b.members[buyer], "agr-buyer", terms), other: markettest.Agree(b.Member, b.members[other], "agr-other", terms),
	}
	b.desk = deskOf(b.Member)
	b.apply("10.00")
	b.Clock.Pass(time.Hour)
	b.apply("12.00")
	return b
}

// deskOf is the desk of a member.
func deskOf(m *markettest.Member) *exchange.Desk {
	relations := &agreement.Relations{Self: m.Origin, Work: store.For[agreement.Tx](m.Store), Now: m.Clock.Now}
	reader := &federation.LedgerReader{Self: m.Origin, Work: store.For[federation.Tx](m.Store), Now: m.Clock.Now}
	return &exchange.Desk{
		Reader: reader,
		Self:   m.Origin, Work: store.For[exchange.Tx](m.Store), Book: m.Book, Signer: m.Keys, Now: m.Clock.Now, Allowed: relations.Allowed,
		Logger: slog.New(slog.DiscardHandler),
		Orders: &resale.Service{
			Self: m.Origin, Work: store.For[resale.Tx](m.Store), Schemas: recipe.NewSchemas(0), Now: m.Clock.Now, Book: m.Book,
		},
		Agreements: &agreement.Service{
			Self: m.Origin, Work: store.For[agreement.Tx](m.Store), Book: m.Book, Signer: m.Keys, Now: m.Clock.Now,
			OwnKeys: func() (string, string) { return m.Keys.CurrentKID(keys.Business), m.Keys.NextDigest() },
			NewID:   func() string { return "agr-new" },
		},
		Subscriptions: &subscription.Service{Self: m.Origin, Work: store.For[subscription.Tx](m.Store), Book: m.Book, Signer: m.Keys, Now: m.Clock.Now},
	}
}

func (b *bench) apply(price string) {
	b.t.Helper()
	b.current = b.Offer(markettest.Offering{
		Price: price, MaxQuantity: 3,
		// The orders here leave readers to its default.
		Inputs: `{type: object, additionalProperties: false, required: [title, readers], properties: {title: {type: string, maxLength: 9}, readers: {enum: [all, few], default: all}}}`,
	})
}

func (b *bench) agreementDigest(reseller string) string {
	digest := b.agreed[reseller].Digest
	return hex.EncodeToString(digest[:])
}

// members of a document, before it is signed.
type members map[string]any

// with is a copy with some members changed; nil takes one out.
func (m members) with(change members) members {
	all := members{}
	for name, value := range m {
		all[name] = value
	}
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

func (m members) bytes(t testing.TB) []byte {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// purchase is a good order of the current revision by the buyer.
func (b *bench) purchase(id string) members {
	now := b.Clock.Now()
	return members{
		"type": signed.OrderV1, "iss": buyer, "aud": self, "jti": id, "placed_at": now.Format(time.RFC3339), "accept_by": now.Add(time.Hour).Format(time.RFC3339),
		"action": "add", "intent": "purchase", "agreement": "agr-buyer", "agreement_sha256": b.agreementDigest(buyer),
		"subscription": order.SubscriptionID(id), "customer": "cus-1", "offering": "db", "revision": b.current.Revision,
		"offering_sha256": hex.EncodeToString(b.current.Digest[:]), "quantity": 2, "inputs_sha256": order.InputsDigest([]byte("sixteen bytes of it"), []byte(`{"title":"mine"}`)),
		"one_off_minor": 1920, "currency": "EUR",
	}
}

// termination is a good end of what an order bought.
func (b *bench) termination(id, bought string) members {
	return b.purchase(id).with(members{
		"action": "delete", "intent": "terminate", "subscription": order.SubscriptionID(bought), "offering": nil, "revision": nil,
		"offering_sha256": nil, "quantity": nil, "inputs_sha256": nil, "one_off_minor": nil, "currency": nil,
	})
}

// cancel is a good cancel of an order.
func (b *bench) cancel(of members) members {
	id, _ := of["jti"].(string)
	return members{
		"type": signed.CancelV1, "iss": buyer, "aud": self, "jti": "cnl-" + id, "placed_at": b.Clock.Now().Format(time.RFC3339),
		"agreement": of["agreement"], "subscription": of["subscription"], "order": id, "order_sha256": signed.Digest(of.bytes(b.t)),
	}
}

// sign signs a document in a member's name.
func (b *bench) sign(signer, typ string, m members) string {
	b.t.Helper()
	jws, err := b.members[signer].Keys.Sign(keys.Business, typ, m.bytes(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	return jws
}

// order is a signed order with its inputs beside it.
func (b *bench) order(m members) exchange.Document {
	b.t.Helper()
	doc := exchange.Document{JWS: b.sign(buyer, signed.Order, m)}
	if m["action"] == "add" {
		doc.Inputs, doc.InputsSalt = []byte(`{"title":"mine"}`), []byte("sixteen bytes of it")
	}
	return doc
}

func (b *bench) cancelling(of members) exchange.Document {
	b.t.Helper()
	return exchange.Document{JWS: b.sign(buyer, signed.Cancel, b.cancel(of))}
}

// checkpoint is where a member's own log towards us stands.
func (b *bench) checkpoint(of string) string {
	b.t.Helper()
	m := b.members[of]
	var head ledger.Head
	m.View(func(tx *store.Tx) (err error) {
		head, err = tx.Ledger().Head(self, ledger.Own)
		return err
	})
	jws, err := m.Book.Checkpoint(self, head.Position(), head.Hash)
	if err != nil {
		b.t.Fatal(err)
	}
	return jws
}

// call carries documents of the buyer, with a token that has every scope.
func (b *bench) call(docs ...exchange.Document) exchange.Call {
	b.t.Helper()
	return exchange.Call{Partner: buyer, Agreement: "agr-buyer", Scopes: scope.All(), Documents: docs, Checkpoint: b.checkpoint(buyer)}
}

// submit has the call decided, and must.
func (b *bench) submit(docs ...exchange.Document) exchange.Reply {
	b.t.Helper()
	r, err := b.desk.Submit(b.t.Context(), b.call(docs...))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// decided is the entry in which a reply says that one of its documents was decided.
func (b *bench) decided(r exchange.Reply, i int) ledger.Entry {
	b.t.Helper()
	if r.Outcomes[i].Undecided != nil {
		b.t.Fatalf("document %d is undecided: %v", i, r.Outcomes[i].Undecided)
	}
	return b.entry(r.Outcomes[i].At)
}

// noted holds that the desk signed that it has a document.
func (b *bench) noted(r exchange.Reply, i int, doc exchange.Document) {
	b.t.Helper()
	payload, err := signed.Open(r.Outcomes[i].Noted, signed.Noted, b.Key())
	var n exchange.Noted
	if err == nil {
		err = signed.Decode(payload, &n)
	}
	of, perr := signed.Payload(doc.JWS)
	if err != nil || perr != nil || n.Issuer != self || n.Audience != buyer || n.Document != signed.Digest(of) {
		b.t.Fatalf("document %d is %+v: %v, %v", i, r.Outcomes[i], err, perr)
	}
}

func (b *bench) entry(at ledger.Position) (e ledger.Entry) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) {
		e, err = tx.Ledger().Entry(buyer, ledger.Own, at)
		return err
	})
	return e
}

// wantUndecided fails unless a document is undecided for a reason, finally or not.
func wantUndecided(t *testing.T, o exchange.Outcome, reason string, final bool) {
	t.Helper()
	if o.Undecided == nil || o.Undecided.Reason != reason || o.Final() != final {
		t.Fatalf("the outcome is %+v (final %v), want undecided for %s, final %v", o, o.Final(), reason, final)
	}
}

func reasonOf(o exchange.Outcome) string {
	if o.Undecided == nil {
		return ""
	}
	return o.Undecided.Reason
}

// traces counts what documents may leave behind.
type traces struct{ orders, entries, jobs, subscriptions int }

func (b *bench) traces() (n traces) {
	b.t.Helper()
	err := b.Store.View(context.Background(), func(tx *store.Tx) error {
		n = traces{}
		list, err := tx.ResaleOrders().List(false, order.Place{}, 1000)
		if err != nil {
			return err
		}
		n.orders = len(list)
		for _, partner := range []string{buyer, other} {
			head, err := tx.Ledger().Head(partner, ledger.Own)
			if err != nil {
				return err
			}
			n.entries += int(head.Seq)
		}
		waiting, err := tx.Jobs().List(1000)
		n.jobs = len(waiting)
		if err != nil {
			return err
		}
		subs, _, err := tx.Subscriptions().List(subscription.Resale, "", 1000)
		n.subscriptions = len(subs)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// resaleOrder and bought read what an order became.
func (b *bench) resaleOrder(id string) (o resale.Order, found bool) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) {
		o, err = tx.ResaleOrders().Get(buyer, id)
		if found = err == nil; fault.Is(err, fault.NotFound) {
			err = nil
		}
		return err
	})
	return o, found
}

func (b *bench) bought(id string) (s subscription.Subscription) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) {
		s, err = tx.Subscriptions().Get(subscription.ResaleKey(buyer, order.SubscriptionID(id)))
		return err
	})
	return s
}

// complete ends an order well, as provision does.
func (b *bench) complete(id string, r subscription.Result) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) error {
		o, err := tx.ResaleOrders().Get(buyer, id)
		if err != nil {
			return err
		}
		return b.desk.Orders.Complete(tx, o, r)
	})
}
