package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// unknownWait is when a job of a kind that this version does not know is looked at again: a newer replica may take it.
const unknownWait = time.Minute

// MaxPause caps every pause that a partner asks for.
const MaxPause = 24 * time.Hour

// settleWait is the pause before an outcome that could not be written is written again.
const settleWait = time.Second

// outcome is what becomes of a job after a run.
type outcome struct {
	result string
	err    error
	write  func(Store) error // nil: nothing to write
	due    time.Time
	// progress is no failure.
	progress bool
}

// end is what came of one run.
type end struct {
	job   Job
	out   outcome
	began time.Time
}

// unwritten reports whether the store is still to be told.
func (e end) unwritten() bool { return e.out.write != nil }

// run does one run of a leased job. What came of it is still to be written.
func (r *Runner) run(ctx context.Context, j Job) end {
	begun := r.cfg.Now()
	handler, known := r.cfg.Handlers[j.Kind]
	out, unfit := r.unfit(j, known)
	if !unfit {
		// The lease began before it was written, which may have taken long.
		bounded, cancel := context.WithTimeout(ctx, j.LeaseUntil.Sub(begun)-r.cfg.Lease/4)
		err := unit.Guarded(func() error { return handler(bounded, j) })
		cancel()
		out = r.judge(ctx, j, err)
	}
	e := end{job: j, out: out, began: begun}
	if !e.unwritten() {
		r.close(e)
	}
	return e
}

// close says what came of a run that is over, in the store too.
func (r *Runner) close(e end) {
	r.tell(e.job, e.out)
	r.observe(e.job, e.out, e.began)
}

// unfit is what becomes of a leased job that does not run, if it is one.
func (r *Runner) unfit(j Job, known bool) (out outcome, unfit bool) {
	switch {
	case j.Crashes >= r.cfg.Poison:
		return r.park(j, fmt.Errorf("it ended %d runs in a row without an outcome", j.Crashes)), true
	case !known:
		j.Crashes = 0
		return r.again(j, errors.New("this version does not know the kind"), r.cfg.Now().Add(unknownWait), true), true
	}
	return outcome{}, false
}

func (r *Runner) observe(j Job, out outcome, begun time.Time) {
	if r.cfg.Observe != nil {
		r.cfg.Observe(j.Kind, out.result, r.cfg.Now().Sub(begun))
	}
}

// judge turns what a handler answered into an outcome.
func (r *Runner) judge(ctx context.Context, j Job, err error) outcome {
	var parked *ParkError
	var panicked *unit.PanicError
	var again *againError
	switch {
	case err == nil:
		return outcome{result: "finished", write: func(s Store) error { return s.Finish(j) }}
	case errors.Is(err, ErrFinished):
		return outcome{result: "finished"}
	case errors.As(err, &panicked):
		r.cfg.Logger.Error("job panicked", "kind", j.Kind, "key", j.Key, "partner", j.Partner, "panic", panicked.Value,
			"stack", string(panicked.Stack))
		if j.Crashes++; j.Crashes >= r.cfg.Poison {
			return r.park(j, panicked)
		}
		out := r.again(j, panicked, r.later(j, nil), false)
		out.result = "panicked"
		return out
	case errors.As(err, &parked):
		return r.park(j, parked.Err)
	}
	j.Crashes = 0
	if ctx.Err() != nil { // we are stopping; the next process goes on at once
		return r.again(j, err, r.cfg.Now(), false)
	}
	if errors.As(err, &again) {
		if again.after > 0 || again.progress {
			out := r.again(j, again.err, r.cfg.Now().Add(again.after), again.progress)
			out.progress = again.progress
			return out
		}
	}
	return r.again(j, err, r.later(j, err), false)
}

// later is after the back-off, and not before the partner said.
func (r *Runner) later(j Job, err error) time.Time {
	pause := BackOff(r.cfg.BackOff, j.Attempts, r.cfg.Rand())
	return r.cfg.Now().Add(max(pause, min(fault.RetryAfter(err), MaxPause)))
}

// BackOff is the pause after so many attempts: doubled with each from the first one, up to 15 minutes, half of it random, so that those
// who failed together do not come back together.
func BackOff(first time.Duration, attempts int, random float64) time.Duration {
	wait := first
	for n := 1; n < attempts && wait < maxBackOff; n++ {
		wait *= 2
	}
	wait = min(wait, maxBackOff)
	return wait/2 + time.Duration(random*float64(wait/2))
}

func (r *Runner) again(j Job, err error, due time.Time, progress bool) outcome {
	return outcome{
		result: "again", err: err, due: due,
		write: func(s Store) error { return s.Reschedule(j, due, err.Error(), progress) },
	}
}

func (r *Runner) park(j Job, err error) outcome {
	return outcome{result: "parked", err: err, write: func(s Store) error { return s.Park(j, err.Error()) }}
}

// write writes what came of runs. That a job is not ours any more is no error: the lease ended, or it was dropped.
func write(tx Tx, ends ...end) error {
	for _, e := range ends {
		if err := lost(e.out.write(tx.Jobs())); err != nil {
			return err
		}
	}
	return nil
}

// settle writes what came of runs, each on its own where together they cannot be: nobody's outcome is lost for another's.
func (r *Runner) settle(ctx context.Context, ends []end) {
	if len(ends) == 0 {
		return
	}
	err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error { return write(tx, ends...) })
	for _, e := range ends {
		if err == nil || r.insist(ctx, e) {
			r.tell(e.job, e.out)
		}
		r.observe(e.job, e.out, e.began)
	}
}

// insist writes what came of a run, as long as the lease lasts: a run whose outcome is lost would count as a crash. False where it
// could not be written.
func (r *Runner) insist(ctx context.Context, e end) bool {
	j := e.job
	for {
		err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error { return write(tx, e) })
		if err == nil {
			return true
		}
		log := r.cfg.Logger.With("kind", j.Kind, "key", j.Key, "error", err)
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil || r.cfg.Now().Add(settleWait).After(j.LeaseUntil) {
			log.Error("outcome of a job cannot be written, it will run again")
			return false
		}
		log.Warn("outcome of a job cannot be written yet")
		fires, stop := r.cfg.After(settleWait)
		select {
		case <-fires:
		case <-ctx.Done():
		}
		stop()
	}
}

// tell says what was written.
func (r *Runner) tell(j Job, out outcome) {
	log, about := r.cfg.Logger, []any{"kind", j.Kind, "key", j.Key, "partner", j.Partner, "attempts", j.Attempts}
	switch out.result {
	case "parked":
		log.Error("job parked, an operator must look at it", append(about, "error", out.err)...)
	case "again", "panicked":
		r.expect(out.due)
		if out.progress {
			log.Debug("job came further", append(about, "at", out.err)...)
		} else if j.Attempts == 1 {
			log.Warn("job will be tried again", append(about, "error", out.err, "due", out.due)...)
		} else {
			log.Debug("job will be tried again", append(about, "error", out.err, "due", out.due)...)
		}
	}
}
