package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// due reads the keys of the jobs that may run.
func due(t *testing.T, s *store.Store, now time.Time, perPartner, limit int) (keys []string) {
	t.Helper()
	view(t, s, func(tx *store.Tx) error {
		keys = nil
		found, _, err := tx.Jobs().Due(now, perPartner, limit)
		for _, j := range must(found, err) {
			keys = append(keys, j.Key)
		}
		return nil
	})
	return keys
}

func the(tx *store.Tx, key string) job.Job {
	for _, j := range must(tx.Jobs().List(1000)) {
		if j.Key == key {
			return j
		}
	}
	panic("no job " + key)
}

func TestLifeOfAJob(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		do(t, s, func(tx *store.Tx) error {
			must(0, tx.Jobs().At("order.submit", "b", them, start.Add(time.Second)))
			must(0, tx.Jobs().At("order.submit", "a", them, start))
			return tx.Jobs().At("order.submit", "a", them, start.Add(time.Hour)) // stays as it is
		})
		if diff := cmp.Diff([]string{"job"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		if got := due(t, s, start.Add(-1), 9, 9); got != nil {
			t.Errorf("due too early: %v", got)
		}
		if diff := cmp.Diff([]string{"a", "b"}, due(t, s, start.Add(time.Minute), 9, 9)); diff != "" {
			t.Error(diff)
		}
		lease := start.Add(time.Minute)
		var a job.Job
		do(t, s, func(tx *store.Tx) error {
			seen := the(tx, "a")
			a = must(tx.Jobs().Lease(seen, "me", lease))
			_, err := tx.Jobs().Lease(seen, "other", lease)
			wantKind(t, err, fault.Conflict, "job_taken")
			return nil
		})
		want := job.Job{
			ID: a.ID, Kind: "order.submit", Key: "a", Partner: them, State: job.Running, Attempts: 1, DueAt: start,
			LeaseOwner: "me", LeaseUntil: lease, Begun: true, CreatedAt: start,
		}
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff(want, the(tx, "a")); diff != "" {
				t.Error(diff)
			}
			return nil
		})
		if diff := cmp.Diff([]string{"b"}, due(t, s, lease.Add(-1), 9, 9)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a", "b"}, due(t, s, lease, 9, 9)); diff != "" {
			t.Error(diff)
		}
		// Another runner takes it over; what the first one says then is too late.
		var second job.Job
		do(t, s, func(tx *store.Tx) error {
			second = must(tx.Jobs().Lease(a, "other", lease.Add(time.Minute)))
			if second.Crashes != 1 {
				t.Errorf("a run that never reported counts %d crashes", second.Crashes)
			}
			second.Crashes = 0
			wantKind(t, tx.Jobs().Finish(a), fault.Conflict, "job_lost")
			wantKind(t, tx.Jobs().Park(a, "no"), fault.Conflict, "job_lost")
			wantKind(t, tx.Jobs().Reschedule(a, start, "no", true), fault.Conflict, "job_lost")
			return tx.Jobs().Reschedule(second, start.Add(time.Hour), "down", false)
		})
		view(t, s, func(tx *store.Tx) error {
			if j := the(tx, "a"); j.State != job.Waiting || j.Attempts != 2 || j.LastError != "down" || !j.DueAt.Equal(start.Add(time.Hour)) {
				t.Errorf("rescheduled: %+v", j)
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Expedite(them, start, "order.submit") })
		// "b" was set for later and never tried: it keeps its time.
		if diff := cmp.Diff([]string{"a"}, due(t, s, start, 9, 9)); diff != "" {
			t.Error(diff)
		}
		do(t, s, func(tx *store.Tx) error {
			j := must(tx.Jobs().Lease(the(tx, "a"), "me", lease))
			must(0, tx.Jobs().Reschedule(j, start, "", true))
			if j = the(tx, "a"); j.Attempts != 0 {
				t.Errorf("progress leaves %d attempts", j.Attempts)
			}
			j = must(tx.Jobs().Lease(j, "me", lease))
			must(0, tx.Jobs().Park(j, "poison"))
			b := must(tx.Jobs().Lease(the(tx, "b"), "me", lease))
			return tx.Jobs().Finish(b)
		})
		if got := due(t, s, start.Add(time.Hour), 9, 9); got != nil {
			t.Errorf("due while parked: %v", got)
		}
		view(t, s, func(tx *store.Tx) error {
			counts := map[string]map[job.State]int64{"order.submit": {job.Parked: 1}}
			if diff := cmp.Diff(counts, must(tx.Jobs().Count())); diff != "" {
				t.Error(diff)
			}
			return nil
		})
		woken.take()
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Retry(the(tx, "a").ID, start) })
		if diff := cmp.Diff([]string{"job"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			if j := the(tx, "a"); j.State != job.Waiting || j.Attempts != 0 {
				t.Errorf("retried: %+v", j)
			}
			return nil
		})
		wantKind(t, s.Do(t.Context(), func(tx *store.Tx) error { return tx.Jobs().Retry(42, start) }), fault.NotFound, "job_not_found")
	})
}

