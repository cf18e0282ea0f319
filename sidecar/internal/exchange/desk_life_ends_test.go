package exchange_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// forked has the books with the buyer be forked, and the desk take new lives.
func (b *bench) forked() {
	b.t.Helper()
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
}

// newLife is a document of ours that ends what an order bought; both logs are alike to their ends.
func (b *bench) newLife(bought string) life.Document {
	b.t.Helper()
	place := func(dir ledger.Direction) (p life.Place) {
		b.View(func(tx *store.Tx) error {
			h, err := tx.Ledger().Head(buyer, dir)
			p = life.Place{Life: h.Life, Seq: h.Seq, Hash: hex.EncodeToString(h.Hash[:])}
			return err
		})
		return p
	}
	own, theirs := place(ledger.Own), place(ledger.Theirs)
	return life.Document{
		Type: signed.LifeV1, ID: "life-1-1-test", Life: 1, Round: 1, Proposer: self, Recipient: buyer, Evidence: signed.Digest(nil),
		ProposerLog: life.Heads{Own: own, Read: own, Common: own}, RecipientLog: life.Heads{Own: theirs, Read: theirs, Common: theirs},
		Subjects: []life.Subject{{Subscription: order.SubscriptionID(bought), Supplier: self, State: subscription.Terminated, Pays: life.PaysReseller}},
	}
}

// countersigns has the buyer sign a document and submit it.
func (b *bench) countersigns(payload []byte) exchange.Outcome {
	b.t.Helper()
	jws, err := b.members[buyer].Keys.Sign(keys.Business, signed.Life, payload)
	if err != nil {
		b.t.Fatal(err)
	}
	call := b.call(exchange.Document{JWS: jws})
	call.Agreement, call.Scopes = "", []string{scope.LedgerRead}
	reply, err := b.desk.Submit(b.t.Context(), call)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply.Outcomes[0]
}

func (b *bench) ownHead() (h ledger.Head) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) {
		h, err = tx.Ledger().Head(buyer, ledger.Own)
		return err
	})
	return h
}

// TestWhatIsWorkedOnEndsWhenThatIsDone: a subscription whose change began after we proposed its end would run on with nobody to end it.
func TestWhatIsWorkedOnEndsWhenThatIsDone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		b.completed("order-0001")
		b.forked()
		payload := payloadOf(t, b.newLife("order-0001"))
		if _, err := b.desk.Lives.Propose(t.Context(), buyer, payload, act.Word{By: "operator"}); err != nil {
			t.Fatal(err)
		}
		row, _ := order.RowOf(order.Modify, order.Rotate)
		b.Do(func(tx *store.Tx) error {
			sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, "sub-order-0001"))
			if err == nil {
				_, err = subscription.Begin(tx, sub, row.Course, b.Clock.Now())
			}
			return err
		})
		wantUndecided(t, b.countersigns(payload), "life_under_way", false)
		if head := b.ownHead(); head.Life != 0 {
			t.Errorf("our log is in life %d", head.Life)
		}
		var again life.Document
		if err := json.Unmarshal(payload, &again); err != nil {
			t.Fatal(err)
		}
		again.ID, again.Round = "life-1-2-test", 2
		if _, err := b.desk.Lives.Propose(t.Context(), buyer, payloadOf(t, again), act.Word{By: "operator"}); fault.ReasonOf(err) != "life_state" {
			t.Errorf("it is proposed to end while it is changed: %v", err)
		}
		b.Do(func(tx *store.Tx) error {
			_, err := subscription.Finish(tx, subscription.ResaleKey(buyer, "sub-order-0001"), row.Course, subscription.Result{}, b.Clock.Now())
			return err
		})
		if o := b.countersigns(payload); became(o) != "decided" {
			t.Errorf("the countersignature is %s", became(o))
		}
		if sub := b.bought("order-0001"); sub.State != subscription.PendingTerminate {
			t.Errorf("the subscription is %s", sub.State)
		}
	})
}

