package exchange_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func (b *bench) jobs() (all []job.Job) {
	b.t.Helper()
	b.View(func(tx *store.Tx) (err error) { all, err = tx.Jobs().List(1000); return err })
	return all
}

func TestABatchWithOneBadDocumentDecidesTheOthersInOneCommit(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(b *bench) exchange.Document{
		"one that is not signed by the partner": func(b *bench) exchange.Document {
			return exchange.Document{JWS: b.sign(other, signed.Order, b.purchase("order-bad-1"))}
		},
		"one that cannot be read": func(b *bench) exchange.Document {
			return b.order(b.purchase("order-bad-1").with(members{"quantity": "two"}))
		},
		// Its subscription's key was destroyed: the commit itself fails.
		"one that cannot be written": func(b *bench) exchange.Document {
			b.Do(func(tx *store.Tx) error {
				return tx.Subscriptions().Erase(subscription.ResaleKey(buyer, "sub-order-bad-1"))
			})
			return b.order(b.purchase("order-bad-1"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var docs []exchange.Document
			for i := range exchange.MaxDocuments {
				if i == 20 {
					docs = append(docs, bad(b))
				} else {
					docs = append(docs, b.order(b.purchase(fmt.Sprintf("order-%04d", i))))
				}
			}
			reply := b.submit(docs...)
			for i, o := range reply.Outcomes {
				if (o.Undecided != nil) != (i == 20) {
					t.Errorf("document %d: %+v", i, o)
				}
			}
			if n := b.traces(); n != (traces{orders: 63, entries: 63, jobs: 63, subscriptions: 63}) {
				t.Errorf("left %+v", n)
			}
			if len(reply.Page.Entries) != 63 || reply.Page.More || reply.Page.Last.Seq != 63 {
				t.Errorf("the page has %d entries to %s, more %v", len(reply.Page.Entries), reply.Page.Last, reply.Page.More)
			}
		})
	}
}

func TestDocumentsOfOneSubjectAreDecidedInOrder(t *testing.T) {
	t.Parallel()
	t.Run("the second meets what the first left", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.completed("order-0001")
		reply := b.submit(b.order(b.termination("end-0001", "order-0001")), b.order(b.termination("end-0002", "order-0001")))
		first, second := b.decided(reply, 0), b.decided(reply, 1)
		body, err := order.ParseBody(second)
		if err != nil || first.Kind != ledger.OrderAccepted || second.Kind != ledger.OrderRejected || body.Reason != "subscription_state" {
			t.Errorf("decided %s and %s", first.Bytes, second.Bytes)
		}
	})
	t.Run("after one that stays undecided the later ones wait", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.completed("order-0001")
		bad := b.termination("end-0001", "order-0001").with(members{"agreement": "agr-other"})
		before := b.traces()
		reply := b.submit(b.order(bad), b.order(b.termination("end-0002", "order-0001")), b.order(b.purchase("order-0002")))
		wantUndecided(t, reply.Outcomes[0], "agreement_mismatch", true)
		wantUndecided(t, reply.Outcomes[1], "subject_waits", false)
		if e := b.decided(reply, 2); e.Kind != ledger.OrderAccepted {
			t.Errorf("another subject's was decided as %s", e.Bytes)
		}
		if n := b.traces(); n.orders != before.orders+1 {
			t.Errorf("left %+v after %+v", n, before)
		}
	})
	t.Run("what a cancel ended waits for nobody", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		bought := b.purchase("order-0001")
		bad := b.termination("end-0001", "order-0001").with(members{"agreement": "agr-other"})
		reply := b.submit(b.order(bad), b.order(bought), b.order(b.termination("end-0002", "order-0001")), b.cancelling(bought))
		wantUndecided(t, reply.Outcomes[0], "agreement_mismatch", true)
		wantUndecided(t, reply.Outcomes[2], "subject_waits", false)
		if e := b.decided(reply, 3); e.Kind != ledger.OrderCancelled || b.decided(reply, 1).Position() != e.Position() {
			t.Errorf("decided %s and %s", b.decided(reply, 1).Bytes, e.Bytes)
		}
	})
	t.Run("what came before waits for nobody", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		b.completed("order-0001")
		bad := b.termination("end-0002", "order-0001").with(members{"agreement": "agr-other"})
		reply := b.submit(b.order(b.termination("end-0001", "order-0001")), b.order(bad))
		if e := b.decided(reply, 0); e.Kind != ledger.OrderAccepted {
			t.Errorf("decided %s", e.Bytes)
		}
	})
	t.Run("the same document twice is one", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		document := b.purchase("order-0001")
		reply := b.submit(b.order(document), b.order(document), b.order(document.with(members{"quantity": 1, "one_off_minor": 960})))
		if b.decided(reply, 0).Position() != b.decided(reply, 1).Position() {
			t.Errorf("outcomes %+v", reply.Outcomes)
		}
		wantUndecided(t, reply.Outcomes[2], "document_conflict", true)
		if n := b.traces(); n.orders != 1 || n.entries != 1 {
			t.Errorf("left %+v", n)
		}
	})
}