func TestLeasesOfADeadOwnerEnd(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string][]string{"dead": {"a"}, "": {"a", "b"}} {
		onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
			do(t, s, func(tx *store.Tx) error {
				for key, owner := range map[string]string{"a": "dead", "b": "alive"} {
					must(0, tx.Jobs().At("k", key, "", start))
					must(tx.Jobs().Lease(the(tx, key), owner, start.Add(time.Minute)))
				}
				return tx.Jobs().EndLeases(owner, start)
			})
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(due(t, s, start, 9, 9)))); diff != "" {
				t.Errorf("leases of %q: %s", owner, diff)
			}
		})
	}
}

func TestNoPartnerTakesAllRunners(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			for i := range 20 {
				must(0, tx.Jobs().At("k", fmt.Sprintf("slow-%02d", i), "https://slow.example", start.Add(time.Duration(i))))
			}
			for i := range 3 {
				must(0, tx.Jobs().At("k", fmt.Sprintf("quick-%d", i), "https://quick.example", start.Add(time.Second+time.Duration(i))))
			}
			return nil
		})
		now := start.Add(time.Minute)
		if diff := cmp.Diff([]string{"slow-00", "slow-01", "quick-0", "quick-1"}, due(t, s, now, 2, 10)); diff != "" {
			t.Error(diff)
		}
		do(t, s, func(tx *store.Tx) error {
			must(tx.Jobs().Lease(the(tx, "slow-00"), "me", now.Add(time.Minute)))
			must(tx.Jobs().Lease(the(tx, "slow-01"), "me", now.Add(time.Minute)))
			must(tx.Jobs().Lease(the(tx, "quick-0"), "me", now.Add(time.Minute)))
			return nil
		})
		if diff := cmp.Diff([]string{"quick-1"}, due(t, s, now, 2, 10)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"slow-02"}, due(t, s, now, 3, 1)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALeaseIsExclusive(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const n = 12
		do(t, s, func(tx *store.Tx) error {
			for i := range n {
				must(0, tx.Jobs().At("k", fmt.Sprint(i), them, start))
			}
			return nil
		})
		var holders [n]atomic.Int64
		together(64, func(runner int) {
			var seen []job.Job
			must(0, s.View(t.Context(), func(tx *store.Tx) (err error) { seen, _, err = tx.Jobs().Due(start, n, n); return err }))
			for _, j := range seen {
				err := s.Do(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Jobs().Lease(j, fmt.Sprint(runner), start.Add(time.Minute))
					return err
				})
				if err == nil {
					var i int
					must(fmt.Sscan(j.Key, &i))
					holders[i].Add(1)
				} else if !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			}
		})
		for i := range holders {
			if got := holders[i].Load(); got != 1 {
				t.Errorf("job %d has %d holders", i, got)
			}
		}
	})
}

// TestWhatAJobSaysIsFitToRead: an adapter, a partner or a customer's order may have put anything into an error.
func TestWhatAJobSaysIsFitToRead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for name, c := range map[string]struct{ theirs, kept string }{
			"a zero":          {"a\x00b", `a\x00b`},
			"a terminal":      {"\x1b[2Jred", `\x1b[2Jred`},
			"lines":           {"one\ntwo\r\n", `one\ntwo\r\n`},
			"another order":   {"a\u202Egnp.exe", `a\u202egnp.exe`},
			"no text":         {"\xff", `\xff`},
			"as much as fits": {strings.Repeat("x", 400), strings.Repeat("x", 400)},
			"more":            {strings.Repeat("x", 1<<20), strings.Repeat("x", 400) + "… (1048176 more characters)"},
			"our own words":   {"Größe is missing", "Größe is missing"},
		} {
			for how, write := range map[string]func(jobs job.Store, j job.Job) error{
				"parked":      func(jobs job.Store, j job.Job) error { return jobs.Park(j, c.theirs) },
				"rescheduled": func(jobs job.Store, j job.Job) error { return jobs.Reschedule(j, start, c.theirs, false) },
			} {
				key := name + " " + how
				do(t, s, func(tx *store.Tx) error {
					must(0, tx.Jobs().At("order.provision", key, them, start))
					return write(tx.Jobs(), must(tx.Jobs().Lease(the(tx, key), "me", start.Add(time.Minute))))
				})
				view(t, s, func(tx *store.Tx) error {
					if got := the(tx, key).LastError; got != c.kept {
						t.Errorf("%s: it says %.500q", key, got)
					}
					return nil
				})
			}
		}
	})
}

