package sdk

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"

	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// Error is a refusal or failure of a call, as the sidecar explained it.
type Error struct {
	// Code is the kind: connect.CodeNotFound, CodeInvalidArgument, CodeUnavailable, ...
	Code connect.Code
	// Reason is stable and machine-readable: "order_id_conflict". Empty where the sidecar was not reached.
	Reason string
	// Field is the path of the field at fault, if one is: "items[0].inputs.plan".
	Field string
	// Cause and Action are for people: what was wrong, what to do about it.
	Cause  string
	Action string

	err error
}

// Error is one line with everything known.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code.String())
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	if e.Field != "" {
		b.WriteString(" at " + e.Field)
	}
	b.WriteString(": " + e.Cause)
	if e.Action != "" {
		b.WriteString("; " + e.Action)
	}
	return b.String()
}

// Unwrap is the error below, so that errors.Is finds context.Canceled and the like.
func (e *Error) Unwrap() error { return e.err }

// ReasonOf is the machine-readable reason of err, "" where it has none.
func ReasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// explain makes an *Error of what a call returned; nil stays nil.
func explain(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: connect.CodeOf(err), Cause: err.Error(), err: err}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		if errors.Is(err, context.Canceled) {
			e.Code = connect.CodeCanceled
		} else if errors.Is(err, context.DeadlineExceeded) {
			e.Code = connect.CodeDeadlineExceeded
		}
		return e
	}
	e.Cause = ce.Message()
	for _, detail := range ce.Details() {
		value, err := detail.Value()
		if err != nil {
			continue
		}
		if info, ok := value.(*typev1.ErrorInfo); ok {
			e.Reason, e.Field, e.Action = info.GetReason(), info.GetField(), info.GetAction()
			if info.GetCause() != "" {
				e.Cause = info.GetCause()
			}
		}
	}
	return e
}
