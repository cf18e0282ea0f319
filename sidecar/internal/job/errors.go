package job

import (
	"errors"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// ErrFinished is what a handler returns that called Finish in its own transaction; it spares the runner one more commit.
// Returning nil is right too.
var ErrFinished = errors.New("the handler finished the job itself")

// Done deletes a job inside the handler's own transaction, together with its effect. A job that another runner took over
// meanwhile is left to it.
func Done(s Store, j Job) error {
	if err := s.Finish(j); err != nil && !fault.Is(err, fault.Conflict) {
		return err
	}
	return nil
}

// ParkError stops the job until an operator retries it: trying again cannot help.
type ParkError struct{ Err error }

func (e *ParkError) Error() string { return "parked: " + e.Err.Error() }
func (e *ParkError) Unwrap() error { return e.Err }

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

// Progress is Again for a job that came further: its attempts, and with them its back-off, start from none.
func Progress(after time.Duration, err error) error {
	if err == nil {
		err = errors.New("going on")
	}
	return &againError{after: after, progress: true, err: err}
}
