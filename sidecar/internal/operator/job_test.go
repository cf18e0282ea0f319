package operator_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// kinds are all jobs that a sidecar has, and whether one may be dropped.
var kinds = map[string]bool{
	retail.JobSubmit: false, retail.JobSign: false, retail.JobCancel: false, retail.JobSignCancel: false, retail.JobRebuild: false, retail.JobErase: false, resale.JobProvision: false,
	agreement.JobOffer: false, agreement.JobAccept: false, agreement.JobPublish: true, catalog.JobNumber: true,
	subscription.JobAccessFetch: true, subscription.JobAccessConfirm: true, resale.JobLook: true, "recovery.lost": true, "reconcile.deal": true,
	life.JobPropose: false, life.JobCountersign: false,
}

// TestEveryKindOfJobIsKnown to the table above, and with it to what drops jobs, and to docs/waits.md, which says the same of it.
func TestEveryKindOfJobIsKnown(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, name := range files {
		if source, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		} else if !strings.HasSuffix(name, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^(?:const)?\s+Job[A-Z]\w*\s+= "([a-z_]+\.[a-z_]+)"`).FindAllSubmatch(source, -1) {
				known = append(known, string(m[1]))
			}
		}
	}
	slices.Sort(known)
	if want := slices.Sorted(maps.Keys(kinds)); !slices.Equal(known, want) {
		t.Errorf("the packages have jobs of the kinds\n%q, the table here\n%q", known, want)
	}
	page, err := os.ReadFile("../../../docs/waits.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, droppable := range kinds {
		word := map[bool]string{true: "yes", false: "no"}[droppable]
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + regexp.QuoteMeta(kind) + "`[^|]*\\| " + word + " \\|").Match(page) {
			t.Errorf("docs/waits.md does not say %s of %s", word, kind)
		}
	}
}

// TestAJobIsDroppedOnlyWhereNothingWaitsForIt, and says then what that means; else it says what ends the wait.
func TestAJobIsDroppedOnlyWhereNothingWaitsForIt(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	for kind, droppable := range kinds {
		j := failing(m, kind, "corr-1", "it is like that", true)
		_, dry, err := desk.DropJob(t.Context(), j.ID, true, act.Word{By: "operator"})
		if (err == nil) != droppable {
			t.Errorf("%s: %v", kind, err)
		}
		was, meaning, err := desk.DropJob(t.Context(), j.ID, false, act.Word{By: "operator", Reason: "never"})
		if meaning != dry {
			t.Errorf("%s: a dry run says %q, then %q", kind, dry, meaning)
		}
		_, left, _ := find(t, m, kind)
		if !droppable {
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Reason != "job_needed" || refused.Cause == "" || refused.Action == "" || strings.Contains(refused.Action, "ORDER") {
				t.Errorf("%s: %+v", kind, err)
			}
			if !left {
				t.Errorf("%s is gone", kind)
			}
			continue
		}
		if err != nil || left || was.ID != j.ID || meaning == "" {
			t.Errorf("%s: %v, left %v", kind, err, left)
		}
	}
}

// TestAnOperatorStopsAJobAndSetsItGoing, on record; a repetition changes nothing, and what runs is left alone.
func TestAnOperatorStopsAJobAndSetsItGoing(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	j := failing(m, retail.JobSubmit, "corr-1", "away", false)
	for range 2 {
		parked, err := desk.ParkJob(t.Context(), j.ID, act.Word{By: "operator", Reason: "until Monday"})
		if err != nil || parked.State != job.Parked || !strings.Contains(parked.LastError, "until Monday") {
			t.Fatalf("%+v, %v", parked, err)
		}
	}
	if now, _, _ := find(t, m, retail.JobSubmit); now.State != job.Parked {
		t.Errorf("it is %s", now.State)
	}
	if err := desk.RetryJob(t.Context(), j.ID, act.Word{By: "operator"}); err != nil {
		t.Fatal(err)
	}
	now, _, _ := find(t, m, retail.JobSubmit)
	if now.State != job.Waiting || now.DueAt.After(m.Clock.Now()) {
		t.Errorf("it is %+v", now)
	}
	m.Do(func(tx *store.Tx) error {
		_, err := tx.Jobs().Lease(now, "me", m.Clock.Now().Add(time.Minute))
		return err
	})
	if _, err := desk.ParkJob(t.Context(), j.ID, act.Word{By: "operator", Reason: "x"}); fault.ReasonOf(err) != "job_running" {
		t.Errorf("one that runs: %v", err)
	}
	if _, err := desk.ParkJob(t.Context(), 7, act.Word{By: "operator", Reason: "x"}); fault.ReasonOf(err) != "job_not_found" {
		t.Errorf("one that is not there: %v", err)
	}
	m.View(func(tx *store.Tx) error {
		acts, err := tx.Acts().About(supplier, "corr-1")
		if len(acts) != 2 || acts[0].Verb != "job park" || acts[0].Reason != "until Monday" || acts[1].Verb != "job retry" || !acts[1].At.Equal(m.Clock.Now()) {
			t.Errorf("on record is %+v", acts)
		}
		return err
	})
}

// TestWhatMayHaveBeenMadeIsNotAskedForAgain by a retry: somebody looks at the platform first.
func TestWhatMayHaveBeenMadeIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	m.Do(func(tx *store.Tx) error {
		_, err := tx.ResaleOrders().Put(resale.Order{ID: "corr-1", Partner: supplier, Item: order.Item{State: order.HeldIndeterminate}})
		return err
	})
	j := failing(m, resale.JobProvision, "corr-1", "nobody knows", true)
	var refused *fault.Error
	if err := desk.RetryJob(t.Context(), j.ID, act.Word{By: "operator"}); !errors.As(err, &refused) || refused.Reason != "order_held" || !strings.Contains(refused.Action, "hanse order resolve corr-1") {
		t.Errorf("%v", err)
	}
	if now, _, _ := find(t, m, resale.JobProvision); now.State != job.Parked {
		t.Errorf("it is %s", now.State)
	}
}

func find(t *testing.T, m *markettest.Member, kind string) (j job.Job, found bool, err error) {
	t.Helper()
	m.View(func(tx *store.Tx) error {
		j, found, err = tx.Jobs().Find(kind, supplier, "corr-1")
		return err
	})
	return j, found, err
}
