package exchange_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// anHour is how many tries a back-off that grows to a quarter of an hour leaves room for in one, and more: once a second they were
// thousands.
const anHour = 20

const (
	long         = 10 * time.Minute
	waitsForLong = "waits for long"
	parked       = "parked"
)

// only is the one job that is left.
func (o *office) only() job.Job {
	o.t.Helper()
	left := o.jobs()
	if len(left) != 1 {
		o.t.Fatalf("left: %+v", left)
	}
	return left[0]
}

func TestNewBusinessIsNotSentWhileTheBooksAreForked(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", ids("order", 3)...)
		pass(0)
		o.script(nil)
		books(o.Member, firstOrigin, ledger.Forked)
		before := len(o.sent())
		pass(2 * time.Hour)
		if n := len(o.sent()) - before; n != 0 {
			t.Errorf("it was sent %d times", n)
		}
		for _, j := range o.jobs() {
			if j.State != job.Waiting || !strings.HasPrefix(j.LastError, "books_forked") || j.Attempts > 2*anHour {
				t.Errorf("left: %+v", j)
			}
		}
		if n := o.told(waitsForLong); n != 1 {
			t.Errorf("operators were told %d times", n)
		}
		if reason := o.public("order-000000"); reason != "order_check" {
			t.Errorf("the customer reads %q", reason)
		}
		books(o.Member, firstOrigin, ledger.Level)
		pass(2 * time.Second)
		o.decided(3)
	})
}

// TestWhatWindsDownGoesOnUnderAFork: the partner decides it, and nothing that it says is applied until the books are level again.
func TestWhatWindsDownGoesOnUnderAFork(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-0001")
		pass(0)
		books(o.Member, firstOrigin, ledger.Forked)
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001"); err != nil {
			t.Fatal(err)
		}
		before := len(o.sent())
		pass(time.Hour)
		if n := len(o.sent()) - before; n < 1 || n > anHour {
			t.Errorf("it was sent %d times", n)
		}
		if j := o.only(); j.State != job.Waiting || !strings.Contains(j.LastError, "decides the document") {
			t.Errorf("left: %+v", j)
		}
		if o.told(waitsForLong) != 1 || o.box.Away(firstOrigin) {
			t.Errorf("operators were told %v", o.heard())
		}
		books(o.Member, firstOrigin, ledger.Level)
		pass(2 * time.Second)
		if left := o.jobs(); len(left) != 0 {
			t.Fatalf("left: %+v", left)
		}
	})
}

// TestAfterAForkOfOurOwnLogWhatWindsDownIsSentUnderOurLastWord: the checkpoint that the partner showed, for another one would be one more
// second hash.
func TestAfterAForkOfOurOwnLogWhatWindsDownIsSentUnderOurLastWord(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-0001")
		pass(0)
		word := o.made()[0].Checkpoint
		o.Do(func(tx *store.Tx) error {
			_, err := ledger.Fork(tx, firstOrigin, ledger.ReasonOwnFork, o.Clock.Now(), ledger.Evidence{Theirs: ledger.Signed{Checkpoint: word}})
			return err
		})
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		sent := o.made()[1:]
		if len(sent) == 0 {
			t.Fatal("nothing was sent")
		}
		for _, c := range sent {
			if c.Checkpoint != word {
				t.Error("it was sent under what was signed anew")
			}
		}
	})
}

// hands are documents about one subject, beside those of orders, whose decisions are scripted.
type hands struct {
	o *office
	// scopes are by key, say what the partner says of a document by its key; waits counts what the business was told.
	scopes map[string]string
	say    func(key string) (exchange.Told, error)
	waits  map[string]int
}

