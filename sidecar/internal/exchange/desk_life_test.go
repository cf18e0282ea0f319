package exchange_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// side is a member of a forked pair, with its desk.
type side struct {
	*markettest.Member
	t     *testing.T
	desk  *exchange.Desk
	lives *life.Service
	with  *side
	ids   int
}

// forkedOnEach runs a story of a forked pair on each database.
func forkedOnEach(t *testing.T, test func(t *testing.T, supplier, reseller *side)) {
	t.Helper()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPairOn(t, config)
			test(t, supplier, reseller)
		})
	}
}

// forkedPair is a supplier and a reseller whose books are forked on both sides. Of the two the reseller's origin is the lesser.
func forkedPair(t *testing.T) (supplier, reseller *side) {
	t.Helper()
	return forkedPairOn(t, engines["sqlite"])
}

func forkedPairOn(t *testing.T, config func(t *testing.T) markettest.Config) (supplier, reseller *side) {
	t.Helper()
	clock := markettest.NewClock()
	open := func(origin string) *side {
		cfg := config(t)
		cfg.Clock = clock
		s := &side{Member: markettest.Open(t, origin, cfg), t: t}
		s.desk = deskOf(s.Member)
		s.lives = &life.Service{
			Self: origin, Work: store.For[life.Tx](s.Store), Book: s.Book, Signer: s.Keys, Now: clock.Now,
			Resale: s.desk.Orders,
			Retail: &retail.Service{Self: origin, Work: store.For[retail.Tx](s.Store), Book: s.Book, Now: clock.Now},
			NewID:  func() string { s.ids++; return fmt.Sprintf("%012d-%s", s.ids, "more") },
		}
		s.lives.Ends = s.ends
		s.desk.Lives = s.lives
		return s
	}
	supplier, reseller = open(self), open(buyer)
	supplier.with, reseller.with = reseller, supplier
	reads := func(p *member.Partner) { p.Documents = signed.Versions() }
	supplier.Know(reseller.Member, reads)
	reseller.Know(supplier.Member, reads)
	for _, s := range []*side{supplier, reseller} {
		s.Append(s.with.Origin, ledger.OrderPlaced, "order-1")
		s.forks()
	}
	return supplier, reseller
}

func (s *side) forks() {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		_, err := ledger.Fork(tx, s.with.Origin, ledger.ReasonFork, s.Clock.Now(), ledger.Evidence{At: ledger.Position{Seq: 1}})
		return err
	})
}

// ends is what the other side says of both logs.
func (s *side) ends(ctx context.Context, partner string) (life.Ends, error) {
	var e life.Ends
	document, err := s.with.desk.Compare(ctx, s.Origin, ledger.Token{}, make([]byte, 32))
	if err != nil {
		return e, err
	}
	payload, err := signed.Payload(document)
	if err != nil {
		return e, err
	}
	var c exchange.Comparison
	err = json.Unmarshal(payload, &c)
	e.Head = ledger.Checkpoint{Life: c.Life, Seq: c.Seq, Hash: c.Hash}
	if err == nil && c.Held != "" {
		e.Held, err = ledger.ReadVerified(c.Held)
	}
	return e, err
}

func (s *side) draft() life.Document {
	s.t.Helper()
	v, err := s.lives.Show(s.t.Context(), s.with.Origin)
	if err != nil || v.Draft == nil {
		s.t.Fatalf("there is no draft: %s, %v", v.Missing, err)
	}
	return *v.Draft
}

