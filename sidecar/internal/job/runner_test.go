package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const kind = "order.submit"

var errDown = errors.New("partner is down")

// bench is a runner on a real store, inside a bubble of fake time.
type bench struct {
	t     *testing.T
	store *store.Store
	wake  chan struct{}
	stop  context.CancelFunc
	// made is told of the runner that run starts.
	made func(*job.Runner)
}

// inBubble runs a test on a real SQLite store; within the bubble time passes only while everybody waits.
func inBubble(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hanse.db")
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, wake: make(chan struct{}, 1)}
		s, err := store.Open(t.Context(), store.Config{
			Path: path, SiteKey: bytes.Repeat([]byte{7}, 32),
			Wake: func(topic unit.Topic) {
				if topic == unit.Jobs {
					select {
					case b.wake <- struct{}{}:
					default:
					}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.store = s
		defer func() {
			b.end()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, b)
	})
}

// run starts a runner with the handlers.
func (b *bench) run(handler job.Handler, change ...func(*job.Config)) {
	b.t.Helper()
	cfg := job.Config{
		Work: store.For[job.Tx](b.store), Handlers: map[string]job.Handler{kind: handler}, Owner: "test",
		Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return b.wake, func() {} },
		Rand:      func() float64 { return 0.5 },
		Poll:      time.Minute, // what is due earlier is known or woken
	}
	for _, c := range change {
		c(&cfg)
	}
	r, err := job.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.made != nil {
		b.made(r)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	before := b.stop
	b.stop = func() {
		if before != nil {
			before()
		}
		stop()
		<-ended
	}
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
}

func (b *bench) end() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

func (b *bench) do(fn func(jobs job.Store) error) {
	b.t.Helper()
	if err := b.store.Do(context.Background(), func(tx *store.Tx) error { return fn(tx.Jobs()) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) enqueue(key, partner string) {
	b.t.Helper()
	b.do(func(jobs job.Store) error { return jobs.At(kind, key, partner, time.Now()) })
}

func (b *bench) jobs() []job.Job {
	b.t.Helper()
	var all []job.Job
	err := b.store.View(context.Background(), func(tx *store.Tx) (err error) { all, err = tx.Jobs().List(1000); return err })
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// after lets fake time pass and then everybody come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAJobRunsAtOnceAndIsGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var seen job.Job
		b.run(func(_ context.Context, j job.Job) error { seen = j; return nil }, func(c *job.Config) { c.Poll = time.Hour })
		after(0)
		b.enqueue("1", "https://a.example")
		after(0)
		if seen.Key != "1" || seen.Attempts != 1 || seen.State != job.Running || seen.Partner != "https://a.example" {
			t.Errorf("ran %+v", seen)
		}
		if left := b.jobs(); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
	})
}

func TestALostWakeUpIsFoundByPolling(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var ran atomic.Bool
		b.run(func(context.Context, job.Job) error { ran.Store(true); return nil },
			func(c *job.Config) { c.Subscribe, c.Poll = nil, 5*time.Second })
		after(0)
		b.enqueue("1", "")
		after(4 * time.Second)
		if ran.Load() {
			t.Error("ran without a wake-up or a poll")
		}
		after(time.Second)
		if !ran.Load() {
			t.Error("not found")
		}
	})
}

func TestFailuresBackOffUpToFifteenMinutes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		var times []time.Time
		b.run(func(context.Context, job.Job) error {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return errDown
		})
		b.enqueue("1", "")
		after(2 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		var waits []time.Duration
		for i := range times[1:] {
			waits = append(waits, times[i+1].Sub(times[i]))
		}
		// 0.5 of the random half: three quarters of 1 s, 2 s, 4 s, ..., 15 min.
		want := []time.Duration{750 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 6 * time.Second, 12 * time.Second}
		if !slices.Equal(waits[:len(want)], want) {
			t.Errorf("waits %v", waits)
		}
		if last := waits[len(waits)-1]; last != 15*time.Minute*3/4 {
			t.Errorf("last wait %v of %v", last, waits)
		}
		if j := b.jobs()[0]; j.State != job.Waiting || j.LastError != errDown.Error() || j.Attempts != len(times) {
			t.Errorf("%+v after %d runs", j, len(times))
		}
	})
}

