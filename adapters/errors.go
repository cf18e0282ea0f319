package adapters

import (
	"errors"
	"fmt"
	"time"
)

// Class drives what the host does about an error.
type Class string

const (
	InvalidInput Class = "invalid_input"
	Quota        Class = "quota"
	Conflict     Class = "conflict"
	Auth         Class = "auth"
	NotReady     Class = "not_ready"
	Retryable    Class = "retryable"
	Permanent    Class = "permanent"
	// UnknownOutcome: observe before anything else.
	UnknownOutcome Class = "unknown_outcome"
)

// Error is an adapter's error. Message carries no secret.
type Error struct {
	Class   Class
	Message string
	// After says when to try again, for NotReady and Retryable; 0 leaves it to the host.
	After time.Duration
	Err   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s", e.Class, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a class; a %w wraps.
func Errorf(class Class, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: class, Message: err.Error(), Err: errors.Unwrap(err)}
}

// ClassOf is the class of err; UnknownOutcome for an error that is not of this package.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return UnknownOutcome
}