func payloadOf(t *testing.T, d life.Document) []byte {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (s *side) propose(change ...func(*life.Document)) (life.Record, error) {
	s.t.Helper()
	d := s.draft()
	for _, fn := range change {
		fn(&d)
	}
	return s.lives.Propose(s.t.Context(), s.with.Origin, payloadOf(s.t, d), act.Word{By: "operator"})
}

func (s *side) proposes(change ...func(*life.Document)) life.Record {
	s.t.Helper()
	r, err := s.propose(change...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// submits has the other side's desk take a document that this side signed.
func (s *side) submits(jws string) exchange.Outcome {
	s.t.Helper()
	return s.submitsWith(exchange.Document{JWS: jws})
}

func (s *side) submitsWith(doc exchange.Document) exchange.Outcome {
	s.t.Helper()
	own, err := s.Book.OwnCheckpoint(s.t.Context(), s.with.Origin)
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := s.with.desk.Submit(s.t.Context(), exchange.Call{
		Partner: s.Origin, Scopes: []string{scope.LedgerRead}, Checkpoint: own, Documents: []exchange.Document{doc},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return reply.Outcomes[0]
}

func (s *side) signs(payload []byte) string {
	s.t.Helper()
	jws, err := s.Keys.Sign(keys.Business, signed.Life, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return jws
}

func (s *side) sign(r life.Record) (life.Record, error) {
	return s.lives.Sign(s.t.Context(), s.with.Origin, r.ID, signed.Digest(r.Payload), act.Word{By: "operator"})
}

func (s *side) books() (b ledger.Books, own ledger.Head) {
	s.t.Helper()
	s.View(func(tx *store.Tx) (err error) {
		if b, err = tx.Ledger().Books(s.with.Origin); err == nil {
			own, err = tx.Ledger().Head(s.with.Origin, ledger.Own)
		}
		return err
	})
	return b, own
}

func became(o exchange.Outcome) string {
	switch {
	case o.Undecided != nil:
		return o.Undecided.Reason
	case o.Noted != "":
		return "noted"
	}
	return "decided"
}

// TestANewLifeIsOpenedByBothSignatures: each side begins it in its own transaction, and what it begins with is the same.
func TestANewLifeIsOpenedByBothSignatures(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		before := map[*side]life.Document{supplier: supplier.draft(), reseller: reseller.draft()}
		r := supplier.proposes()
		for range 2 { // it is sent again until it is settled
			if got := became(supplier.submits(r.JWS)); got != "noted" {
				t.Fatalf("the proposal is %s", got)
			}
		}
		signature, err := reseller.sign(r)
		if err != nil {
			t.Fatal(err)
		}
		books, own := reseller.books()
		if !books.Opening() || own.Position() != (ledger.Position{Life: 1, Seq: 2}) { // life.opened, and what the supplier never read
			t.Errorf("after signing: %s %s at %s", books.State, books.Reason, own.Position())
		}
		for range 2 { // a lost answer
			if out := reseller.submits(signature.Countersigned); became(out) != "decided" || out.At != (ledger.Position{Life: 1, Seq: 1}) {
				t.Fatalf("the countersignature is %s at %s: %v", became(out), out.At, out.Undecided)
			}
		}
		books, own = supplier.books()
		if books.State != ledger.Unproven || books.Reason != ledger.ReasonOpened || own.Position() != (ledger.Position{Life: 1, Seq: 2}) {
			t.Errorf("after applying: %s %s at %s", books.State, books.Reason, own.Position())
		}
		for s, d := range before { // by an operator who had no answer
			if v, err := s.lives.Show(t.Context(), s.with.Origin); err != nil || v.Draft != nil {
				t.Errorf("%s is shown another one: %v, %v", s.Origin, v.Draft, err)
			}
			d.ID += "-again"
			if _, err := s.lives.Propose(t.Context(), s.with.Origin, payloadOf(t, d), act.Word{By: "operator"}); fault.ReasonOf(err) != "books_not_forked" {
				t.Errorf("another one of %s: %v", s.Origin, err)
			}
		}
		for _, s := range []*side{supplier, reseller} {
			reports, err := s.Book.VerifyPartner(t.Context(), s.with.Origin, s.with.Pinned())
			if err != nil || len(reports[0].Problems) > 0 || reports[0].Entries != 3 {
				t.Errorf("our log of %s: %+v, %v", s.Origin, reports[0], err)
			}
			page, err := s.Book.Tail(t.Context(), s.with.Origin, ledger.Position{Seq: 1}, 9)
			if err != nil || len(page.Entries) != 2 {
				t.Errorf("after a place of the ended life come %d entries, %v", len(page.Entries), err)
			}
		}
		if got := became(supplier.submits(r.JWS)); got != "noted" {
			t.Errorf("the proposal once more is %s", got)
		}
	})
}

// TestAProposalThatIsNotTrueIsNotSigned tables what a lying partner may propose or countersign.
func TestAProposalThatIsNotTrueIsNotSigned(t *testing.T) {
	t.Parallel()
	zero := strings.Repeat("0", 64)
	for _, c := range []struct {
		name   string
		change func(d *life.Document)
		// arrives is what the recipient's desk says, signs what its operator is told.
		arrives, signs string
	}{
		{"the life after the next", func(d *life.Document) {
			d.Life, d.ProposerLog, d.RecipientLog = 2, in(d.ProposerLog, 1), in(d.RecipientLog, 1)
		}, "life_not_next", ""},
		{"another end of the recipient's log", func(d *life.Document) { d.RecipientLog.Common.Hash = zero }, "noted", "life_heads_differ"},
		{"an entry of its own that nobody has", func(d *life.Document) {
			d.ProposerLog.Common = life.Place{Seq: 1, Hash: zero}
			d.ProposerLog.Own.Seq = 1
		}, "noted", "life_heads_differ"},
		{"a subscription that runs and is not here", func(d *life.Document) {
			d.Subjects = []life.Subject{{Subscription: "sub-x", Supplier: d.Proposer, State: "active", Pays: life.PaysReseller}}
		}, "noted", "life_state"},
		{"parties that are others", func(d *life.Document) { d.Recipient = other }, "document_parties", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPair(t)
			d := supplier.draft()
			c.change(&d)
			payload := payloadOf(t, d)
			if got := became(supplier.submits(supplier.signs(payload))); got != c.arrives {
				t.Fatalf("it arrives as %s", got)
			}
			if c.signs == "" {
				return
			}
			if _, err := reseller.sign(life.Record{ID: d.ID, Payload: payload}); fault.ReasonOf(err) != c.signs {
				t.Errorf("signed: %v", err)
			}
			if books, own := reseller.books(); books.Reason != ledger.ReasonFork || own.Life != 0 {
				t.Errorf("the books are %s at %s", books.Reason, own.Position())
			}
		})
	}
}

func in(h life.Heads, ended int64) life.Heads {
	h.Own.Life, h.Read.Life, h.Common.Life = ended, ended, ended
	return h
}

// TestACountersignatureOfSomethingElseOpensNothing: what was not proposed, and what was signed with other states than were shown.
func TestACountersignatureOfSomethingElseOpensNothing(t *testing.T) {
	t.Parallel()
	supplier, reseller := forkedPair(t)
	r := supplier.proposes()
	supplier.submits(r.JWS)
	var d life.Document
	if err := json.Unmarshal(r.Payload, &d); err != nil {
		t.Fatal(err)
	}
	d.Subjects = []life.Subject{{Subscription: "sub-x", Supplier: self, State: "terminated", Pays: life.PaysSupplier}}
	if got := reseller.submits(reseller.signs(payloadOf(t, d))); became(got) != "life_unknown" || !got.Final() {
		t.Errorf("other states: %s", became(got))
	}
	d.ID = "life-1-never"
	if got := became(reseller.submits(reseller.signs(payloadOf(t, d)))); got != "life_unknown" {
		t.Errorf("never proposed: %s", got)
	}
	if _, err := reseller.lives.Sign(t.Context(), self, r.ID, hex.EncodeToString(make([]byte, 32)), act.Word{}); fault.ReasonOf(err) != "life_differs" {
		t.Errorf("another document than was shown: %v", err)
	}
	if books, own := supplier.books(); books.Reason != ledger.ReasonFork || own.Life != 0 {
		t.Errorf("the supplier's books are %s at %s", books.Reason, own.Position())
	}
}

// TestAProposalIsReplacedByALaterOne, whichever comes first, and binds whoever signed it all the same.
func TestAProposalIsReplacedByALaterOne(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		first := supplier.proposes()
		second := supplier.proposes()
		if second.Round != 2 {
			t.Errorf("the second is of round %d", second.Round)
		}
		if got := became(supplier.submits(second.JWS)); got != "noted" {
			t.Errorf("the second is %s", got)
		}
		if got := supplier.submits(first.JWS); became(got) != "life_replaced" || !got.Final() {
			t.Errorf("the first, which came late, is %s", became(got))
		}
		if _, err := reseller.sign(first); fault.ReasonOf(err) != "life_unknown" {
			t.Errorf("the first is signed: %v", err)
		}
		// The reseller had the first, and signed it before the second came: that counts.
		if got := became(reseller.submits(reseller.signs(first.Payload))); got != "decided" {
			t.Errorf("a countersignature of the first is %s", got)
		}
		if got := became(reseller.submits(reseller.signs(second.Payload))); got != "life_not_next" {
			t.Errorf("and one of the second %s", got)
		}
	})
}

// TestOfTwoProposalsThatCrossOneIsHeard: that of the member with the lesser origin, here the reseller.
func TestOfTwoProposalsThatCrossOneIsHeard(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		theirs, ours := supplier.proposes(), reseller.proposes()
		if got := supplier.submits(theirs.JWS); became(got) != "life_crossed" || got.Final() {
			t.Errorf("the supplier's is %s", became(got))
		}
		if got := became(reseller.submits(ours.JWS)); got != "noted" {
			t.Errorf("the reseller's is %s", got)
		}
		if _, err := supplier.propose(); fault.ReasonOf(err) != "life_crossed" {
			t.Errorf("the supplier proposes meanwhile: %v", err)
		}
		signature, err := supplier.sign(ours)
		if err != nil {
			t.Fatal(err)
		}
		if got := became(supplier.submits(signature.Countersigned)); got != "decided" {
			t.Errorf("the countersignature is %s", got)
		}
		if got := became(reseller.submits(reseller.signs(theirs.Payload))); got != "life_not_next" {
			t.Errorf("the supplier's own proposal is still good for %s", got)
		}
	})
}

