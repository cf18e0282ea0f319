package sdk

import (
	"context"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect"
)

// retry repeats what found the sidecar unavailable: a restart, an upgrade, a refused connection.
type retry struct {
	attempts int
	base     time.Duration
	ceiling  time.Duration
	// jitter is a number below n.
	jitter func(n int64) int64
	// wait ends early with ctx's error.
	wait func(ctx context.Context, d time.Duration) error
}

func defaultRetry() retry {
	return retry{attempts: 4, base: 200 * time.Millisecond, ceiling: 3 * time.Second, jitter: rand.Int64N, wait: sleep}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause is the wait before attempt n (1 is the first repetition): half fixed, half drawn, so that portals which lost the
// same sidecar do not come back in step.
func (r retry) pause(n int) time.Duration {
	d := min(r.base<<min(n-1, 16), r.ceiling)
	return d/2 + time.Duration(r.jitter(int64(d/2)+1))
}

// unary makes one call that is safe to repeat.
func unary[Req, Res any](ctx context.Context, r retry, call func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error), msg *Req) (*Res, error) {
	for n := 1; ; n++ {
		res, err := call(ctx, connect.NewRequest(msg))
		if err == nil {
			return res.Msg, nil
		}
		if n >= r.attempts || connect.CodeOf(err) != connect.CodeUnavailable || ctx.Err() != nil {
			return nil, explain(err)
		}
		if r.wait(ctx, r.pause(n)) != nil {
			return nil, explain(err)
		}
	}
}
