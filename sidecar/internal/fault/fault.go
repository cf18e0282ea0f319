// Package fault is the small set of error kinds that every package of the sidecar speaks. One file in rpc maps kinds to
// wire codes; nothing else does.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says whose move it is.
type Kind uint8

const (
	// Internal is the zero kind: a defect. Its text never reaches a client.
	Internal Kind = iota
	// Invalid: the request itself is wrong; the caller must change it.
	Invalid
	// NotFound: the named thing does not exist for this caller.
	NotFound
	// Conflict: the same id with other content, or a lost race.
	Conflict
	// Precondition: right request, wrong state; the state may change.
	Precondition
	// Denied: known caller, not allowed.
	Denied
	// Unauthenticated: we do not know who calls.
	Unauthenticated
	// Exhausted: over a limit; later it may pass.
	Exhausted
	// Unavailable: our side or something behind us is down. Never the caller's fault.
	Unavailable
)

var kindNames = [...]string{
	"internal", "invalid", "not_found", "conflict", "precondition", "denied", "unauthenticated",
	"exhausted", "unavailable",
}

func (k Kind) String() string { return kindNames[k] }

// Error is an error with text for a client. Err, if set, is for our log only.
type Error struct {
	Kind Kind
	// Reason is stable and machine-readable: "offering_revision_stale".
	Reason string
	// Field is the path of the field at fault, if one is.
	Field string
	// Cause says what was wrong, in words safe for the caller.
	Cause string
	// Action says what to do about it.
	Action string
	// RetryAfter tells when to come back, for Exhausted and Unavailable; 0 is unknown.
	RetryAfter time.Duration
	// Err is the underlying error; never shown to a client.
	Err error
}

func (e *Error) Error() string {
	s := e.Reason
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	if e.Cause != "" {
		s += ": " + e.Cause
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind with a stable reason and a cause for people.
func New(kind Kind, reason, cause string, args ...any) *Error {
	if len(args) > 0 {
		cause = fmt.Sprintf(cause, args...)
	}
	return &Error{Kind: kind, Reason: reason, Cause: cause}
}

// At returns a copy that names the field at fault.
func (e *Error) At(field string) *Error { c := *e; c.Field = field; return &c }

// Do returns a copy that says what to do.
func (e *Error) Do(action string) *Error { c := *e; c.Action = action; return &c }

// Because returns a copy that wraps err for the log.
func (e *Error) Because(err error) *Error { c := *e; c.Err = err; return &c }

// Under places an error at a field of what contains what it is about: the field "inputs.size" under "items[3]" is
// "items[3].inputs.size". Errors that are no *Error stay as they are.
func Under(prefix string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Field == "" {
		return e.At(prefix)
	}
	return e.At(prefix + "." + e.Field)
}

// RetryAfter is when the first *Error in err's chain says to come back, 0 where none says it.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// KindOf is the kind of the first *Error in err's chain, Internal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// ReasonOf is the reason of the first *Error in err's chain, "" where there is none.
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
