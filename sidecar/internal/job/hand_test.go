package job_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// hand commits jobs leased to a runner and hands them over, as those do who place orders.
func (b *bench) hand(r *job.Runner, partner string, keys ...string) (handed []job.Job) {
	b.t.Helper()
	owner, until, ok := r.Claim()
	if !ok {
		b.t.Fatal("the runner gives out no lease")
	}
	b.do(func(jobs job.Store) error {
		var all []job.Job
		for _, key := range keys {
			all = append(all, job.Job{Kind: kind, Key: key, Partner: partner, DueAt: time.Now()})
		}
		var err error
		handed, err = jobs.AllLeased(all, owner, until)
		return err
	})
	return handed
}

// runner is run with the runner itself.
func (b *bench) runner(handler job.Handler, change ...func(*job.Config)) *job.Runner {
	b.t.Helper()
	var made *job.Runner
	b.made = func(r *job.Runner) { made = r }
	b.run(handler, change...)
	after(0)
	return made
}

func TestWhatIsHandedOverRunsWithoutBeingLookedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ran := make(chan job.Job, 1)
		r := b.runner(func(_ context.Context, j job.Job) error { ran <- j; return nil }, func(c *job.Config) { c.Subscribe = nil; c.Poll = time.Hour })
		handed := b.hand(r, "p", "a")
		r.Take(handed...)
		after(0)
		if j := <-ran; j.Key != "a" || j.Attempts != 1 {
			t.Fatalf("ran %+v", j)
		}
		if left := b.jobs(); len(left) != 0 {
			t.Fatalf("left %+v", left)
		}
	})
}

func TestWhatIsTooMuchForMemoryWaitsInTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var ran atomic.Int64
		hold := make(chan struct{})
		r := b.runner(func(context.Context, job.Job) error { <-hold; ran.Add(1); return nil },
			func(c *job.Config) { c.Workers = 2; c.PerPartner = 2 })
		var keys []string
		for i := range 20 {
			keys = append(keys, fmt.Sprint(i))
		}
		r.Take(b.hand(r, "p", keys...)...)
		after(0)
		waiting := 0
		for _, j := range b.jobs() {
			if j.State == job.Waiting {
				waiting++
				if j.Attempts != 0 || j.Crashes != 0 {
					t.Fatalf("a run that did not begin counts: %+v", j)
				}
			}
		}
		if waiting != 12 { // of 20, 2 workers and 8 places
			t.Fatalf("%d wait in the store", waiting)
		}
		close(hold)
		after(10 * time.Minute)
		if n := ran.Load(); n != 20 || len(b.jobs()) != 0 {
			t.Fatalf("ran %d, left %+v", n, b.jobs())
		}
	})
}

func TestOnePartnersHandedJobsLeaveWorkersToOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		defer close(hold)
		ran := make(chan string, 1)
		r := b.runner(func(_ context.Context, j job.Job) error {
			if j.Partner == "slow" {
				<-hold
				return nil
			}
			ran <- j.Key
			return nil
		}, func(c *job.Config) { c.Workers = 4; c.PerPartner = 2 })
		r.Take(b.hand(r, "slow", "1", "2", "3", "4", "5")...)
		r.Take(b.hand(r, "quick", "6")...)
		after(0)
		select {
		case <-ran:
		default:
			t.Fatal("the other partner waits")
		}
	})
}

func TestWhatWaitedTooLongForAWorkerGoesBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		attempts := make(chan int, 3)
		r := b.runner(func(_ context.Context, j job.Job) error {
			if j.Key == "first" {
				<-hold
				return nil
			}
			attempts <- j.Attempts
			return nil
		}, func(c *job.Config) { c.Workers = 1; c.Poll = time.Second; c.Lease = 10 * time.Minute })
		r.Take(b.hand(r, "p", "first", "second")...)
		after(3 * time.Minute)
		for _, j := range b.jobs() {
			if j.Key == "second" && (j.State != job.Waiting || j.Attempts != 0 || j.Crashes != 0) {
				t.Fatalf("it is %+v", j)
			}
		}
		close(hold)
		after(2 * time.Second)
		if n := <-attempts; n != 1 {
			t.Fatalf("attempt %d", n)
		}
	})
}