// handsIn has the outbox know two kinds more, the second of which overtakes.
func handsIn(o *office) *hands {
	h := &hands{o: o, scopes: make(map[string]string), waits: make(map[string]int)}
	for _, kind := range []string{"hand", "cancel by hand"} {
		o.box.Sources[kind] = exchange.Source{
			Command: ledger.Receipt,
			Document: func(_ federation.Tx, j job.Job) (dispatch.Document, error) {
				return dispatch.Document{Agreement: "agr-a", Scope: cmp.Or(h.scopes[j.Key], scope.OrdersCancel), JWS: j.Key, Digest: j.Key}, nil
			},
			Waits: func(_ federation.Tx, j job.Job, _ bool) error {
				o.mu.Lock()
				defer o.mu.Unlock()
				h.waits[j.Key]++
				return nil
			},
		}
	}
	o.script(func(c call) (*exchange.Answer, error) {
		var told []exchange.Told
		for _, d := range c.Documents {
			said, err := h.say(d.JWS)
			if err != nil {
				return nil, err
			}
			told = append(told, said)
		}
		page, err := o.suppliers[firstOrigin].Book.Tail(o.t.Context(), o.Origin, ledger.Position{}, 500)
		return answer(page, told...), err
	})
	return h
}

// send adds documents in one transaction; "!" before the key overtakes.
func (h *hands) send(keys ...string) {
	h.o.t.Helper()
	h.o.Do(func(tx *store.Tx) error {
		for _, key := range keys {
			d := job.Sending{Kind: "hand", Key: key, Partner: firstOrigin, Subject: "sub"}
			if key[0] == '!' {
				d.Kind, d.Overtakes = "cancel by hand", true
			}
			if _, err := tx.Jobs().Send(d, time.Now(), "", time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	h.o.runner.Look()
	pass(0)
}

// told is how often the business was told that a document waits.
func (h *hands) told(key string) int {
	h.o.mu.Lock()
	defer h.o.mu.Unlock()
	return h.waits[key]
}

// calls are how often a document was sent.
func (h *hands) calls(key string) (n int) {
	h.o.mu.Lock()
	defer h.o.mu.Unlock()
	for _, c := range h.o.calls {
		for _, d := range c.Documents {
			if d.JWS == key {
				n++
			}
		}
	}
	return n
}

// TestAnEndGoesOnUnderAForkWhateverBecameOfWhatCameBefore: of the same subject, and whether it was there already or comes later.
func TestAnEndGoesOnUnderAForkWhateverBecameOfWhatCameBefore(t *testing.T) {
	decided := func() (exchange.Told, error) { return exchange.Told{At: ledger.Position{Seq: 7}}, nil }
	undecided := func(n exchange.NotYet) func() (exchange.Told, error) {
		return func() (exchange.Told, error) { return exchange.Told{Undecided: &n}, nil }
	}
	for name, c := range map[string]struct {
		key, scope string
		say        func() (exchange.Told, error)
		// theirs has the partner's books forked, and ours level.
		theirs bool
	}{
		"a receipt is decided, which is not read": {key: "before", say: decided},
		"a cancel is decided, which is not read":  {key: "!before", say: decided},
		"a receipt is not decided yet":            {key: "before", say: undecided(exchange.NotYet{Reason: "busy"})},
		"a receipt is not decided for a day":      {key: "before", say: undecided(exchange.NotYet{Reason: "busy", RetryAfter: 24 * time.Hour})},
		"a call is denied": {key: "before", say: func() (exchange.Told, error) {
			return exchange.Told{}, fault.New(fault.Denied, "scope_not_granted", "no")
		}},
		"a change is not sent":                               {key: "before", scope: scope.OrdersWrite},
		"a change is undecided because of the partner's own": {key: "before", scope: scope.OrdersWrite, theirs: true, say: undecided(exchange.NotYet{Reason: "books_forked", RetryAfter: 24 * time.Hour})},
	} {
		for _, later := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, later %t", name, later), func(t *testing.T) {
				inOffice(t, func(t *testing.T, o *office) {
					h := handsIn(o)
					h.scopes[c.key] = c.scope
					h.say = func(key string) (exchange.Told, error) {
						switch {
						case key == c.key:
							return c.say()
						case c.theirs:
							return exchange.Told{Undecided: &exchange.NotYet{Reason: "busy"}}, nil
						}
						return decided()
					}
					if !c.theirs {
						books(o.Member, firstOrigin, ledger.Forked)
					}
					if later {
						h.send(c.key)
						pass(20 * time.Minute)
						h.send("end")
					} else {
						h.send(c.key, "end")
					}
					pass(time.Second)
					if h.calls("end") == 0 || h.told("end") == 0 || h.told(c.key) == 0 {
						t.Fatalf("the end was sent %d times, the business was told %d times of it and %d of the other", h.calls("end"), h.told("end"), h.told(c.key))
					}
					pass(15 * time.Minute)
					if n := h.calls("end"); n < 3 || n > anHour {
						t.Errorf("the end was sent %d times", n)
					}
					if c.scope == "" && !strings.Contains(name, "a day") && h.calls(c.key) < 3 {
						t.Errorf("what came before was sent %d times", h.calls(c.key))
					}
				})
			})
		}
	}
}

// TestAfterAForkDocumentsGoInTheirOrder: however they took turns while it lasted, a cancel first.
func TestAfterAForkDocumentsGoInTheirOrder(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		h := handsIn(o)
		keys := []string{"one", "two", "!cancel"}
		for _, key := range keys {
			h.scopes[key] = scope.OrdersWrite
		}
		h.say = func(string) (exchange.Told, error) {
			return exchange.Told{Undecided: &exchange.NotYet{Reason: "no", Final: true}}, nil
		}
		books(o.Member, firstOrigin, ledger.Forked)
		for _, key := range keys {
			h.send(key)
			pass(7 * time.Minute)
		}
		books(o.Member, firstOrigin, ledger.Level)
		pass(5 * time.Second)
		var sent []string
		for _, c := range o.made() {
			var of []string
			for _, d := range c.Documents {
				of = append(of, d.JWS)
			}
			sent = append(sent, strings.Join(of, "+"))
		}
		if !slices.Equal(sent, []string{"!cancel", "one", "two"}) {
			t.Errorf("sent %v", sent)
		}
	})
}