// TestWhoHasAProposalOutSignsNoOther: else both could open a life that the other does not know.
func TestWhoHasAProposalOutSignsNoOther(t *testing.T) {
	t.Parallel()
	supplier, reseller := forkedPair(t)
	theirs := supplier.proposes()
	supplier.submits(theirs.JWS)
	ours := reseller.proposes() // which it had not signed
	if _, err := reseller.sign(theirs); fault.ReasonOf(err) != "life_replaced" {
		t.Errorf("signed beside its own: %v", err)
	}
	if got := became(reseller.submits(ours.JWS)); got != "noted" {
		t.Errorf("its own is %s", got)
	}
}

// TestARefusedProposalIsFinal, and makes room for another.
func TestARefusedProposalIsFinal(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		ours := reseller.proposes()
		reseller.submits(ours.JWS)
		if _, err := supplier.lives.Refuse(t.Context(), buyer, ours.ID, act.Word{By: "operator", Reason: "sub-1 still runs"}); err != nil {
			t.Fatal(err)
		}
		got := reseller.submits(ours.JWS)
		if became(got) != "life_refused" || !got.Final() || !strings.Contains(got.Undecided.Cause, "sub-1 still runs") {
			t.Errorf("it is %s: %v", became(got), got.Undecided)
		}
		if _, err := supplier.sign(ours); fault.ReasonOf(err) != "life_refused" {
			t.Errorf("signed after it was refused: %v", err)
		}
		theirs := supplier.proposes()
		if got := became(supplier.submits(theirs.JWS)); got != "life_crossed" {
			t.Errorf("before the refusal is known, the supplier's is %s", got)
		}
		reseller.Do(func(tx *store.Tx) error {
			j, _, err := tx.Jobs().Find(life.JobPropose, self, ours.ID)
			if err != nil {
				return err
			}
			_, err = tx.Jobs().Stop(j.ID, "final: life_refused") // as the outbox does
			return err
		})
		if got := became(supplier.submits(theirs.JWS)); got != "noted" {
			t.Errorf("after it, it is %s", got)
		}
	})
}