// TestAStoreThatWasPutBackOpensNoLife: its log ends before what both had alike when we proposed, and would be retold without what it lost.
func TestAStoreThatWasPutBackOpensNoLife(t *testing.T) {
	t.Parallel()
	for name, shorten := range map[string]func(d *life.Document){
		"our log": func(d *life.Document) {
			d.ProposerLog.Own.Seq += 2
			d.ProposerLog.Common = d.ProposerLog.Own
		},
		"our copy of the partner's": func(d *life.Document) {
			d.RecipientLog.Own.Seq += 2
			d.RecipientLog.Common = d.RecipientLog.Own
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.completed("order-0001")
			b.forked()
			d := b.newLife("order-0001")
			shorten(&d)
			payload := payloadOf(t, d)
			b.Do(func(tx *store.Tx) error {
				return tx.Lives().Put(life.Record{Partner: buyer, ID: d.ID, Ours: true, Life: 1, Round: 1, State: life.Proposed, Payload: payload, JWS: "x", At: b.Clock.Now()})
			})
			before := b.ownHead()
			wantUndecided(t, b.countersigns(payload), "books_behind", false)
			if now := b.ownHead(); now.Position() != before.Position() {
				t.Errorf("our log went from %s to %s", before.Position(), now.Position())
			}
		})
	}
}

// TestWhatIsParkedAndBothHaveIsSettledFirst: the new life leaves it behind, and nobody tells it again.
func TestWhatIsParkedAndBothHaveIsSettledFirst(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parked string
		beyond int64
		want   string
	}{
		"a subject that goes on":      {"sub-other", 0, "life_parked"},
		"a subject that both end":     {"sub-order-0001", 0, ""},
		"what only the partner's has": {"sub-other", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.completed("order-0001")
			b.forked()
			d := b.newLife("order-0001")
			b.Do(func(tx *store.Tx) error {
				return tx.Ledger().Park(ledger.Parked{Partner: buyer, Subject: c.parked, Seq: d.RecipientLog.Common.Seq + c.beyond, Reason: "order_contradiction", At: b.Clock.Now()})
			})
			_, err := b.desk.Lives.Propose(t.Context(), buyer, payloadOf(t, d), act.Word{By: "operator"})
			if fault.ReasonOf(err) != c.want {
				t.Errorf("it is proposed: %v", err)
			}
		})
	}
}

// TestAPartnerFillsNoTableWithRounds: what it proposes for a life is kept a bounded number of times, and what it may still do is said.
func TestAPartnerFillsNoTableWithRounds(t *testing.T) {
	t.Parallel()
	supplier, reseller := forkedPair(t)
	d := supplier.draft()
	for round := int64(1); round <= 100; round++ {
		d.ID, d.Round = fmt.Sprintf("life-1-%d-test", round), round
		o := supplier.submits(supplier.signs(payloadOf(t, d)))
		if round <= life.MaxRounds && became(o) != "noted" {
			t.Fatalf("round %d is %s", round, became(o))
		}
		if round > life.MaxRounds {
			wantUndecided(t, o, "life_rounds", false)
		}
	}
	reseller.View(func(tx *store.Tx) error {
		all, err := tx.Lives().List(self)
		if len(all) != life.MaxRounds {
			t.Errorf("%d are kept", len(all))
		}
		return err
	})
	d.ID, d.Round = "life-1-32-test", life.MaxRounds
	if o := supplier.submits(supplier.signs(payloadOf(t, d))); became(o) != "noted" { // the last once more
		t.Errorf("what was kept is %s", became(o))
	}
	if _, err := reseller.propose(); err != nil {
		t.Errorf("ours is not proposed: %v", err)
	}
}

// TestWhoHasAProposalOutIsToldToWait, and not to run again the command that just failed.
func TestWhoHasAProposalOutIsToldToWait(t *testing.T) {
	t.Parallel()
	supplier, reseller := forkedPair(t)
	theirs := supplier.proposes()
	supplier.submits(theirs.JWS)
	reseller.Do(func(tx *store.Tx) error {
		ours := theirs
		ours.Partner, ours.Ours, ours.ID = self, true, "life-1-1-ours"
		if err := tx.Lives().Put(ours); err != nil {
			return err
		}
		return tx.Jobs().At(life.JobPropose, ours.ID, self, reseller.Clock.Now())
	})
	_, err := reseller.sign(theirs)
	var f *fault.Error
	if fault.ReasonOf(err) != "life_crossed" || !errors.As(err, &f) || !strings.Contains(f.Action, "hanse job park") {
		t.Errorf("it is told: %v", err)
	}
}

// TestWhatIsWrittenAgainIsBounded: all of it is one transaction, which others wait for.
func TestWhatIsWrittenAgainIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	d := b.newLife("order-0001")
	b.Do(func(tx *store.Tx) error {
		drafts := make([]ledger.Draft, life.MaxRetold+1)
		for i := range drafts {
			drafts[i] = ledger.Draft{Kind: ledger.OrderPlaced, Subject: "order-9", Body: map[string]string{"order": "order-9"}}
		}
		_, err := b.Book.AppendAll(tx, buyer, drafts)
		return err
	})
	b.forked()
	if _, err := b.desk.Lives.Propose(t.Context(), buyer, payloadOf(t, d), act.Word{By: "operator"}); fault.ReasonOf(err) != "life_retell_range" {
		t.Errorf("it is proposed: %v", err)
	}
}