// TestAPartnerWhoseBooksAreForkedIsAskedSeldom: ours are level; it decides no new business, and its answers have no page.
func TestAPartnerWhoseBooksAreForkedIsAskedSeldom(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-0001")
		pass(0)
		s := o.suppliers[firstOrigin]
		books(s.Member, o.Origin, ledger.Forked)
		o.place("first/a", "order-0002")
		before := len(o.sent())
		pass(time.Hour)
		if n := len(o.sent()) - before; n > anHour || o.told(waitsForLong) != 1 {
			t.Errorf("it was sent %d times, operators were told %v", n, o.heard())
		}
		if j := o.only(); !strings.HasPrefix(j.LastError, "books_forked") || o.public("order-0002") != "order_check" {
			t.Errorf("left: %+v, the customer reads %q", j, o.public("order-0002"))
		}
		// What winds down is decided beyond our copy, and the feed brings it.
		if _, err := o.retail.Cancel(t.Context(), "shop", "c", "order-0001"); err != nil {
			t.Fatal(err)
		}
		pass(0)
		page, err := s.Book.Tail(t.Context(), o.Origin, ledger.Position{Seq: 1}, 500)
		if err != nil || len(page.Entries) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		o.reads(federation.LedgerPage{Entries: page.Entries, Checkpoint: page.Checkpoint}, ledger.Position{Seq: 1})
		if j := o.only(); j.Kind != retail.JobSubmit {
			t.Errorf("the cancel is decided: %+v", j)
		}
		books(s.Member, o.Origin, ledger.Level)
		pass(16 * time.Minute)
		if left := o.jobs(); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

// reads is what the feed does.
func (o *office) reads(page federation.LedgerPage, after ledger.Position) {
	o.t.Helper()
	if _, err := o.box.Reader.Read(o.t.Context(), o.partner(firstOrigin), after, page); err != nil {
		o.t.Fatal(err)
	}
}

// TestADecisionThatIsNowhereIsParked: the supplier says for ever that a document is decided where its ledger has no entry.
func TestADecisionThatIsNowhereIsParked(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) {
			page, err := o.suppliers[firstOrigin].Book.Tail(t.Context(), o.Origin, ledger.Position{}, 500)
			return answer(page, exchange.Told{At: ledger.Position{Seq: 99}}), err
		})
		o.place("first/a", "order-0001")
		pass(2 * time.Hour)
		if j := o.only(); j.State != job.Parked || !strings.HasPrefix(j.LastError, "decision_missing: ") {
			t.Errorf("left: %+v", j)
		}
		if n := len(o.sent()); n != 10 || !slices.Contains(o.behind, firstOrigin) {
			t.Errorf("it was sent %d times, feeds of %v were woken", n, o.behind)
		}
		if o.told(parked) != 1 || o.public("order-0001") != "order_check" {
			t.Errorf("operators were told %v, the customer reads %q", o.heard(), o.public("order-0001"))
		}
	})
}