// forgotten is a proposal that a side signed and does not know of, as after a store was put back from before it.
func (s *side) forgotten() life.Record {
	s.t.Helper()
	d := s.draft()
	payload := payloadOf(s.t, d)
	return life.Record{ID: d.ID, Payload: payload, JWS: s.signs(payload)}
}

// TestAProposalThatAStoreLostIsGivenBackWithItsSignature: else the one who signed it is in a life that the other never heard of.
func TestAProposalThatAStoreLostIsGivenBackWithItsSignature(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		r := supplier.forgotten()
		supplier.submits(r.JWS)
		signature, err := reseller.sign(r)
		if err != nil {
			t.Fatal(err)
		}
		var d life.Document
		if err := json.Unmarshal(r.Payload, &d); err != nil {
			t.Fatal(err)
		}
		d.Round = 9
		another := supplier.signs(payloadOf(t, d))
		for what, given := range map[string]string{
			"nothing": "", "what the partner signed itself": reseller.signs(r.Payload), "what we signed of something else": another, "no signature": "x.y.z",
		} {
			if got := reseller.submitsWith(exchange.Document{JWS: signature.Countersigned, Proposal: given}); became(got) != "life_unknown" {
				t.Errorf("beside it lies %s: %s", what, became(got))
			}
		}
		if books, own := supplier.books(); books.Reason != ledger.ReasonFork || own.Life != 0 {
			t.Fatalf("the supplier's books are %s at %s", books.Reason, own.Position())
		}
		for _, c := range []struct {
			jws, given, want string
			from             *side
		}{
			{r.JWS, r.JWS, "attachment_unexpected", supplier}, // beside a proposal
			{signature.Countersigned, strings.Repeat("x", exchange.MaxDocumentBytes+1), "document_too_large", reseller},
		} {
			if got := c.from.submitsWith(exchange.Document{JWS: c.jws, Proposal: c.given}); became(got) != c.want {
				t.Errorf("it is %s, not %s", became(got), c.want)
			}
		}
		reseller.View(func(tx *store.Tx) error {
			j, found, err := tx.Jobs().Find(life.JobCountersign, self, r.ID)
			if err != nil || !found {
				t.Fatalf("no job sends the signature: %v", err)
			}
			doc, err := reseller.lives.CountersignDocument(tx, j)
			if err != nil || doc.Proposal != r.JWS || doc.JWS != signature.Countersigned || doc.Size() <= len(doc.JWS) {
				t.Errorf("the job sends %+v, %v", doc, err)
			}
			return nil
		})
		for range 2 {
			if got := reseller.submitsWith(exchange.Document{JWS: signature.Countersigned, Proposal: r.JWS}); became(got) != "decided" {
				t.Fatalf("with our own signature it is %s: %v", became(got), got.Undecided)
			}
		}
		for _, s := range []*side{supplier, reseller} {
			if _, own := s.books(); own.Life != 1 {
				t.Errorf("the log of %s is in life %d", s.Origin, own.Life)
			}
		}
		supplier.View(func(tx *store.Tx) error {
			all, err := tx.Lives().List(buyer)
			if err != nil || len(all) != 1 || all[0].State != life.Opened || all[0].JWS != r.JWS || all[0].Countersigned != signature.Countersigned || all[0].Round != 1 {
				t.Errorf("the supplier keeps %+v, %v", all, err)
			}
			return nil
		})
	})
}