// TestAForkIsShownInBounds: of what runs with the partner, and of nobody else's; what found no room is counted.
func TestAForkIsShownInBounds(t *testing.T) {
	t.Parallel()
	supplier, _ := forkedPair(t)
	put := func(id, partner string, state subscription.State) {
		supplier.Do(func(tx *store.Tx) error {
			_, err := tx.Subscriptions().Put(subscription.Subscription{Side: subscription.Resale, ID: id, Partner: partner, State: state, CreatedAt: supplier.Clock.Now()})
			return err
		})
	}
	for i := range 1050 {
		put(fmt.Sprintf("sub-%04d", i), buyer, subscription.Active)
	}
	put("sub-ended", buyer, subscription.Terminated)
	put("sub-theirs", other, subscription.Active)
	v, err := supplier.lives.Show(t.Context(), buyer)
	if err != nil || v.Draft == nil {
		t.Fatalf("%s, %v", v.Missing, err)
	}
	if len(v.About) != 1000 || len(v.Draft.Subjects) != life.MaxSubjects || v.Left != 1050-life.MaxSubjects {
		t.Errorf("%d are shown, %d proposed, %d are left", len(v.About), len(v.Draft.Subjects), v.Left)
	}
	for _, a := range v.About {
		if a.Subscription == "sub-ended" || a.Subscription == "sub-theirs" {
			t.Errorf("%s is shown", a.Subscription)
		}
	}
}

// racing is a unit of work in which something happens before each of the first reads.
type racing struct {
	unit.Work[retail.Tx]
	races int
	race  func(view int)
	views int
}

func (r *racing) View(ctx context.Context, fn func(tx retail.Tx) error) error {
	if r.views++; r.views <= r.races {
		r.race(r.views)
	}
	return r.Work.View(ctx, fn)
}

// TestANewLifeBeginsAgainWhereItsSubjectsChanged between the look for what is open about them and the commit, on either side's way.
func TestANewLifeBeginsAgainWhereItsSubjectsChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		races int
		want  string
	}{
		{"once", 2, ""},
		{"for ever", 1000, "contention"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPair(t)
			key := subscription.RetailKey("sub-1")
			reseller.Do(func(tx *store.Tx) error {
				_, err := tx.Subscriptions().Put(subscription.Subscription{Side: subscription.Retail, ID: "sub-1", Partner: self, State: subscription.Active, CreatedAt: reseller.Clock.Now()})
				return err
			})
			reseller.lives.Retail.Work = &racing{Work: reseller.lives.Retail.Work, races: c.races, race: func(view int) {
				if view%2 == 0 { // between the two reads of a look
					reseller.Do(func(tx *store.Tx) error {
						sub, err := tx.Subscriptions().Get(key)
						if err == nil {
							_, err = tx.Subscriptions().Put(sub)
						}
						return err
					})
				}
			}}
			r := supplier.proposes(func(d *life.Document) {
				d.Subjects = []life.Subject{{Subscription: "sub-1", Supplier: self, State: subscription.Terminated, Pays: life.PaysSupplier}}
			})
			supplier.submits(r.JWS)
			if _, err := reseller.sign(r); fault.ReasonOf(err) != c.want {
				t.Fatalf("it is signed: %v", err)
			}
			books, own := reseller.books()
			if opened := own.Life == 1; opened != (c.want == "") || books.Opening() != opened {
				t.Errorf("our log is in life %d, the books are %s (%s)", own.Life, books.State, books.Reason)
			}
		})
	}
}

// TestWhatIsParkedSinceWeProposedIsSettledFirst: our signature binds us, and the partner's waits until an operator has looked.
func TestWhatIsParkedSinceWeProposedIsSettledFirst(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		b.completed("order-0001")
		b.forked()
		d := b.newLife("order-0001")
		payload := payloadOf(t, d)
		if _, err := b.desk.Lives.Propose(t.Context(), buyer, payload, act.Word{By: "operator"}); err != nil {
			t.Fatal(err)
		}
		at := ledger.Position{Seq: d.RecipientLog.Common.Seq}
		b.Do(func(tx *store.Tx) error {
			return tx.Ledger().Park(ledger.Parked{Partner: buyer, Subject: "sub-other", Seq: at.Seq, Reason: "order_contradiction", At: b.Clock.Now()})
		})
		wantUndecided(t, b.countersigns(payload), "life_waits", false)
		b.Do(func(tx *store.Tx) error { return tx.Ledger().Unpark(buyer, "sub-other", at) })
		if o := b.countersigns(payload); became(o) != "decided" {
			t.Errorf("the countersignature is %s: %v", became(o), o.Undecided)
		}
	})
}