func TestARunnerThatDoesNotRunTakesNothingOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		r := b.runner(func(context.Context, job.Job) error { return nil })
		handed := b.hand(r, "p", "a")
		b.end()
		if _, _, ok := r.Claim(); ok {
			t.Fatal("a runner that has ended gives out leases")
		}
		r.Take(handed...)
		left := b.jobs()
		if len(left) != 1 || left[0].State != job.Waiting {
			t.Fatalf("left %+v", left)
		}
	})
}

func TestAJobThatIsThereIsNotLeasedAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.enqueue("a", "p")
		err := b.store.Do(t.Context(), func(tx *store.Tx) error {
			added, err := tx.Jobs().AllLeased([]job.Job{{Kind: kind, Key: "a", Partner: "p", DueAt: time.Now()}}, "test", time.Now().Add(time.Minute))
			if len(added) > 0 {
				t.Errorf("leased %+v", added)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if left := b.jobs(); len(left) != 1 || left[0].State != job.Waiting {
			t.Fatalf("left %+v", left)
		}
	})
}

// begun lists what has begun.
func (b *bench) begun() (keys []string) {
	for _, j := range b.jobs() {
		if j.Begun {
			keys = append(keys, j.Key)
		}
	}
	return keys
}

func (b *bench) withdraw(key string) (withdrawn bool) {
	b.t.Helper()
	b.do(func(jobs job.Store) (err error) { withdrawn, err = jobs.Withdraw(kind, key, "p"); return err })
	return withdrawn
}

// TestWhatWaitsForAWorkerHasNotBegun: it is withdrawn, and its handler never runs; what runs, or ran, is not.
func TestWhatWaitsForAWorkerHasNotBegun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		var mu sync.Mutex
		var ran []string
		r := b.runner(func(_ context.Context, j job.Job) error {
			mu.Lock()
			ran = append(ran, j.Key)
			mu.Unlock()
			<-hold
			return errDown
		}, func(c *job.Config) { c.Workers = 1 })
		r.Take(b.hand(r, "p", "first", "second", "third")...)
		after(0)
		if got := b.begun(); !slices.Equal(got, []string{"first"}) {
			t.Errorf("begun: %v", got)
		}
		if b.withdraw("first") || !b.withdraw("second") {
			t.Error("what runs is withdrawn, or what waits is not")
		}
		close(hold)
		after(0)
		if b.withdraw("first") || b.withdraw("third") {
			t.Error("what failed is withdrawn")
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(ran, []string{"first", "third"}) {
			t.Errorf("ran %v", ran)
		}
	})
}

// TestAHandlerOfWhatWaitedHasAWholeLease: the time in memory is not taken off it.
func TestAHandlerOfWhatWaitedHasAWholeLease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		var has time.Duration
		var lease time.Time
		r := b.runner(func(ctx context.Context, j job.Job) error {
			if j.Key == "first" {
				<-hold
				return nil
			}
			deadline, _ := ctx.Deadline()
			has, lease = time.Until(deadline), j.LeaseUntil
			if kept := b.jobs()[0].LeaseUntil; !kept.Equal(lease) {
				t.Errorf("the store has a lease until %v, the handler until %v", kept, lease)
			}
			return nil
		}, func(c *job.Config) { c.Workers, c.Lease = 1, 10*time.Minute })
		r.Take(b.hand(r, "p", "first", "second")...)
		after(2 * time.Minute)
		now := time.Now()
		close(hold)
		after(0)
		if has != 10*time.Minute*3/4 || !lease.Equal(now.Add(10*time.Minute)) {
			t.Errorf("it has %v, and a lease until %v, %v from now", has, lease, lease.Sub(now))
		}
	})
}