func TestWhatAHandlerMayAnswer(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		answer func(b *bench, j job.Job) error
		state  job.State // "" is gone
		due    time.Duration
		tries  int
		text   string
	}{
		"finished in its own transaction, nil": {answer: func(b *bench, j job.Job) error {
			b.do(func(jobs job.Store) error { return jobs.Finish(j) })
			return nil
		}},
		"finished in its own transaction, ErrFinished": {answer: func(b *bench, j job.Job) error {
			b.do(func(jobs job.Store) error { return jobs.Finish(j) })
			return fmt.Errorf("order: %w", job.ErrFinished)
		}},
		"again after a time": {
			answer: func(*bench, job.Job) error { return fmt.Errorf("poll: %w", job.Again(90*time.Second, errDown)) },
			state:  job.Waiting, due: 90 * time.Second, tries: 1, text: errDown.Error(),
		},
		"again when the books are level": {
			answer: func(*bench, job.Job) error { return job.UntilLevel(errDown) },
			state:  job.Waiting, due: 15 * time.Minute, tries: 1, text: errDown.Error(),
		},
		"nothing to wait for": {
			answer: func(b *bench, j job.Job) error {
				b.do(func(jobs job.Store) error { return jobs.Finish(j) })
				return job.UntilLevel(nil)
			},
		},
		"again after the back-off": {
			answer: func(*bench, job.Job) error { return job.Again(0, nil) },
			state:  job.Waiting, due: 750 * time.Millisecond, tries: 1, text: "not done yet",
		},
		"parked": {
			answer: func(*bench, job.Job) error {
				return fmt.Errorf("open: %w", &job.ParkError{Err: errors.New("bad bytes \x00\xff")})
			},
			state: job.Parked, tries: 1, text: `bad bytes \x00\xff`,
		},
	}
	for name, a := range answers {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				begun := time.Now()
				b.run(func(_ context.Context, j job.Job) error { return a.answer(b, j) })
				b.enqueue("1", "")
				after(0)
				left := b.jobs()
				if a.state == "" {
					if len(left) != 0 {
						t.Errorf("left: %+v", left)
					}
					return
				}
				if len(left) != 1 || left[0].State != a.state || left[0].Attempts != a.tries || left[0].LastError != a.text {
					t.Fatalf("left: %+v", left)
				}
				if due := left[0].DueAt.Sub(begun); due != a.due {
					t.Errorf("due after %v", due)
				}
			})
		})
	}
}

func TestAJobThatCameFurtherGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var attempts []int
		b.run(func(_ context.Context, j job.Job) error {
			if attempts = append(attempts, j.Attempts); len(attempts) < 3 {
				return job.Progress(fmt.Sprint("step ", len(attempts), " of 3"))
			}
			return nil
		})
		b.enqueue("1", "")
		after(0)
		if left := b.jobs(); len(left) != 0 || !slices.Equal(attempts, []int{1, 1, 1}) {
			t.Errorf("attempts %v, left %+v", attempts, left)
		}
	})
}

func TestAParkedJobRunsWhenAnOperatorSaysSo(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var runs atomic.Int64
		b.run(func(context.Context, job.Job) error {
			if runs.Add(1) == 1 {
				return &job.ParkError{Err: errDown}
			}
			return nil
		})
		b.enqueue("1", "")
		after(10 * time.Minute)
		if runs.Load() != 1 {
			t.Fatalf("%d runs while parked", runs.Load())
		}
		b.do(func(jobs job.Store) error { return jobs.Retry(b.jobs()[0].ID, time.Now()) })
		after(0)
		if runs.Load() != 2 || len(b.jobs()) != 0 {
			t.Fatalf("%d runs, left %+v", runs.Load(), b.jobs())
		}
	})
}

func TestAJobThatPanicsThreeTimesInARowIsParked(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		runs := map[string]int{}
		var mu sync.Mutex
		b.run(func(_ context.Context, j job.Job) error {
			mu.Lock()
			defer mu.Unlock()
			runs[j.Key]++
			if j.Key == "poison" || runs[j.Key]%2 == 1 && runs[j.Key] < 7 {
				panic("boom")
			}
			return errDown // not in a row
		})
		b.enqueue("poison", "")
		b.enqueue("shaky", "")
		after(5 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if runs["poison"] != 3 || runs["shaky"] < 8 {
			t.Errorf("runs: %v", runs)
		}
		for _, j := range b.jobs() {
			if parked := j.State == job.Parked; parked != (j.Key == "poison") {
				t.Errorf("%+v", j)
			}
		}
	})
}

func TestAPanicInATransactionCountsAsOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.run(func(ctx context.Context, _ job.Job) error {
			return b.store.Do(ctx, func(*store.Tx) error { panic("boom") })
		})
		b.enqueue("poison", "")
		after(5 * time.Minute)
		if j := b.jobs()[0]; j.State != job.Parked || j.Attempts != 3 || j.LastError != "panic: boom" {
			t.Errorf("left %+v", j)
		}
	})
}