// TestWhoWoundDownDuringTheForkProposesWhatTheOtherHasRead: the supplier keeps the checkpoint that came with the cancel, and reads none of the
// entries under it while the books are forked.
func TestWhoWoundDownDuringTheForkProposesWhatTheOtherHasRead(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		read, err := reseller.Book.Tail(t.Context(), self, ledger.Position{}, 9)
		if err != nil {
			t.Fatal(err)
		}
		supplier.Do(func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(buyer, ledger.Theirs, func(ledger.Position, [32]byte) (entries []ledger.Entry, err error) {
				for _, raw := range read.Entries {
					e, err := ledger.Decode(raw)
					if err != nil {
						return nil, err
					}
					entries = append(entries, e)
				}
				return entries, nil
			})
			return err
		})
		reseller.Do(func(tx *store.Tx) error {
			c, err := ledger.ReadVerified(read.Checkpoint)
			if err != nil {
				return err
			}
			return tx.Ledger().SetSeen(self, c, read.Checkpoint)
		})
		reseller.Append(self, ledger.CancelPlaced, "order-1")
		own, err := reseller.Book.OwnCheckpoint(t.Context(), self)
		if err != nil {
			t.Fatal(err)
		}
		supplier.Do(func(tx *store.Tx) error {
			held, err := ledger.ReadVerified(own)
			if err != nil {
				return err
			}
			return tx.Decisions().PutDecisions([]exchange.Decision{{
				Partner: buyer, Key: exchange.Key{Type: signed.Cancel, ID: "cnl-order-1"}, Digest: []byte("digest"), At: ledger.Position{Seq: 1}, Checkpoint: own, Held: held,
			}})
		})
		r := reseller.proposes()
		d, err := life.Parse(r.Payload)
		if err != nil || d.ProposerLog.Read.Seq != 2 || d.ProposerLog.Common.Seq != 1 {
			t.Errorf("read is %+v, alike %+v, %v", d.ProposerLog.Read, d.ProposerLog.Common, err)
		}
		if got := became(reseller.submits(r.JWS)); got != "noted" {
			t.Fatalf("the proposal is %s", got)
		}
		if _, err := supplier.sign(r); err != nil {
			t.Errorf("it is not signed: %v", err)
		}
	})
}

// TestWhatACopyHasAsBeingMadeIsTakenAway where both agreed to end it since: it was made then, and nobody tells again how.
func TestWhatACopyHasAsBeingMadeIsTakenAway(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		for _, id := range []string{"order-0001", "order-0002"} {
			if e := b.decided(b.submit(b.order(b.purchase(id))), 0); e.Kind != ledger.OrderAccepted {
				t.Fatalf("decided %s", e.Bytes)
			}
		}
		end := func() {
			b.Do(func(tx *store.Tx) error {
				return b.desk.Orders.EndReadBack(tx, buyer, "sub-order-0001", [32]byte{1}, "life 1")
			})
		}
		before := b.ownHead()
		end()
		jobs := len(b.jobs())
		end() // once more changes nothing
		if o, _ := b.resaleOrder("order-0001"); o.State != order.Completed || o.Reason != "life_agreed" {
			t.Errorf("the order is %s (%s)", o.State, o.Reason)
		}
		if sub := b.bought("order-0001"); sub.State != subscription.PendingTerminate {
			t.Errorf("the subscription is %s", sub.State)
		}
		if o, _ := b.resaleOrder("order-0002"); o.State != order.InProgress {
			t.Errorf("the other order is %s", o.State)
		}
		if b.ownHead() != before {
			t.Error("something is written for the reseller")
		}
		own := 0
		for _, j := range b.jobs() {
			if j.Kind == resale.JobProvision && j.Key == "order-0001" {
				t.Error("it is made all the same")
			}
			if j.Kind == resale.JobProvision && j.Key != "order-0002" {
				own++
			}
		}
		if own != 1 || len(b.jobs()) != jobs {
			t.Errorf("%d jobs take it away", own)
		}
	})
}
