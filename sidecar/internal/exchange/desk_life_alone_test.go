package exchange_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const fortnight = 14 * 24 * time.Hour

// runs gives both sides a subscription that runs.
func runs(t *testing.T, supplier, reseller *side, id string) {
	t.Helper()
	for s, is := range map[*side]subscription.Side{supplier: subscription.Resale, reseller: subscription.Retail} {
		s.Do(func(tx *store.Tx) error {
			_, err := tx.Subscriptions().Put(subscription.Subscription{Side: is, ID: id, Partner: s.with.Origin, State: subscription.Active, CreatedAt: s.Clock.Now()})
			return err
		})
	}
}

func (s *side) state(id string) (state subscription.State) {
	s.t.Helper()
	key := subscription.RetailKey(id)
	if s.Origin == self {
		key = subscription.ResaleKey(buyer, id)
	}
	s.View(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(key)
		state = sub.State
		return err
	})
	return state
}

func (s *side) alone(r life.Record) (life.Record, error) {
	return s.lives.Alone(s.t.Context(), s.with.Origin, r.ID, signed.Digest(r.Payload), act.Word{By: "operator"})
}

func ending(id string) func(d *life.Document) {
	return func(d *life.Document) {
		d.Subjects = []life.Subject{{Subscription: id, Supplier: self, State: subscription.Terminated, Pays: life.PaysReseller}}
	}
}

// TestOneSideAloneEndsWhatRunsAfterAFortnight, on either side, and both come together all the same when the other one signs.
func TestOneSideAloneEndsWhatRunsAfterAFortnight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		of                  func(supplier, reseller *side) *side
		ended, other, after subscription.State
	}{
		{"the supplier", func(s, _ *side) *side { return s }, subscription.PendingTerminate, subscription.Active, subscription.Terminated},
		{"the reseller", func(_, r *side) *side { return r }, subscription.Terminated, subscription.Active, subscription.PendingTerminate},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPair(t)
			runs(t, supplier, reseller, "sub-1")
			one := c.of(supplier, reseller)
			r := one.proposes(ending("sub-1"))
			one.Clock.Pass(fortnight - time.Minute)
			if _, err := one.alone(r); fault.ReasonOf(err) != "life_alone_early" {
				t.Fatalf("a minute before: %v", err)
			}
			one.Clock.Pass(time.Minute)
			for range 2 { // a lost answer
				if r, err := one.alone(r); err != nil || r.Alone.IsZero() || r.State != life.Proposed {
					t.Fatalf("it is %s, alone %s, %v", r.State, r.Alone, err)
				}
			}
			if got, with := one.state("sub-1"), one.with.state("sub-1"); got != c.ended || with != c.other {
				t.Errorf("it is %s, with the other %s", got, with)
			}
			books, own := one.books()
			if books.State != ledger.Forked || own.Life != 0 {
				t.Errorf("the books are %s, our log is in life %d", books.State, own.Life)
			}
			one.View(func(tx *store.Tx) error {
				if err := ledger.Fenced(tx, one.with.Origin); fault.ReasonOf(err) != "books_forked" {
					t.Errorf("new business: %v", err)
				}
				return nil
			})
			if _, err := one.lives.Withdraw(t.Context(), one.with.Origin, r.ID, act.Word{By: "operator", Reason: "no"}); !fault.Is(err, fault.Precondition) {
				t.Errorf("it is withdrawn: %v", err)
			}
			if got := became(one.submits(r.JWS)); got != "noted" {
				t.Fatalf("the proposal is %s", got)
			}
			signature, err := one.with.sign(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := one.with.submits(signature.Countersigned); became(got) != "decided" {
				t.Fatalf("the countersignature is %s: %v", became(got), got.Undecided)
			}
			if got, with := one.state("sub-1"), one.with.state("sub-1"); got != c.ended || with != c.after {
				t.Errorf("then it is %s, with the other %s", got, with)
			}
			for _, s := range []*side{one, one.with} {
				if _, own := s.books(); own.Life != 1 {
					t.Errorf("the log of %s is in life %d", s.Origin, own.Life)
				}
			}
		})
	}
}

// TestWhatASupplierEndedAloneIsInWhatBothSign: nothing else would tell the reseller.
func TestWhatASupplierEndedAloneIsInWhatBothSign(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		runs(t, supplier, reseller, "sub-1")
		r := supplier.proposes(ending("sub-1"))
		supplier.Clock.Pass(fortnight)
		if _, err := supplier.alone(r); err != nil {
			t.Fatal(err)
		}
		if _, err := supplier.propose(func(d *life.Document) { d.Subjects = []life.Subject{} }); fault.ReasonOf(err) != "life_alone" {
			t.Errorf("a document without it is proposed: %v", err)
		}
		theirs := reseller.proposes(func(d *life.Document) { d.Subjects = []life.Subject{} })
		reseller.submits(theirs.JWS)
		if _, err := supplier.sign(theirs); fault.ReasonOf(err) != "life_alone" {
			t.Errorf("a document without it is signed: %v", err)
		}
		d := supplier.draft()
		if len(d.Subjects) == 0 || d.Subjects[0].Subscription != "sub-1" {
			t.Errorf("the draft has %+v", d.Subjects)
		}
	})
}

