package retail_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// stand sets the books with a supplier.
func (c *counter) stand(partner string, state ledger.BooksState) {
	c.t.Helper()
	c.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(partner)
		if err == nil {
			if b.State = state; state == ledger.Unproven {
				b.Reason = ledger.ReasonStarted
			}
			_, err = tx.Ledger().PutBooks(b)
		}
		return err
	})
}

// sign runs the first job that signs, as the runner does.
func (c *counter) sign() error {
	c.t.Helper()
	var held job.Job
	c.Do(func(tx *store.Tx) error {
		due, _, err := tx.Jobs().Due(c.Clock.Now(), 9, 9)
		if err != nil || len(due) == 0 || !strings.HasPrefix(due[0].Kind, retail.JobSign) {
			c.t.Fatalf("due are %v, %v", due, err)
		}
		held, err = tx.Jobs().Lease(due[0], "here", c.Clock.Now().Add(time.Minute))
		return err
	})
	err := c.service.Sign(c.t.Context(), held)
	if err != nil && !errors.Is(err, job.ErrFinished) {
		c.Clock.Pass(time.Second)
		c.Do(func(tx *store.Tx) error { return tx.Jobs().Reschedule(held, c.Clock.Now(), err.Error(), false) })
	}
	return err
}

// TestWhatIsOrderedBeforeTheBooksAreProvedLevelIsSignedThen: nothing is signed for a supplier whose word might show that this very order was
// placed before; the customer has an order all the same, and another supplier's part of it does not wait.
func TestWhatIsOrderedBeforeTheBooksAreProvedLevelIsSignedThen(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	o, err := c.place(add("lst"), add("other"))
	if err != nil || o.State() != order.Acknowledged || o.Items[0].Document != "" || o.Items[1].Document == "" {
		t.Fatalf("ordered %+v, %v", o, err)
	}
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobSign, retail.JobSubmit}) {
		t.Errorf("the jobs are %v", jobs)
	}
	if entries, _, subscriptions := c.traces(); entries != 1 || subscriptions != 2 {
		t.Errorf("%d entries, %d subscriptions", entries, subscriptions)
	}
	if again, err := c.place(add("lst"), add("other")); err != nil || again.Version != o.Version {
		t.Errorf("the same wish again: %v", err)
	}
	// What was never sent, nobody can have decided.
	if err := c.apply(ledger.OrderAccepted, `{}`); fault.ReasonOf(err) != "document_mismatch" {
		t.Errorf("a decision on it: %v", err)
	}
	if err := c.sign(); !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_unproven" {
		t.Errorf("signed too early: %v", err)
	}
	if now := c.order().Items[0]; now.Reason != "" || now.State != order.Acknowledged {
		t.Errorf("the customer reads %s, %q", now.State, now.Reason)
	}
	c.stand(vendor, ledger.Level)
	if err := c.sign(); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	it := c.order().Items[0]
	payload, err := signed.Open(it.Document, signed.Order, c.Key())
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := order.ParseDocument(payload)
	if err != nil || d.ID != it.CorrelationID || hex.EncodeToString(it.PayloadDigest) != signed.Digest(payload) || it.Unsigned != nil {
		t.Errorf("signed was %s, %v", payload, err)
	}
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobSubmit, retail.JobSubmit}) {
		t.Errorf("the jobs are %v", jobs)
	}
	c.View(func(tx *store.Tx) error {
		e, err := tx.Ledger().Entry(vendor, ledger.Own, ledger.Position{Seq: 1})
		if b, bad := order.ParseBody(e); err != nil || bad != nil || e.Kind != ledger.OrderPlaced || b.DocumentSHA256 != signed.Digest(payload) {
			t.Errorf("the entry is %s, %v, %v", e.Bytes, err, bad)
		}
		return nil
	})
	if err := c.apply(ledger.OrderAccepted, `{}`); err != nil {
		t.Error(err)
	}
}

