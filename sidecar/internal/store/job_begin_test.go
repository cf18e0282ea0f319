package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

const provisioning = "order.provision"

// TestAJobIsWithdrawnUntilItBegins: whatever became of a job, it is withdrawn where no handler ran, and nowhere else.
func TestAJobIsWithdrawnUntilItBegins(t *testing.T) {
	t.Parallel()
	lease := start.Add(time.Minute)
	handed := func(tx *store.Tx, key string) job.Job {
		return leased(tx, provisioning, key, them, start, "me", lease)
	}
	began := func(tx *store.Tx, key string) job.Job {
		return must(tx.Jobs().Begin([]job.Job{handed(tx, key)}, "me", lease))[0]
	}
	ran := func(tx *store.Tx, key string) job.Job {
		must(0, tx.Jobs().At(provisioning, key, them, start))
		return must(tx.Jobs().Lease(the(tx, key), "me", lease))
	}
	cases := map[string]struct {
		act       func(tx *store.Tx, key string)
		withdrawn bool
	}{
		"there is none":          {func(*store.Tx, string) {}, false},
		"it waits":               {func(tx *store.Tx, key string) { must(0, tx.Jobs().At(provisioning, key, them, start)) }, true},
		"a process keeps it":     {func(tx *store.Tx, key string) { handed(tx, key) }, true},
		"a process gave it back": {func(tx *store.Tx, key string) { must(0, tx.Jobs().Reschedule(handed(tx, key), start, "", true)) }, true},
		"the process that kept it died": {func(tx *store.Tx, key string) {
			handed(tx, key)
			must(0, tx.Jobs().EndLeases("me", start))
		}, true},
		"a version that does not know it put it off": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().At(provisioning, key, them, start))
			must(0, tx.Jobs().Reschedule(must(tx.Jobs().Hold(the(tx, key), "me", lease)), start, "unknown", true))
		}, true},
		"it was retried before it ran": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().At(provisioning, key, them, start))
			must(0, tx.Jobs().Retry(the(tx, key).ID, start))
		}, true},
		"it runs, taken from the store": {func(tx *store.Tx, key string) { ran(tx, key) }, false},
		"it runs, handed over":          {func(tx *store.Tx, key string) { began(tx, key) }, false},
		"it failed":                     {func(tx *store.Tx, key string) { must(0, tx.Jobs().Reschedule(ran(tx, key), start, "why", false)) }, false},
		"it failed and said nothing":    {func(tx *store.Tx, key string) { must(0, tx.Jobs().Reschedule(ran(tx, key), start, "", true)) }, false},
		"it came further": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().Reschedule(began(tx, key), start, "a step is done", true))
		}, false},
		"it is parked": {func(tx *store.Tx, key string) { must(0, tx.Jobs().Park(began(tx, key), "look")) }, false},
		"an operator retries what was parked": {func(tx *store.Tx, key string) {
			j := ran(tx, key)
			must(0, tx.Jobs().Park(j, ""))
			must(0, tx.Jobs().Retry(j.ID, start))
		}, false},
		"the process that ran it died": {func(tx *store.Tx, key string) {
			began(tx, key)
			must(0, tx.Jobs().EndLeases("me", start))
		}, false},
		"it was held, and put off, after it ran": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().Reschedule(ran(tx, key), start, "why", false))
			must(0, tx.Jobs().Reschedule(must(tx.Jobs().Hold(the(tx, key), "me", lease)), start, "", true))
		}, false},
		"it may have run in a store that is gone": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().At(provisioning, key, them, start))
			must(0, tx.Jobs().MayHaveBegun(provisioning, key, them))
		}, false},
		"the same, of one that a process kept": {func(tx *store.Tx, key string) {
			handed(tx, key)
			must(0, tx.Jobs().MayHaveBegun(provisioning, key, them))
			must(0, tx.Jobs().EndLeases("me", start))
		}, false},
		"the same of another": {func(tx *store.Tx, key string) {
			must(0, tx.Jobs().At(provisioning, key, them, start))
			must(0, tx.Jobs().MayHaveBegun(provisioning, key, "https://another.localhost:1"))
			must(0, tx.Jobs().MayHaveBegun("another", key, them))
		}, true},
		"it is done": {func(tx *store.Tx, key string) { must(0, tx.Jobs().Finish(ran(tx, key))) }, false},
		"it sends a document": {func(tx *store.Tx, key string) {
			must(tx.Jobs().Send(job.Sending{Kind: provisioning, Key: key, Partner: them, Subject: key}, start, "", start))
		}, false},
	}
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for key, c := range cases {
			do(t, s, func(tx *store.Tx) error { c.act(tx, key); return nil })
			var before, after int
			do(t, s, func(tx *store.Tx) error {
				before = len(must(tx.Jobs().List(100)))
				if got := must(tx.Jobs().Withdraw(provisioning, key, them)); got != c.withdrawn {
					t.Errorf("%s: withdrawn %v", key, got)
				}
				after = len(must(tx.Jobs().List(100)))
				return nil
			})
			if gone := before - after; gone == 1 != c.withdrawn || gone > 1 {
				t.Errorf("%s: %d jobs are gone", key, gone)
			}
		}
	})
}