// leased adds one leased job; its ID is 0 where there is one already.
func leased(tx *store.Tx, kind, key, partner string, due time.Time, owner string, until time.Time) job.Job {
	if added := must(tx.Jobs().AllLeased([]job.Job{{Kind: kind, Key: key, Partner: partner, DueAt: due}}, owner, until)); len(added) > 0 {
		return added[0]
	}
	return job.Job{}
}

func TestAJobIsAddedLeased(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		lease := start.Add(time.Minute)
		do(t, s, func(tx *store.Tx) error {
			j := leased(tx, "order.submit", "a", them, start, "me", lease)
			want := job.Job{
				ID: j.ID, Kind: "order.submit", Key: "a", Partner: them, State: job.Running, Attempts: 1, DueAt: start,
				LeaseOwner: "me", LeaseUntil: lease, CreatedAt: start,
			}
			if diff := cmp.Diff(want, j); diff != "" || j.ID == 0 {
				t.Error(diff)
			}
			if diff := cmp.Diff(j, the(tx, "a")); diff != "" {
				t.Error(diff)
			}
			again := leased(tx, "order.submit", "a", them, start, "other", lease.Add(1))
			if again.ID != 0 || the(tx, "a").LeaseOwner != "me" {
				t.Errorf("leased twice: %+v", again)
			}
			return nil
		})
		if diff := cmp.Diff([]string(nil), woken.take()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"a"}, due(t, s, lease, 9, 9)); diff != "" {
			t.Error(diff)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Finish(the(tx, "a")) })
	})
}

// TestWhatAClockThatWasAheadSetDoesNotWaitForIt: what was due is due, and what had a pause keeps that.
func TestWhatAClockThatWasAheadSetDoesNotWaitForIt(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		do(t, s, func(tx *store.Tx) error {
			must(0, tx.Jobs().At("order.submit", "new", them, start))
			must(0, tx.Jobs().At("order.submit", "later", them, start.Add(10*time.Minute)))
			must(tx.Jobs().Send(job.Sending{Kind: "order.submit", Key: "document", Partner: them, Subject: "s"}, start, "", time.Time{}))
			handed := must(tx.Jobs().AllLeased([]job.Job{{Kind: "order.submit", Key: "handed", Partner: them, DueAt: start}}, "me", start.Add(time.Minute)))
			must(0, tx.Jobs().GiveBack(handed[0]))
			must(0, tx.Jobs().At("order.submit", "failed", them, start))
			failed := must(tx.Jobs().Lease(the(tx, "failed"), "me", start.Add(time.Minute)))
			return tx.Jobs().Reschedule(failed, start.Add(2*time.Second), "it is down", false)
		})
		woken.take()
		move := func(now time.Time) (moved int64) {
			do(t, s, func(tx *store.Tx) (err error) { moved, err = tx.Jobs().ClockBack(now); return err })
			return moved
		}
		if n := move(start.Add(-job.ClocksDiffer)); n != 0 || len(woken.take()) > 0 {
			t.Errorf("%d were moved, where clocks only differ", n)
		}
		now := start.Add(-time.Hour)
		if n := move(now); n != 5 {
			t.Errorf("%d were moved", n)
		}
		if diff := cmp.Diff([]string{"job"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			for key, want := range map[string]time.Duration{"new": 0, "later": 10 * time.Minute, "document": 0, "handed": 0, "failed": 2 * time.Second} {
				if got := the(tx, key); got.DueAt.Sub(now) != want || !got.CreatedAt.Equal(start) {
					t.Errorf("%s waits %s: %+v", key, got.DueAt.Sub(now), got)
				}
			}
			return nil
		})
		if n := move(now); n != 0 {
			t.Errorf("%d were moved twice", n)
		}
	})
}
