package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/reconcile"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	us   = "https://us.localhost:1"
	them = "https://them.localhost:2"
)

// partner says what a test has it say, and counts how often it is asked.
type partner struct {
	say   func(asked exchange.StatesAsked) (exchange.States, error)
	asked int
}

func (p *partner) States(_ context.Context, _ string, asked exchange.StatesAsked) (exchange.States, error) {
	p.asked++
	return p.say(asked)
}

type bench struct {
	*markettest.Member
	*reconcile.Reconciler
	partner *partner
}

func newBench(t *testing.T, say func(asked exchange.StatesAsked) (exchange.States, error)) *bench {
	t.Helper()
	m := markettest.NewMember(t, us)
	m.Meet(markettest.NewMember(t, them))
	at := make(chan time.Time)
	close(at)
	b := &bench{Member: m, partner: &partner{say: say}}
	b.Reconciler = &reconcile.Reconciler{
		Self: us, Work: store.For[reconcile.Tx](m.Store), Link: b.partner, Now: m.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Again:  func(context.Context, string, string, []ledger.Entry) error { return nil },
		Away:   func(string) bool { return false },
		Behind: func(string) {},
		After:  func(time.Duration) <-chan time.Time { return at },
	}
	return b
}

func (b *bench) compared(t *testing.T) reconcile.Result {
	t.Helper()
	result, err := b.Compare(t.Context(), them, true)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (b *bench) jobs() (all []job.Job) {
	b.View(func(tx *store.Tx) (err error) {
		all, err = tx.Jobs().List(1000)
		return err
	})
	return all
}

func deal(subject string, state exchange.DealState) exchange.Deal {
	return exchange.Deal{DealKey: exchange.DealKey{Subject: subject, Sold: true}, State: state, Digest: strings.Repeat("ab", 32)}
}

func TestCompare_WhatThePartnerMaySay(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(asked exchange.StatesAsked) (exchange.States, error){
		"a state that is none": func(exchange.StatesAsked) (exchange.States, error) {
			return exchange.States{Deals: []exchange.Deal{deal("sub-1", "gone")}}, nil
		},
		"one that has ended, unasked": func(exchange.StatesAsked) (exchange.States, error) {
			return exchange.States{Deals: []exchange.Deal{deal("sub-1", exchange.DealEnded)}}, nil
		},
		"a digest that is none": func(exchange.StatesAsked) (exchange.States, error) {
			return exchange.States{Deals: []exchange.Deal{{DealKey: exchange.DealKey{Subject: "sub-1"}, State: exchange.DealActive, Digest: "ab"}}}, nil
		},
		"a subject that is no id": func(exchange.StatesAsked) (exchange.States, error) {
			return exchange.States{Deals: []exchange.Deal{deal("sub 1\n", exchange.DealActive)}}, nil
		},
		"the same for ever": func(exchange.StatesAsked) (exchange.States, error) {
			return exchange.States{Deals: []exchange.Deal{deal("sub-1", exchange.DealActive)}, More: true}, nil
		},
		"more, and nothing": func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{More: true}, nil },
		"of others than was asked": func(asked exchange.StatesAsked) (exchange.States, error) {
			if len(asked.Subjects) > 0 {
				return exchange.States{Deals: []exchange.Deal{deal("sub-2", exchange.DealActive)}}, nil
			}
			return exchange.States{Deals: []exchange.Deal{deal("sub-1", exchange.DealActive)}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, say)
			if r := b.compared(t); r.Reason != "states_malformed" || len(b.jobs()) != 0 || b.partner.asked > 4 {
				t.Errorf("got %+v after %d questions, jobs %v", r, b.partner.asked, b.jobs())
			}
		})
	}
}

