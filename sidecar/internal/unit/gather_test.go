package unit_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func TestGather_OneDoesItForAllThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g unit.Gather[int]
		var batches [][]int
		open := make(chan struct{})
		do := func(_ context.Context, all []int) error {
			batches = append(batches, all)
			if len(batches) == 1 {
				<-open
			}
			return nil
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := g.Do(t.Context(), 4, i, do); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // one after the other
		}
		close(open)
		wg.Wait()
		if len(batches) != 3 || len(batches[0]) != 1 || len(batches[1]) != 4 || len(batches[2]) != 3 {
			t.Errorf("done in %v", batches)
		}
	})
}

func TestGather_NobodyFailsForAnother(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for name, fail := range map[string]func() error{
		"an error":                    func() error { return bad },
		"a goroutine that ended here": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g unit.Gather[int]
			var did sync.Map
			do := func(_ context.Context, all []int) error {
				for _, i := range all {
					if i%7 == 3 {
						return fail()
					}
				}
				for _, i := range all {
					if _, twice := did.LoadOrStore(i, true); twice {
						t.Errorf("%d was done twice", i)
					}
				}
				return nil
			}
			var failed, passed atomic.Int64
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					ended := true
					defer func() {
						if ended {
							failed.Add(1)
						}
					}()
					err := g.Do(context.Background(), 16, i, do)
					if err == nil {
						ended = false
						passed.Add(1)
					} else if !errors.Is(err, bad) || i%7 != 3 {
						t.Errorf("%d: %v", i, err)
					}
				})
			}
			wg.Wait()
			n := 0
			did.Range(func(any, any) bool { n++; return true })
			if failed.Load() < 29 || int(passed.Load()) != n || n+int(failed.Load()) != 200 {
				t.Errorf("%d failed, %d passed, %d done", failed.Load(), passed.Load(), n)
			}
		})
	}
}

func TestGather_WhoLeftIsNotServedAndWhoStaysIs(t *testing.T) {
	t.Parallel()
	var g unit.Gather[int]
	gone, leave := context.WithCancel(t.Context())
	leave()
	never := func(context.Context, []int) error { t.Error("was done"); return nil }
	if err := g.Do(gone, 4, 1, never); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Whoever leads may leave meanwhile.
	leads, leave := context.WithCancel(t.Context())
	err := g.Do(leads, 4, 2, func(ctx context.Context, _ []int) error { leave(); return ctx.Err() })
	if err != nil {
		t.Error(err)
	}
}
