package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// shift is two replicas that send documents about two subjects, in whatever order chance has it.
type shift struct {
	t    *testing.T
	s    *store.Store
	rand *rand.Rand
	now  time.Time
	sent int
	// listed is what each replica saw to be due, however long ago; held is what it has in memory, with the lease that it knows of.
	listed, held [2][]job.Job
	story        []string
}

func (w *shift) notes(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

func (w *shift) do(fn func(jobs job.Store) error) {
	w.t.Helper()
	if err := w.s.Do(w.t.Context(), func(tx *store.Tx) error { return fn(tx.Jobs()) }); err != nil {
		w.t.Fatalf("%v, after %q", err, w.story)
	}
}

func owner(replica int) string { return [...]string{"one", "two"}[replica] }

func (w *shift) all() (all []job.Job) {
	view(w.t, w.s, func(tx *store.Tx) (err error) { all, err = tx.Jobs().List(1000); return err })
	return all
}

// send has a replica add a document and keep it where it is its turn.
func (w *shift) send(replica int) {
	w.sent++
	d := job.Sending{
		Kind: "k", Key: fmt.Sprint(w.sent), Partner: them, Subject: fmt.Sprintf("sub-%d", w.rand.IntN(2)), Overtakes: w.rand.IntN(6) == 0,
	}
	if d.Overtakes {
		d.Key = "!" + d.Key
	}
	var j job.Job
	w.do(func(jobs job.Store) (err error) {
		j, err = jobs.Send(d, w.now, owner(replica), w.now.Add(time.Minute))
		return err
	})
	w.notes("%s sends %s about %s: %s", owner(replica), d.Key, d.Subject, j.State)
	if j.State == job.Running {
		w.held[replica] = append(w.held[replica], j)
	}
}

// list has a replica look what is due; take has it take what it saw, perhaps long ago.
func (w *shift) list(replica int) {
	view(w.t, w.s, func(tx *store.Tx) (err error) {
		w.listed[replica], err = tx.Jobs().DueToSend(w.now, func(string) int { return 9 })
		return err
	})
}

func (w *shift) take(replica int) {
	for _, j := range w.listed[replica] {
		w.do(func(jobs job.Store) error {
			leased, err := jobs.Lease(j, owner(replica), w.now.Add(time.Minute))
			if err == nil {
				w.notes("%s takes %s", owner(replica), j.Key)
				w.held[replica] = append(w.held[replica], leased)
			}
			return lost(err)
		})
	}
	w.listed[replica] = nil
}

func lost(err error) error {
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// end has a replica do one of the things with what it holds that an outbox does; it may have lost it.
func (w *shift) end(replica int) {
	if len(w.held[replica]) == 0 {
		return
	}
	i := w.rand.IntN(len(w.held[replica]))
	j, what := w.held[replica][i], w.rand.IntN(7)
	w.do(func(jobs job.Store) (err error) {
		switch what {
		case 0:
			err = jobs.Finish(j)
		case 1:
			err = jobs.Park(j, "no")
		case 2:
			err = jobs.Reschedule(j, w.now, "not yet", false)
		case 3:
			err = jobs.GiveBack(j)
		case 4:
			err = jobs.Drop(job.Sending{Kind: j.Kind, Key: j.Key, Partner: j.Partner, Subject: j.Subject})
		case 6:
			err = jobs.StandAside(j, w.now.Add(time.Duration(w.rand.IntN(3))*time.Minute), "for long")
		case 5:
			var extended job.Job
			if extended, err = jobs.Extend(j, w.now.Add(time.Minute)); err == nil {
				w.held[replica][i] = extended
			}
		}
		return lost(err)
	})
	w.notes("%s ends %s by %d", owner(replica), j.Key, what)
	if what != 5 {
		w.held[replica] = slices.Delete(w.held[replica], i, i+1)
	}
}

// retry is an operator's, of anything that is parked or waits.
func (w *shift) retry() {
	still := slices.DeleteFunc(w.all(), func(j job.Job) bool { return j.State == job.Running })
	if len(still) == 0 {
		return
	}
	j := still[w.rand.IntN(len(still))]
	w.notes("an operator retries %s, which is %s", j.Key, j.State)
	w.do(func(jobs job.Store) error { return jobs.Retry(j.ID, w.now) })
}

// check holds that of all documents about one subject one is under way, a cancel aside, which overtakes.
func (w *shift) check() {
	w.t.Helper()
	under := make(map[string][]string)
	for _, j := range w.all() {
		if j.State == job.Running && j.LeaseUntil.After(w.now) && j.Key[0] != '!' {
			under[j.Subject] = append(under[j.Subject], j.Key)
		}
	}
	for subject, keys := range under {
		if len(keys) > 1 {
			w.t.Fatalf("%v are under way about %s, after %q", keys, subject, w.story)
		}
	}
}

// TestOneDocumentOfASubjectIsUnderWayWhateverHappens: over two replicas, with retries, parked documents and leases that are lost; and
// each has its turn at last.
func TestOneDocumentOfASubjectIsUnderWayWhateverHappens(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for seed := range uint64(25) {
			w := &shift{t: t, s: s, rand: rand.New(rand.NewPCG(seed, 1)), now: start}
			for range 80 {
				replica := w.rand.IntN(2)
				switch w.rand.IntN(12) {
				case 0, 1, 2:
					w.send(replica)
				case 3, 4:
					w.list(replica)
				case 5, 6:
					w.take(replica)
				case 7, 8, 9:
					w.end(replica)
				case 10:
					w.retry()
				case 11:
					w.now = w.now.Add(time.Duration(w.rand.IntN(90)) * time.Second)
					w.notes("time passes, to %s", w.now)
				}
				w.check()
			}
			w.empties()
		}
	})
}