// TestCompare_APartnerThatMakesDealsUp fills nothing here without end.
func TestCompare_APartnerThatMakesDealsUp(t *testing.T) {
	t.Parallel()
	n := 0
	b := newBench(t, func(asked exchange.StatesAsked) (s exchange.States, err error) {
		if len(asked.Subjects) > 0 {
			for _, subject := range asked.Subjects {
				s.Deals = append(s.Deals, deal(subject, exchange.DealActive))
			}
			return s, nil
		}
		for range 200 {
			n++
			s.Deals = append(s.Deals, deal(fmt.Sprintf("sub-made-up-%d", n), exchange.DealActive))
		}
		s.More = true
		return s, nil
	})
	r := b.compared(t)
	if jobs := b.jobs(); r.Reason != "" || len(r.Differences) != 1000 || len(jobs) != 100 || b.partner.asked > 200 {
		t.Errorf("%d differences, %d jobs, %d questions: %s", len(r.Differences), len(jobs), b.partner.asked, r.Reason)
	}
	if jobs := b.jobs(); jobs[0].State != job.Parked || !strings.Contains(jobs[0].LastError, "is unknown here and active at the partner; the partner decides it, and its ledger says nothing of it") {
		t.Errorf("the first job is %+v", jobs[0])
	}
	if note := r.Differences[100].Note; note != "it is mended when fewer differ" {
		t.Errorf("beyond the first hundred it says %q", note)
	}
	var last operator.Compared
	b.View(func(tx *store.Tx) (err error) {
		last, err = operator.LastCompared(tx.Cursors(), them)
		return err
	})
	if last.Differ != 1000 || !last.At.Equal(b.Clock.Now()) {
		t.Errorf("kept is %+v", last)
	}
	// It lists nothing any more: nothing differs, and no job is left.
	b.partner.say = func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{}, nil }
	if r := b.compared(t); r.Open() != 0 || len(b.jobs()) != 0 {
		t.Errorf("then %+v, jobs %v", r, b.jobs())
	}
}

// TestCompare_APartnerThatListsWhatNobodyHas without end does not hold the comparison with others.
func TestCompare_APartnerThatListsWhatNobodyHas(t *testing.T) {
	t.Parallel()
	n := 0
	b := newBench(t, func(exchange.StatesAsked) (s exchange.States, err error) {
		for range 200 {
			n++
			s.Deals = append(s.Deals, exchange.Deal{DealKey: exchange.DealKey{Subject: fmt.Sprintf("sub-made-up-%d", n)}, State: exchange.DealUnknown})
		}
		s.More = n < 100_000
		return s, nil
	})
	if r := b.compared(t); r.Reason != "states_malformed" || b.partner.asked != 101 || len(b.jobs()) != 0 {
		t.Errorf("got %s (%s) after %d questions", r.Reason, r.Cause, b.partner.asked)
	}
}

// running is a subscription that the partner resells and that it does not list.
func (b *bench) running(id string) {
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Subscriptions().Put(subscription.Subscription{ID: id, Side: subscription.Resale, Partner: them, State: subscription.Active, CreatedAt: b.Clock.Now()})
		return err
	})
}

func TestCompare_WhatIsUnderWayIsNoDifference(t *testing.T) {
	t.Parallel()
	read := ledger.Position{}
	b := newBench(t, func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{Read: read}, nil })
	b.running("sub-1")
	b.Append(them, ledger.OrderCompleted, "sub-1")
	if r := b.compared(t); len(r.Differences) != 0 || r.UnderWay != 1 || r.Compared != 1 {
		t.Errorf("before it has read our ledger: %+v", r)
	}
	read.Seq = 1
	r := b.compared(t)
	if len(r.Differences) != 1 || r.Differences[0].Repaired || !r.Differences[0].Sold || r.Differences[0].Ours != exchange.DealActive || r.Differences[0].Theirs != exchange.DealUnknown {
		t.Errorf("after it has: %+v", r)
	}
	if jobs := b.jobs(); len(jobs) != 1 || jobs[0].Key != "1" || jobs[0].Kind != reconcile.JobDiffers {
		t.Errorf("jobs are %v", jobs)
	}
}