// TestWhatIsGivenBackIsJudgedLikeAProposal: no record of ours says that our operator was shown it, and who has a key of ours can have signed it.
func TestWhatIsGivenBackIsJudgedLikeAProposal(t *testing.T) {
	t.Parallel()
	turn := func(ago time.Duration) func(*side) {
		return func(s *side) {
			if err := s.Keys.Rotate(s.t.Context(), keys.Business); err != nil {
				s.t.Fatal(err)
			}
			s.Clock.Pass(ago)
		}
	}
	for name, c := range map[string]struct {
		// change is what stands in it, before what happens until it comes.
		change func(*life.Document)
		before func(*side)
		want   string
		begun  bool
	}{
		"by a key that was retired lately":    {nil, turn(member.Grace - time.Second), "decided", true},
		"by a key that was retired long ago":  {nil, turn(member.Grace), "life_unknown", false},
		"in level books":                      {nil, func(s *side) { s.stands(ledger.Level) }, "life_unknown", false},
		"in books that the store lost":        {nil, func(s *side) { s.stands(ledger.Unproven) }, "decided", true},
		"what we never had goes on":           {subjects("sub-x", "active"), nil, "life_waits", false},
		"another state than ours":             {subjects("sub-1", "suspended"), nil, "life_waits", false},
		"an end of what is made here":         {subjects("sub-2", "aborted"), nil, "life_waits", false},
		"more is told again than at one time": {nil, func(s *side) { s.appends(life.MaxRetold + 1) }, "life_waits", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPair(t)
			supplier.Do(func(tx *store.Tx) error {
				for id, state := range map[string]subscription.State{"sub-1": subscription.Active, "sub-2": subscription.PendingActive} {
					sub := subscription.Subscription{ID: id, Side: subscription.Resale, Partner: buyer, State: state, OrderID: id, CreatedAt: supplier.Clock.Now()}
					if _, err := tx.Subscriptions().Put(sub); err != nil {
						return err
					}
				}
				return nil
			})
			d := supplier.draft()
			d.Subjects = []life.Subject{}
			if c.change != nil {
				c.change(&d)
			}
			payload := payloadOf(t, d)
			ours, theirs := supplier.signs(payload), reseller.signs(payload)
			if c.before != nil {
				c.before(supplier)
			}
			got := reseller.submitsWith(exchange.Document{JWS: theirs, Proposal: ours})
			if became(got) != c.want {
				t.Errorf("it is %s, not %s: %v", became(got), c.want, got.Undecided)
			}
			if _, own := supplier.books(); own.Life == 1 != c.begun {
				t.Errorf("the supplier's log is at %s", own.Position())
			}
		})
	}
}