// TestTenAnswersOfADecisionThatIsNowhereAreCountedAlone: whatever came before and between.
func TestTenAnswersOfADecisionThatIsNowhereAreCountedAlone(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		h := handsIn(o)
		asked, nowhere := 0, 0
		h.say = func(string) (exchange.Told, error) {
			if asked++; asked < 12 || asked%2 == 0 {
				return exchange.Told{}, fault.New(fault.Denied, "scope_not_granted", "not now")
			}
			nowhere++
			return exchange.Told{At: ledger.Position{Seq: 99}}, nil
		}
		h.send("receipt")
		pass(8 * time.Hour)
		if j := o.only(); j.State != job.Parked || !strings.HasPrefix(j.LastError, "decision_missing: ") || nowhere != 10 {
			t.Fatalf("after %d such answers of %d: %+v", nowhere, asked, j)
		}
		// The operator's retry begins anew.
		o.Do(func(tx *store.Tx) error { return tx.Jobs().Retry(o.only().ID, time.Now()) })
		o.runner.Look()
		pass(8 * time.Hour)
		if j := o.only(); j.State != job.Parked || nowhere != 20 {
			t.Errorf("after %d such answers: %+v", nowhere, j)
		}
	})
}

// TestWhatMayBeAllowedLaterWaitsAndIsShown: a call is denied, for a scope that is not granted now or an agreement that is suspended.
func TestWhatMayBeAllowedLaterWaitsAndIsShown(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) {
			return nil, fault.New(fault.Denied, "scope_not_granted", "not now")
		})
		o.place("first/a", ids("order", 3)...)
		pass(2 * time.Hour)
		for _, j := range o.jobs() {
			if j.State != job.Waiting || !strings.HasPrefix(j.LastError, "scope_not_granted") || j.Attempts < 10 || j.Attempts > 2*anHour {
				t.Errorf("left: %+v", j)
			}
		}
		if o.told(waitsForLong) != 1 || o.states()[order.PendingUnreachable] != 3 {
			t.Errorf("operators were told %v, the orders are %v", o.heard(), o.states())
		}
		o.script(nil)
		pass(16 * time.Minute)
		o.decided(3)
	})
}

// TestAPartnerThatIsAwayForLongIsTold: once, however many documents wait for it.
func TestAPartnerThatIsAwayForLongIsTold(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", ids("order", 30)...)
		pass(long / 2)
		if len(o.heard()) != 0 {
			t.Errorf("before it is long operators were told %v", o.heard())
		}
		pass(3 * time.Hour)
		if n := o.told(waitsForLong); n != 1 || len(o.heard()) != 1 {
			t.Errorf("operators were told %v", o.heard())
		}
	})
}

// TestAPartnerThatComesBackAndLeavesIsToldAgain: what is known of it is forgotten when it is back.
func TestAPartnerThatComesBackAndLeavesIsToldAgain(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		for i := range 3 {
			o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
			o.place("first/a", fmt.Sprintf("order-%04d", i))
			pass(time.Hour)
			o.Clock.Pass(time.Hour)
			if n := o.told(waitsForLong); n != i+1 {
				t.Errorf("the %d. time operators were told %v", i+1, o.heard())
			}
			o.script(nil)
			pass(16 * time.Minute)
			o.Clock.Pass(16 * time.Minute)
		}
		o.decided(3)
	})
}

