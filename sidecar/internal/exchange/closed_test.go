package exchange_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestNothingIsDecidedWhileOurStoreMayLackWhatWeSigned: neither what begins something nor what ends it, for each decision is an entry.
// What was decided before is told.
func TestNothingIsDecidedWhileOurStoreMayLackWhatWeSigned(t *testing.T) {
	t.Parallel()
	for state, reason := range map[ledger.BooksState]string{ledger.Unproven: "books_unproven", ledger.Behind: "books_behind"} {
		b := newBench(t)
		b.completed("order-0001")
		document := b.purchase("order-0002")
		b.submit(b.order(document))
		docs := []exchange.Document{
			b.order(b.purchase("order-0003")), b.order(b.termination("end-0001", "order-0001")), b.cancelling(document),
			{JWS: b.sign(buyer, signed.AccessReceipt, b.receipt("order-0001"))},
		}
		books(b.Member, buyer, state)
		before := b.traces()
		reply := b.submit(append(docs, b.order(document))...)
		for i := range docs {
			if i == 3 { // it stands behind one about the same subject
				reason = "subject_waits"
			}
			wantUndecided(t, reply.Outcomes[i], reason, false)
		}
		if e := b.decided(reply, len(docs)); e.Kind != ledger.OrderAccepted {
			t.Errorf("%s: what was decided before is %s", state, e.Bytes)
		}
		if after := b.traces(); after != before {
			t.Errorf("%s: left %+v after %+v", state, after, before)
		}
		books(b.Member, buyer, ledger.Level)
		reply = b.submit(docs[:3]...)
		for i := range docs[:3] {
			b.decided(reply, i)
		}
	}
}

// TestAForkOfThePartnersEndsNoDoubtAboutOurStore: whoever signs two logs of its own would have an older store sign a place anew. Where
// nothing was in doubt, what winds down goes on.
func TestAForkOfThePartnersEndsNoDoubtAboutOurStore(t *testing.T) {
	t.Parallel()
	for state, winds := range map[ledger.BooksState]bool{ledger.Level: true, ledger.Unproven: false, ledger.Behind: false} {
		b := newBench(t)
		document := b.purchase("order-0001")
		b.submit(b.order(document))
		books(b.Member, buyer, state)
		b.Do(func(tx *store.Tx) error {
			_, err := ledger.Fork(tx, buyer, ledger.ReasonFork, b.Clock.Now(), ledger.Evidence{})
			return err
		})
		before := b.traces()
		reply := b.submit(b.cancelling(document))
		if winds {
			if reply.Outcomes[0].Undecided != nil {
				t.Errorf("%s before: %+v", state, reply.Outcomes[0].Undecided)
			}
			continue
		}
		wantUndecided(t, reply.Outcomes[0], "books_forked", false)
		err := b.Store.Do(t.Context(), func(tx *store.Tx) error {
			if closed := ledger.Closed(tx, buyer); fault.ReasonOf(closed) != ledger.ReasonBehind {
				t.Errorf("%s before, platforms are asked: %v", state, closed)
			}
			_, err := b.Book.Append(tx, buyer, ledger.OrderAccepted, "order-1", map[string]string{"order": "order-1"})
			return err
		})
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s before, it is appended: %v", state, err)
		}
		if after := b.traces(); after != before {
			t.Errorf("%s before: left %+v after %+v", state, after, before)
		}
	}
}

// older says that a partner's store is older than what it signed.
func older(m *markettest.Member, partner string, since time.Time) {
	m.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(partner)
		if err == nil {
			b.PartnerBehind.Since = since
			_, err = tx.Ledger().PutBooks(b)
		}
		return err
	})
}

