package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestJobsOfAProcessLieTogether: their ids go up by one each, and another process, or the same one after a restart, begins elsewhere.
func TestJobsOfAProcessLieTogether(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			var starts []int64
			for process := range 3 {
				s := open(t, cfg)
				var ids []int64
				do(t, s, func(tx *store.Tx) error {
					ids = nil
					var jobs []job.Job
					for i := range 5 {
						jobs = append(jobs, job.Job{Kind: "k", Key: fmt.Sprint(process, i), Partner: them})
					}
					for _, j := range must(tx.Jobs().AllLeased(jobs, "me", start)) {
						ids = append(ids, j.ID)
					}
					return nil
				})
				for i, id := range ids {
					if id != ids[0]+int64(i) || id <= 0 {
						t.Errorf("process %d: ids %d do not go up by one", process, ids)
					}
				}
				if slices.Contains(starts, ids[0]) || len(ids) != 5 {
					t.Errorf("process %d begins at %d, others at %d", process, ids, starts)
				}
				starts = append(starts, ids[0])
				must(0, s.Close())
			}
		})
	}
}

// TestAJobIsFoundByItsNumber: the id is the engine's own number of the row, so that what is asked of a job by its id reads no index.
func TestAJobIsFoundByItsNumber(t *testing.T) {
	t.Parallel()
	s := open(t, engines["sqlite"](t))
	do(t, s, func(tx *store.Tx) error {
		added := must(tx.Jobs().AllLeased([]job.Job{{Kind: "k", Key: "a", Partner: them}}, "me", start))
		var plan []string
		tx.Plans(func(_, step string) { plan = append(plan, step) })
		must(0, tx.Jobs().Reschedule(added[0], start, "", false))
		if !slices.ContainsFunc(plan, func(step string) bool { return strings.HasSuffix(step, "USING INTEGER PRIMARY KEY (rowid=?)") }) {
			t.Errorf("%q", plan)
		}
		return nil
	})
}