// TestAPauseThatWasAskedForIsKept: no try before it is over, and none later than a day.
func TestAPauseThatWasAskedForIsKept(t *testing.T) {
	t.Parallel()
	for asked, kept := range map[time.Duration]time.Duration{
		0: 750 * time.Millisecond, time.Millisecond: 750 * time.Millisecond, 2 * time.Hour: 2 * time.Hour, 1000 * time.Hour: 24 * time.Hour,
	} {
		t.Run(asked.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				begun := time.Now()
				b.run(func(context.Context, job.Job) error {
					busy := fault.New(fault.Exhausted, "rate_limited", "not now")
					busy.RetryAfter = asked
					return fmt.Errorf("call: %w", busy)
				})
				b.enqueue("1", "")
				after(0)
				if due := b.jobs()[0].DueAt.Sub(begun); due != kept {
					t.Errorf("due after %v", due)
				}
			})
		})
	}
}

// A process that died holds its leases. What it held runs again: at once when no other replica can be meant, else when the
// lease ends. A job that was lost three times in a row is what kills the process.
func TestJobsOfADeadProcess(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*job.Config)
		owner  string
		wait   time.Duration
	}{
		"alone on the store":      {func(c *job.Config) { c.Alone = true }, "other", 0},
		"the same replica before": {func(*job.Config) {}, "test", 0},
		"another replica":         {func(*job.Config) {}, "other", 10 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				die := func() {
					b.do(func(jobs job.Store) error {
						for _, j := range b.jobs() {
							if _, err := jobs.Lease(j, c.owner, time.Now().Add(10*time.Minute)); err != nil {
								return err
							}
						}
						return nil
					})
				}
				b.enqueue("lost", "")
				die()
				die()
				b.enqueue("poison", "")
				for range 4 {
					die() // "lost" comes to more as well
				}
				b.do(func(jobs job.Store) error { // and an outcome in between forgives
					for _, j := range b.jobs() {
						if j.Key != "lost" {
							continue
						}
						j.Crashes = 0
						if err := jobs.Reschedule(j, time.Now(), "", false); err != nil {
							return err
						}
						j.State, j.LeaseOwner, j.LeaseUntil, j.DueAt = job.Waiting, "", time.Time{}, time.Now()
						if _, err := jobs.Lease(j, c.owner, time.Now().Add(10*time.Minute)); err != nil {
							return err
						}
					}
					return nil
				})
				var mu sync.Mutex
				var ran []string
				b.run(func(_ context.Context, j job.Job) error {
					mu.Lock()
					defer mu.Unlock()
					ran = append(ran, j.Key)
					return nil
				}, c.change)
				if c.wait > 0 {
					after(c.wait - time.Second)
					if mu.Lock(); len(ran) > 0 {
						t.Errorf("ran %v under another's lease", ran)
					}
					mu.Unlock()
					after(2 * time.Second)
				} else {
					after(0)
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(ran, []string{"lost"}) {
					t.Errorf("ran %v", ran)
				}
				if left := b.jobs(); len(left) != 1 || left[0].Key != "poison" || left[0].State != job.Parked {
					t.Errorf("left %+v", left)
				}
			})
		})
	}
}

func TestASlowPartnerStopsNobodyElse(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var slow, most atomic.Int64
		release := make(chan struct{})
		done := map[string]bool{}
		var mu sync.Mutex
		b.run(func(_ context.Context, j job.Job) error {
			if j.Partner == "https://slow.example" {
				most.Store(max(most.Load(), slow.Add(1)))
				<-release
				slow.Add(-1)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			done[j.Key] = true
			return nil
		}, func(c *job.Config) { c.Workers, c.PerPartner = 6, 3 })
		for i := range 40 {
			b.enqueue(fmt.Sprint("slow ", i), "https://slow.example")
		}
		for i := range 40 {
			b.enqueue(fmt.Sprint("quick ", i), fmt.Sprint("https://quick", i%4, ".example"))
		}
		after(time.Minute)
		mu.Lock()
		if len(done) != 40 {
			t.Errorf("%d of 40 quick jobs are done", len(done))
		}
		mu.Unlock()
		if slow.Load() != 3 {
			t.Errorf("%d slow jobs run", slow.Load())
		}
		close(release)
		after(time.Minute)
		if left := b.jobs(); len(left) != 0 || most.Load() != 3 {
			t.Errorf("%d left, at most %d at once", len(left), most.Load())
		}
	})
}