// begun is what provisioning may have done about an order.
var begun = map[string]struct {
	act      func(b *bench, j job.Job)
	canceled bool
}{
	"nothing yet": {func(*bench, job.Job) {}, true},
	"a runner gave it back unbegun": {func(b *bench, j job.Job) {
		b.Do(func(tx *store.Tx) error {
			j, err := tx.Jobs().Hold(j, "runner", b.Clock.Now().Add(time.Minute))
			if err != nil {
				return err
			}
			return tx.Jobs().Reschedule(j, j.DueAt, "", true)
		})
	}, true},
	"a runner keeps it until it has a worker": {func(b *bench, j job.Job) {
		b.Do(func(tx *store.Tx) error {
			_, err := tx.Jobs().Hold(j, "runner", b.Clock.Now().Add(time.Minute))
			return err
		})
	}, true},
	"a runner runs it": {func(b *bench, j job.Job) { b.lease(j, nil) }, false},
	"a run failed": {func(b *bench, j job.Job) {
		b.lease(j, func(tx *store.Tx, j job.Job) error { return tx.Jobs().Reschedule(j, j.DueAt, "down", false) })
	}, false},
	"an operator must look": {func(b *bench, j job.Job) {
		b.lease(j, func(tx *store.Tx, j job.Job) error { return tx.Jobs().Park(j, "look") })
	}, false},
	"a step is recorded":          {func(b *bench, _ job.Job) { b.step("order-0001", provision.Asking) }, false},
	"a step of it was taken back": {func(b *bench, _ job.Job) { b.step("order-0001", provision.Destroyed) }, false},
	"it was completed":            {func(b *bench, _ job.Job) { b.complete("order-0001", subscription.Result{Adapter: "x"}) }, false},
	"its job is gone, whoever took it": {func(b *bench, j job.Job) {
		b.lease(j, func(tx *store.Tx, j job.Job) error { return tx.Jobs().Finish(j) })
	}, false},
}

func (b *bench) lease(j job.Job, then func(tx *store.Tx, j job.Job) error) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) error {
		leased, err := tx.Jobs().Lease(j, "runner", b.Clock.Now().Add(time.Minute))
		if err != nil || then == nil {
			return err
		}
		return then(tx, leased)
	})
}

func (b *bench) step(id string, phase provision.Phase) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Steps().Put(provision.Step{
			Subscription: subscription.ResaleKey(buyer, order.SubscriptionID(id)), Name: "main", Generation: 1, Order: id, Phase: phase,
		})
		return err
	})
}

