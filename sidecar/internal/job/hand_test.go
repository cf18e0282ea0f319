package job_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// hand commits jobs leased to a runner and hands them over, as those do who place orders.
func (b *bench) hand(r *job.Runner, partner string, keys ...string) (handed []job.Job) {
	b.t.Helper()
	owner, until, ok := r.Claim()
	if !ok {
		b.t.Fatal("the runner gives out no lease")
	}
	b.do(func(jobs job.Store) error {
		handed = handed[:0]
		for _, key := range keys {
			j, err := jobs.AtLeased(kind, key, partner, time.Now(), owner, until)
			if err != nil {
				return err
			}
			handed = append(handed, j)
		}
		return nil
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
			j, err := tx.Jobs().AtLeased(kind, "a", "p", time.Now(), "test", time.Now().Add(time.Minute))
			if err == nil && j.ID != 0 {
				t.Errorf("leased %+v", j)
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
