package sidecar

import (
	"context"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/metrics"
)

// counts keeps what was counted of all that ever was, so that a scrape does not count it: that takes longer every day. It is counted
// again after a scrape, in the background, unless that would take more of a core than countShare.
type counts struct {
	count func(ctx context.Context) (metrics.Snapshot, error)
	now   func() time.Time
	// ask wakes run.
	ask chan struct{}

	// counting is held while the first count is made, mu for a moment.
	counting, mu sync.Mutex
	have         metrics.Snapshot
	at           time.Time
	took         time.Duration
}

// countShare is how many times longer a count is used than it took.
const countShare = 200

func newCounts(count func(ctx context.Context) (metrics.Snapshot, error), now func() time.Time) *counts {
	return &counts{count: count, now: now, ask: make(chan struct{}, 1)}
}

// read returns what was counted last, and how old that is. Where nothing was counted yet it counts.
func (c *counts) read(ctx context.Context) (metrics.Snapshot, time.Duration, error) {
	have, at := c.last()
	if at.IsZero() {
		if err := c.first(ctx); err != nil {
			return metrics.Snapshot{}, 0, err
		}
		have, at = c.last()
	}
	select {
	case c.ask <- struct{}{}:
	default:
	}
	return have, max(0, c.now().Sub(at)), nil
}

func (c *counts) last() (metrics.Snapshot, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.have, c.at
}

// first counts unless another caller just did.
func (c *counts) first(ctx context.Context) error {
	c.counting.Lock()
	defer c.counting.Unlock()
	if _, at := c.last(); !at.IsZero() {
		return nil
	}
	return c.take(ctx)
}

func (c *counts) take(ctx context.Context) error {
	begun := c.now()
	have, err := c.count(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.have, c.at, c.took = have, begun, c.now().Sub(begun)
	return nil
}

// due reports whether it may be counted again.
func (c *counts) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	age := c.now().Sub(c.at)
	return age < 0 || age >= countShare*c.took // a clock that was set back
}

// run counts again after scrapes, until ctx ends. What fails shows as age, and where the store is down at once.
func (c *counts) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.ask:
			if c.due() {
				_ = c.take(ctx)
			}
		}
	}
}