// TestWhatWasHandedOverBegins: those jobs begin that are still held as they were added, and their leases with it.
func TestWhatWasHandedOverBegins(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		lease, later := start.Add(time.Minute), start.Add(time.Hour)
		var all []job.Job
		begin := func(owner string, until time.Time) (keys []string) {
			do(t, s, func(tx *store.Tx) error {
				keys = nil
				for _, j := range must(tx.Jobs().Begin(all, owner, until)) {
					if d := cmp.Diff(the(tx, j.Key), j); d != "" || !j.Begun || !j.LeaseUntil.Equal(until) {
						t.Error(d, j)
					}
					keys = append(keys, j.Key)
				}
				return nil
			})
			slices.Sort(keys)
			return keys
		}
		do(t, s, func(tx *store.Tx) error {
			all = nil
			for _, key := range []string{"a", "b", "withdrawn", "given back", "taken over", "taken back by its owner"} {
				all = append(all, leased(tx, provisioning, key, them, start, "me", lease))
			}
			if !must(tx.Jobs().Withdraw(provisioning, "withdrawn", them)) {
				t.Error("not withdrawn")
			}
			must(0, tx.Jobs().Reschedule(all[3], start, "", true))
			must(tx.Jobs().Lease(all[4], "other", later))
			must(tx.Jobs().Lease(all[5], "me", later))
			return nil
		})
		if got := begin("other", later); got != nil {
			t.Errorf("another began %v", got)
		}
		// The second time it is as if the first one's answer was lost; with another end it is somebody else who asks.
		for range 2 {
			if got := begin("me", later); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("began %v", got)
			}
		}
		if got := begin("me", later.Add(1)); got != nil {
			t.Errorf("began twice: %v", got)
		}
		all = nil
		if got := begin("me", later); got != nil {
			t.Errorf("of none began %v", got)
		}
		var many []job.Job
		for i := range 150 {
			many = append(many, job.Job{Kind: provisioning, Key: fmt.Sprint(i), Partner: them, DueAt: start})
		}
		do(t, s, func(tx *store.Tx) error {
			begun := must(tx.Jobs().Begin(must(tx.Jobs().AllLeased(many, "me", lease)), "me", later))
			if len(begun) != len(many) {
				t.Errorf("of %d began %d", len(many), len(begun))
			}
			return nil
		})
	})
}

// TestALeaseThatEndsBeforeTheJobBeganIsNoCrash: it did not take its process along, whatever did.
func TestALeaseThatEndsBeforeTheJobBeganIsNoCrash(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			j := leased(tx, provisioning, "a", them, start, "me", start.Add(time.Minute))
			if j = must(tx.Jobs().Lease(j, "other", start.Add(time.Hour))); j.Crashes != 0 || the(tx, "a").Crashes != 0 {
				t.Errorf("before: %+v", j)
			}
			if j = must(tx.Jobs().Lease(j, "me", start.Add(2*time.Hour))); j.Crashes != 1 || the(tx, "a").Crashes != 1 {
				t.Errorf("after: %+v", j)
			}
			d := must(tx.Jobs().Send(sending("1", "sub"), start, "me", start.Add(time.Minute)))
			if d = must(tx.Jobs().Lease(d, "other", start.Add(time.Hour))); d.Crashes != 1 || d.Begun {
				t.Errorf("a document: %+v", d)
			}
			return nil
		})
	})
}