func subjects(id string, state subscription.State) func(*life.Document) {
	return func(d *life.Document) {
		d.Subjects = []life.Subject{{Subscription: id, Supplier: self, State: state, Pays: life.PaysReseller}}
	}
}

// stands has the books with the other side be in a state.
func (s *side) stands(state ledger.BooksState) {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(s.with.Origin)
		if err != nil {
			return err
		}
		b.State, b.Reason = state, ""
		_, err = tx.Ledger().PutBooks(b)
		return err
	})
}

// shown has the books be behind, for the other side has shown our signature at a place.
func (s *side) shown(at ledger.Position) {
	s.t.Helper()
	s.stands(ledger.Behind)
	s.Do(func(tx *store.Tx) error {
		raw, err := json.Marshal(ledger.Evidence{At: at})
		if err != nil {
			return err
		}
		return tx.Ledger().PutEvidence(s.with.Origin, raw)
	})
}

// TestALifeThatWeBeganIsNotBegunAgain by a copy of the database from before it: our own signature says that there is a first entry of it, so
// that another one would be a second log. On either side it waits until what is missing is read back.
func TestALifeThatWeBeganIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	began := func(s *side, err error) {
		s.t.Helper()
		if fault.ReasonOf(err) != ledger.ReasonBehind || !fault.Is(err, fault.Unavailable) {
			s.t.Errorf("it is %v", err)
		}
		if books, own := s.books(); books.State != ledger.Behind || own.Life != 0 {
			s.t.Errorf("the books are %s at %s", books.State, own.Position())
		}
	}
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		r := supplier.proposes()
		supplier.submits(r.JWS)
		for _, at := range []ledger.Position{{Life: 1, Seq: 1}, {Life: 2, Seq: 7}} {
			reseller.shown(at)
			_, err := reseller.sign(r)
			began(reseller, err)
			_, err = reseller.propose()
			began(reseller, err)
		}
		later := supplier.draft()
		reseller.shown(ledger.Position{Seq: 9}) // what the partner withholds of the life that ends comes back to nobody
		signature, err := reseller.sign(r)
		if err != nil {
			t.Fatal(err)
		}
		supplier.shown(ledger.Position{Life: 1, Seq: 1})
		out := reseller.submits(signature.Countersigned)
		began(supplier, out.Undecided)
		_, err = supplier.lives.Propose(t.Context(), reseller.Origin, payloadOf(t, later), act.Word{By: "operator"})
		began(supplier, err)
		supplier.shown(ledger.Position{Seq: 9})
		if out := reseller.submits(signature.Countersigned); became(out) != "decided" {
			t.Errorf("the countersignature is %s", became(out))
		}
	})
}