// TestAPauseThatThePartnerAsksForIsKept: of a call as of a document, however long; and operators hear of it at once.
func TestAPauseThatThePartnerAsksForIsKept(t *testing.T) {
	busy := fault.New(fault.Exhausted, "rate_limited", "not now")
	busy.RetryAfter = 2 * time.Hour
	away := fault.New(fault.Unavailable, "ledger_recovering", "not now")
	away.RetryAfter = 2 * time.Hour
	for name, say := range map[string]func(string) (exchange.Told, error){
		"the call is over a limit": func(string) (exchange.Told, error) { return exchange.Told{}, busy },
		"the partner is not there": func(string) (exchange.Told, error) { return exchange.Told{}, away },
		"the document is not decided": func(string) (exchange.Told, error) {
			return exchange.Told{Undecided: &exchange.NotYet{Reason: "cancels_limit", RetryAfter: 2 * time.Hour}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				h := handsIn(o)
				h.say = say
				h.send("!cancel")
				if n := o.told(waitsForLong); n != 1 {
					t.Errorf("operators were told %v", o.heard())
				}
				for i := range 5 { // others come, and wait in the store
					if strings.HasPrefix(name, "the document") {
						break
					}
					o.place("first/a", fmt.Sprintf("order-%04d", i))
					pass(time.Hour - time.Minute)
				}
				pass(5*time.Hour - time.Since(o.made()[0].at))
				var at []time.Duration
				for _, c := range o.made() {
					at = append(at, c.at.Sub(o.made()[0].at).Truncate(time.Minute))
				}
				if !slices.Equal(at, []time.Duration{0, 2 * time.Hour, 4 * time.Hour}) {
					t.Errorf("it was sent after %v", at)
				}
			})
		})
	}
}

// failing signs nothing until it is mended.
type failing struct {
	signed.Signer
	mended atomic.Bool
}

func (f *failing) Sign(purpose keys.Purpose, typ string, payload []byte) (string, error) {
	if !f.mended.Load() {
		return "", errors.New("the key cannot be read")
	}
	return f.Signer.Sign(purpose, typ, payload)
}

// TestOurOwnTroubleIsNotThePartners: what fails on our side makes no partner away, is no bad answer of it and is not told to customers as
// its silence.
func TestOurOwnTroubleIsNotThePartners(t *testing.T) {
	for name, c := range map[string]struct {
		breaks, mends func(o *office)
	}{
		"we cannot sign": {
			func(o *office) { o.box.Book = &ledger.Book{Self: o.Origin, Signer: &failing{Signer: o.Keys}} },
			func(o *office) { o.box.Book.Signer.(*failing).mended.Store(true) },
		},
		"we cannot make the call": {
			func(o *office) {
				o.script(func(call) (*exchange.Answer, error) {
					return nil, fault.New(fault.Internal, "own_credentials", "the proof cannot be made")
				})
			},
			func(o *office) { o.script(nil) },
		},
		"our copy of its ledger is damaged": {
			func(o *office) {
				o.place("first/a", "order-before")
				pass(0)
				o.damage()
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				c.breaks(o)
				o.place("first/a", "order-0001")
				pass(time.Hour)
				j := o.only()
				if j.State != job.Waiting || j.Attempts < 10 || j.Attempts > anHour {
					t.Errorf("left: %+v", j)
				}
				if o.told(waitsForLong) != 1 || o.box.Away(firstOrigin) || o.states()[order.Acknowledged] != 1 {
					t.Errorf("operators were told %v, the orders are %v", o.heard(), o.states())
				}
				o.View(func(tx *store.Tx) error {
					state, err := tx.Ledger().Standing(firstOrigin)
					if state != ledger.Level {
						t.Errorf("the books are %s", state)
					}
					return err
				})
				if c.mends != nil {
					c.mends(o)
					pass(16 * time.Minute)
					o.decided(1)
				}
			})
		})
	}
}

