package exchange_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

var errAway = fault.New(fault.Unavailable, "partner_unreachable", "nobody answers")

// gate holds calls until it is opened.
type gate struct {
	once sync.Once
	ch   chan struct{}
}

func newGate() *gate   { return &gate{ch: make(chan struct{})} }
func (g *gate) open()  { g.once.Do(func() { close(g.ch) }) }
func (g *gate) await() { <-g.ch }

func TestALoneDocumentLeavesAtOnce(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		begun := time.Now()
		o.place("first/a", "order-0001")
		pass(0)
		if sizes := o.sent(); !slices.Equal(sizes, []int{1}) || !time.Now().Equal(begun) {
			t.Fatalf("sent %v after %v", sizes, time.Since(begun))
		}
		o.decided(1)
	})
}

func TestWhatComesMeanwhileIsTheNextBatchAndAgreementsTakeTurns(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, nil })
		o.place("first/a", "order-first")
		pass(0)
		o.place("first/a", ids("a", 66)...)
		o.place("first/b", ids("b", 66)...)
		pass(0)
		if sizes := o.sent(); !slices.Equal(sizes, []int{1}) {
			t.Fatalf("while one call is under way %v are sent", sizes)
		}
		g.open()
		pass(0)
		var turns []string
		for _, c := range o.calls {
			turns = append(turns, c.Agreement)
		}
		if sizes := o.sent(); !slices.Equal(sizes, []int{1, 64, 64, 2, 2}) || strings.Join(turns, " ") != "agr-a agr-a agr-b agr-a agr-b" {
			t.Fatalf("sent %v under %v", sizes, turns)
		}
		o.decided(133)
	})
}

func TestASlowPartnerDoesNotSlowOthers(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(c call) (*exchange.Answer, error) {
			if c.partner == firstOrigin {
				g.await()
			}
			return nil, nil
		})
		o.place("first/a", ids("slow", 70)...)
		begun := time.Now()
		o.place("second/a", ids("fast", 30)...)
		pass(0)
		if got := o.states()[order.InProgress]; got != 30 || !time.Now().Equal(begun) {
			t.Fatalf("%d orders at the other partner are decided after %v", got, time.Since(begun))
		}
		g.open()
		pass(0)
		o.decided(100)
	})
}

func TestWhatHasNoRoomWaitsInTheStoreAndIsReadBack(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.box.Most = 20
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, nil })
		o.place("first/a", ids("order", 100)...)
		pass(0)
		waiting := 0
		for _, j := range o.jobs() {
			if j.State == job.Waiting {
				waiting++
			}
		}
		if waiting != 80 {
			t.Fatalf("%d of 100 wait in the store, want 80", waiting)
		}
		begun := time.Now()
		g.open()
		pass(3 * time.Second)
		o.decided(100)
		if last := o.calls[len(o.calls)-1].at; last.Sub(begun) > time.Second {
			t.Errorf("the last went after %v: nobody looked when there was room", last.Sub(begun))
		}
	})
}

func TestACallThatIsRefusedForOneDocumentIsTakenApart(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Invalid, fault.Denied} {
		t.Run(kind.String(), func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				g := newGate()
				defer g.open()
				var bad string
				o.script(func(c call) (*exchange.Answer, error) {
					g.await()
					for _, d := range c.Documents {
						if d.JWS == bad {
							return nil, fault.New(kind, "call_refused", "one of them is not to be read")
						}
					}
					return nil, nil
				})
				o.place("first/a", "order-first")
				pass(0)
				placed := o.place("first/a", ids("order", 10)...)
				bad = placed[4].Items[0].Document
				g.open()
				pass(0)
				left := o.jobs()
				if len(left) != 1 || left[0].Key != placed[4].Items[0].CorrelationID || (left[0].State == job.Parked) != (kind == fault.Invalid) {
					t.Fatalf("left: %+v", left)
				}
				if got := o.states(); got[order.InProgress] != 10 || got[order.PendingUnreachable] != 1 {
					t.Fatalf("the orders are %v", got)
				}
				for _, p := range placed {
					tries := 0
					for _, c := range o.calls {
						if c.about(p) {
							tries++
						}
					}
					if tries > 2 {
						t.Errorf("%s was sent %d times", p.ID, tries)
					}
				}
			})
		})
	}
}

