package sdk

import (
	"context"
	"time"
)

// WithoutWaiting lets a test repeat calls at once.
func WithoutWaiting(c *Client) {
	c.retry.wait = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}