// TestWhoIsInDoubtAndEndsAloneKeepsItsLastWord: its store may lack what it signed, and would sign another log.
func TestWhoIsInDoubtAndEndsAloneKeepsItsLastWord(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		runs(t, supplier, reseller, "sub-1")
		r := supplier.proposes(ending("sub-1"))
		var jws string
		doubt := func(seen bool) {
			t.Helper()
			supplier.Do(func(tx *store.Tx) error {
				books, err := tx.Ledger().Books(buyer)
				if err != nil {
					return err
				}
				books.Doubted = true
				if _, err = tx.Ledger().PutBooks(books); err != nil || !seen {
					return err
				}
				c, err := ledger.ReadVerified(jws)
				if err != nil {
					return err
				}
				return tx.Ledger().SetSeen(buyer, c, jws)
			})
		}
		var err error
		if jws, err = supplier.Book.OwnCheckpoint(t.Context(), buyer); err != nil {
			t.Fatal(err)
		}
		doubt(false)
		supplier.Clock.Pass(fortnight)
		if _, err := supplier.alone(r); fault.ReasonOf(err) != ledger.ReasonBehind {
			t.Fatalf("with nothing that is proved: %v", err)
		}
		doubt(true)
		if _, err := supplier.alone(r); err != nil {
			t.Fatal(err)
		}
		if books, _ := supplier.books(); books.Closed() != nil {
			t.Errorf("what runs cannot be ended: %v", books.Closed())
		}
		supplier.Append(buyer, ledger.OrderAccepted, "order-1")
		if word, err := supplier.Book.OwnCheckpoint(t.Context(), buyer); err != nil || word != jws {
			t.Errorf("its last word is another: %v", err)
		}
		// That an operator took the store for the latest proves nothing: where the partner shows that it is not, that is kept.
		if books, _ := supplier.books(); books.Shown != "" || books.Proven(ledger.ReasonOwnFork) {
			t.Errorf("a fork of ours counts as proved: %+v", books)
		}
		supplier.Do(func(tx *store.Tx) error {
			shown := ledger.Evidence{At: ledger.Position{Seq: 1}, Theirs: ledger.Signed{Checkpoint: "what we signed besides"}, Seen: "seen"}
			first, err := ledger.Fork(tx, buyer, ledger.ReasonOwnFork, supplier.Clock.Now(), shown)
			if err != nil || !first {
				t.Errorf("a fork of ours that the partner shows is not kept: %v", err)
			}
			raw, err := tx.Ledger().Evidence(buyer)
			if err != nil || !strings.Contains(string(raw), "what we signed besides") {
				t.Errorf("the evidence is %s, %v", raw, err)
			}
			return nil
		})
		if books, _ := supplier.books(); books.Shown != "what we signed besides" || !books.Proven(ledger.ReasonOwnFork) {
			t.Errorf("then the books are %+v", books)
		}
	})
}

// TestAProposalThatIsWithdrawnWaitsNoMore, and counts where the partner signed it before it knew.
func TestAProposalThatIsWithdrawnWaitsNoMore(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		ours := reseller.proposes()
		reseller.submits(ours.JWS)
		for range 2 {
			r, err := reseller.lives.Withdraw(t.Context(), self, ours.ID, act.Word{By: "operator", Reason: "sub-1 is missing"})
			if err != nil || r.State != life.Withdrawn || r.Reason != "sub-1 is missing" {
				t.Fatalf("it is %s (%s), %v", r.State, r.Reason, err)
			}
		}
		reseller.View(func(tx *store.Tx) error {
			if _, found, err := tx.Jobs().Find(life.JobPropose, self, ours.ID); found || err != nil {
				t.Errorf("it is sent on: %v", err)
			}
			return nil
		})
		if r := reseller.proposes(); r.Round != 2 {
			t.Errorf("the next one is of round %d", r.Round)
		}
		if got := became(supplier.submits(supplier.signs(ours.Payload))); got != "decided" {
			t.Errorf("a signature of the withdrawn one is %s", got)
		}
	})
}

// TestAnEarlierProposalThatEndsLessIsShown: it binds whoever signed it, also once what it does not end was ended alone.
func TestAnEarlierProposalThatEndsLessIsShown(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		runs(t, supplier, reseller, "sub-1")
		less := supplier.proposes(func(d *life.Document) {
			d.Subjects = []life.Subject{{Subscription: "sub-1", Supplier: self, State: subscription.Active, Pays: life.PaysReseller}}
		})
		same := supplier.proposes(ending("sub-1"))
		r := supplier.proposes(ending("sub-1"))
		v, err := supplier.lives.Show(t.Context(), buyer)
		if err != nil || len(v.NotEnded) != 1 || !slices.Equal(v.NotEnded[less.ID], []string{"sub-1"}) {
			t.Fatalf("beside %s and %s not ended are %v, %v", same.ID, r.ID, v.NotEnded, err)
		}
		supplier.Clock.Pass(fortnight)
		if _, err := supplier.alone(r); err != nil {
			t.Fatal(err)
		}
		if v, err := supplier.lives.Show(t.Context(), buyer); err != nil || len(v.NotEnded) != 1 {
			t.Errorf("after it was ended alone: %v, %v", v.NotEnded, err)
		}
		if got := became(reseller.submits(reseller.signs(less.Payload))); got != "decided" {
			t.Errorf("the earlier one binds us, and is %s", got)
		}
		if at, with := supplier.state("sub-1"), reseller.state("sub-1"); at != subscription.PendingTerminate || with != subscription.Active {
			t.Errorf("it is %s here and %s there", at, with)
		}
	})
}