// TestASecondRunSignsNothingTwice: the job may run again after its effect was committed.
func TestASecondRunSignsNothingTwice(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	c.stand(vendor, ledger.Level)
	if err := c.sign(); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	first := c.order()
	if err := c.service.Sign(t.Context(), job.Job{Kind: retail.JobSign, Key: "corr-0001", Partner: vendor}); !errors.Is(err, job.ErrFinished) {
		t.Error(err)
	}
	if entries, jobs, _ := c.traces(); entries != 1 || jobs != 1 || c.order().Version != first.Version {
		t.Errorf("%d entries, %d jobs", entries, jobs)
	}
}

// TestAnOlderStoreBuysNothingAnew: an id that it does not know may be one that it acknowledged after the copy was made. What it does know is
// told, and what it acknowledged before that was proved says that somebody must look.
func TestAnOlderStoreBuysNothingAnew(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	c.stand(vendor, ledger.Behind)
	if err := c.sign(); fault.ReasonOf(err) != "books_behind" {
		t.Errorf("signed: %v", err)
	}
	if it := c.order().Items[0]; it.State != order.PendingUnreachable || it.PublicReason() != "order_check" {
		t.Errorf("the customer reads %s, %q", it.State, it.PublicReason())
	}
	if _, err := c.place(add("lst")); err != nil {
		t.Errorf("a known id: %v", err)
	}
	unknown := retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{add("lst")}}
	if _, err := c.service.Place(t.Context(), unknown); !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) != "books_behind" {
		t.Errorf("an unknown id: %v", err)
	}
	if entries, jobs, subscriptions := c.traces(); entries != 0 || jobs != 1 || subscriptions != 1 {
		t.Errorf("%d entries, %d jobs, %d subscriptions", entries, jobs, subscriptions)
	}
	// Of another supplier it orders on, and when the books are level what waited goes on.
	unknown.Items = []retail.ItemCommand{add("other")}
	if _, err := c.service.Place(t.Context(), unknown); err != nil {
		t.Error(err)
	}
	c.stand(vendor, ledger.Level)
	if err := c.sign(); !errors.Is(err, job.ErrFinished) {
		t.Error(err)
	}
	if it := c.order().Items[0]; it.State != order.Acknowledged || it.Document == "" {
		t.Errorf("it is %s", it.State)
	}
}