func TestACancelCountsUntilWorkBegins(t *testing.T) {
	t.Parallel()
	for name, c := range begun {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			document := b.purchase("order-0001")
			b.submit(b.order(document))
			c.act(b, b.jobs()[0])
			jobs := len(b.jobs())
			before, _ := b.resaleOrder("order-0001")
			cancel := b.cancelling(document)
			e := b.decided(b.submit(cancel), 0)
			o, _ := b.resaleOrder("order-0001")
			body, err := order.ParseBody(e)
			if err != nil || e.Subject != "sub-order-0001" || body.Order != "order-0001" || body.DocumentSHA256 != signed.Digest(b.cancel(document).bytes(t)) {
				t.Errorf("decided %s", e.Bytes)
			}
			if c.canceled {
				if e.Kind != ledger.OrderCancelled || o.State != order.Cancelled || b.bought("order-0001").State != subscription.Aborted || len(b.jobs()) != 0 {
					t.Errorf("decided %s; the order is %s, its subscription %s, %d jobs are left", e.Bytes, o.State, b.bought("order-0001").State, len(b.jobs()))
				}
			} else if e.Kind != ledger.CancelRefused || body.Reason != "too_late" || o.State != before.State || len(b.jobs()) != jobs {
				t.Errorf("decided %s; the order was %s and is %s, %d jobs are left", e.Bytes, before.State, o.State, len(b.jobs()))
			}
			if again := b.decided(b.submit(cancel), 0); again.Position() != e.Position() {
				t.Errorf("the repetition is decided in %s", again.Bytes)
			}
			b.decided(b.submit(b.order(document)), 0)
		})
	}
}

func TestACancelledEndLeavesTheSubscriptionAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	end := b.termination("end-0001", "order-0001")
	b.submit(b.order(end))
	if e := b.decided(b.submit(b.cancelling(end)), 0); e.Kind != ledger.OrderCancelled {
		t.Fatalf("decided %s", e.Bytes)
	}
	if s := b.bought("order-0001"); s.State != subscription.Active {
		t.Errorf("the subscription is %s", s.State)
	}
}

func TestACancelBeforeItsOrderRefusesItForEver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	e := b.decided(b.submit(b.cancelling(document)), 0)
	if e.Kind != ledger.OrderCancelled || e.Subject != "sub-order-0001" {
		t.Fatalf("decided %s", e.Bytes)
	}
	for _, late := range []members{document, document.with(members{"quantity": 1, "one_off_minor": 960})} {
		if got := b.decided(b.submit(b.order(late)), 0); got.Position() != e.Position() {
			t.Errorf("the late order is decided in %s", got.Bytes)
		}
	}
	if n := b.traces(); n != (traces{entries: 1}) {
		t.Errorf("left %+v", n)
	}
}

// TestACancelOfWhatDidNotComeBackDecidesNothing: nothing but the decision on the order is left in a store that lost it, and the service may run.
func TestACancelOfWhatDidNotComeBackDecidesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	doc := b.order(document)
	payload, err := signed.Payload(doc.JWS)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(signed.Digest(payload))
	if err != nil {
		t.Fatal(err)
	}
	at := ledger.Position{Seq: 1}
	b.Do(func(tx *store.Tx) error {
		return tx.Decisions().PutDecisions([]exchange.Decision{{Partner: buyer, Key: exchange.Key{Type: signed.Order, ID: "order-0001"}, Digest: digest, At: at}})
	})
	out := b.submit(b.cancelling(document)).Outcomes[0]
	if u := out.Undecided; u == nil || u.Reason != "order_not_given_back" || out.Final() {
		t.Errorf("the cancel is %+v", out)
	}
	if out := b.submit(doc).Outcomes[0]; out.Undecided != nil || out.At != at {
		t.Errorf("the late document is %+v", out)
	}
	if n := b.traces(); n != (traces{}) {
		t.Errorf("left %+v", n)
	}
}

