package unit

import (
	"context"
	"sync"
)

// Gather does at once what several callers want at the same time: one of them does it for all that came while the one before was
// under way. Where that fails each does its own, so that nobody fails for another. A caller alone waits for nothing.
type Gather[T any] struct {
	mu      sync.Mutex
	waiting []*want[T]
	// led says that a caller is doing it, or was told to.
	led bool
}

type want[T any] struct {
	item T
	said chan turn
}

// turn is what a waiting caller is told.
type turn int

const (
	lead turn = iota
	done
	alone
)

// Do has do run with the item, and with up to most-1 others. do runs for all of them or fails for all of them; its context outlives
// the caller that began it.
func (g *Gather[T]) Do(ctx context.Context, most int, item T, do func(ctx context.Context, all []T) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &want[T]{item: item, said: make(chan turn, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	follows := g.led
	g.led = true
	g.mu.Unlock()
	said := lead
	if follows {
		said = <-w.said
	}
	switch said {
	case done:
		return nil
	case lead:
		if others, err := g.lead(ctx, most, do); err == nil || !others {
			return err
		}
	}
	return do(ctx, []T{item})
}

// lead does it for those who wait, of whom the caller is the first, and passes the lead on.
func (g *Gather[T]) lead(ctx context.Context, most int, do func(context.Context, []T) error) (others bool, err error) {
	g.mu.Lock()
	n := min(len(g.waiting), max(most, 1))
	batch := append([]*want[T](nil), g.waiting[:n]...)
	clear(g.waiting[:n])
	g.waiting = g.waiting[n:]
	g.mu.Unlock()
	outcome := alone // also where do ends the goroutine
	defer func() {
		g.mu.Lock()
		if g.led = len(g.waiting) > 0; g.led {
			g.waiting[0].said <- lead
		}
		g.mu.Unlock()
		for _, w := range batch[1:] {
			w.said <- outcome
		}
	}()
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	if err = do(context.WithoutCancel(ctx), items); err == nil {
		outcome = done
	}
	return len(batch) > 1, err
}