// TestWhatBecomesOfADocument: what the partner says of a document, and what we do with it.
func TestWhatBecomesOfADocument(t *testing.T) {
	cases := []struct {
		name string
		// say changes the answer to the order; the supplier has decided it unless it says the opposite.
		instead *exchange.NotYet
		say     func(o *office, a *exchange.Answer)
		job     job.State
		told    string
		reason  string
		// again is when it is sent again at the latest, 0 is never.
		again time.Duration
	}{
		{name: "undecided for good", instead: &exchange.NotYet{Reason: "order_document_invalid", Cause: "no", Final: true}, job: job.Parked, told: "order_document_invalid", reason: "order_check"},
		{name: "undecided for now", instead: &exchange.NotYet{Reason: "scope_not_granted", Cause: "no"}, job: job.Waiting, told: "scope_not_granted", reason: "platform_unreachable", again: 2 * time.Second},
		{name: "undecided until later", instead: &exchange.NotYet{Reason: "busy", RetryAfter: time.Minute}, job: job.Waiting, told: "busy", reason: "platform_unreachable", again: 61 * time.Second},
		{name: "undecided, in words that are no code", instead: &exchange.NotYet{Reason: "Call +49!", Cause: "\x1b[1mhi"}, job: job.Waiting, told: "unknown_reason", reason: "platform_unreachable", again: 2 * time.Second},
		{
			name: "decided where another document is", say: func(o *office, a *exchange.Answer) { a.Outcomes[0].At = ledger.Position{Seq: 1} },
			instead: nil, job: "", told: "", // the page holds the decision itself, which is what counts
		},
		{
			name: "decided where our copy ends before", job: job.Waiting, told: "not read that far", again: 2 * time.Second,
			say: func(o *office, a *exchange.Answer) { o.shorten(a) },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				o.place("first/a", "order-before")
				pass(0)
				asked := 0
				o.script(func(call) (*exchange.Answer, error) {
					if asked++; asked > 1 || c.instead == nil {
						return nil, nil
					}
					page, err := o.suppliers[firstOrigin].Book.Tail(t.Context(), o.Origin, ledger.Position{Seq: 1}, 500)
					return answer(page, exchange.Told{Undecided: c.instead}), err
				})
				o.after = func(_ call, a *exchange.Answer) {
					if c.say != nil && asked == 1 {
						c.say(o, a)
					}
				}
				o.place("first/a", "order-0001")
				pass(0)
				left := o.jobs()
				if c.job == "" {
					o.decided(2)
					return
				}
				if len(left) != 1 || left[0].State != c.job || !strings.Contains(left[0].LastError, c.told) || strings.Contains(left[0].LastError, "\x1b") {
					t.Fatalf("left: %+v", left)
				}
				seen, err := o.retail.Get(t.Context(), "shop", "c", "order-0001")
				if err != nil || c.reason != "" && seen.Telling().PublicReason() != c.reason {
					t.Errorf("the customer reads %q, want %q (%v)", seen.Telling().PublicReason(), c.reason, err)
				}
				pass(cmpOr(c.again, time.Hour))
				if c.again == 0 && asked != 1 {
					t.Errorf("it was sent %d times", asked)
				} else if c.again > 0 {
					o.decided(2)
				}
			})
		})
	}
}

func cmpOr(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return a
}

func answer(page ledger.Page, told ...exchange.Told) *exchange.Answer {
	a := &exchange.Answer{Outcomes: told}
	a.Page.Entries, a.Page.Checkpoint = page.Entries, page.Checkpoint
	return a
}

// shorten gives the answer a page that ends before its decision.
func (o *office) shorten(a *exchange.Answer) {
	page, err := o.suppliers[firstOrigin].Book.Tail(o.t.Context(), o.Origin, ledger.Position{}, 1)
	if err != nil {
		o.t.Error(err)
	}
	a.Page.Entries, a.Page.Checkpoint, a.More = page.Entries, page.Checkpoint, true
}

// TestADocumentThatAnotherEntryIsSaidToDecideIsParked: the supplier names the decision about another document, and tells nothing new.
func TestADocumentThatAnotherEntryIsSaidToDecideIsParked(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-before")
		pass(0)
		o.script(func(call) (*exchange.Answer, error) {
			page, err := o.suppliers[firstOrigin].Book.Tail(t.Context(), o.Origin, ledger.Position{}, 500)
			return answer(page, exchange.Told{At: ledger.Position{Seq: 1}}), err
		})
		o.place("first/a", "order-0001")
		pass(0)
		left := o.jobs()
		if len(left) != 1 || left[0].State != job.Parked || !strings.Contains(left[0].LastError, "decision_mismatch") {
			t.Fatalf("left: %+v", left)
		}
		if seen, err := o.retail.Get(t.Context(), "shop", "c", "order-0001"); err != nil || seen.Telling().PublicReason() != "order_check" {
			t.Errorf("the customer reads %q (%v)", seen.Telling().PublicReason(), err)
		}
	})
}