func TestACancelOvertakesInsideACall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	denied := b.purchase("order-0002")
	call := b.call(b.order(document), b.order(denied), b.cancelling(denied), b.cancelling(document))
	call.Scopes = []string{scope.LedgerRead, scope.OrdersCancel} // the purchases may not be placed with it
	reply, err := b.desk.Submit(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"order-0001", "order-0002", "order-0002", "order-0001"} {
		if body, err := order.ParseBody(b.decided(reply, i)); err != nil || body.Order != want || b.decided(reply, i).Kind != ledger.OrderCancelled {
			t.Errorf("document %d: %+v, %v", i, body, err)
		}
	}
	if n := b.traces(); n != (traces{entries: 2}) {
		t.Errorf("left %+v", n)
	}
}

func TestACancelOfAnotherOrderThanItSays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	b.submit(b.order(document))
	before := b.traces()
	for name, c := range map[string]struct {
		reason string
		change members
	}{
		"another content":                   {"cancel_mismatch", members{"order_sha256": signed.Digest([]byte("x"))}},
		"another subscription":              {"cancel_mismatch", members{"subscription": "sub-order-0002"}},
		"an id that is not its order's":     {"cancel_document_invalid", members{"jti": "cnl-order-0002"}},
		"an agreement that the token lacks": {"agreement_mismatch", members{"agreement": "agr-other"}},
		"no order":                          {"document_malformed", members{"order": nil}},
	} {
		reply := b.submit(exchange.Document{JWS: b.sign(buyer, signed.Cancel, b.cancel(document).with(c.change))})
		if reasonOf(reply.Outcomes[0]) != c.reason || !reply.Outcomes[0].Final() {
			t.Errorf("%s: %+v", name, reply.Outcomes[0])
		}
	}
	if after := b.traces(); after != before {
		t.Errorf("left %+v after %+v", after, before)
	}
}

func TestAForkFencesNewBusinessAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	document := b.purchase("order-0002")
	b.submit(b.order(document))
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: buyer, State: ledger.Forked, Since: b.Clock.Now(), Reason: "ledger_fork"})
		return err
	})
	sent := []exchange.Document{
		b.order(b.purchase("order-0003")), b.order(document), b.order(b.termination("end-0001", "order-0001")), b.cancelling(document),
		{JWS: b.sign(buyer, signed.AccessReceipt, b.receipt("order-0001"))},
	}
	reply := b.submit(sent...)
	wantUndecided(t, reply.Outcomes[0], "books_forked", false)
	for i := range sent[:4] {
		if i > 0 {
			b.noted(reply, i, sent[i])
		}
	}
	var kinds []ledger.Kind
	b.View(func(tx *store.Tx) error {
		all, err := tx.Ledger().Entries(buyer, ledger.Own, ledger.Position{}, 9)
		for _, e := range all {
			kinds = append(kinds, e.Kind)
		}
		return err
	})
	if want := []ledger.Kind{ledger.OrderCancelled, ledger.OrderAccepted}; len(kinds) < 5 || !slices.Equal(kinds[3:5], want) {
		t.Errorf("the log has %v", kinds)
	}
	// Of what the partner has read it is told where.
	seen, _ := b.shown(3, 3)
	call := b.call(sent[1], sent[2])
	call.Seen = seen
	reply, err := b.desk.Submit(t.Context(), call)
	if err != nil || reply.Outcomes[0].At != (ledger.Position{Seq: 3}) {
		t.Errorf("repeated: %+v, %v", reply.Outcomes, err)
	}
	b.noted(reply, 1, sent[2])
	reply = b.submit(sent...)
	if _, err := b.desk.Compare(t.Context(), buyer, ledger.Token{}, make([]byte, 16)); err != nil {
		t.Errorf("no comparison: %v", err)
	}
	// What is decided is told, and which log is the one is not: the answer has no entries, and ends where the partner's copy does.
	long := b.submit(exchange.Document{JWS: "no document"})
	for name, r := range map[string]exchange.Reply{"decisions": reply, "nothing": long} {
		if len(r.Page.Entries) > 0 || r.Page.More || r.Page.Last != (ledger.Position{}) {
			t.Errorf("an answer with %s has %d entries, more: %v, to %s", name, len(r.Page.Entries), r.Page.More, r.Page.Last)
		}
		if c, err := ledger.VerifyCheckpoint(r.Page.Checkpoint, self, buyer, b.Pinned()); err != nil || c.Position() != (ledger.Position{}) {
			t.Errorf("an answer with %s ends at %+v, %v", name, c, err)
		}
	}
}

func TestAcceptedWorkIsHandedOverHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var handed []job.Job
	b.desk.Claim = func() (string, time.Time, bool) { return "here", b.Clock.Now().Add(time.Minute), true }
	b.desk.Provision = func(jobs ...job.Job) { handed = append(handed, jobs...) }
	document, second := b.purchase("order-0001"), b.purchase("order-0002")
	b.submit(b.order(document), b.order(second), b.order(b.purchase("order-0003").with(members{"one_off_minor": 1})))
	b.submit(b.order(document)) // decided before: nothing begins again
	if len(handed) != 2 || handed[0].Kind != resale.JobProvision || handed[0].LeaseOwner != "here" || handed[0].State != job.Running {
		t.Fatalf("handed over %+v", handed)
	}
	b.View(func(tx *store.Tx) error {
		carried := handed[0].Carry.(*resale.Accepted)
		order, err := tx.ResaleOrders().Get(buyer, handed[0].Key)
		if d := cmp.Diff(order, carried.Order); d != "" || err != nil {
			t.Error("the first run knows another order than was committed", d, err)
		}
		sub, err := tx.Subscriptions().Get(order.Subscription())
		if d := cmp.Diff(sub, carried.Subscription); d != "" || err != nil {
			t.Error("the first run knows another subscription than was committed", d, err)
		}
		inputs, err := tx.Subscriptions().Secret(order.Subscription(), subscription.SecretInputs)
		if string(inputs) != string(carried.Inputs) || err != nil {
			t.Errorf("the first run knows %s of %s, %v", carried.Inputs, inputs, err)
		}
		return nil
	})
	begin := func(j job.Job) (begun []job.Job) {
		b.Do(func(tx *store.Tx) (err error) {
			begun, err = tx.Jobs().Begin([]job.Job{j}, "here", b.Clock.Now().Add(time.Minute))
			return err
		})
		return begun
	}
	if e := b.decided(b.submit(b.cancelling(document)), 0); e.Kind != ledger.OrderCancelled {
		t.Errorf("what was handed over and has not begun was not cancelled: %s", e.Bytes)
	}
	if begun := begin(handed[0]); len(begun) != 0 {
		t.Errorf("what was cancelled begins: %+v", begun)
	}
	if begun := begin(handed[1]); len(begun) != 1 {
		t.Error("what was not cancelled does not begin")
	}
	if e := b.decided(b.submit(b.cancelling(second)), 0); e.Kind != ledger.CancelRefused {
		t.Errorf("what has begun was cancelled: %s", e.Bytes)
	}
}

// TestADocumentThatCanNeverBeWrittenFailsAlone: what is in its way is nothing that an assessment looks at. Its neighbours are decided, once,
// and no more is handed over than was decided.
func TestADocumentThatCanNeverBeWrittenFailsAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	var handed []job.Job
	b.desk.Claim = func() (string, time.Time, bool) { return "here", b.Clock.Now().Add(time.Minute), true }
	b.desk.Provision = func(jobs ...job.Job) { handed = append(handed, jobs...) }
	b.Do(func(tx *store.Tx) error {
		_, err := tx.ResaleOrders().Put(resale.Order{Partner: buyer, ID: "order-0003", Item: order.Item{State: order.InProgress}})
		return err
	})
	before := b.traces()
	reply := b.submit(
		b.order(b.purchase("order-0002")), b.order(b.purchase("order-0003")), b.order(b.termination("end-0001", "order-0001")), b.order(b.purchase("order-0004")),
	)
	wantUndecided(t, reply.Outcomes[1], "contention", false)
	for _, i := range []int{0, 2, 3} {
		if e := b.decided(reply, i); e.Kind != ledger.OrderAccepted {
			t.Errorf("document %d was decided as %s", i, e.Bytes)
		}
	}
	after := b.traces()
	if after.orders != before.orders+3 || after.entries != before.entries+3 || len(handed) != 3 {
		t.Errorf("left %+v after %+v; handed over %d jobs", after, before, len(handed))
	}
}

