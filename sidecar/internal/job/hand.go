package job

import (
	"context"
	"time"
)

// handedPerWorker bounds what waits in memory for a worker; the rest waits in the store.
const handedPerWorker = 4

// Claim is the name and the end of a lease that a committing transaction may write for this runner, with AtLeased, and hand over
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
		r.Look()
	}
	r.giveBack(context.Background(), jobs[kept:])
}

// Look has the runner look for due jobs at once.
func (r *Runner) Look() {
	select {
	case r.knock <- struct{}{}:
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
// up a quarter of its lease waiting goes back to the store: a handler is promised the other three.
func (r *Runner) pick(ctx context.Context, free int, busy map[string]int) (now []Job) {
	var late []Job
	picked := make(map[string]int)
	r.mu.Lock()
	rest := r.handed[:0]
	for _, j := range r.handed {
		switch {
		case j.LeaseUntil.Sub(r.cfg.Now()) < r.cfg.Lease*3/4:
			late = append(late, j)
		case len(now) < free && busy[j.Partner]+picked[j.Partner] < r.cfg.PerPartner:
			picked[j.Partner]++
			now = append(now, j)
		default:
			rest = append(rest, j)
		}
	}
	clear(r.handed[len(rest):])
	r.handed = rest
	r.mu.Unlock()
	r.giveBack(ctx, late)
	return now
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
			if err := lost(tx.Jobs().Reschedule(j, j.DueAt, j.LastError, true)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.cfg.Logger.Warn("jobs that found no worker cannot be given back, they run when their leases end", "jobs", len(jobs), "error", err)
	}
}