// empties has one replica send whatever is there, and an operator retry what is parked.
func (w *shift) empties() {
	w.t.Helper()
	w.held = [2][]job.Job{}
	for range 200 {
		w.now = w.now.Add(time.Hour)
		left := w.all()
		if len(left) == 0 {
			return
		}
		for _, j := range left {
			if j.State == job.Parked {
				w.do(func(jobs job.Store) error { return jobs.Retry(j.ID, w.now) })
			}
		}
		w.list(0)
		w.take(0)
		w.check()
		for _, j := range w.held[0] {
			w.do(func(jobs job.Store) error { return jobs.Finish(j) })
		}
		w.held[0] = nil
	}
	w.t.Fatalf("left: %+v, after %q", w.all(), w.story)
}

// TestAJobThatIsGivenBackIsAsBefore: the run that did not begin does not count, those before do.
func TestAJobThatIsGivenBackIsAsBefore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		do(t, s, func(tx *store.Tx) error {
			must(tx.Jobs().Send(sending("1", "sub"), start, "", time.Time{}))
			j := must(tx.Jobs().Lease(the(tx, "1"), "me", start.Add(time.Minute)))
			return tx.Jobs().Reschedule(j, start.Add(time.Second), "not yet", false)
		})
		woken.take()
		do(t, s, func(tx *store.Tx) error {
			before := the(tx, "1")
			leased := must(tx.Jobs().Lease(before, "me", start.Add(time.Hour)))
			if err := tx.Jobs().GiveBack(leased); err != nil {
				return err
			}
			if after := the(tx, "1"); after != before {
				t.Errorf("it was %+v and is %+v", before, after)
			}
			wantKind(t, tx.Jobs().GiveBack(leased), fault.Conflict, "job_lost")
			return nil
		})
		if got := woken.take(); !slices.Equal(got, []string{"job"}) {
			t.Errorf("woken %v", got)
		}
	})
}

// TestAChangeOfTheBooksMakesDueWhatWaits: what failed before and waits for that partner.
func TestAChangeOfTheBooksMakesDueWhatWaits(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			j := must(tx.Jobs().Send(sending("1", "sub"), start, "me", start.Add(time.Minute)))
			return tx.Jobs().Reschedule(j, start.Add(time.Hour), "books_forked", false)
		})
		if got := toSend(t, s, start, 9); got != nil {
			t.Fatalf("due before: %v", got)
		}
		do(t, s, func(tx *store.Tx) error {
			_, err := tx.Ledger().PutBooks(ledger.Books{Partner: them, State: ledger.Level})
			return err
		})
		if got := toSend(t, s, start, 9); !slices.Equal(got, []string{"1"}) {
			t.Errorf("due after: %v", got)
		}
	})
}

// TestNobodyWaitsForWhatStandsAside: the others about its subject go on, whether they came before or after; one is under way at a time
// all the same, and a cancel that stands aside is no exception.
func TestNobodyWaitsForWhatStandsAside(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		lease, later := start.Add(time.Minute), start.Add(time.Hour)
		send := func(key string) (j job.Job) {
			do(t, s, func(tx *store.Tx) error {
				j = must(tx.Jobs().Send(sending(key, "sub"), start, "me", lease))
				return nil
			})
			return j
		}
		aside := func(j job.Job) {
			woken.take()
			do(t, s, func(tx *store.Tx) error { return tx.Jobs().StandAside(j, later, "for long") })
		}
		one, two := send("1"), send("2")
		if two.State != job.Waiting {
			t.Fatalf("the second is %+v", two)
		}
		aside(one)
		if got := woken.take(); !slices.Equal(got, []string{"job"}) {
			t.Errorf("woken %v", got)
		}
		if got := toSend(t, s, start, 9); !slices.Equal(got, []string{"2"}) {
			t.Errorf("due: %v", got)
		}
		do(t, s, func(tx *store.Tx) error { return tx.Jobs().Drop(sending("2", "sub")) })
		cancel := send("!")
		aside(cancel)
		var seen []job.Job // that the first is due is seen before the third comes
		view(t, s, func(tx *store.Tx) error {
			seen = must(tx.Jobs().DueToSend(later, func(string) int { return 9 }))
			return nil
		})
		three := send("3")
		if three.State != job.Running {
			t.Fatalf("the third is %+v", three)
		}
		do(t, s, func(tx *store.Tx) error {
			for _, j := range seen {
				if j.Key == "1" {
					_, err := tx.Jobs().Lease(j, "other", lease)
					wantKind(t, err, fault.Conflict, "job_taken")
				}
			}
			return nil
		})
		if got := toSend(t, s, later, 9); !slices.Equal(got, []string{"!", "3"}) {
			t.Errorf("while the third is under way: %v", got)
		}
		aside(three)
		if got := woken.take(); !slices.Equal(got, []string{"job"}) {
			t.Errorf("woken %v", got)
		}
		// Put back as usual it is waited for again.
		do(t, s, func(tx *store.Tx) error {
			j := must(tx.Jobs().Lease(the(tx, "1"), "me", lease))
			return tx.Jobs().Reschedule(j, later.Add(time.Hour), "not yet", false)
		})
		if got := toSend(t, s, later, 9); !slices.Equal(got, []string{"!"}) {
			t.Errorf("behind the first: %v", got)
		}
	})
}
