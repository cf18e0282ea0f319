package job

import (
	"context"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// handedPerWorker bounds what waits in memory for a worker; the rest waits in the store.
const handedPerWorker = 4

// Claim is the name and the end of a lease that a committing transaction may write for this runner, with AllLeased, and hand over
// after the commit with Take. False while the runner does not run: add the job with At then.
func (r *Runner) Claim() (owner string, until time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg.Owner, r.cfg.Now().Add(r.cfg.Lease), r.open
}

// Take hands over jobs that a committed transaction leased in this runner's name; each runs as soon as a worker is free. What is
// too much to keep in memory waits in the store, for any runner. Take writes to the store then, and returns when that is done.
func (r *Runner) Take(jobs ...Job) {
	r.mu.Lock()
	kept := 0
	if r.open {
		kept = max(0, min(len(jobs), handedPerWorker*r.cfg.Workers-len(r.handed)))
		r.handed = append(r.handed, jobs[:kept]...)
	}
	r.mu.Unlock()
	if kept > 0 {
		rouse(r.knock)
	}
	r.giveBack(context.Background(), jobs[kept:])
}

// Look has the runner look for due jobs in the store at once.
func (r *Runner) Look() { rouse(r.ask) }

func rouse(sleeper chan<- struct{}) {
	select {
	case sleeper <- struct{}{}:
	default:
	}
}

// admit opens or closes Claim and Take.
func (r *Runner) admit(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = open
}

// pick takes of what was handed over as much as there are workers for, and of no partner more than may run at once. What has used
// up a quarter of its lease waiting is late: another runner may have a worker for it.
func (r *Runner) pick(c *crew) (picked, late []Job) {
	of := make(map[string]int)
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.handed[:0]
	for _, j := range r.handed {
		switch {
		case r.short(j.LeaseUntil):
			late = append(late, j)
		case len(picked) < c.free && c.busy[j.Partner]+of[j.Partner] < r.cfg.PerPartner:
			of[j.Partner]++
			picked = append(picked, j)
		default:
			rest = append(rest, j)
		}
	}
	clear(r.handed[len(rest):])
	r.handed = rest
	return picked, late
}

// short reports whether a lease is too short to begin under: a handler is promised three quarters of one.
func (r *Runner) short(until time.Time) bool { return until.Sub(r.cfg.Now()) < r.cfg.Lease*3/4 }

// turn writes what came of runs that ended, and begins those that were picked instead, in one transaction: while it is under way others
// end, and are the next turn's.
func (r *Runner) turn(ctx, handling context.Context, ends []end, picked []Job) (begun []Job) {
	if len(ends) == 0 || len(picked) == 0 {
		r.settle(handling, ends)
		return r.begin(ctx, picked)
	}
	until := r.cfg.Now().Add(r.cfg.Lease)
	r.cfg.Fail.Hit("job.begin.before_commit")
	err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) (err error) {
		if err := write(tx, ends...); err != nil {
			return err
		}
		begun, err = tx.Jobs().Begin(picked, r.cfg.Owner, until)
		return err
	})
	if err != nil { // it may have been committed all the same
		r.settle(handling, ends)
		return r.begin(ctx, picked, until)
	}
	r.cfg.Fail.Hit("job.begin.after_commit")
	for _, e := range ends {
		r.close(e)
	}
	return begun
}

// begin makes durable that the picked jobs begin, all in one transaction, and returns those that may run. One that does not come back
// was withdrawn, or its lease has ended and another has it. While the store is away it goes on asking. tried are the ends of leases
// under which they may have begun already.
func (r *Runner) begin(ctx context.Context, picked []Job, tried ...time.Time) (begun []Job) {
	if len(picked) == 0 {
		return nil
	}
	until := r.cfg.Now().Add(r.cfg.Lease)
	r.cfg.Fail.Hit("job.begin.before_commit")
	for {
		err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) (err error) {
			begun, err = tx.Jobs().Begin(picked, r.cfg.Owner, until, tried...)
			return err
		})
		switch {
		case err == nil:
			r.cfg.Fail.Hit("job.begin.after_commit")
			return begun
		case !fault.Is(err, fault.Unavailable):
			r.cfg.Logger.Error("jobs that were handed over cannot begin, they run when their leases end", "jobs", len(picked), "error", err)
			return nil
		}
		r.cfg.Logger.Warn("jobs that were handed over cannot begin yet", "jobs", len(picked), "error", err)
		fires, stop := r.cfg.After(settleWait)
		select {
		case <-fires:
		case <-ctx.Done():
		}
		stop()
		if ctx.Err() != nil {
			r.giveBack(ctx, picked)
			return nil
		}
		if r.short(until) { // what was tried may have been committed all the same
			tried, until = append(tried, until), r.cfg.Now().Add(r.cfg.Lease)
		}
	}
}

// without are the jobs that are not among others.
func without(jobs, others []Job) []Job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j Job) bool {
		return slices.ContainsFunc(others, func(o Job) bool { return o.ID == j.ID })
	})
}

// rest empties what was handed over.
func (r *Runner) rest() []Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.handed
	r.handed = nil
	return rest
}

// giveBack ends the leases of jobs that did not begin: their runs do not count. Where that cannot be written, the leases end by
// themselves.
func (r *Runner) giveBack(ctx context.Context, jobs []Job) {
	if len(jobs) == 0 {
		return
	}
	err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error {
		for _, j := range jobs {
			if err := lost(tx.Jobs().GiveBack(j)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.cfg.Logger.Warn("jobs that found no worker cannot be given back, they run when their leases end", "jobs", len(jobs), "error", err)
	}
}
