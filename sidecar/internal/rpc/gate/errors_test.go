package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/refusal"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

var errSecret = errors.New("dial postgres://hanse:hunter2@10.0.0.7: no route")

func infoOf(t *testing.T, e *connect.Error) *typev1.ErrorInfo {
	t.Helper()
	if len(e.Details()) != 1 {
		t.Fatalf("%d details", len(e.Details()))
	}
	v, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	return v.(*typev1.ErrorInfo)
}

func TestErrorMapping(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	draining, drain := context.WithCancelCause(t.Context())
	drain(fault.New(fault.Unavailable, "draining", "the sidecar is stopping"))
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	busy := fault.New(fault.Exhausted, "rate_limited", "too many")
	busy.RetryAfter = 1500 * time.Millisecond
	cases := map[string]struct {
		ctx    context.Context
		err    error
		code   connect.Code
		reason string
		logged bool
	}{
		"invalid":         {err: fault.New(fault.Invalid, "r", "c"), code: connect.CodeInvalidArgument, reason: "r"},
		"not found":       {err: fault.New(fault.NotFound, "r", "c"), code: connect.CodeNotFound, reason: "r"},
		"conflict":        {err: fault.New(fault.Conflict, "r", "c"), code: connect.CodeAlreadyExists, reason: "r"},
		"precondition":    {err: fault.New(fault.Precondition, "r", "c"), code: connect.CodeFailedPrecondition, reason: "r"},
		"denied":          {err: fault.New(fault.Denied, "r", "c"), code: connect.CodePermissionDenied, reason: "r"},
		"unauthenticated": {err: fault.New(fault.Unauthenticated, "r", "c"), code: connect.CodeUnauthenticated, reason: "r"},
		"exhausted":       {err: busy, code: connect.CodeResourceExhausted, reason: "rate_limited"},
		"unavailable":     {err: fault.New(fault.Unavailable, "r", "c"), code: connect.CodeUnavailable, reason: "r"},
		"unavailable with something for the log": {
			err: fault.New(fault.Unavailable, "r", "c").Because(errSecret), code: connect.CodeUnavailable, reason: "r", logged: true,
		},
		"wrapped by the domain":           {err: fmt.Errorf("place order 7: %w", fault.New(fault.Conflict, "r", "c")), code: connect.CodeAlreadyExists, reason: "r"},
		"a refusal of auth":               {err: refusal.New(refusal.Denied, "partnership_suspended", "suspended"), code: connect.CodePermissionDenied, reason: "partnership_suspended"},
		"an outage of auth":               {err: refusal.New(refusal.Unavailable, "replay_cache", "down").Because(errSecret), code: connect.CodeUnavailable, reason: "replay_cache", logged: true},
		"a defect of auth":                {err: refusal.New(refusal.Internal, "x", "hunter2"), code: connect.CodeInternal, reason: "internal", logged: true},
		"a fault of kind internal":        {err: fault.New(fault.Internal, "r", "hunter2"), code: connect.CodeInternal, reason: "internal", logged: true},
		"any other error":                 {err: errSecret, code: connect.CodeInternal, reason: "internal", logged: true},
		"another sidecar's connect error": {err: connect.NewError(connect.CodePermissionDenied, errSecret), code: connect.CodeInternal, reason: "internal", logged: true},
		"the host is draining":            {ctx: draining, err: fmt.Errorf("read: %w", context.Canceled), code: connect.CodeUnavailable, reason: "draining"},
		"the caller went":                 {ctx: canceled, err: fmt.Errorf("read: %w", context.Canceled), code: connect.CodeCanceled, reason: "canceled"},
		"the caller's time is up":         {ctx: late, err: fmt.Errorf("read: %w", context.DeadlineExceeded), code: connect.CodeDeadlineExceeded, reason: "deadline_exceeded"},
		"an outage because the caller's time is up": {
			ctx: late, err: fault.New(fault.Unavailable, "store_down", "c").Because(context.DeadlineExceeded), code: connect.CodeDeadlineExceeded, reason: "deadline_exceeded",
		},
		"a decision although the caller's time is up": {ctx: late, err: fault.New(fault.NotFound, "r", "c").Because(context.DeadlineExceeded), code: connect.CodeNotFound, reason: "r"},
		"our own time-out inside":                     {err: context.DeadlineExceeded, code: connect.CodeUnavailable, reason: "interrupted", logged: true},
		"our own shutdown":                            {err: context.Canceled, code: connect.CodeUnavailable, reason: "interrupted", logged: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			v := judge(c.ctx, c.err)
			e := wireError(v, "req-1")
			info := infoOf(t, e)
			if e.Code() != c.code || info.GetReason() != c.reason || v.log != c.logged {
				t.Fatalf("got %s/%s logged %t, want %s/%s logged %t", e.Code(), info.GetReason(), v.log, c.code, c.reason, c.logged)
			}
			if text := e.Error() + info.String(); strings.Contains(text, "hunter2") {
				t.Fatalf("internal text reaches the client: %s", text)
			}
		})
	}
	if e := wireError(judge(t.Context(), busy), ""); e.Meta().Get(headerRetryAfter) != "2" {
		t.Fatalf("retry after %s", e.Meta().Get(headerRetryAfter))
	}
}

func TestEveryKindHasACode(t *testing.T) {
	t.Parallel()
	for kind := fault.Internal; kind <= fault.Unavailable; kind++ {
		if _, ok := codes[kind]; !ok {
			t.Errorf("%s has no code", kind)
		}
	}
}