func TestAHandlerEndsBeforeItsLease(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var lease, deadline, ended time.Time
		b.run(func(ctx context.Context, j job.Job) error {
			lease = j.LeaseUntil
			deadline, _ = ctx.Deadline()
			<-ctx.Done()
			ended = time.Now()
			return ctx.Err()
		})
		b.enqueue("1", "")
		after(95 * time.Second)
		if !deadline.Before(lease) || ended.IsZero() || !ended.Before(lease) {
			t.Errorf("lease %v, deadline %v, ended %v", lease, deadline, ended)
		}
		if j := b.jobs()[0]; j.Crashes != 0 {
			t.Errorf("an ordinary timeout counts as a crash: %+v", j)
		}
	})
}

func TestRunnersOfOneStoreShareTheWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		runs := map[string]int{}
		by := map[string]int{}
		for r := range 3 {
			owner := fmt.Sprint("replica ", r)
			b.run(func(_ context.Context, j job.Job) error {
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				runs[j.Key]++
				by[j.LeaseOwner]++
				return nil
			}, func(c *job.Config) { c.Owner = owner })
		}
		for i := range 120 {
			b.enqueue(fmt.Sprint(i), fmt.Sprint("https://p", i%9, ".example"))
		}
		after(5 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for key, n := range runs {
			if n != 1 {
				t.Errorf("job %s ran %d times", key, n)
			}
		}
		if len(runs) != 120 || len(by) < 2 {
			t.Errorf("%d jobs ran, by %v", len(runs), by)
		}
	})
}

func TestAKindOfANewerVersionWaits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		b.do(func(jobs job.Store) error { return jobs.At("of.tomorrow", "1", "", time.Now()) })
		b.run(func(context.Context, job.Job) error { return nil })
		after(5 * time.Minute)
		if left := b.jobs(); len(left) != 1 || left[0].State != job.Waiting || left[0].Attempts != 0 {
			t.Errorf("left %+v", left)
		}
	})
}

func TestTheEndWaitsForRunningJobs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		takes time.Duration
		left  int
	}{"a short one finishes": {5 * time.Second, 0}, "a long one is cancelled and comes back": {time.Minute, 1}}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bench) {
				b.run(func(ctx context.Context, _ job.Job) error {
					select {
					case <-time.After(c.takes):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				b.enqueue("1", "")
				after(time.Second)
				b.enqueue("2", "")
				begun := time.Now()
				b.end()
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("the end took %v", took)
				}
				left := b.jobs()
				for _, j := range left {
					if j.State != job.Waiting || j.DueAt.After(time.Now()) || j.Crashes != 0 {
						t.Errorf("left %+v", j)
					}
				}
				if len(left) > 2*c.left+1 {
					t.Errorf("left %+v", left)
				}
			})
		})
	}
}

// flaky is a store that is down for a while.
type flaky struct {
	store.Unit[job.Tx]
	down *atomic.Bool
}

func (f flaky) Do(ctx context.Context, fn func(job.Tx) error) error {
	if f.down.Load() {
		return fault.New(fault.Unavailable, "store_unavailable", "down")
	}
	return f.Unit.Do(ctx, fn)
}

func TestAnOutcomeOutlivesAnOutageOfTheStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bench) {
		var down atomic.Bool
		var runs atomic.Int64
		b.run(func(context.Context, job.Job) error {
			runs.Add(1)
			down.Store(true)
			return nil
		}, func(c *job.Config) { c.Work = flaky{store.For[job.Tx](b.store), &down} })
		b.enqueue("1", "")
		after(30 * time.Second)
		if left := b.jobs(); len(left) != 1 {
			t.Fatalf("left %+v", left)
		}
		down.Store(false)
		after(5 * time.Second)
		if left := b.jobs(); len(left) != 0 || runs.Load() != 1 {
			t.Errorf("%d runs, left %+v", runs.Load(), left)
		}
	})
}

func TestConfigsThatCannotRun(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]job.Config{
		"nothing":     {},
		"no handlers": {Work: flaky{}},
		"no store":    {Handlers: map[string]job.Handler{kind: nil}},
	} {
		if _, err := job.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestAClockThatIsSetBackKeepsNoJobWaiting: it was an hour ahead, when the process before this one set the job, or while this one runs.
func TestAClockThatIsSetBackKeepsNoJobWaiting(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"before the start": false, "during the run": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, b *bench) {
				var back atomic.Bool
				var ran atomic.Int64
				start := func() {
					b.run(func(context.Context, job.Job) error { ran.Add(1); return nil }, func(c *job.Config) {
						c.Subscribe = nil
						c.Now = func() time.Time {
							if back.Load() {
								return time.Now().Add(-time.Hour)
							}
							return time.Now()
						}
					})
					after(0)
				}
				if later {
					start()
				}
				back.Store(true)
				b.enqueue("1", "")
				if !later {
					start()
				}
				if after(time.Minute); ran.Load() != 1 {
					t.Errorf("it waits: %+v", b.jobs())
				}
			})
		})
	}
}
