package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func TestWhatOperatorsDecideIsKeptInOrder(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		w := act.Word{By: "operator", Reason: "they\nasked"}
		first, second := w.On(start, "job park", them, "corr-1", "job 1"), w.On(start, "job retry", them, "corr-1", "job 1")
		do(t, s, func(tx *store.Tx) error { return tx.Acts().Add(first) })
		do(t, s, func(tx *store.Tx) error { return tx.Acts().Add(second) })
		do(t, s, func(tx *store.Tx) error { return tx.Acts().Add(w.On(start, "partner hold", them, "", "")) })
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff([]act.Act{first, second}, must(tx.Acts().About(them, "corr-1"))); diff != "" {
				t.Error(diff)
			}
			if got := must(tx.Acts().About(them, "")); len(got) != 1 || got[0].Reason != "they asked" {
				t.Errorf("about the partner: %+v", got)
			}
			return nil
		})
	})
}

// TestAnOperatorStopsAndRemovesWhatDoesNotRun, and the next document about its subject has its turn then.
func TestAnOperatorStopsAndRemovesWhatDoesNotRun(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		send := func(key, owner string) (j job.Job) {
			do(t, s, func(tx *store.Tx) error {
				j = must(tx.Jobs().Send(sending(key, "sub"), start, owner, start.Add(time.Minute)))
				return nil
			})
			return j
		}
		first, second, third := send("1", ""), send("2", ""), send("3", "")
		woken.take()
		do(t, s, func(tx *store.Tx) error {
			if j := must(tx.Jobs().Stop(first.ID, "until Monday")); j.State != job.Parked {
				t.Errorf("stopped: %+v", j)
			}
			must(tx.Jobs().Stop(first.ID, "again"))
			return nil
		})
		if got := woken.take(); len(got) == 0 {
			t.Error("nobody is woken for the next")
		}
		view(t, s, func(tx *store.Tx) error {
			if j := must(tx.Jobs().Get(first.ID)); j.State != job.Parked || j.LastError != "until Monday" {
				t.Errorf("stopped: %+v", j)
			}
			return nil
		})
		if keys := toSend(t, s, start, 9); len(keys) != 1 || keys[0] != "2" {
			t.Errorf("due are %v", keys)
		}
		do(t, s, func(tx *store.Tx) error { must(tx.Jobs().Remove(second.ID)); return nil })
		if keys := toSend(t, s, start, 9); len(keys) != 1 || keys[0] != "3" {
			t.Errorf("due are %v", keys)
		}
		do(t, s, func(tx *store.Tx) error { must(tx.Jobs().Lease(third, "me", start.Add(time.Minute))); return nil })
		do(t, s, func(tx *store.Tx) error {
			_, err := tx.Jobs().Stop(third.ID, "x")
			wantKind(t, err, fault.Precondition, "job_running")
			_, err = tx.Jobs().Remove(third.ID)
			wantKind(t, err, fault.Precondition, "job_running")
			_, err = tx.Jobs().Remove(second.ID)
			wantKind(t, err, fault.NotFound, "job_not_found")
			return nil
		})
	})
}