// TestWhatIsCancelledBeforeTheBooksAreProvedLevelIsCancelledThen: the supplier may have the order from before, so its word ends it, as ever.
func TestWhatIsCancelledBeforeTheBooksAreProvedLevelIsCancelledThen(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]ledger.BooksState{"an order that was sent": ledger.Level, "one that is not signed either": ledger.Unproven} {
		c := newCounter(t)
		c.stand(vendor, before)
		if _, err := c.place(add("lst")); err != nil {
			t.Fatal(err)
		}
		c.stand(vendor, ledger.Unproven)
		entries, _, _ := c.traces()
		if o := c.cancel(); o.State() != order.AssessingCancel || o.Items[0].CancelDocument != "" {
			t.Errorf("%s: it is %s", name, o.State())
		}
		if o := c.cancel(); o.State() != order.AssessingCancel {
			t.Errorf("%s: repeated, it is %s", name, o.State())
		}
		if after, _, _ := c.traces(); after != entries {
			t.Errorf("%s: %d entries", name, after)
		}
		if err := c.apply(ledger.OrderCancelled, `{}`); fault.ReasonOf(err) != "document_mismatch" {
			t.Errorf("%s: a decision on it: %v", name, err)
		}
		c.stand(vendor, ledger.Level)
		// What was signed is not sent again before the cancel, which is not signed yet.
		c.View(func(tx *store.Tx) error {
			due, err := tx.Jobs().DueToSend(c.Clock.Now().Add(time.Hour), func(string) int { return 9 })
			if err != nil || len(due) > 0 {
				t.Errorf("%s: sent are %+v, %v", name, due, err)
			}
			_, err = c.service.CancelDocument(tx, job.Job{Kind: retail.JobCancel, Key: c.order().Items[0].CorrelationID, Partner: vendor})
			if !errors.Is(err, dispatch.ErrLater) {
				t.Errorf("%s: its cancel's document: %v", name, err)
			}
			return nil
		})
		want := []string{retail.JobCancel, retail.JobSubmit}
		for slices.ContainsFunc(c.jobs(), func(kind string) bool { return strings.HasPrefix(kind, retail.JobSign) }) {
			err := c.sign()
			if it := c.order().Items[0]; it.Document != "" && it.CancelDocument == "" && before == ledger.Unproven {
				t.Fatalf("%s: it was signed before its cancel", name)
			}
			if !errors.Is(err, job.ErrFinished) && !strings.Contains(err.Error(), "is signed first") {
				t.Fatal(err)
			}
		}
		it := c.order().Items[0]
		payload, err := signed.Open(it.CancelDocument, signed.Cancel, c.Key())
		if err != nil {
			t.Fatal(err)
		}
		if d, err := order.ParseCancel(payload); err != nil || d.OrderSHA256 != hex.EncodeToString(it.PayloadDigest) {
			t.Errorf("%s: signed was %s, %v", name, payload, err)
		}
		if jobs := c.jobs(); !slices.Equal(jobs, want) || it.Document == "" {
			t.Errorf("%s: the jobs are %v", name, jobs)
		}
		// Of the two the cancel goes, and the other is behind it.
		c.View(func(tx *store.Tx) error {
			due, err := tx.Jobs().DueToSend(c.Clock.Now().Add(time.Hour), func(string) int { return 9 })
			if err != nil || len(due) != 1 || due[0].Kind != retail.JobCancel || due[0].DueAt.After(c.Clock.Now()) {
				t.Errorf("%s: sent are %+v, %v", name, due, err)
			}
			return nil
		})
		if err := c.apply(ledger.OrderCancelled, `{}`); err != nil || c.order().State() != order.Cancelled || len(c.jobs()) > 0 {
			t.Errorf("%s: it is %s with %v, %v", name, c.order().State(), c.jobs(), err)
		}
	}
}

// TestACancelThatIsDecidedBeforeItIsSignedKeepsNobodyWaiting: the supplier had the order from before, and ended it another way.
func TestACancelThatIsDecidedBeforeItIsSignedKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	c.stand(vendor, ledger.Unproven)
	c.cancel()
	if err := c.apply(ledger.OrderRejected, `{}`); err != nil {
		t.Fatal(err)
	}
	c.stand(vendor, ledger.Level)
	if err := c.sign(); !errors.Is(err, job.ErrFinished) {
		t.Error(err)
	}
	if it := c.order().Items[0]; it.State != order.Rejected || len(c.jobs()) > 0 {
		t.Errorf("it is %s with %v", it.State, c.jobs())
	}
}

// TestWhatCanBeCancelledIsCancelledNow: an order over two suppliers of which one may know more of it than this store.
func TestWhatCanBeCancelledIsCancelledNow(t *testing.T) {
	t.Parallel()
	for state, reason := range map[ledger.BooksState]string{ledger.Behind: "order_check", ledger.Unproven: ""} {
		c := newCounter(t)
		if _, err := c.place(add("lst"), add("other")); err != nil {
			t.Fatal(err)
		}
		c.stand(vendor, state)
		o := c.cancel()
		waits, goes := o.Items[0], o.Items[1]
		if waits.State != order.AssessingCancel || waits.CancelDocument != "" || waits.PublicReason() != reason {
			t.Errorf("%s: the one that waits is %s, %q", state, waits.State, waits.PublicReason())
		}
		if goes.State != order.AssessingCancel || goes.CancelDocument == "" {
			t.Errorf("%s: the other is %s", state, goes.State)
		}
		c.stand(vendor, ledger.Level)
		if err := c.sign(); !errors.Is(err, job.ErrFinished) || c.order().Items[0].CancelDocument == "" {
			t.Errorf("%s: signed: %v", state, err)
		}
		if it := c.order().Items[0]; it.PublicReason() != "" {
			t.Errorf("%s: signed, it says %q", state, it.PublicReason())
		}
	}
}
