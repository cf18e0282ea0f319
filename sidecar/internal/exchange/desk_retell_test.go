package exchange_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestWhatWindsDownDuringAForkIsToldInTheNewLife: an end that was decided meanwhile stands behind the first entry of the new life, and is
// decided there; what both agreed to end is wound down without an order; what else there was stays in the ended life.
func TestWhatWindsDownDuringAForkIsToldInTheNewLife(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		b.completed("order-0001")
		b.completed("order-0002")
		request := b.erase(b.over("order-0003"))
		b.desk.Lives = &life.Service{
			Self: self, Work: store.For[life.Tx](b.Store), Book: b.Book, Signer: b.Keys, Now: b.Clock.Now, Resale: b.desk.Orders,
			Retail: &retail.Service{Self: self, Work: store.For[retail.Tx](b.Store), Book: b.Book, Now: b.Clock.Now},
		}
		b.Do(func(tx *store.Tx) error {
			p, err := tx.Partners().Get(buyer)
			if err != nil {
				return err
			}
			p.Documents = signed.Versions()
			if _, err = tx.Partners().Put(p); err != nil {
				return err
			}
			_, err = ledger.Fork(tx, buyer, ledger.ReasonFork, b.Clock.Now(), ledger.Evidence{At: ledger.Position{Seq: 1}})
			return err
		})
		end := b.order(b.termination("end-0001", "order-0001"))
		b.noted(b.submit(end), 0, end)
		b.noted(b.asks(request), 0, exchange.Document{JWS: b.sign(buyer, signed.Erase, request)})
		var own, theirs ledger.Head
		var last ledger.Entry
		b.View(func(tx *store.Tx) (err error) {
			if own, err = tx.Ledger().Head(buyer, ledger.Own); err != nil {
				return err
			}
			if last, err = tx.Ledger().Entry(buyer, ledger.Own, ledger.Position{Seq: own.Seq - 2}); err != nil {
				return err
			}
			theirs, err = tx.Ledger().Head(buyer, ledger.Theirs)
			return err
		})
		place := func(at ledger.Position, hash [32]byte) life.Place {
			return life.Place{Life: at.Life, Seq: at.Seq, Hash: hex.EncodeToString(hash[:])}
		}
		read, begin := place(last.Position(), last.Hash), place(theirs.Position(), theirs.Hash)
		payload, err := json.Marshal(life.Document{
			Type: signed.LifeV1, ID: "life-1-1-test", Life: 1, Round: 1, Proposer: buyer, Recipient: self, Evidence: signed.Digest(nil),
			ProposerLog:  life.Heads{Own: begin, Read: begin, Common: begin},
			RecipientLog: life.Heads{Own: place(own.Position(), own.Hash), Read: read, Common: read},
			Subjects: []life.Subject{{Subscription: "sub-order-0002", Supplier: self, State: subscription.Terminated, Pays: life.PaysReseller}, {
				Subscription: "sub-order-0003", Supplier: self, State: subscription.Terminated, Pays: life.PaysReseller,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		jws, err := b.members[buyer].Keys.Sign(keys.Business, signed.Life, payload)
		if err != nil {
			t.Fatal(err)
		}
		call := b.call(exchange.Document{JWS: jws})
		call.Agreement, call.Scopes = "", []string{scope.LedgerRead}
		reply, err := b.desk.Submit(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		b.noted(reply, 0, exchange.Document{JWS: jws})
		if _, err := b.desk.Lives.Sign(t.Context(), buyer, "life-1-1-test", signed.Digest(payload), act.Word{By: "operator"}); err != nil {
			t.Fatal(err)
		}
		b.View(func(tx *store.Tx) error {
			all, err := tx.Ledger().Entries(buyer, ledger.Own, ledger.Position{Life: 1}, 9)
			if err != nil || len(all) != 3 || all[0].Kind != ledger.LifeOpened || all[1].Kind != ledger.OrderAccepted || all[1].Subject != "sub-order-0001" ||
				all[2].Kind != ledger.OrderErased || all[2].Subject != "sub-order-0003" { // that has ended before, for both, and its escrow went meanwhile
				t.Errorf("the new life has %+v, %v", all, err)
			}
			known, err := tx.Decisions().Decisions(buyer, []exchange.Key{{Type: signed.Order, ID: "end-0001"}, {Type: signed.Erase, ID: "ers-order-0003"}})
			if d := known[exchange.Key{Type: signed.Order, ID: "end-0001"}]; err != nil || d.At != (ledger.Position{Life: 1, Seq: 2}) {
				t.Errorf("the end is decided at %s, %v", d.At, err)
			}
			if d := known[exchange.Key{Type: signed.Erase, ID: "ers-order-0003"}]; d.At != (ledger.Position{Life: 1, Seq: 3}) {
				t.Errorf("the request is decided at %s", d.At)
			}
			sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, "sub-order-0002"))
			if err != nil || sub.State != subscription.PendingTerminate {
				t.Errorf("what both ended is %s, %v", sub.State, err)
			}
			open, err := tx.ResaleOrders().List(true, order.Place{}, 9)
			if err != nil {
				return err
			}
			own := 0
			for _, o := range open {
				if o.Untold() {
					own++
					if j, found, err := tx.Jobs().Find(resale.JobProvision, buyer, o.ID); err != nil || !found || j.Partner != buyer {
						t.Errorf("nobody takes it away: %v", err)
					}
				}
			}
			if own != 1 {
				t.Errorf("%d orders of our own among %d", own, len(open))
			}
			return nil
		})
		books, err := b.desk.Compare(t.Context(), buyer, ledger.Token{}, make([]byte, 16))
		if err != nil || books == "" {
			t.Error(err)
		}
		report, err := (&audit.Auditor{Self: self, Work: store.For[audit.Tx](b.Store), Book: b.Book, Now: b.Clock.Now}).Run(t.Context(), buyer, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range report.Invariants {
			if i.Result == audit.Broken && i.Number != 10 { // the partner is not there yet
				t.Errorf("an audit finds %d broken: %+v", i.Number, i.Examples)
			}
		}
	})
}