// TestTwoDocumentsThatAreDecidedUnderOneId: the second one meets what the first became, whatever each is about.
func TestTwoDocumentsThatAreDecidedUnderOneId(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.completed("order-0001")
	b.completed("order-0002")
	stray := b.cancel(b.purchase("order-0009")).with(members{"subscription": "sub-order-0001"})
	for _, c := range []struct {
		name          string
		first, second exchange.Document
		reason        string
	}{
		{"two ends", b.order(b.termination("end-00001", "order-0001")), b.order(b.termination("end-00001", "order-0002")), "document_conflict"},
		{"a purchase and an end", b.order(b.purchase("order-0003")), b.order(b.termination("order-0003", "order-0002")), "document_conflict"},
		{"a cancel about another subscription and its order", exchange.Document{JWS: b.sign(buyer, signed.Cancel, stray)}, b.order(b.purchase("order-0009")), ""},
	} {
		reply := b.submit(c.first, c.second)
		b.decided(reply, 0)
		if got := reasonOf(reply.Outcomes[1]); got != c.reason {
			t.Errorf("%s: the second is undecided for %q, want %q", c.name, got, c.reason)
		}
	}
}

// TestAPurchaseOfWhatThereIsAlready is a decision about that document: others do not wait for it.
func TestAPurchaseOfWhatThereIsAlready(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{ID: "sub-order-0002", Side: subscription.Resale, Partner: buyer, State: subscription.Active})
		return err
	})
	reply := b.submit(b.order(b.purchase("order-0001")), b.order(b.purchase("order-0002")))
	if e := b.decided(reply, 0); e.Kind != ledger.OrderAccepted {
		t.Errorf("the other was decided as %s", e.Bytes)
	}
	e := b.decided(reply, 1)
	if body, err := ledger.ReadBody(e); err != nil || e.Kind != ledger.OrderRejected || body.Reason != "subscription_exists" {
		t.Errorf("decided %s, %v", e.Bytes, err)
	}
	if s := b.bought("order-0002"); s.State != subscription.Active || s.Version != 1 {
		t.Errorf("what was there became %+v", s)
	}
}

// TestADecisionIsRememberedWhateverTheCallerMayNow: what it may is asked about what is not decided yet.
func TestADecisionIsRememberedWhateverTheCallerMayNow(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(b *bench, c *exchange.Call){
		"the token has another scope":  func(_ *bench, c *exchange.Call) { c.Scopes = []string{scope.LedgerRead, scope.OrdersCancel} },
		"the token names no agreement": func(_ *bench, c *exchange.Call) { c.Agreement = "" },
		"the token names another":      func(_ *bench, c *exchange.Call) { c.Agreement = "agr-other" },
		"the partner is suspended":     func(b *bench, _ *exchange.Call) { b.setPartner(member.Suspended) },
		"an earlier document is blocked": func(b *bench, c *exchange.Call) {
			c.Documents = slices.Insert(c.Documents, 0, b.order(b.termination("end-0001", "order-0001").with(members{"agreement": "agr-other"})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			document, fresh := b.order(b.purchase("order-0001")), b.order(b.purchase("order-0002"))
			at := b.submit(document).Outcomes[0].At
			call := b.call(document, b.order(b.purchase("order-0001").with(members{"customer": "cus-2"})), fresh)
			lose(b, &call)
			b.desk = deskOf(b.Member) // which remembers nothing
			reply, err := b.desk.Submit(t.Context(), call)
			if err != nil {
				t.Fatal(err)
			}
			all := reply.Outcomes[len(reply.Outcomes)-3:]
			if all[0].Undecided != nil || all[0].At != at {
				t.Errorf("what was decided is %+v now", all[0])
			}
			wantUndecided(t, all[1], "document_conflict", true)
			if blocked := len(reply.Outcomes) > 3; (all[2].Undecided == nil) != blocked {
				t.Errorf("what was not decided is %+v", all[2])
			}
		})
	}
}

func (b *bench) setPartner(state member.State) {
	b.t.Helper()
	b.Do(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(buyer)
		if err == nil {
			p.State = state
			_, err = tx.Partners().Put(p)
		}
		return err
	})
}

