package sdk

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	unavailable := connect.NewError(connect.CodeUnavailable, errors.New("connection refused"))
	for name, c := range map[string]struct {
		errs  []error
		calls int
		fails bool
	}{
		"a first success is not repeated":          {nil, 1, false},
		"unavailable is repeated until it is gone": {[]error{unavailable, unavailable}, 3, false},
		"and given up after four attempts":         {[]error{unavailable, unavailable, unavailable, unavailable, unavailable}, 4, true},
		"a refusal is not repeated":                {[]error{connect.NewError(connect.CodeInvalidArgument, errors.New("no"))}, 1, true},
		"too many requests is not repeated":        {[]error{connect.NewError(connect.CodeResourceExhausted, errors.New("slow down"))}, 1, true},
		"an internal error is not repeated":        {[]error{connect.NewError(connect.CodeInternal, errors.New("oops"))}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := defaultRetry()
			r.wait = func(context.Context, time.Duration) error { return nil }
			ids := map[string]int{}
			_, err := unary(context.Background(), r, func(_ context.Context, req *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
				n := ids[req.Msg.GetId()]
				ids[req.Msg.GetId()]++
				if n < len(c.errs) {
					return nil, c.errs[n]
				}
				return connect.NewResponse(&portalv1.PlaceOrderResponse{}), nil
			}, &portalv1.PlaceOrderRequest{Id: "one-order"})
			if ids["one-order"] != c.calls || (err != nil) != c.fails {
				t.Errorf("%d calls, error %v", ids["one-order"], err)
			}
		})
	}
}

func TestRetryPausesGrowWithJitterUpToACeiling(t *testing.T) {
	t.Parallel()
	r := defaultRetry()
	for _, extreme := range []struct {
		jitter func(int64) int64
		want   []time.Duration
	}{
		{func(int64) int64 { return 0 }, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond}},
		{func(n int64) int64 { return n - 1 }, []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 3 * time.Second}},
	} {
		r.jitter = extreme.jitter
		for i, n := range []int{1, 2, 3, 1000} {
			if got := r.pause(n); got != extreme.want[i] {
				t.Errorf("pause before attempt %d: %v, want %v", n, got, extreme.want[i])
			}
		}
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	r := defaultRetry()
	r.wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	calls := 0
	_, err := unary(ctx, r, func(context.Context, *connect.Request[portalv1.GetOrderRequest]) (*connect.Response[portalv1.GetOrderResponse], error) {
		calls++
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("down"))
	}, &portalv1.GetOrderRequest{})
	if calls != 1 || err == nil {
		t.Errorf("%d calls, error %v", calls, err)
	}
}