// TestOfDocumentsThatDiedTogetherNoneIsBlamed: however often a process dies that held many, only one that went alone when it did is parked
// in the end.
func TestOfDocumentsThatDiedTogetherNoneIsBlamed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			j := must(tx.Jobs().Send(sending("1", "sub"), start, "process 0", start.Add(time.Minute)))
			died := func(want int) {
				t.Helper()
				if j = must(tx.Jobs().Lease(j, j.LeaseOwner+"+", j.LeaseUntil.Add(time.Minute))); j.Crashes != want || j.Begun || the(tx, "1").Begun {
					t.Errorf("%d crashes, want %d: %+v", j.Crashes, want, j)
				}
			}
			alone := func(now bool) {
				t.Helper()
				if err := tx.Jobs().Alone(j, now); err != nil {
					t.Fatal(err)
				}
				j = the(tx, "1")
			}
			for _, want := range []int{1, job.Suspect, job.Suspect, job.Suspect} {
				died(want)
			}
			alone(true)
			alone(false)
			died(job.Suspect)
			alone(true)
			died(job.Suspect + 1)
			died(job.Suspect + 1)
			alone(true)
			before := j
			died(job.Suspect + 2)
			wantKind(t, tx.Jobs().Alone(before, true), fault.Conflict, "job_lost")
			return tx.Jobs().Reschedule(j, start, "not decided", false)
		})
	})
}

func TestManyJobsAreAddedLeasedAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		lease := start.Add(time.Minute)
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().At(provisioning, "there", them, start) })
		woken.take()
		for _, n := range []int{0, 1, 3, 4, 5, 21, 64} {
			all := []job.Job{{Kind: provisioning, Key: "there", Partner: them, DueAt: start}}
			for i := range n {
				all = append(all, job.Job{Kind: provisioning, Key: fmt.Sprint(n, "-", i), Partner: them, DueAt: start.Add(time.Duration(i))})
			}
			if n > 0 {
				all = append(all, all[1]) // twice
			}
			do(t, s, func(tx *store.Tx) error {
				added := must(tx.Jobs().AllLeased(all, "me", lease))
				if len(added) != n {
					t.Errorf("of %d were added %d", n, len(added))
				}
				for i, j := range added {
					want := all[i+1]
					want.ID, want.State, want.Attempts, want.LeaseOwner, want.LeaseUntil, want.CreatedAt = j.ID, job.Running, 1, "me", lease, start
					if d := cmp.Diff(want, the(tx, j.Key)); d != "" || cmp.Diff(want, j) != "" || j.ID == 0 {
						t.Error(d)
					}
				}
				return nil
			})
		}
		if got := woken.take(); got != nil {
			t.Errorf("woke %v", got)
		}
		view(t, s, func(tx *store.Tx) error {
			if j := the(tx, "there"); j.State != job.Waiting {
				t.Errorf("one that was there is %+v", j)
			}
			return nil
		})
	})
}

// TestARetriedDocumentWaitsForItsTurn: while it was parked, another about its subject went on its way.
func TestARetriedDocumentWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		lease := start.Add(time.Minute)
		send := func(key string) (j job.Job) {
			do(t, s, func(tx *store.Tx) error {
				j = must(tx.Jobs().Send(sending(key, "sub"), start, "me", lease))
				return nil
			})
			return j
		}
		first, cancel := send("1"), send("!")
		do(t, s, func(tx *store.Tx) error { must(0, tx.Jobs().Park(first, "no")); return tx.Jobs().Park(cancel, "no") })
		second := send("2")
		if second.State != job.Running {
			t.Fatalf("the second is %+v", second)
		}
		send("3")
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Retry(first.ID, start) })
		send("4")
		if got := toSend(t, s, start, 9); got != nil {
			t.Errorf("beside the second goes %v", got)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Retry(cancel.ID, start) })
		if got := toSend(t, s, start, 9); !slices.Equal(got, []string{"!"}) {
			t.Errorf("a retried cancel overtakes: %v", got)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop("k", "!", them) })
		for _, key := range []string{"2", "3", "1", "4"} {
			woken.take()
			do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop("k", key, them) })
			if got := woken.take(); (len(got) > 0) != (key != "4") {
				t.Errorf("after %s: woken %v", key, got)
			}
			want := map[string][]string{"2": {"3"}, "3": {"1"}, "1": {"4"}}[key]
			if got := toSend(t, s, start, 9); !slices.Equal(got, want) {
				t.Errorf("after %s: %v, want %v", key, got, want)
			}
		}
		// Making one that waits due now changes no order.
		send("5")
		waits := send("6")
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Retry(waits.ID, start) })
		send("7")
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop("k", "5", them) })
		if got := toSend(t, s, start, 9); !slices.Equal(got, []string{"6"}) {
			t.Errorf("next is %v", got)
		}
	})
}

