// Package refusal is the one error type of auth: a stable reason for machines, a kind that says whose move it is, a text
// that is safe to show to the other side, and an underlying error for our own log.
//
// Reasons are constants of the packages that refuse (errors.go in each); they are part of the wire contract and never
// change their meaning.
package refusal

import (
	"errors"
	"fmt"
	"time"
)

// Header repeats the reason of a refusal as a response header: a stream's refusal has no body that a Connect client reads, and
// a client that retries need not consume one.
const Header = "Hanse-Reason"

// Kind says whose move it is.
type Kind uint8

const (
	// Internal is the zero kind: a defect. Its text never leaves the process.
	Internal Kind = iota
	// Invalid: the request is malformed; repeating it as it is cannot help.
	Invalid
	// Unauthenticated: the caller has not proved who it is.
	Unauthenticated
	// Denied: the caller is known and may not.
	Denied
	// Exhausted: over a limit; later it may pass.
	Exhausted
	// Unavailable: our side, or something behind us, is down. Never the caller's fault.
	Unavailable
)

// Status is the HTTP status of the kind.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 400
	case Unauthenticated:
		return 401
	case Denied:
		return 403
	case Exhausted:
		return 429
	case Unavailable:
		return 503
	default:
		return 500
	}
}

// Error is one refusal.
type Error struct {
	Kind Kind
	// Reason is stable, snake_case, machine-readable.
	Reason string
	// Text may be shown to the other side.
	Text string
	// RetryAfter says when to come back, for Exhausted and Unavailable; 0 is unknown.
	RetryAfter time.Duration
	// Err is for our log only.
	Err error
}

// New makes a refusal.
func New(kind Kind, reason, text string, args ...any) *Error {
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return &Error{Kind: kind, Reason: reason, Text: text}
}

// Because returns a copy that carries err for the log.
func (e *Error) Because(err error) *Error { c := *e; c.Err = err; return &c }

func (e *Error) Error() string {
	s := e.Reason + ": " + e.Text
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Of finds the outermost refusal in err. Any other error is a defect or an outage of ours, so it becomes Internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Reason: "internal", Text: "internal error", Err: err}
}

// Reason of err; "" for nil, "internal" for an error that is no refusal.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	return Of(err).Reason
}