// TestWhatCannotBeginYetIsAskedForAgain: a store that is away neither loses what was handed over nor is asked without a pause.
func TestWhatCannotBeginYetIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		away time.Duration
		ends bool
	}{"for a while": {30 * time.Second, false}, "longer than leases last": {time.Hour, false}, "until the end": {30 * time.Second, true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				var runs, asked atomic.Int64
				var down atomic.Bool
				r := b.runner(func(context.Context, job.Job) error { runs.Add(1); return nil }, func(cfg *job.Config) {
					cfg.Work = counted{flaky{store.For[job.Tx](b.store), &down}, &asked}
				})
				handed := b.hand(r, "p", "a", "b")
				down.Store(true)
				asked.Store(0)
				r.Take(handed...)
				after(c.away)
				if n := asked.Load(); runs.Load() != 0 || n == 0 || n > int64(c.away/time.Second)+2*int64(c.away/time.Minute)+2 { // and the polls
					t.Errorf("ran %d, asked %d times", runs.Load(), n)
				}
				down.Store(false)
				if c.ends {
					b.end()
				}
				after(2 * time.Second)
				left := b.jobs()
				if c.ends {
					for _, j := range left {
						if j.State != job.Waiting || j.Begun || j.Crashes != 0 {
							t.Errorf("left %+v", j)
						}
					}
					if len(left) != 2 || runs.Load() != 0 {
						t.Errorf("ran %d, left %+v", runs.Load(), left)
					}
				} else if runs.Load() != 2 || len(left) != 0 {
					t.Errorf("ran %d, left %+v", runs.Load(), left)
				}
			})
		})
	}
}

// TestAJobWhoseBeginningWasNotAnsweredRunsOnce: the commit may have been made, and must not be taken for another's.
func TestAJobWhoseBeginningWasNotAnsweredRunsOnce(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{0, time.Minute, 100 * time.Second} { // the last is beyond the quarter of a lease that may pass
		t.Run(outage.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				var runs atomic.Int64
				var lost, away atomic.Bool
				r := b.runner(func(_ context.Context, j job.Job) error {
					if runs.Add(1); j.Crashes != 0 {
						t.Errorf("ran %+v", j)
					}
					return nil
				}, func(cfg *job.Config) {
					cfg.Work = unanswered{Unit: store.For[job.Tx](b.store), lost: &lost}
					if outage > 0 {
						cfg.Work = unanswered{Unit: store.For[job.Tx](b.store), lost: &lost, away: &away}
					}
				})
				handed := b.hand(r, "p", "a")
				lost.Store(true)
				r.Take(handed...)
				after(outage)
				away.Store(false)
				after(5 * time.Second)
				if left := b.jobs(); runs.Load() != 1 || len(left) != 0 {
					t.Errorf("ran %d, left %+v", runs.Load(), left)
				}
			})
		})
	}
}

// TestASlowStoreMakesNoHandlerOutliveItsLease: whether the job was handed over or taken from the store.
func TestASlowStoreMakesNoHandlerOutliveItsLease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		ran := make(chan string, 2)
		r := b.runner(func(ctx context.Context, j job.Job) error {
			if deadline, _ := ctx.Deadline(); !deadline.Before(j.LeaseUntil) || !time.Now().Before(deadline) {
				t.Errorf("%s: the lease ends at %v, the handler at %v", j.Key, j.LeaseUntil, deadline)
			}
			ran <- j.Key
			return nil
		}, func(cfg *job.Config) { cfg.Work = slow{store.For[job.Tx](b.store)} })
		after(time.Minute)
		r.Take(b.hand(r, "p", "handed")...)
		after(2 * time.Minute)
		b.enqueue("taken", "p")
		after(2 * time.Minute)
		if got := []string{<-ran, <-ran}; !slices.Equal(got, []string{"handed", "taken"}) {
			t.Errorf("ran %v", got)
		}
	})
}

// slow answers late.
type slow struct{ store.Unit[job.Tx] }

func (s slow) Do(ctx context.Context, fn func(job.Tx) error) error {
	defer time.Sleep(40 * time.Second)
	return s.Unit.Do(ctx, fn)
}

// TestAProcessThatDiedBeforeItsJobsBegan: they run when another takes over, as if for the first time; those that had begun count a crash.
func TestAProcessThatDiedBeforeItsJobsBegan(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		until := time.Now().Add(time.Hour)
		b.do(func(jobs job.Store) error {
			handed, err := jobs.AllLeased([]job.Job{{Kind: kind, Key: "handed", Partner: "p"}, {Kind: kind, Key: "begun", Partner: "p"}}, "test", until)
			if err == nil {
				_, err = jobs.Begin(handed[1:], "test", until)
			}
			return err
		})
		if b.withdraw("begun") {
			t.Error("what had begun is withdrawn")
		}
		var mu sync.Mutex
		crashes := map[string]int{}
		b.run(func(_ context.Context, j job.Job) error {
			mu.Lock()
			defer mu.Unlock()
			crashes[j.Key] = j.Crashes
			return nil
		})
		after(0)
		mu.Lock()
		defer mu.Unlock()
		if !maps.Equal(crashes, map[string]int{"handed": 0, "begun": 1}) {
			t.Errorf("crashes %v", crashes)
		}
	})
}

