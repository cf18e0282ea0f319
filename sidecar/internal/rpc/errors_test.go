package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
)

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

func TestFailuresOfAServiceOverHTTP(t *testing.T) {
	t.Parallel()
	place := portalv1connect.OrderServicePlaceOrderProcedure
	t.Run("an internal error tells its request id and nothing else, and is logged once", func(t *testing.T) {
		b := newBench(t)
		b.orders.fail = func(context.Context) error { return fmt.Errorf("place order: %w", errSecret) }
		r := b.post(t, place, b.key, goodOrder)
		id := r.header.Get(gate.HeaderRequestID)
		if r.status != 500 || r.message != "internal error" || r.reason != "internal" || !strings.Contains(r.action, id) || strings.Contains(string(r.body), "hunter2") {
			t.Fatalf("got %v", r)
		}
		log := b.log.String()
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "hunter2") || !strings.Contains(log, "request_id="+id) || !strings.Contains(log, "level=ERROR") {
			t.Fatalf("log: %s", log)
		}
		if b.observed.of(place, "internal") != 1 {
			t.Fatalf("observed %v", b.observed.calls)
		}
	})
	t.Run("a panic is an internal error, and the server lives", func(t *testing.T) {
		b := newBench(t)
		b.orders.fail = func(context.Context) error { panic(errSecret) }
		r := b.post(t, place, b.key, goodOrder)
		if r.status != 500 || r.message != "internal error" || strings.Contains(string(r.body), "hunter2") {
			t.Fatalf("got %v", r)
		}
		if !strings.Contains(b.log.String(), "errors_test.go") {
			t.Fatalf("the log has no stack: %s", b.log.String())
		}
		b.orders.fail = nil
		if r := b.post(t, place, b.key, goodOrder); r.status != 200 || b.observed.of(place, "ok") != 1 {
			t.Fatalf("got %v", r)
		}
	})
	t.Run("an outage is 503 with the time to come back", func(t *testing.T) {
		b := newBench(t)
		f := fault.New(fault.Unavailable, "store_down", "the store is down")
		f.RetryAfter = 3 * time.Second
		b.orders.fail = func(context.Context) error { return f.Because(errSecret) }
		r := b.post(t, place, b.key, goodOrder)
		if r.status != 503 || r.reason != "store_down" || r.header.Get("Retry-After") != "3" || !strings.Contains(b.log.String(), "level=WARN") {
			t.Fatalf("got %v, log %s", r, b.log.String())
		}
	})
	t.Run("the caller's deadline is the caller's", func(t *testing.T) {
		b := newBench(t)
		b.orders.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		r := b.post(t, place, b.key, goodOrder, "Connect-Timeout-Ms", "1")
		if r.status != 504 || r.code != "deadline_exceeded" || r.reason != "deadline_exceeded" || b.log.String() != "" {
			t.Fatalf("got %v", r)
		}
	})
	t.Run("our deadline ends a call that hangs", func(t *testing.T) {
		b := newBench(t, func(c *rpcportal.Config) { c.Deadline = time.Millisecond })
		b.orders.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		if r := b.post(t, place, b.key, goodOrder); r.code != "deadline_exceeded" {
			t.Fatalf("got %v", r)
		}
	})
	t.Run("a store that is down is no wrong key", func(t *testing.T) {
		b := newBench(t)
		b.clock.advance(time.Minute)
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}
		r := b.post(t, place, b.key, goodOrder)
		if r.code == "unauthenticated" || r.code == "permission_denied" || r.status < 500 {
			t.Fatalf("got %v", r)
		}
	})
	t.Run("over the rate limit", func(t *testing.T) {
		var asked string
		b := newBench(t, func(c *rpcportal.Config) {
			c.Allow = func(_ context.Context, caller string) (bool, time.Duration, error) {
				asked = caller
				return false, time.Second, nil
			}
		})
		r := b.post(t, place, b.session(t, b.key, "alice", ""), goodOrder)
		if r.status != 429 || r.reason != "rate_limited" || r.header.Get("Retry-After") != "1" || asked != "portal/shop/alice" || b.orders.count() != 0 {
			t.Fatalf("got %v for %q", r, asked)
		}
	})
	t.Run("a limiter that is down stops nobody", func(t *testing.T) {
		b := newBench(t, func(c *rpcportal.Config) {
			c.Allow = func(context.Context, string) (bool, time.Duration, error) { return false, 0, errors.New("redis down") }
		})
		if r := b.post(t, place, b.key, goodOrder); r.status != 200 {
			t.Fatalf("got %v", r)
		}
	})
}

// TestClients proves that the generated client reads the same errors over Connect, gRPC and gRPC-Web.
func TestClients(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.orders.fail = func(context.Context) error {
		return fault.New(fault.Conflict, "order_id_conflict", "used").At("id").Do("use another id")
	}
	for name, options := range map[string][]connect.ClientOption{
		"connect":           nil,
		"connect with JSON": {connect.WithProtoJSON()},
		"connect with gzip": {connect.WithSendGzip()},
		"grpc":              {connect.WithGRPC()},
		"grpc with gzip":    {connect.WithGRPC(), connect.WithSendGzip()},
		"grpc-web":          {connect.WithGRPCWeb()},
	} {
		t.Run(name, func(t *testing.T) {
			client := portalv1connect.NewOrderServiceClient(b.server.Client(), b.server.URL, options...)
			order := func(key, id string) *connect.Error {
				req := connect.NewRequest(&portalv1.PlaceOrderRequest{Id: id, Customer: "c", Items: []*portalv1.OrderItem{
					{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: "l"},
				}})
				req.Header().Set("Authorization", "Bearer "+key)
				_, err := client.PlaceOrder(t.Context(), req)
				var e *connect.Error
				if !errors.As(err, &e) {
					t.Fatalf("got %v", err)
				}
				return e
			}
			e := order(b.key, "order-0001")
			if info := infoOf(t, e); e.Code() != connect.CodeAlreadyExists || info.GetReason() != "order_id_conflict" || info.GetField() != "id" || info.GetAction() != "use another id" {
				t.Fatalf("got %v", e)
			}
			if e := order(b.key, "x"); infoOf(t, e).GetReason() != "invalid_field" || infoOf(t, e).GetField() != "id" {
				t.Fatalf("got %v", e)
			}
			if e := order("wrong", "order-0001"); e.Code() != connect.CodeUnauthenticated || infoOf(t, e).GetReason() != "key_invalid" {
				t.Fatalf("got %v", e)
			}
			if e := order(b.key, strings.Repeat("x", 300<<10)); infoOf(t, e).GetReason() != "message_too_large" && !strings.Contains(name, "gzip") {
				t.Fatalf("got %v", e)
			}
		})
	}
}