// TestThereIsNoNewBusinessWithAPartnerWhoseStoreIsOlder: neither taken from it nor sent to it. What runs is ended.
func TestThereIsNoNewBusinessWithAPartnerWhoseStoreIsOlder(t *testing.T) {
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		document := b.purchase("order-0001")
		b.submit(b.order(document))
		older(b.Member, buyer, b.Clock.Now())
		reply := b.submit(b.order(b.purchase("order-0002")), b.cancelling(document))
		wantUndecided(t, reply.Outcomes[0], "partner_behind", false)
		b.decided(reply, 1)
		older(b.Member, buyer, time.Time{})
		b.decided(b.submit(b.order(b.purchase("order-0002"))), 0)
	})
	t.Run("sent", func(t *testing.T) {
		inOffice(t, func(t *testing.T, o *office) {
			older(o.Member, firstOrigin, time.Now())
			before := len(o.sent())
			o.place("first/a", ids("order", 2)...)
			pass(time.Hour)
			if n := len(o.sent()) - before; n != 0 {
				t.Errorf("it was sent %d times", n)
			}
			for _, j := range o.jobs() {
				if j.State != job.Waiting || !strings.HasPrefix(j.LastError, "partner_behind: ") {
					t.Errorf("left: %+v", j)
				}
			}
			if reason := o.public("order-000000"); reason != "order_check" {
				t.Errorf("the customer reads %q", reason)
			}
			older(o.Member, firstOrigin, time.Time{})
			o.box.Back(firstOrigin)
			pass(20 * time.Minute)
			o.decided(2)
		})
	})
}

// TestACallThatBeganBeforeTheBooksWereComparedDecidesNothing: what it decided would be missing in the answer that its caller proves its
// store by.
func TestACallThatBeganBeforeTheBooksWereComparedDecidesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	asks := func(partner string) {
		b.desk.Work = &between{Work: store.For[exchange.Tx](b.Store), before: func() {
			if _, err := b.desk.Compare(t.Context(), partner, ledger.Token{}, make([]byte, 16)); err != nil {
				t.Error(err)
			}
		}}
	}
	asks(buyer)
	doc := b.order(b.purchase("order-0001"))
	before := b.traces()
	if _, err := b.desk.Submit(t.Context(), b.call(doc)); !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_asked" {
		t.Errorf("the call: %v", err)
	}
	if after := b.traces(); after != before {
		t.Errorf("left %+v after %+v", after, before)
	}
	// Another partner's question is not about this one's calls.
	asks(other)
	b.decided(b.submit(doc), 0)
}

// TestAReplyToACallThatBeganBeforeAQuestionIsNotTaken: the next answer to the same document is.
func TestAReplyToACallThatBeganBeforeAQuestionIsNotTaken(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		var copied []ledger.Position
		o.after = func(call, *exchange.Answer) {
			o.View(func(tx *store.Tx) error {
				head, err := tx.Ledger().Head(firstOrigin, ledger.Theirs)
				copied = append(copied, head.Position())
				return err
			})
			if len(copied) == 1 {
				o.Do(func(tx *store.Tx) error { return tx.Ledger().Answer(firstOrigin, ledger.Token{}) })
			}
		}
		o.place("first/a", "order-0001")
		pass(0)
		if j := o.only(); !strings.HasPrefix(j.LastError, "apply ledger of https://first.localhost:2: books_asked") {
			t.Errorf("left: %+v", j)
		}
		pass(time.Second)
		if len(copied) != 2 || copied[1] != copied[0] {
			t.Errorf("our copy ended at %v when the calls were answered", copied)
		}
		o.decided(1)
	})
}

// TestWhatAnOlderProcessSentIsRefusedOnceItsSuccessorAsked: it was on its way when the process died, and its store may be gone with it. Its
// successor, and other processes beside it under tokens since then, are heard.
func TestWhatAnOlderProcessSentIsRefusedOnceItsSuccessorAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	noon := b.Clock.Now()
	before, successor := ledger.Token{Key: "before", Issued: noon}, ledger.Token{Key: "successor", Issued: noon.Add(time.Second)}
	send := func(id string, token ledger.Token) error {
		call := b.call(b.order(b.purchase(id)))
		call.Token = token
		_, err := b.desk.Submit(t.Context(), call)
		return err
	}
	ask := func(token ledger.Token) {
		if _, err := b.desk.Compare(t.Context(), buyer, token, make([]byte, 16)); err != nil {
			t.Error(err)
		}
	}
	ask(before)
	ask(successor)
	ask(before) // a question that was held up makes nothing undone
	traces := b.traces()
	for _, token := range []ledger.Token{before, {Key: "beside", Issued: successor.Issued}} {
		if err := send("order-0001", token); !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_asked" {
			t.Errorf("under %+v: %v", token, err)
		}
	}
	if after := b.traces(); after != traces {
		t.Errorf("left %+v after %+v", after, traces)
	}
	for i, token := range []ledger.Token{successor, {Key: "successor", Issued: noon}, {Key: "beside", Issued: successor.Issued.Add(time.Second)}} {
		if err := send("order-000"+string(rune('2'+i)), token); err != nil {
			t.Errorf("under %+v: %v", token, err)
		}
	}
}

