package job

import (
	"context"
	"errors"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// ErrFinished is what a handler returns whose job is gone with its effect, or parked by it: the runner has nothing left to
// write.
var ErrFinished = errors.New("the handler finished the job itself")

// Done commits a handler's effect and the end of its job as one, and returns ErrFinished for the handler to return. A job that
// another runner took over meanwhile is left to it.
func Done[T Tx](ctx context.Context, work unit.Work[T], j Job, effect func(tx T) error) error {
	err := work.Do(ctx, func(tx T) error {
		if err := effect(tx); err != nil {
			return err
		}
		if err := tx.Jobs().Finish(j); err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ErrFinished
}

// ParkError stops the job until an operator retries it: trying again cannot help.
type ParkError struct{ Err error }

func (e *ParkError) Error() string { return "parked: " + e.Err.Error() }
func (e *ParkError) Unwrap() error { return e.Err }

// Decided parks a job whose call the partner refused for what it said: of kind Invalid, NotFound, Conflict or Precondition the same
// question gets the same answer, and only an operator can go on from there, of one side or the other. What heals by itself is of
// another kind. Other errors, and nil, come back as they are.
func Decided(err error) error {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Precondition:
		return &ParkError{Err: err}
	}
	return err
}

// againError asks for another run; see Again.
type againError struct {
	after    time.Duration
	progress bool
	err      error
}

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// Again runs the job once more after the time given, or after its back-off if that is 0. Any other error does so too, after
// the back-off.
func Again(after time.Duration, err error) error {
	if err == nil {
		err = errors.New("not done yet")
	}
	return &againError{after: after, err: err}
}

// UntilLevel is Again for a job that can do nothing before the books with its partner are level: it is tried as seldom as any until that, however
// many there are. Whoever writes that they are level makes the partner's jobs due, of every kind. nil for nil.
func UntilLevel(closed error) error {
	if closed == nil {
		return nil
	}
	return Again(maxBackOff, closed)
}

// Progress runs the job once more at once: it came further, so its attempts, and with them its back-off, start from none.
func Progress(where string) error {
	return &againError{progress: true, err: errors.New(where)}
}

// lost takes for done what another runner has taken over.
func lost(err error) error {
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}
