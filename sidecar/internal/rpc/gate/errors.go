package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"

	"buf.build/go/protovalidate"
	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// codes is the one table from fault kinds to wire codes. Conflict is already_exists and not aborted: clients retry aborted
// calls unasked, and a conflict never goes away by itself.
var codes = map[fault.Kind]connect.Code{
	fault.Internal:        connect.CodeInternal,
	fault.Invalid:         connect.CodeInvalidArgument,
	fault.NotFound:        connect.CodeNotFound,
	fault.Conflict:        connect.CodeAlreadyExists,
	fault.Precondition:    connect.CodeFailedPrecondition,
	fault.Denied:          connect.CodePermissionDenied,
	fault.Unauthenticated: connect.CodeUnauthenticated,
	fault.Exhausted:       connect.CodeResourceExhausted,
	fault.Unavailable:     connect.CodeUnavailable,
}

// headerRetryAfter tells in seconds when to come back.
const headerRetryAfter = "Retry-After"

// verdict is what a client hears of an error, and whether we have to hear of it too.
type verdict struct {
	code  connect.Code
	fault *fault.Error
	// log is set for what only we can mend: an error for a defect, a warning for what is down.
	log   bool
	level slog.Level
}

// judge decides what an error becomes. Only a *fault.Error's own text is ever shown.
func judge(ctx context.Context, err error) verdict {
	kind := fault.KindOf(err)
	if kind == fault.Internal || kind == fault.Unavailable {
		if v, ended := judgeEnded(ctx, err); ended {
			return v
		}
	}
	var f *fault.Error
	var refused *refusal.Error
	var violations *protovalidate.ValidationError
	switch {
	case errors.As(err, &refused) && refused.Kind != refusal.Internal && kind == fault.Internal:
		f = refusedAs(refused)
		return verdict{code: codes[f.Kind], fault: f, log: f.Kind == fault.Unavailable, level: slog.LevelWarn}
	case kind != fault.Internal && errors.As(err, &f):
		return verdict{code: codes[kind], fault: f, log: kind == fault.Unavailable && f.Err != nil, level: slog.LevelWarn}
	case errors.As(err, &violations):
		return verdict{code: codes[fault.Invalid], fault: violation(violations)}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// The caller still waits, so it was something of ours that gave up.
		return verdict{
			code: codes[fault.Unavailable], log: true, level: slog.LevelWarn,
			fault: fault.New(fault.Unavailable, "interrupted", "the work was interrupted").Do("try again"),
		}
	}
	return verdict{
		code: codes[fault.Internal], log: true, level: slog.LevelError,
		fault: fault.New(fault.Internal, "internal", "internal error"),
	}
}

// judgeEnded recognises a call that its caller ended, or whose time is up.
func judgeEnded(ctx context.Context, err error) (verdict, bool) {
	var ours *fault.Error
	switch {
	case errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &ours):
		// The host ended the call and said why: it is draining.
		return verdict{code: codes[ours.Kind], fault: ours}, true
	case errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Canceled):
		return verdict{code: connect.CodeCanceled, fault: fault.New(fault.Unavailable, "canceled", "the caller ended the call")}, true
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.Is(err, context.DeadlineExceeded):
		f := fault.New(fault.Unavailable, "deadline_exceeded", "the call took longer than its deadline").
			Do("repeat the call; it is safe to repeat")
		return verdict{code: connect.CodeDeadlineExceeded, fault: f}, true
	}
	return verdict{}, false
}

// refusedAs takes over what auth refused, a stream's caller for example whose partnership was suspended.
func refusedAs(r *refusal.Error) *fault.Error {
	kinds := map[refusal.Kind]fault.Kind{
		refusal.Invalid: fault.Invalid, refusal.Unauthenticated: fault.Unauthenticated, refusal.Denied: fault.Denied,
		refusal.Exhausted: fault.Exhausted, refusal.Unavailable: fault.Unavailable,
	}
	f := fault.New(kinds[r.Kind], r.Reason, "%s", r.Text)
	f.RetryAfter = r.RetryAfter
	return f
}

// violation names the first field that breaks its rule.
func violation(e *protovalidate.ValidationError) *fault.Error {
	f := fault.New(fault.Invalid, "invalid_field", "the request breaks a rule of its schema")
	if len(e.Violations) == 0 || e.Violations[0].Proto == nil {
		return f
	}
	first := e.Violations[0].Proto
	if text := first.GetMessage(); text != "" {
		f.Cause = text
	}
	f.Field = protovalidate.FieldPathString(first.GetField())
	return f
}

// wireError renders a verdict. An internal error tells the request id, by which the operator finds it in the log.
func wireError(v verdict, requestID string) *connect.Error {
	info := &typev1.ErrorInfo{Reason: v.fault.Reason, Field: v.fault.Field, Cause: v.fault.Cause, Action: v.fault.Action}
	if v.code == connect.CodeInternal && requestID != "" {
		info.Action = fmt.Sprintf("tell the operator of this sidecar: request %s", requestID)
	}
	message := v.fault.Cause
	if message == "" {
		message = v.fault.Reason
	}
	if v.fault.Field != "" {
		message = v.fault.Field + ": " + message
	}
	e := connect.NewError(v.code, errors.New(message))
	if detail, err := connect.NewErrorDetail(info); err == nil {
		e.AddDetail(detail)
	}
	if after := v.fault.RetryAfter; after > 0 {
		e.Meta().Set(headerRetryAfter, strconv.FormatInt(int64(math.Ceil(after.Seconds())), 10))
	}
	return e
}
