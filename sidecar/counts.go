package sidecar

import (
	"context"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/metrics"
)

// counts keeps what was counted of all that ever was, so that no scrape waits for that: it takes longer every day. It is counted at the
// start, and again after a scrape, in the background, unless that would take more of a core than countShare lets it.
type counts struct {
	count func(ctx context.Context) (metrics.Snapshot, error)
	now   func() time.Time
	// ask wakes run.
	ask chan struct{}

	mu   sync.Mutex
	have metrics.Snapshot
	at   time.Time
	// tried is when a count was begun last, and took how long it was, whatever came of it.
	tried time.Time
	took  time.Duration
}

// countShare is how many times longer a count is used than it took.
const countShare = 200

func newCounts(count func(ctx context.Context) (metrics.Snapshot, error), now func() time.Time) *counts {
	return &counts{count: count, now: now, ask: make(chan struct{}, 1)}
}

// read returns what was counted last, and how old that is; known is false while nothing was counted yet.
func (c *counts) read() (have metrics.Snapshot, age time.Duration, known bool) {
	select {
	case c.ask <- struct{}{}:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.have, max(0, c.now().Sub(c.at)), !c.at.IsZero()
}

func (c *counts) take(ctx context.Context) {
	begun := c.now()
	have, err := c.count(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried, c.took = begun, c.now().Sub(begun)
	if err != nil {
		return // the store is down, which a scrape tells, or too slow; the age of the counts grows
	}
	c.have, c.at = have, begun
}

// due reports whether it may be counted again.
func (c *counts) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.now().Sub(c.tried)
	return age < 0 || age >= countShare*c.took // a clock that was set back
}

// run counts until ctx ends.
func (c *counts) run(ctx context.Context) error {
	c.take(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.ask:
			if c.due() {
				c.take(ctx)
			}
		}
	}
}
