package unit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// crowd are callers of a Gather that came one after the other while the first is held up.
type crowd struct {
	t    *testing.T
	g    unit.Gather[int]
	open chan struct{}

	mu      sync.Mutex
	batches [][]int
	// bad fails whatever it is in.
	bad  int
	fail func() error
	did  map[int]int
	ends map[int]error
	wg   sync.WaitGroup
}

var errBad = errors.New("bad")

func newCrowd(t *testing.T) *crowd {
	return &crowd{t: t, open: make(chan struct{}), bad: -1, fail: func() error { return errBad }, did: map[int]int{}, ends: map[int]error{}}
}

func (c *crowd) do(ctx context.Context, all []int) error {
	c.mu.Lock()
	c.batches = append(c.batches, slices.Clone(all))
	first := len(c.batches) == 1
	c.mu.Unlock()
	if first {
		<-c.open
	}
	if slices.Contains(all, c.bad) {
		return c.fail()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range all {
		c.did[i]++
	}
	return ctx.Err()
}

func (c *crowd) come(ctx context.Context, key string, i, size int) {
	c.wg.Go(func() {
		err := errors.New("the goroutine ended")
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ends[i] = err
		}()
		err = c.g.Do(ctx, key, i, size, c.do)
	})
	synctest.Wait()
}

func TestGather_OneDoesItForAllThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		for i := range 8 {
			c.come(t.Context(), "a", i, 16) // four make a full one
		}
		close(c.open)
		c.wg.Wait()
		if fmt.Sprint(c.batches) != "[[0] [1 2 3 4] [5 6 7]]" {
			t.Errorf("done in %v", c.batches)
		}
		for i := range 8 {
			if c.did[i] != 1 || c.ends[i] != nil {
				t.Errorf("%d was done %d times, %v", i, c.did[i], c.ends[i])
			}
		}
	})
}

func TestGather_KeysDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		c.come(t.Context(), "a", 0, 1)
		c.come(t.Context(), "b", 1, 1)
		if c.mu.Lock(); c.did[1] != 1 {
			t.Error("who has another key waits")
		}
		c.mu.Unlock()
		close(c.open)
		c.wg.Wait()
	})
}

func TestGather_NobodyFailsForAnother(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error":                    func() error { return errBad },
		"a goroutine that ended here": func() error { runtime.Goexit(); return nil },
	} {
		for _, bad := range []int{0, 1, 3, 5} { // who leads, and who follows
			t.Run(fmt.Sprint(name, bad), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newCrowd(t)
					c.bad, c.fail = bad, fail
					for i := range 6 {
						c.come(t.Context(), "a", i, 1)
					}
					close(c.open)
					c.wg.Wait()
					for i := range 6 {
						if want := 1; i == bad {
							if c.did[i] != 0 || c.ends[i] == nil {
								t.Errorf("the bad one was done %d times, %v", c.did[i], c.ends[i])
							}
						} else if c.ends[i] == nil && c.did[i] != want || c.ends[i] != nil && (c.did[i] != 0 || i != 1) {
							// Who leads a batch in which do ends the goroutine ends with it.
							t.Errorf("%d was done %d times, %v", i, c.did[i], c.ends[i])
						}
					}
				})
			})
		}
	}
}

func TestGather_WhoLeavesIsNotServed(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string][]int{"a follower": {2}, "who would lead next": {1}, "all who wait": {1, 2, 3}, "who leads": {0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t)
				gone, leave := context.WithCancel(t.Context())
				for i := range 4 {
					ctx := t.Context()
					if slices.Contains(leaves, i) {
						ctx = gone
					}
					c.come(ctx, "a", i, 1)
				}
				leave()
				synctest.Wait()
				for _, i := range leaves {
					if c.mu.Lock(); i > 0 && !errors.Is(c.ends[i], context.Canceled) {
						t.Errorf("%d did not leave: %v", i, c.ends[i])
					}
					c.mu.Unlock()
				}
				close(c.open)
				c.wg.Wait()
				for i := range 4 {
					stays := !slices.Contains(leaves, i)
					if stays && (c.did[i] != 1 || c.ends[i] != nil) || !stays && i > 0 && c.did[i] != 0 {
						t.Errorf("%d was done %d times, %v", i, c.did[i], c.ends[i])
					}
				}
			})
		})
	}
}

func TestGather_SeveralWaitNoLongerThanForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g unit.Gather[int]
		open := make(chan struct{})
		var wg sync.WaitGroup
		var mu sync.Mutex
		served := 0
		do := func(ctx context.Context, all []int) error {
			if all[0] == 0 {
				<-open
				return nil
			}
			if len(all) > 1 { // a store that answers nothing
				<-ctx.Done()
				return ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			served++
			return nil
		}
		for i := range 3 {
			wg.Go(func() { _ = g.Do(t.Context(), "a", i, 1, do) })
			synctest.Wait()
		}
		began := time.Now()
		close(open)
		wg.Wait()
		if took := time.Since(began); served != 2 || took > time.Minute {
			t.Errorf("%d were served after %s", served, took)
		}
	})
}