// appends writes n entries that the other side does not read.
func (s *side) appends(n int) {
	s.t.Helper()
	drafts := make([]ledger.Draft, n)
	for i := range drafts {
		drafts[i] = ledger.Draft{Kind: "listing.changed", Subject: fmt.Sprint("s", i), Body: map[string]string{}}
	}
	s.Do(func(tx *store.Tx) error { _, err := s.Book.AppendAll(tx, s.with.Origin, drafts); return err })
}

// TestWhatBeganALifeIsGivenBackWithBothSignatures, to either side, with the entry that it began with.
func TestWhatBeganALifeIsGivenBackWithBothSignatures(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		r := supplier.proposes()
		supplier.submits(r.JWS)
		signature, err := reseller.sign(r)
		if err != nil {
			t.Fatal(err)
		}
		reseller.submits(signature.Countersigned)
		for _, s := range []*side{supplier, reseller} {
			page, err := s.Book.Tail(t.Context(), s.with.Origin, ledger.Position{Life: 1}, 9)
			if err != nil {
				t.Fatal(err)
			}
			s.with.copies(s.Member, page)
			back, err := s.with.desk.Recall(t.Context(), s.Origin, ledger.Position{})
			if err != nil || len(back.Documents) != 1 || back.Documents[0].JWS != signature.Countersigned || back.Documents[0].Proposal != r.JWS {
				t.Errorf("%s gets back %d documents, %v", s.Origin, len(back.Documents), err)
			}
			if back.Opening == nil || back.Opening.JWS != signature.Countersigned || back.Opening.Proposal != r.JWS {
				t.Errorf("%s is told that %+v opened the life after the first", s.Origin, back.Opening)
			}
			if now, err := s.with.desk.Recall(t.Context(), s.Origin, ledger.Position{Life: 1}); err != nil || now.Opening != nil {
				t.Errorf("%s is told that %+v opened the life after the present one, %v", s.Origin, now.Opening, err)
			}
			// Of its own log a partner gives what has ended, and that has no end of its own.
			ended, err := s.with.desk.Ended(t.Context(), s.Origin, ledger.Position{})
			if err != nil || len(ended.Entries) == 0 || ended.Checkpoint != "" || ended.Opening != nil || ended.More || ended.Last.Life != 0 {
				t.Errorf("%s is given the ended log as %+v, %v", s.Origin, ended, err)
			}
			if now, err := s.with.desk.Ended(t.Context(), s.Origin, ended.Last); err != nil || len(now.Entries) > 0 || now.More {
				t.Errorf("%s is given the present log as %+v, %v", s.Origin, now, err)
			}
		}
	})
}

// copies has a side's copy of the other's log go on by a page.
func (s *side) copies(of *markettest.Member, page ledger.Page) {
	s.t.Helper()
	cp, err := ledger.VerifyCheckpoint(page.Checkpoint, of.Origin, s.Origin, of.Pinned())
	if err != nil {
		s.t.Fatal(err)
	}
	s.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(of.Origin, ledger.Theirs, func(ledger.Position, [32]byte) (all []ledger.Entry, err error) {
			for _, raw := range page.Entries {
				e, err := ledger.Decode(raw)
				if err != nil {
					return nil, err
				}
				all = append(all, e)
			}
			return all, nil
		})
		if err != nil {
			return err
		}
		return tx.Ledger().SetCheckpoint(of.Origin, cp, page.Checkpoint)
	})
}
