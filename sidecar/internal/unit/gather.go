package unit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Gather does at once what several callers want at the same time: one of them does it for all that came while the one before was
// under way. Where that fails each does its own, so that nobody fails for another. A caller alone waits for nothing.
type Gather[T any] struct {
	mu    sync.Mutex
	lanes map[string]*lane[T]
}

const (
	// gatherMost bounds what is done at once, in the units of the callers' sizes; one item goes whatever its size.
	gatherMost = 64
	// gatherTimeout bounds one doing for several, who wait for it meanwhile.
	gatherTimeout = 10 * time.Second
)

// lane is what waits under one key; it is there while somebody does something or waits.
type lane[T any] struct{ waiting []*want[T] }

type want[T any] struct {
	item T
	size int
	said chan turn
}

// turn is what a waiting caller is told.
type turn int

const (
	lead turn = iota
	done
	alone
)

// Do has do run with the item, and with others of the same key: keys keep those apart who should not wait for each other. do runs
// for all of them or fails for all of them; with several its context outlives the caller that began it. Who leaves while it waits is
// not served.
func (g *Gather[T]) Do(ctx context.Context, key string, item T, size int, do func(ctx context.Context, all []T) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &want[T]{item: item, size: size, said: make(chan turn, 1)}
	said := lead
	if follows := g.enter(key, w); follows {
		select {
		case said = <-w.said:
		case <-ctx.Done():
			if g.leave(key, w) {
				return ctx.Err()
			}
			said = <-w.said // somebody does it by now
		}
	}
	switch said {
	case done:
		return nil
	case lead:
		if others, err := g.lead(ctx, key, do); err == nil || !others {
			return err
		}
	}
	return do(ctx, []T{item})
}

// Waiting counts the callers that wait for others.
func (g *Gather[T]) Waiting() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.lanes {
		n += len(l.waiting)
	}
	return n
}

// enter makes a caller wait; it reports whether another leads.
func (g *Gather[T]) enter(key string, w *want[T]) (follows bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	if follows = l != nil; !follows {
		if g.lanes == nil {
			g.lanes = make(map[string]*lane[T])
		}
		l = &lane[T]{}
		g.lanes[key] = l
	}
	l.waiting = append(l.waiting, w)
	return follows
}

// leave takes a caller out that still waits, and passes on the lead if it has it; false where it was taken along.
func (g *Gather[T]) leave(key string, w *want[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	if l == nil || !slices.Contains(l.waiting, w) {
		return false
	}
	l.waiting = slices.DeleteFunc(l.waiting, func(other *want[T]) bool { return other == w })
	select {
	case <-w.said: // to lead
		g.pass(key, l)
	default:
	}
	return true
}

// pass gives the lead to who waits longest. Under mu.
func (g *Gather[T]) pass(key string, l *lane[T]) {
	if len(l.waiting) == 0 {
		delete(g.lanes, key)
		return
	}
	l.waiting[0].said <- lead
}

// take takes the next out of those who wait, the leader first.
func (g *Gather[T]) take(key string) (batch []*want[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	n, size := 1, l.waiting[0].size
	for n < len(l.waiting) && size+l.waiting[n].size <= gatherMost {
		size += l.waiting[n].size
		n++
	}
	batch = slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return batch
}

// lead does it for those who wait, of whom the caller is the first, and passes the lead on.
func (g *Gather[T]) lead(ctx context.Context, key string, do func(context.Context, []T) error) (others bool, err error) {
	batch := g.take(key)
	outcome := alone // also where do ends the goroutine
	defer func() {
		g.mu.Lock()
		g.pass(key, g.lanes[key])
		g.mu.Unlock()
		for _, w := range batch[1:] {
			w.said <- outcome
		}
	}()
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	if others = len(batch) > 1; others {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), gatherTimeout)
		defer cancel()
	}
	if err = do(ctx, items); err == nil {
		outcome = done
	}
	return others, err
}