// TestAnEarlierLeaseDoesNotReplaceALaterOne: the post of a job comes after its lease was extended, and after it was lost.
func TestAnEarlierLeaseDoesNotReplaceALaterOne(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(c call) (*exchange.Answer, error) {
			g.await()
			page, err := o.suppliers[firstOrigin].Book.Tail(t.Context(), o.Origin, ledger.Position{}, 500)
			return answer(page, exchange.Told{Undecided: &exchange.NotYet{Reason: "busy", RetryAfter: time.Hour}}), err
		})
		o.place("first/a", "order-0001")
		pass(0)
		early := o.only()
		pass(12 * time.Second)
		if late := o.only(); !late.LeaseUntil.After(early.LeaseUntil) {
			t.Fatalf("the lease was not extended: %+v", late)
		}
		o.box.Post(dispatch.Parcel{Job: early, Document: &dispatch.Document{Agreement: "agr-a"}})
		g.open()
		pass(0)
		if j := o.only(); j.State != job.Waiting {
			t.Fatalf("the outcome was written under the earlier lease: %+v", j)
		}
		pass(time.Minute)
		o.box.Post(dispatch.Parcel{Job: early, Document: &dispatch.Document{Agreement: "agr-a"}})
		pass(0)
		if n := len(o.sent()); n != 1 {
			t.Errorf("it was sent %d times", n)
		}
	})
}

// TestWhatIsAnothersNowIsNotSent: its lease was lost while it waited behind a call.
func TestWhatIsAnothersNowIsNotSent(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, nil })
		o.place("first/a", "order-first")
		pass(0)
		placed := o.place("first/a", ids("order", 3)...)
		o.Do(func(tx *store.Tx) error {
			it := placed[1].Items[0]
			return tx.Jobs().Drop(job.Sending{Kind: retail.JobSubmit, Key: it.CorrelationID, Partner: firstOrigin, Subject: it.SubscriptionID})
		})
		pass(job.SendingLease)
		g.open()
		pass(0)
		for _, c := range o.made() {
			if c.about(placed[1]) {
				t.Errorf("it was sent")
			}
		}
		if got := o.states(); got[order.InProgress] != 3 || len(o.jobs()) != 0 || o.box.Lanes() != 0 {
			t.Errorf("orders are %v, left %+v, %d lanes", got, o.jobs(), o.box.Lanes())
		}
	})
}

func TestAThousandPartnersThatCallAreForgotten(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		for _, origin := range ids("https://partner", 1000) {
			o.box.Heard(origin)
		}
		pass(time.Minute)
		if n := o.box.Lanes(); n != 0 {
			t.Errorf("%d partners are remembered", n)
		}
		o.stop()
		o.box.Heard(firstOrigin)
		if n := o.box.Lanes(); n != 0 {
			t.Errorf("%d partners are remembered by an outbox that does not run", n)
		}
	})
}

func TestAPartnerThatIsAwayAndForWhomNothingWaitsIsForgotten(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", "order-0001")
		pass(time.Minute)
		j := o.only()
		o.Do(func(tx *store.Tx) error {
			return tx.Jobs().Drop(job.Sending{Kind: j.Kind, Key: j.Key, Partner: j.Partner, Subject: j.Subject})
		})
		pass(time.Hour)
		if n := o.box.Lanes(); n != 0 {
			t.Errorf("%d partners are remembered", n)
		}
	})
}