// counted counts how often the store is asked, in whatever way; unanswered loses the answer to one commit.
type (
	counted struct {
		unit.Work[job.Tx]
		asked *atomic.Int64
	}
	unanswered struct {
		store.Unit[job.Tx]
		lost *atomic.Bool
		// away keeps the store away from the lost answer on; nil is not at all.
		away *atomic.Bool
	}
)

func (c counted) Do(ctx context.Context, fn func(job.Tx) error) error {
	c.asked.Add(1)
	return c.Work.Do(ctx, fn)
}

func (c counted) View(ctx context.Context, fn func(job.Tx) error) error {
	c.asked.Add(1)
	return c.Work.View(ctx, fn)
}

func (u unanswered) Do(ctx context.Context, fn func(job.Tx) error) error {
	if u.away != nil && u.away.Load() {
		return fault.New(fault.Unavailable, "store_unavailable", "no answer")
	}
	err := u.Unit.Do(ctx, fn)
	if err == nil && u.lost.CompareAndSwap(true, false) {
		if u.away != nil {
			u.away.Store(true)
		}
		return fault.New(fault.Unavailable, "store_unavailable", "no answer")
	}
	return err
}

// TestWhatIsHandedOverCostsNoLook: the store is asked to begin what came together, and told its end.
func TestWhatIsHandedOverCostsNoLook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var asked, runs atomic.Int64
		r := b.runner(func(context.Context, job.Job) error { runs.Add(1); return job.ErrFinished },
			func(c *job.Config) { c.Work = counted{store.For[job.Tx](b.store), &asked} })
		for i := range 10 {
			handed := b.hand(r, fmt.Sprint("p", i), fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
			asked.Store(0)
			r.Take(handed...)
			after(time.Second)
			if n := asked.Load(); n != 1 {
				t.Errorf("the store was asked %d times", n)
			}
		}
		if runs.Load() != 20 {
			t.Errorf("%d ran", runs.Load())
		}
	})
}

// TestWhatEndsAndWhatBeginsInsteadAreOneCommit: and what ends meanwhile is the next one's.
func TestWhatEndsAndWhatBeginsInsteadAreOneCommit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var asked, runs atomic.Int64
		r := b.runner(func(context.Context, job.Job) error {
			time.Sleep(time.Second)
			runs.Add(1)
			return job.Again(time.Hour, errDown)
		}, func(c *job.Config) {
			c.Work, c.Workers, c.Poll = counted{store.For[job.Tx](b.store), &asked}, 2, time.Hour
		})
		handed := b.hand(r, "p", "a", "b", "c", "d", "e", "f", "g", "h")
		asked.Store(0)
		r.Take(handed...)
		after(10 * time.Second)
		// Two end in the same second, which the runner may hear of one after the other.
		if n := asked.Load(); n > 1+8 || runs.Load() != 8 {
			t.Errorf("%d ran, the store was asked %d times", runs.Load(), n)
		}
	})
}

// TestAnOutageLosesNeitherWhatEndedNorWhatBegins: nor an answer that does not come.
func TestAnOutageLosesNeitherWhatEndedNorWhatBegins(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"the store is away": true, "its answer is lost": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				var down, lost atomic.Bool
				var runs atomic.Int64
				r := b.runner(func(_ context.Context, j job.Job) error {
					if runs.Add(1); j.Crashes != 0 {
						t.Errorf("ran %+v", j)
					}
					if j.Key == "a" {
						down.Store(away)
						lost.Store(!away)
					}
					return nil
				}, func(c *job.Config) {
					c.Workers, c.Work = 1, unanswered{Unit: store.For[job.Tx](b.store), lost: &lost}
					if away {
						c.Work = flaky{store.For[job.Tx](b.store), &down}
					}
				})
				r.Take(b.hand(r, "p", "a", "b", "c")...)
				after(30 * time.Second)
				down.Store(false)
				after(5 * time.Second)
				if left := b.jobs(); runs.Load() != 3 || len(left) != 0 {
					t.Errorf("%d ran, left %+v", runs.Load(), left)
				}
			})
		})
	}
}

