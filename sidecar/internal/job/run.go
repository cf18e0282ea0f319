package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
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

// run does one run of a leased job and records what came of it.
func (r *Runner) run(ctx context.Context, j Job) {
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
	if r.settle(ctx, j, out) {
		r.tell(j, out)
	}
	r.observe(j, out, begun)
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
	case err == nil, plant.On(plant.FailureEndsAJob):
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
	if plant.On(plant.WaitADay) && attempts > 1 {
		return 24 * time.Hour
	}
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

// settle writes the outcome, as long as the lease lasts: a run whose outcome is lost would count as a crash. That the job is
// not ours any more is no error: the handler finished it, or the lease ended. False where it could not be written.
func (r *Runner) settle(ctx context.Context, j Job, out outcome) bool {
	for out.write != nil {
		err := r.cfg.Work.Do(context.WithoutCancel(ctx), func(tx Tx) error { return out.write(tx.Jobs()) })
		if err == nil || fault.Is(err, fault.Conflict) {
			break
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
	return true
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
