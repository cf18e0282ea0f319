package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// sending names a job about a subject; "!" before the key overtakes.
func sending(key, subject string) job.Sending {
	overtakes := key[0] == '!'
	return job.Sending{Kind: "k", Key: key, Partner: them, Subject: subject, Overtakes: overtakes}
}

// toSend are the keys of the jobs whose turn it is.
func toSend(t *testing.T, s *store.Store, now time.Time, room int) (keys []string) {
	t.Helper()
	view(t, s, func(tx *store.Tx) error {
		keys = nil
		for _, j := range must(tx.Jobs().DueToSend(now, func(string) int { return room })) {
			keys = append(keys, j.Key)
		}
		return nil
	})
	slices.Sort(keys)
	return keys
}

// TestDocumentsAboutOneSubjectTakeTurns: over all replicas one of a subject is on its way at a time, in the order in which they came.
func TestDocumentsAboutOneSubjectTakeTurns(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		lease := start.Add(time.Minute)
		send := func(key, subject, owner string) (j job.Job) {
			do(t, s, func(tx *store.Tx) error {
				j = must(tx.Jobs().Send(sending(key, subject), start, owner, lease))
				return nil
			})
			return j
		}
		first := send("1", "sub", "me")
		if first.State != job.Running || first.Attempts != 1 || first.LeaseOwner != "me" {
			t.Errorf("the first is %+v", first)
		}
		if second := send("2", "sub", "me"); second.State != job.Waiting || second.LeaseOwner != "" {
			t.Errorf("the second is %+v", second)
		}
		if again := send("2", "sub", "me"); again.ID != 0 {
			t.Errorf("one that is there is added again: %+v", again)
		}
		send("3", "sub", "")
		send("a", "other", "")
		if got := toSend(t, s, start, 9); !slices.Equal(got, []string{"a"}) {
			t.Errorf("while the first is on its way: %v", got)
		}
		if got := toSend(t, s, start, 0); got != nil {
			t.Errorf("without room: %v", got)
		}
		if got := due(t, s, start.Add(time.Hour), 9, 9); got != nil {
			t.Errorf("documents are given out as other jobs: %v", got)
		}
		if got := toSend(t, s, lease, 9); !slices.Equal(got, []string{"1", "a"}) {
			t.Errorf("when the first lease has ended: %v", got)
		}
		// A cancel overtakes, and the others wait for it.
		cancel := send("!", "sub", "me")
		if cancel.State != job.Running {
			t.Errorf("the cancel is %+v", cancel)
		}
		if got := toSend(t, s, lease, 9); !slices.Equal(got, []string{"!", "a"}) {
			t.Errorf("with a cancel: %v", got)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop(sending("!", "another")) })
		if got := toSend(t, s, lease, 9); !slices.Equal(got, []string{"!", "a"}) {
			t.Errorf("with another subject's dropped: %v", got)
		}
		woken.take()
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop(sending("!", "sub")) })
		if got := woken.take(); !slices.Equal(got, []string{"job"}) {
			t.Errorf("the next turn wakes %v", got)
		}
		for _, step := range []struct {
			key  string
			ends func(jobs job.Store, j job.Job) error
			next []string
		}{
			{"1", func(jobs job.Store, _ job.Job) error { return jobs.Drop(sending("1", "sub")) }, []string{"2", "a"}},
			{"2", func(jobs job.Store, j job.Job) error { return jobs.Park(must(jobs.Lease(j, "me", lease)), "no") }, []string{"3", "a"}},
			{"3", func(jobs job.Store, j job.Job) error { return jobs.Finish(must(jobs.Lease(j, "me", lease))) }, []string{"a"}},
		} {
			woken.take()
			do(t, s, func(tx *store.Tx) error { return step.ends(tx.Jobs(), the(tx, step.key)) })
			if got := toSend(t, s, lease, 9); !slices.Equal(got, step.next) {
				t.Errorf("after %s: %v, want %v", step.key, got, step.next)
			}
			if got := woken.take(); (len(got) > 0) != (len(step.next) > 1) {
				t.Errorf("after %s: woken %v", step.key, got)
			}
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop(sending("never there", "sub")) })
	})
}

func TestALeaseIsExtendedByItsHolderAlone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var held, extended job.Job
		do(t, s, func(tx *store.Tx) error {
			held = must(tx.Jobs().Send(sending("1", "sub"), start, "me", start.Add(time.Minute)))
			extended = must(tx.Jobs().Extend(held, start.Add(time.Hour)))
			_, err := tx.Jobs().Extend(held, start.Add(2*time.Hour))
			wantKind(t, err, fault.Conflict, "job_lost")
			return nil
		})
		if got := toSend(t, s, start.Add(30*time.Minute), 9); got != nil {
			t.Errorf("an extended lease has ended: %v", got)
		}
		do(t, s, func(tx *store.Tx) error {
			if d := cmp.Diff(extended, the(tx, "1")); d != "" {
				t.Error(d)
			}
			return tx.Jobs().Finish(extended)
		})
	})
}

// TestDocumentsTakeNoWorkers: however many are on their way to a partner, its other jobs run.
func TestDocumentsTakeNoWorkers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			for _, key := range []string{"1", "2", "3"} {
				must(tx.Jobs().Send(sending(key, "sub-"+key), start, "me", start.Add(time.Minute)))
			}
			return tx.Jobs().At("other", "x", them, start)
		})
		if got := due(t, s, start, 1, 9); !slices.Equal(got, []string{"x"}) {
			t.Errorf("due: %v", got)
		}
	})
}