// TestADecisionThatIsNoneOrCannotBeAppliedIsParkedAtOnce: the supplier says that a document is decided at an entry that it writes for
// it. Nobody waits for a lease to end.
func TestADecisionThatIsNoneOrCannotBeAppliedIsParkedAtOnce(t *testing.T) {
	accepted := func(in map[string]any) ledger.Draft { return ledger.Draft{Kind: ledger.OrderAccepted, Body: in} }
	for name, c := range map[string]struct {
		writes func(in map[string]any) []ledger.Draft
		want   string
	}{
		"an entry of the placing kind": {func(in map[string]any) []ledger.Draft {
			in["intent"] = "purchase"
			return []ledger.Draft{{Kind: ledger.OrderPlaced, Body: in}}
		}, "decision_mismatch"},
		"an entry that decides a cancel": {func(in map[string]any) []ledger.Draft {
			delete(in, "agreement")
			delete(in, "action")
			in["reason"] = "too_late"
			return []ledger.Draft{{Kind: ledger.CancelRefused, Body: in}}
		}, "decision_mismatch"},
		"a completion": {func(in map[string]any) []ledger.Draft {
			delete(in, "agreement")
			delete(in, "document_sha256")
			return []ledger.Draft{{Kind: ledger.OrderCompleted, Body: in}}
		}, "decision_mismatch"},
		"a decision on another document": {func(in map[string]any) []ledger.Draft {
			in["document_sha256"] = strings.Repeat("ab", 32)
			return []ledger.Draft{accepted(in)}
		}, "decision_mismatch"},
		"a decision whose body is not of its kind": {func(in map[string]any) []ledger.Draft {
			delete(in, "agreement")
			return []ledger.Draft{accepted(in)}
		}, "decision_mismatch"},
		"a decision behind what contradicts it": {func(in map[string]any) []ledger.Draft {
			return []ledger.Draft{{Kind: ledger.OrderHeld, Body: map[string]any{
				"order": in["order"], "subscription": in["subscription"], "action": "add", "reason": "adapter_outcome_unknown",
			}}, accepted(in)}
		}, "decision_parked"},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				s := o.suppliers[firstOrigin]
				o.script(func(sent call) (*exchange.Answer, error) {
					const id = "corr-order-0001-0"
					drafts := c.writes(map[string]any{
						"order": id, "document_sha256": sent.Documents[0].Digest, "agreement": "agr-a", "subscription": order.SubscriptionID(id), "action": "add",
					})
					var last ledger.Position
					s.Do(func(tx *store.Tx) error {
						for i := range drafts {
							drafts[i].Subject = order.SubscriptionID(id)
						}
						entries, err := s.Book.AppendAll(tx, o.Origin, drafts)
						if err == nil {
							last = entries[len(entries)-1].Position()
						}
						return err
					})
					page, err := s.Book.Tail(t.Context(), o.Origin, ledger.Position{}, 500)
					return answer(page, exchange.Told{At: last}), err
				})
				o.place("first/a", "order-0001")
				pass(0)
				left := o.jobs()
				if len(left) != 1 || left[0].State != job.Parked || !strings.Contains(left[0].LastError, c.want) {
					t.Fatalf("left: %+v", left)
				}
			})
		})
	}
}

func TestOnlyOneDocumentIsTriedAtAPartnerThatIsAway(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", ids("order", 100)...)
		pass(time.Hour)
		sizes := o.sent()
		if most := slices.Max(sizes[1:]); most != 1 || len(sizes) > 20 {
			t.Fatalf("in an hour %v were tried", sizes)
		}
		sent := 0 // the first call may have had more than one
		for _, n := range sizes {
			sent += n
		}
		if tried := o.states()[order.PendingUnreachable]; tried < 1 || tried > sent {
			t.Errorf("%d orders say that they were tried, %d were sent", tried, sent)
		}
		o.script(nil)
		begun := time.Now()
		o.box.Back(firstOrigin) // something reached it
		pass(2 * time.Second)
		o.decided(100)
		if !slices.Contains(o.behind, firstOrigin) {
			t.Errorf("its feeds are not woken")
		}
		if last := o.calls[len(o.calls)-1].at; last.Sub(begun) > time.Second {
			t.Errorf("the last went %v after it was back", last.Sub(begun))
		}
	})
}

// TestWhatAnotherReplicaFlushedIsTriedHereToo, and not when the pauses end that grew here.
func TestWhatAnotherReplicaFlushedIsTriedHereToo(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", ids("order", 10)...)
		pass(time.Hour)
		o.script(nil)
		o.Do(func(tx *store.Tx) error { return tx.Jobs().Expedite(firstOrigin, time.Now()) }) // as the other replica does
		o.flushed <- struct{}{}
		pass(2 * time.Second)
		o.decided(10)
	})
}