// TestAPanicIsOneDocuments: wherever it comes from, the others go on, and what panics is parked after three times.
func TestAPanicIsOneDocuments(t *testing.T) {
	for name, breaks := range map[string]func(o *office, bad string){
		"in the call": func(o *office, bad string) {
			o.script(func(c call) (*exchange.Answer, error) {
				for _, d := range c.Documents {
					if strings.Contains(o.keyOf(d.JWS), bad) {
						panic("in the call")
					}
				}
				return nil, nil
			})
		},
		"in a transaction of the call": func(o *office, bad string) {
			o.script(func(c call) (*exchange.Answer, error) {
				for _, d := range c.Documents {
					if strings.Contains(o.keyOf(d.JWS), bad) {
						return nil, o.Store.View(o.t.Context(), func(*store.Tx) error { panic("in a transaction") })
					}
				}
				return nil, nil
			})
		},
		"in the reading of the document": func(o *office, bad string) {
			source := o.box.Sources[retail.JobSubmit]
			read := source.Document
			source.Document = func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
				if strings.Contains(j.Key, bad) {
					panic("in the reading")
				}
				return read(tx, j)
			}
			o.box.Sources[retail.JobSubmit] = source
		},
	} {
		t.Run(name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				living := o.retail.Outbox
				o.retail.Outbox = nil // they come from the store, together
				breaks(o, "order-000003")
				o.place("first/a", ids("order", 10)...)
				o.retail.Outbox = living
				pass(time.Minute)
				if j := o.only(); j.State != job.Parked || !strings.Contains(j.Key, "order-000003") || !strings.HasPrefix(j.LastError, "panic") {
					t.Errorf("left: %+v", j)
				}
				if o.told("panicked") == 0 || o.told(parked) != 1 {
					t.Errorf("operators were told %v", o.heard())
				}
				o.place("first/a", "order-later")
				pass(0)
				if got := o.states(); got[order.InProgress] != 10 {
					t.Errorf("orders are %v", got)
				}
			})
		})
	}
}

// TestABusinessThatPanicsKeepsNothingFromBeingPutBack: it is told that its document waits.
func TestABusinessThatPanicsKeepsNothingFromBeingPutBack(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		source := o.box.Sources[retail.JobSubmit]
		source.Waits = func(federation.Tx, job.Job, bool) error { panic("in the business") }
		o.box.Sources[retail.JobSubmit] = source
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.place("first/a", "order-0001")
		pass(0)
		if j := o.only(); j.State != job.Waiting {
			t.Errorf("left: %+v", j)
		}
		if o.told("panicked") != 1 {
			t.Errorf("operators were told %v", o.heard())
		}
	})
}

func TestWhatStayedInTheStoreIsTakenAsSoonAsThereIsRoom(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		living := o.retail.Outbox
		o.retail.Outbox = nil // all of them wait in the store, and nothing is in memory
		o.place("first/a", ids("order", 400)...)
		o.retail.Outbox = living
		pass(3 * time.Second)
		o.decided(400)
		if first, last := o.made()[0].at, o.made()[len(o.made())-1].at; !first.Equal(last) {
			t.Errorf("the last went %v after the first: nobody looked when there was room", last.Sub(first))
		}
	})
}

// TestWhatIsGivenBackKeepsItsPast: how often a document was tried, and what came of it, stands after it was taken and not sent.
func TestWhatIsGivenBackKeepsItsPast(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) {
			return nil, fault.New(fault.Denied, "scope_not_granted", "not now")
		})
		o.place("first/a", "order-0001", "order-0002")
		pass(5 * time.Second)
		g := newGate()
		defer g.open()
		o.script(func(call) (*exchange.Answer, error) { g.await(); return nil, errAway })
		before := make(map[string]job.Job)
		for _, j := range o.jobs() {
			before[j.Key] = j
		}
		o.place("first/a", "order-0003") // under way, while the others are taken from the store
		pass(time.Minute)
		g.open()
		pass(0)
		for _, j := range o.jobs() {
			was, known := before[j.Key]
			if known && (j.Attempts != was.Attempts || j.LastError != was.LastError) {
				t.Errorf("it was %+v and is %+v", was, j)
			}
		}
	})
}

// TestAForkThatAnAnswerShowsMakesNoPartnerAway: it answers, and what it was sent waits for people.
func TestAForkThatAnAnswerShowsMakesNoPartnerAway(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.place("first/a", "order-0001")
		pass(0)
		o.script(func(call) (*exchange.Answer, error) {
			other, err := o.suppliers[firstOrigin].Book.Checkpoint(o.Origin, ledger.Position{Seq: 1}, [32]byte{9})
			return answer(ledger.Page{Checkpoint: other}, exchange.Told{At: ledger.Position{Seq: 1}}), err
		})
		o.place("first/a", "order-0002")
		pass(0)
		if j := o.only(); !strings.HasPrefix(j.LastError, "books_forked") || o.public("order-0002") != "order_check" {
			t.Errorf("left: %+v, the customer reads %q", j, o.public("order-0002"))
		}
		pass(time.Hour)
		if j := o.only(); j.State != job.Waiting || !strings.HasPrefix(j.LastError, "books_forked") || len(o.sent()) != 2 {
			t.Errorf("sent %v, left: %+v", o.sent(), j)
		}
		if o.box.Away(firstOrigin) || o.told(waitsForLong) != 1 {
			t.Errorf("operators were told %v", o.heard())
		}
	})
}