// TestACallerFarBehindIsServed: its cursor is a hundred pages back, and what it wants is decided at once.
func TestACallerFarBehindIsServed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	document := b.purchase("order-0001")
	b.submit(b.order(document))
	const most = 50_000
	for written := 0; written < most; {
		b.Do(func(tx *store.Tx) error {
			drafts := make([]ledger.Draft, 5000)
			for i := range drafts {
				drafts[i] = ledger.Draft{Kind: ledger.OrderHeld, Subject: "sub-other", Body: order.Body{Order: "other"}}
			}
			_, err := b.Book.AppendAll(tx, buyer, drafts)
			return err
		})
		written += 5000
	}
	reply := b.submit(b.cancelling(document))
	e := b.decided(reply, 0)
	if e.Kind != ledger.OrderCancelled || e.Seq != most+2 {
		t.Errorf("decided %s", e.Bytes)
	}
	if len(reply.Page.Entries) != 500 || !reply.Page.More || reply.Page.Last.Seq != 500 {
		t.Errorf("the page has %d entries to %s, more %v", len(reply.Page.Entries), reply.Page.Last, reply.Page.More)
	}
	cp, err := ledger.VerifyCheckpoint(reply.Page.Checkpoint, self, buyer, b.Pinned())
	if err != nil || cp.Seq != 500 {
		t.Errorf("the checkpoint is at %d, %v", cp.Seq, err)
	}
}

func TestTheReplyGoesOnWhereTheCallerHasRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.submit(b.order(b.purchase("order-0001")), b.order(b.purchase("order-0002")))
	call := b.call(b.order(b.purchase("order-0003")))
	call.Seen = b.seen(buyer, first.Page.Checkpoint)
	reply, err := b.desk.Submit(t.Context(), call)
	if err != nil || len(reply.Page.Entries) != 1 || reply.Page.Last.Seq != 3 {
		t.Fatalf("%d entries to %s, %v", len(reply.Page.Entries), reply.Page.Last, err)
	}
	b.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(buyer, ledger.Own)
		if head.Seen.Seq != 2 {
			t.Errorf("we know that the partner has read to %s", head.Seen)
		}
		return err
	})
	// Nothing to decide: what the partner has read is known all the same.
	call = b.call(b.order(b.purchase("order-0003").with(members{"iss": other})))
	call.Seen = b.seen(buyer, reply.Page.Checkpoint)
	if reply, err = b.desk.Submit(t.Context(), call); err != nil || len(reply.Page.Entries) != 0 || reply.Page.Last.Seq != 3 {
		t.Fatalf("%d entries to %s, %v", len(reply.Page.Entries), reply.Page.Last, err)
	}
	b.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(buyer, ledger.Own)
		if head.Seen.Seq != 3 {
			t.Errorf("we know that the partner has read to %s", head.Seen)
		}
		return err
	})
}

