package unit

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic that ended one piece of work and nothing else: a transaction, a run of a job, the sending of a document.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Guarded has a panic end fn alone, as a *PanicError.
func Guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return fn()
}