// TestDueNamesPartnersThatMayHaveMore: whoever frees a place of theirs asks again.
func TestDueNamesPartnersThatMayHaveMore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		full := func() (full []string) {
			view(t, s, func(tx *store.Tx) (err error) { _, full, err = tx.Jobs().Due(start, 2, 100); return err })
			slices.Sort(full)
			return full
		}
		do(t, s, func(tx *store.Tx) error {
			for i := range 3 {
				must(0, tx.Jobs().At("k", fmt.Sprint("busy ", i), "busy", start))
				leased(tx, "k", fmt.Sprint("dead ", i), "dead", start, "me", start)
			}
			return tx.Jobs().At("k", "quiet", "quiet", start)
		})
		if got := full(); !slices.Equal(got, []string{"busy", "dead"}) {
			t.Errorf("full: %v", got)
		}
		do(t, s, func(tx *store.Tx) error {
			for _, key := range []string{"busy 0", "busy 1"} {
				must(tx.Jobs().Lease(the(tx, key), "me", start.Add(time.Minute)))
			}
			_, err := tx.Jobs().Withdraw("k", "dead 0", "dead")
			return err
		})
		if got := full(); !slices.Equal(got, []string{"busy"}) {
			t.Errorf("full: %v", got)
		}
	})
}

// TestNoJobIsLookedForInAllOfThem: a queue that grows must not make each step in it dearer. What shows or counts all reads all.
func TestNoJobIsLookedForInAllOfThem(t *testing.T) {
	t.Parallel()
	s := open(t, store.Config{Path: t.TempDir() + "/hanse.db"})
	lease := start.Add(time.Minute)
	do(t, s, func(tx *store.Tx) error {
		tx.Plans(func(query, step string) {
			if strings.HasPrefix(step, "SCAN") {
				t.Errorf("%s: %s", step, query)
			}
		})
		jobs := tx.Jobs()
		must(0, jobs.At("k", "a", them, start))
		a, _, err := jobs.Find("k", them, "a")
		must(0, err)
		b := leased(tx, "k", "b", them, start, "me", lease)
		must(jobs.AllLeased([]job.Job{{Kind: "k", Key: "c", Partner: them}}, "me", lease))
		must(jobs.Begin([]job.Job{b}, "me", lease))
		must(jobs.Withdraw("k", "c", them))
		_, _, err = jobs.Due(lease, 2, 2)
		must(0, err)
		a = must(jobs.Lease(a, "me", lease))
		must(0, jobs.Reschedule(a, start, "no", false))
		must(jobs.Send(sending("1", "sub"), start, "me", lease))
		second := must(jobs.Send(sending("2", "sub"), start, "me", lease))
		must(jobs.DueToSend(lease, func(string) int { return 9 }))
		must(0, jobs.Drop("k", "1", them))
		second = must(jobs.Extend(must(jobs.Lease(second, "me", lease)), lease.Add(1)))
		must(0, jobs.Park(second, "no"))
		must(0, jobs.Retry(second.ID, start))
		again, _, err := jobs.Find("k", them, "2")
		must(0, err)
		return jobs.Finish(must(jobs.Lease(again, "me", lease)))
	})
}