// TestEveryDocumentHasAScope walks all types and intents: what is not in the table is denied.
func TestEveryDocumentHasAScope(t *testing.T) {
	t.Parallel()
	want := map[[2]string]string{
		{signed.Order, string(order.Purchase)}:  scope.OrdersWrite,
		{signed.Order, string(order.Terminate)}: scope.OrdersCancel,
		{signed.Order, string(order.Rotate)}:    scope.OrdersCancel,
		{signed.Cancel, ""}:                     scope.OrdersCancel,
		{signed.AccessReceipt, ""}:              scope.OrdersCancel,
		{signed.Erase, ""}:                      scope.LedgerRead,
		{signed.Agreement, ""}:                  scope.AgreementSign,
		{signed.Life, ""}:                       scope.LedgerRead,
	}
	for _, typ := range exchange.Types() {
		intents := []string{""}
		if typ == signed.Order {
			intents = nil
			for _, i := range order.Intents() {
				intents = append(intents, string(i))
			}
		}
		for _, intent := range intents {
			got, known := scope.OfDocument(typ, intent)
			if !known || got != want[[2]string{typ, intent}] {
				t.Errorf("%s %q needs %q, known %v", typ, intent, got, known)
			}
			delete(want, [2]string{typ, intent})
		}
	}
	for left := range want {
		t.Errorf("nobody opens %v", left)
	}
	for _, denied := range [][2]string{{signed.Order, ""}, {signed.Order, "renew"}, {signed.Checkpoint, ""}, {"", ""}, {signed.Cancel, "purchase"}} {
		if got, known := scope.OfDocument(denied[0], denied[1]); known {
			t.Errorf("%v needs %q", denied, got)
		}
	}
}

// TestWhoMayPlaceWhat: the relation now counts, whatever the token says.
func TestWhoMayPlaceWhat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		partner     member.State
		agreement   agreement.State
		buys, leave string
	}{
		"all is active":            {member.Active, agreement.Active, "", ""},
		"the partner is suspended": {member.Suspended, agreement.Active, "scope_not_granted", ""},
		"the agreement has ended":  {member.Active, agreement.Terminated, "scope_not_granted", ""},
		"the partner is refused":   {member.Refused, agreement.Active, "scope_not_granted", "scope_not_granted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.completed("order-0001")
			b.Do(func(tx *store.Tx) error {
				p, err := tx.Partners().Get(buyer)
				if err != nil {
					return err
				}
				p.State = c.partner
				if _, err = tx.Partners().Put(p); err != nil {
					return err
				}
				a, err := tx.Agreements().Get(self, "agr-buyer")
				if err != nil {
					return err
				}
				a.State = c.agreement
				_, err = tx.Agreements().Put(a)
				return err
			})
			b.desk = deskOf(b.Member) // which remembers nothing
			reply := b.submit(b.order(b.purchase("order-0002")), b.order(b.termination("end-0001", "order-0001")))
			if got := [2]string{reasonOf(reply.Outcomes[0]), reasonOf(reply.Outcomes[1])}; got != [2]string{c.buys, c.leave} {
				t.Errorf("undecided for %q", got)
			}
		})
	}
}

// brokenWork fails the writes after the first good ones.
type brokenWork struct {
	unit.Work[exchange.Tx]
	good int
}

func (w *brokenWork) Do(ctx context.Context, fn func(tx exchange.Tx) error) error {
	if w.good--; w.good < 0 {
		return fault.New(fault.Unavailable, "store_unavailable", "the database is away")
	}
	return w.Work.Do(ctx, fn)
}

// TestWhatWasAcceptedBeginsThoughTheCallFails: the store goes away between two waves, or before the answer.
func TestWhatWasAcceptedBeginsThoughTheCallFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var handed []job.Job
	b.desk.Claim = func() (string, time.Time, bool) { return "here", b.Clock.Now().Add(time.Minute), true }
	b.desk.Provision = func(jobs ...job.Job) { handed = append(handed, jobs...) }
	b.desk.Work = &brokenWork{Work: b.desk.Work, good: 1}
	_, err := b.desk.Submit(t.Context(), b.call(b.order(b.purchase("order-0001")), b.order(b.termination("end-0001", "order-0001"))))
	if fault.ReasonOf(err) != "store_unavailable" {
		t.Fatalf("the call ended with %v", err)
	}
	if all := b.jobs(); len(all) != 1 || len(handed) != 1 || handed[0].ID != all[0].ID {
		t.Errorf("jobs %+v, handed over %+v", all, handed)
	}
}