// TestAPartnerThatSaysTheBooksAreForkedIsTold, and that it decides something new all the same: it may be the only one that noticed.
func TestAPartnerThatSaysTheBooksAreForkedIsTold(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		var told []bool
		o.box.Forked = func(partner string, says bool) { told = append(told, says && partner == firstOrigin) }
		asked := 0
		o.script(func(c call) (*exchange.Answer, error) {
			if asked++; asked > 1 {
				return nil, nil
			}
			page, err := o.suppliers[firstOrigin].Book.Tail(t.Context(), o.Origin, ledger.Position{}, 500)
			return answer(page, exchange.Told{Undecided: &exchange.NotYet{Reason: "books_forked"}}), err
		})
		o.place("first/a", "order-0001")
		pass(time.Hour)
		o.decided(1)
		if !slices.Equal(told, []bool{true, false}) {
			t.Errorf("told was %v", told)
		}
	})
}

func TestAPartnerThatCallsUsIsTriedSoonButNotOften(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", "order-0001")
		pass(time.Hour)
		before := len(o.sent())
		for range 100 {
			o.box.Heard(firstOrigin)
			pass(time.Millisecond)
		}
		if tried := len(o.sent()) - before; tried != 1 {
			t.Fatalf("a hundred calls of it made us try %d times", tried)
		}
		o.script(nil)
		pass(12500 * time.Millisecond)
		o.box.Heard(firstOrigin)
		pass(time.Second)
		o.decided(1)
	})
}

func TestWhatADeadProcessLeavesIsTakenOverWithinSeconds(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		living := o.retail.Outbox
		o.retail.Outbox = dying{}
		o.place("first/a", ids("order", 5)...)
		o.retail.Outbox = living
		pass(job.SendingLease + 2*time.Second)
		o.decided(5)
	})
}

func TestWhatIsUnderWayForLongIsNotTakenOver(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, nil })
		all := ids("order", 3)
		o.place("first/a", all[0])
		pass(0) // it is under way, and alone, before the others come
		o.place("first/a", all[1:]...)
		pass(10 * time.Minute)
		if sizes := o.sent(); !slices.Equal(sizes, []int{1}) {
			t.Fatalf("sent %v while one call lasts", sizes)
		}
		for _, j := range o.jobs() {
			if j.State != job.Running || j.Attempts != 1 || !j.LeaseUntil.After(time.Now()) {
				t.Fatalf("a job is %+v", j)
			}
		}
		g.open()
		pass(0)
		o.decided(3)
	})
}

func TestWhoStopsGivesBackWhatWaits(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, nil })
		all := ids("order", 3)
		o.place("first/a", all[0])
		pass(0) // it is under way, and alone, before the others come
		o.place("first/a", all[1:]...)
		pass(0)
		stopped := make(chan struct{})
		go func() { o.stop(); close(stopped) }()
		pass(0)
		waiting := 0
		for _, j := range o.jobs() {
			if j.State == job.Waiting && j.Attempts == 0 {
				waiting++
			}
		}
		if waiting != 2 {
			t.Fatalf("%d wait for others", waiting)
		}
		g.open()
		<-stopped
		o.place("first/a", "order-late")
		o.start("another")
		pass(2 * time.Second)
		o.decided(4)
	})
}

func TestQuietPartnersCostNothing(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", ids("order", 3)...)
		pass(time.Minute)
		if n := o.box.Lanes(); n != 0 {
			t.Errorf("%d lanes are kept", n)
		}
	})
}

func TestACancelGoesBeforeItsOrderAndEndsIt(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", "order-0001")
		pass(0)
		for range 2 { // the second time it is a repetition
			c, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001")
			if err != nil || c.Items[0].State != order.AssessingCancel {
				t.Fatalf("%+v, %v", c.Items, err)
			}
		}
		o.script(nil)
		o.box.Back(firstOrigin)
		pass(2 * time.Second)
		if got := o.states(); got[order.Cancelled] != 1 || len(o.jobs()) != 0 {
			t.Fatalf("orders are %v, left %+v", got, o.jobs())
		}
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001"); err != nil {
			t.Errorf("once more: %v", err)
		}
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-none"); fault.ReasonOf(err) != "order_not_found" {
			t.Errorf("of no order: %v", err)
		}
	})
}

func TestDocumentsOfOneSubscriptionGoOneAfterTheOther(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		placed := o.place("first/a", "order-0001")
		pass(0)
		it := placed[0].Items[0]
		// Two more documents about it, the first of which the supplier does not decide yet.
		o.Do(func(tx *store.Tx) error {
			for _, key := range []string{"one", "two"} {
				if _, err := tx.Jobs().Send(job.Sending{Kind: "x", Key: key, Partner: it.Partner, Subject: it.SubscriptionID}, time.Now(), "", time.Time{}); err != nil {
					return err
				}
			}
			return nil
		})
		pass(5 * time.Second)
		for _, j := range o.jobs() {
			if j.Key == "two" && (j.Attempts != 0 || j.State != job.Waiting) {
				t.Fatalf("the second is taken before the first is over: %+v", j)
			}
		}
	})
}