// TestThePollIsNotPutOff: however much is handed over, what another process left is found in time.
func TestThePollIsNotPutOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		found := make(chan struct{}, 1)
		r := b.runner(func(_ context.Context, j job.Job) error {
			if j.Key == "left" {
				found <- struct{}{}
			}
			return nil
		}, func(c *job.Config) { c.Subscribe = nil; c.Poll = 5 * time.Second })
		b.enqueue("left", "p")
		for i := range 60 {
			r.Take(b.hand(r, "p", fmt.Sprint(i))...)
			after(100 * time.Millisecond)
		}
		select {
		case <-found:
		default:
			t.Error("not found")
		}
	})
}

// TestAFreedWorkerIsUsedAtOnce: for what waits in the store as well, for want of a worker or of a place of its partner.
func TestAFreedWorkerIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	for name, perPartner := range map[string]int{"all workers": 3, "its partner's": 2} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				for i := range 30 {
					b.enqueue(fmt.Sprint(i), "p")
				}
				b.run(func(context.Context, job.Job) error { time.Sleep(time.Second); return nil },
					func(c *job.Config) { c.Subscribe, c.Poll, c.Workers, c.PerPartner = nil, time.Hour, 3, perPartner })
				after(time.Duration(30/perPartner) * time.Second)
				if left := b.jobs(); len(left) != 0 {
					t.Errorf("%d are left", len(left))
				}
			})
		})
	}
}

// post is where documents go.
type post struct {
	mu    sync.Mutex
	taken []string
}

func (*post) Knows(kind string) bool { return kind == "document" }
func (*post) Room(string) int        { return 9 }
func (p *post) Take(jobs ...job.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range jobs {
		p.taken = append(p.taken, j.Key)
	}
}

// TestDocumentsNeedNoWorker: while all work, documents go, and those that cannot go are put aside.
func TestDocumentsNeedNoWorker(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		hold := make(chan struct{})
		defer close(hold)
		documents := &post{}
		b.run(func(context.Context, job.Job) error { <-hold; return nil }, func(c *job.Config) { c.Workers, c.Documents = 1, documents })
		b.enqueue("1", "p")
		after(0)
		b.do(func(jobs job.Store) error {
			for _, j := range []job.Sending{
				{Kind: "document", Key: "good", Partner: "p", Subject: "1"},
				{Kind: "of.tomorrow", Key: "unknown", Partner: "p", Subject: "2"},
				{Kind: "document", Key: "poison", Partner: "p", Subject: "3"},
				{Kind: "document", Key: "behind poison", Partner: "p", Subject: "3"},
			} {
				if _, err := jobs.Send(j, time.Now(), "", time.Time{}); err != nil {
					return err
				}
			}
			for range 4 {
				j, _, err := jobs.Find("document", "p", "poison")
				if err == nil {
					j, err = jobs.Lease(j, "dead", time.Now())
				}
				if err == nil {
					err = jobs.Alone(j, true)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		after(0)
		documents.mu.Lock()
		defer documents.mu.Unlock()
		if slices.Sort(documents.taken); !slices.Equal(documents.taken, []string{"behind poison", "good"}) {
			t.Errorf("taken: %v", documents.taken)
		}
		for _, j := range b.jobs() {
			switch {
			case j.Key == "poison" && j.State != job.Parked,
				j.Key == "unknown" && (j.State != job.Waiting || j.Attempts != 0 || !j.DueAt.After(time.Now())):
				t.Errorf("left %+v", j)
			}
		}
	})
}

// TestWhatCannotRunStandsBeforeNobody: however much of it there is.
func TestWhatCannotRunStandsBeforeNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.do(func(jobs job.Store) error {
			for i := range 20 {
				if err := jobs.At("of.tomorrow", fmt.Sprint(i), "p", time.Now().Add(-time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		b.enqueue("1", "p")
		var ran atomic.Bool
		b.run(func(context.Context, job.Job) error { ran.Store(true); return nil },
			func(c *job.Config) { c.Subscribe, c.Poll, c.Workers, c.PerPartner = nil, time.Hour, 2, 2 })
		after(0)
		if !ran.Load() {
			t.Error("it waits")
		}
		if got := b.begun(); got != nil {
			t.Errorf("begun: %v", got)
		}
	})
}