func TestCompare_NotWhileBooksAreInDoubt(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{}, nil })
	b.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().PutBooks(ledger.Books{Partner: them, State: ledger.Unproven, Since: b.Clock.Now()})
		return err
	})
	if r := b.compared(t); r.Reason != ledger.ReasonUnproven || b.partner.asked != 0 {
		t.Errorf("got %+v after %d questions", r, b.partner.asked)
	}
	away := newBench(t, func(exchange.StatesAsked) (exchange.States, error) {
		return exchange.States{}, fault.New(fault.Unavailable, "partner_down", "nobody answers")
	})
	if r := away.compared(t); r.Reason != "partner_down" || !strings.Contains(r.Cause, "nobody answers") || slices.ContainsFunc(away.jobs(), func(job.Job) bool { return true }) {
		t.Errorf("got %+v", r)
	}
}

// TestLook_EndsWhenBothHaveTheSame: what an operator has looked at again waits on, or is over.
func TestLook_EndsWhenBothHaveTheSame(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{}, nil })
	b.running("sub-1")
	if r := b.compared(t); r.Open() != 1 {
		t.Fatalf("got %+v", r)
	}
	raised := b.jobs()[0]
	var parked *job.ParkError
	if err := b.Look(t.Context(), raised); !errors.As(err, &parked) || !strings.Contains(err.Error(), "sub-1 is active here and unknown at the partner") {
		t.Errorf("it still differs: %v", err)
	}
	var ours exchange.States
	b.View(func(tx *store.Tx) (err error) {
		ours, err = exchange.ReadStates(tx, us, them, exchange.StatesAsked{Subjects: []string{"sub-1"}})
		return err
	})
	ours.Deals[0].Sold = false // as the partner sees it
	b.partner.say = func(exchange.StatesAsked) (exchange.States, error) { return ours, nil }
	if err := b.Look(t.Context(), raised); !errors.Is(err, job.ErrFinished) {
		t.Errorf("it is equal: %v", err)
	}
}

// TestRun_ComparesOnceADay with each partner that can be asked.
func TestRun_ComparesOnceADay(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(exchange.StatesAsked) (exchange.States, error) { return exchange.States{}, nil })
	tick, looked := make(chan time.Time), make(chan struct{})
	b.After = func(time.Duration) <-chan time.Time { looked <- struct{}{}; return tick }
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	<-looked
	turn := func() int {
		before := b.partner.asked
		tick <- b.Clock.Now()
		<-looked
		return b.partner.asked - before
	}
	if n := turn(); n != 1 {
		t.Errorf("asked %d times at first", n)
	}
	b.Clock.Pass(23 * time.Hour)
	if n := turn(); n != 0 {
		t.Errorf("asked %d times after 23 hours", n)
	}
	b.Clock.Pass(time.Hour)
	if n := turn(); n != 1 {
		t.Errorf("asked %d times after a day", n)
	}
	b.Clock.Pass(24 * time.Hour)
	b.Away = func(string) bool { return true }
	if n := turn(); n != 0 {
		t.Errorf("asked %d times while it is away", n)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFold_WhatMovedWasNotCompared: the invariants of both sides hold where each deal was seen on both.
func TestFold_WhatMovedWasNotCompared(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		results []reconcile.Result
		want    audit.Result
	}{
		"all were seen":     {[]reconcile.Result{{Partner: them, Compared: 2}}, audit.OK},
		"one moved":         {[]reconcile.Result{{Partner: them, Compared: 2, UnderWay: 1}, {Partner: "https://other.localhost:3"}}, audit.NeedsPartner},
		"one was not asked": {[]reconcile.Result{{Partner: them, Compared: 2}, {Partner: "https://other.localhost:3", Reason: "partner_down"}}, audit.NeedsPartner},
		"one differs":       {[]reconcile.Result{{Partner: them, Compared: 2, Differences: []reconcile.Difference{{Ours: exchange.DealActive, Theirs: exchange.DealEnded}}}}, audit.Broken},
	} {
		report := audit.Report{Invariants: []audit.Invariant{{Number: 1, Result: audit.NeedsPartner}, {Number: 3, Result: audit.NeedsPartner}}}
		reconcile.Fold(&report, c.results)
		if got := report.Invariants[1]; got.Result != c.want || got.Checked != 2 {
			t.Errorf("%s: 3 is %s of %d", name, got.Result, got.Checked)
		}
	}
}