// TestAPanicOutsideTheCallStopsNoLane: what was being settled comes back when its lease ends.
func TestAPanicOutsideTheCallStopsNoLane(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) { return nil, errAway })
		o.box.Observe = func(string, string, time.Duration) {
			o.box.Observe = nil
			panic("in what counts")
		}
		o.place("first/a", "order-0001")
		pass(0)
		o.script(nil)
		pass(time.Minute)
		o.decided(1)
		if o.told("panicked") == 0 {
			t.Errorf("operators were told %v", o.heard())
		}
	})
}

// TestADecisionThatTheFeedBroughtFirst: the answer names it, with the same page or with nothing new. Nothing waits for a lease to end.
func TestADecisionThatTheFeedBroughtFirst(t *testing.T) {
	for name, empty := range map[string]bool{"the page repeats it": false, "the page is empty": true} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, it is parked %t", name, fails), func(t *testing.T) {
				inOffice(t, func(t *testing.T, o *office) {
					if fails {
						o.box.Reader.Handlers[ledger.OrderAccepted] = func(federation.Tx, ledger.Entry) error { return errors.New("it does not fit") }
					}
					o.after = func(_ call, a *exchange.Answer) {
						o.reads(a.Page, ledger.Position{})
						if empty {
							a.Page = federation.LedgerPage{Checkpoint: a.Page.Checkpoint}
						}
					}
					o.place("first/a", "order-0001")
					pass(0)
					if !fails {
						o.decided(1)
						if len(o.heard()) != 0 {
							t.Errorf("operators were told %v", o.heard())
						}
						return
					}
					if j := o.only(); j.State != job.Parked || !strings.HasPrefix(j.LastError, "decision_parked") || j.Crashes != 0 {
						t.Errorf("left: %+v", j)
					}
				})
			})
		}
	}
}

// TestAnHonestDecisionBeyondOurCopyIsWaitedFor: however often the document was tried before for other reasons.
func TestAnHonestDecisionBeyondOurCopyIsWaitedFor(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.script(func(call) (*exchange.Answer, error) {
			return nil, fault.New(fault.Denied, "scope_not_granted", "not now")
		})
		o.place("first/a", "order-0001")
		pass(2 * time.Hour)
		o.script(nil)
		pages := make(chan federation.LedgerPage, 1)
		o.mu.Lock()
		o.after = func(_ call, a *exchange.Answer) {
			pages <- a.Page
			empty, err := o.suppliers[firstOrigin].Book.Checkpoint(o.Origin, ledger.Position{}, ledger.Genesis(o.partner(firstOrigin).PartnershipID))
			if err != nil {
				t.Error(err)
			}
			a.Page = federation.LedgerPage{Checkpoint: empty}
		}
		o.mu.Unlock()
		page := <-pages
		pass(0)
		if j := o.only(); j.State != job.Waiting || !strings.Contains(j.LastError, "not read that far") {
			t.Errorf("left: %+v", j)
		}
		o.reads(page, ledger.Position{})
		o.decided(1)
	})
}

// TestWhoDoesNotKnowItsBooksYetIsAskedAgainSoon: a partner that has just started knows within seconds, however long it was away before.
func TestWhoDoesNotKnowItsBooksYetIsAskedAgainSoon(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		h := handsIn(o)
		h.say = func(string) (exchange.Told, error) {
			return exchange.Told{Undecided: &exchange.NotYet{Reason: "books_unproven"}}, nil
		}
		h.send("document")
		pass(time.Hour)
		if n := len(o.made()); n < 400 || n > 1000 {
			t.Errorf("it was sent %d times in an hour", n)
		}
	})
}