// TestACancelRacesTheBeginning: a job that was handed over is withdrawn and never runs, or runs and is not withdrawn.
func TestACancelRacesTheBeginning(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const n = 200
		var ran [n]atomic.Int64
		r, err := job.New(job.Config{
			Work: store.For[job.Tx](s), Owner: "me",
			Handlers: map[string]job.Handler{provisioning: func(_ context.Context, j job.Job) error {
				var i int
				must(fmt.Sscan(j.Key, &i))
				ran[i].Add(1)
				return job.ErrFinished // and leaves its job, so that a late cancel meets it
			}},
		})
		must(0, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		withdrawn := make([]bool, n)
		for at := 0; at < n; at += 20 {
			var jobs []job.Job
			for len(jobs) == 0 {
				if owner, until, ok := r.Claim(); ok {
					var named []job.Job
					for i := range 20 {
						named = append(named, job.Job{Kind: provisioning, Key: fmt.Sprint(at + i), Partner: fmt.Sprint("p", i), DueAt: start})
					}
					do(t, s, func(tx *store.Tx) error { jobs = must(tx.Jobs().AllLeased(named, owner, until)); return nil })
				}
			}
			r.Take(jobs...)
			together(20, func(i int) {
				key := fmt.Sprint(at + i)
				for range i % 4 { // some come later
					must(0, s.Do(t.Context(), func(tx *store.Tx) error {
						_, _, err := tx.Jobs().Find(provisioning, fmt.Sprint("p", i), key)
						return err
					}))
				}
				must(0, s.Do(t.Context(), func(tx *store.Tx) error {
					got, err := tx.Jobs().Withdraw(provisioning, key, fmt.Sprint("p", i))
					withdrawn[at+i] = got
					return err
				}))
			})
		}
		// What is not withdrawn had begun: its handler runs before the runner ends.
		stop()
		must(0, <-ended)
		count := 0
		for i := range ran {
			got := ran[i].Load()
			if withdrawn[i] {
				count++
			}
			if got > 1 || (got == 1) == withdrawn[i] {
				t.Errorf("job %d: withdrawn %v, ran %d times", i, withdrawn[i], got)
			}
		}
		t.Logf("%d of %d withdrawn", count, n)
		view(t, s, func(tx *store.Tx) error {
			if left := len(must(tx.Jobs().List(2 * n))); left != n-count {
				t.Errorf("%d jobs are left of %d that ran", left, n-count)
			}
			return nil
		})
	})
}

// TestWhatIsWokenWhileItRunsRunsAgain: it looked before what it waits for came, and puts itself back after it.
func TestWhatIsWokenWhileItRunsRunsAgain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		begun, later := start.Add(time.Second), time.Now().Add(time.Hour)
		sign := func(tx *store.Tx) job.Job {
			j, found := must2(tx.Jobs().Find("order.sign", them, "a"))
			if !found {
				t.Fatal("no job")
			}
			return j
		}
		run := func(meanwhile func(tx *store.Tx) error) (due time.Time) {
			var j job.Job
			do(t, s, func(tx *store.Tx) error {
				j = must(tx.Jobs().Lease(sign(tx), "me", start.Add(time.Minute)))
				return nil
			})
			do(t, s, meanwhile)
			do(t, s, func(tx *store.Tx) error { return tx.Jobs().Reschedule(j, later, "not yet", false) })
			view(t, s, func(tx *store.Tx) error { due = sign(tx).DueAt; return nil })
			return due
		}
		expedite := func(partner string, kinds ...string) func(tx *store.Tx) error {
			return func(tx *store.Tx) error { return tx.Jobs().Expedite(partner, begun, kinds...) }
		}
		for _, c := range []struct {
			name      string
			meanwhile func(tx *store.Tx) error
			due       time.Duration // from the start on
			again     bool
		}{
			{"nothing", func(*store.Tx) error { return nil }, -time.Hour, false},
			{"woken by a clock that is behind the one by which it was due", expedite(them, "order.sign"), time.Minute, true},
			{"woken", expedite(them, "order.sign"), -time.Hour, true},
			{"another kind", expedite(them, "order.provision"), -time.Hour, false},
			{"another partner", expedite("https://other.example", "order.sign"), -time.Hour, false},
			{"the books", func(tx *store.Tx) error {
				_, err := tx.Ledger().PutBooks(ledger.Books{Partner: them, State: ledger.Level})
				return err
			}, -time.Hour, true},
		} {
			do(t, s, func(tx *store.Tx) error { return tx.Jobs().At("order.sign", "a", them, start.Add(c.due)) })
			if due := run(c.meanwhile); due.Before(later) != c.again {
				t.Errorf("%s: due at %s", c.name, due)
			}
			do(t, s, func(tx *store.Tx) error {
				return tx.Jobs().Finish(must(tx.Jobs().Lease(sign(tx), "me", start.Add(2*time.Hour))))
			})
		}
	})
}