func TestNothingIsSentWhileOurStoreMayLackWhatWeSigned(t *testing.T) {
	for state, c := range map[ledger.BooksState]struct{ reason, customer string }{
		ledger.Unproven: {"books_unproven: ", ""}, ledger.Behind: {"books_behind: ", "order_check"},
	} {
		t.Run(string(state), func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
				o.place("first/a", ids("order", 3)...)
				pass(0)
				o.script(nil)
				books(o.Member, firstOrigin, state)
				o.stop()
				o.start("here")
				before := len(o.sent())
				pass(time.Hour)
				if n := len(o.sent()) - before; n != 0 {
					t.Errorf("it was sent %d times", n)
				}
				tried := 0
				for _, j := range o.jobs() {
					if j.State != job.Waiting {
						t.Errorf("left: %+v", j)
					}
					if strings.HasPrefix(j.LastError, c.reason) {
						tried++
					}
				}
				if tried == 0 || tried > 3 {
					t.Errorf("of %d documents it is said why they wait", tried)
				}
				if reason := o.public("order-000000"); state == ledger.Behind && reason != c.customer {
					t.Errorf("the customer reads %q", reason)
				}
				o.place("second/a", "order-of-another")
				pass(0)
				if n := o.states()[order.InProgress]; n != 1 {
					t.Errorf("of another's orders %d went on", n)
				}
				books(o.Member, firstOrigin, ledger.Level)
				o.box.Back(firstOrigin)
				pass(2 * time.Second)
				o.decided(4)
			})
		})
	}
}

// holding is an outbox that nothing reaches for a while.
type holding struct {
	*exchange.Outbox
	open chan struct{}
}

func (h holding) Post(parcels ...dispatch.Parcel) { <-h.open; h.Outbox.Post(parcels...) }

// TestNoOrderGoesOutAfterItsCancelWasAcknowledged: while the books are unproven a cancel is acknowledged that is not signed yet, and when they
// are level the order's document may have been taken, or read, long before.
func TestNoOrderGoesOutAfterItsCancelWasAcknowledged(t *testing.T) {
	for name, where := range map[string]struct {
		// before leaves the order on its way to the supplier, and says what sends it on once the books are level.
		before func(o *office) (after func())
	}{
		"it waits in memory": {func(o *office) func() {
			open := make(chan struct{})
			o.script(func(call) (*exchange.Answer, error) { <-open; return nil, nil })
			o.place("first/a", "order-another")
			pass(0)
			o.place("first/a", "order-0001")
			pass(0)
			return func() { o.script(nil); close(open) }
		}},
		"it waits in the store": {func(o *office) func() {
			o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
			o.place("first/a", "order-0001")
			pass(time.Minute)
			return func() { o.script(nil); o.box.Back(firstOrigin) }
		}},
		"it was taken, and is read when its cancel is signed and not sent": {func(o *office) func() {
			o.retail.Outbox = dying{}
			o.place("first/a", "order-0001")
			taken := o.only()
			open := make(chan struct{})
			o.retail.Outbox = holding{o.box, open}
			return func() { pass(2 * time.Second); o.box.Take(taken); pass(0); close(open) }
		}},
		"a dead process took it": {func(o *office) func() {
			o.retail.Outbox = dying{}
			o.place("first/a", "order-0001")
			o.retail.Outbox = o.box
			return func() { o.stop(); o.start("gone") }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				after := where.before(o)
				sent := len(o.made())
				books(o.Member, firstOrigin, ledger.Unproven)
				cancelled, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001")
				if err != nil || cancelled.Items[0].State != order.AssessingCancel || cancelled.Items[0].CancelDocument != "" {
					t.Fatalf("cancelled: %+v, %v", cancelled.Items, err)
				}
				books(o.Member, firstOrigin, ledger.Level)
				began := time.Now()
				pass(0)
				after()
				pass(2 * time.Second)
				for _, c := range o.made()[sent:] {
					if c.about(cancelled) {
						t.Errorf("the order went out %s after the books were level", c.at.Sub(began))
					}
				}
				if o.states()[order.Cancelled] != 1 || len(o.jobs()) > 0 {
					t.Errorf("orders are %v, left %+v", o.states(), o.jobs())
				}
			})
		})
	}
}
