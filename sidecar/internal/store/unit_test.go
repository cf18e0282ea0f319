package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func TestClosureThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		failures := map[string]func(tx *store.Tx) error{
			"error": func(*store.Tx) error { return errStop },
			"panic": func(*store.Tx) error { panic("boom") },
		}
		for name, fail := range failures {
			err := s.Do(t.Context(), func(tx *store.Tx) error {
				must(tx.Partners().Put(member.Partner{Origin: "https://lost.example", State: member.Active}))
				must(0, tx.Jobs().At("order.submit", "1", "", start))
				tx.Wake("anything")
				return fail(tx)
			})
			if err == nil {
				t.Fatalf("%s: committed", name)
			}
			var crash *unit.PanicError
			if name == "panic" && (!errors.As(err, &crash) || crash.Value != "boom" || !strings.Contains(err.Error(), "unit_test.go") || fault.KindOf(err) != fault.Internal) {
				t.Fatalf("panic: got %v", err)
			}
		}
		view(t, s, func(tx *store.Tx) error {
			_, err := tx.Partners().Get("https://lost.example")
			wantKind(t, err, fault.NotFound, "partner_not_found")
			if n := len(must(tx.Jobs().List(10))); n != 0 {
				t.Fatalf("%d jobs are left", n)
			}
			return nil
		})
		if got := woken.take(); got != nil {
			t.Fatalf("a rollback woke %v", got)
		}
	})
}

func TestSavepointUndoesItsPartAlone(t *testing.T) {
	t.Parallel()
	failures := map[string]func(tx *store.Tx) error{
		"an error": func(*store.Tx) error { return errStop },
		"a statement that the engine refuses": func(tx *store.Tx) error {
			return tx.SetRecord("no_such_table", "true", nil)
		},
		"a refused statement that is swallowed": func(tx *store.Tx) error {
			_ = tx.SetRecord("no_such_table", "true", nil)
			return nil
		},
		"an inner part that stood": func(tx *store.Tx) error {
			must(0, tx.Savepoint(func() error { return tx.Cursors().SetCursor("https://a.example", "inner", []byte{1}) }))
			return errStop
		},
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
				set := func(tx *store.Tx, feed string) {
					must(0, tx.Cursors().SetCursor("https://a.example", feed, []byte{1}))
					tx.Wake(unit.Topic(feed))
				}
				foreign := func(tx *store.Tx, id string) {
					must(tx.Catalog().PutForeign(catalog.Foreign{Partner: "https://a.example", ID: id, Listing: id, Revision: 1}))
				}
				do(t, s, func(tx *store.Tx) error {
					set(tx, "before")
					err := tx.Savepoint(func() error {
						set(tx, "undone")
						foreign(tx, "undone")
						return fail(tx)
					})
					if err == nil {
						t.Error("the part stands")
					}
					foreign(tx, "kept")
					return tx.Savepoint(func() error { set(tx, "after"); return nil })
				})
				// Another transaction takes a block of change numbers of its own; none is given twice.
				do(t, s, func(tx *store.Tx) error { foreign(tx, "later"); return nil })
				view(t, s, func(tx *store.Tx) error {
					for feed, stays := range map[string]bool{"before": true, "undone": false, "inner": false, "after": true} {
						if got := must(tx.Cursors().Cursor("https://a.example", feed)) != nil; got != stays {
							t.Errorf("%s is there: %v", feed, got)
						}
					}
					var kept []string
					for _, f := range must(tx.Catalog().ForeignChanged(0, 10)) {
						kept = append(kept, f.ID)
					}
					if !slices.Equal(kept, []string{"kept", "later"}) {
						t.Errorf("offerings %v", kept)
					}
					return nil
				})
				if got := woken.take(); !slices.Equal(slices.DeleteFunc(got, func(topic string) bool { return topic == "listing" }), []string{"before", "after"}) {
					t.Errorf("woke %v", got)
				}
			})
		})
	}
}

// Who loses a race inside a part runs again as a whole, even if the closure makes nothing of the part's error.
func TestSavepointHidesNoLostRace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const members, each = 6, 5
		together(members, func(int) {
			for range each {
				err := s.Do(context.Background(), func(tx *store.Tx) error {
					_ = tx.Savepoint(func() error {
						have, err := tx.Cursors().Cursor("https://a.example", "count")
						if err != nil {
							return err
						}
						return tx.Cursors().SetCursor("https://a.example", "count", append(have, 1))
					})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		view(t, s, func(tx *store.Tx) error {
			if n := len(must(tx.Cursors().Cursor("https://a.example", "count"))); n != members*each {
				t.Errorf("counted to %d, want %d", n, members*each)
			}
			return nil
		})
	})
}

func TestWakesFollowTheCommitOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		do(t, s, func(tx *store.Tx) error {
			tx.Wake("b")
			tx.Wake("a")
			tx.Wake("b")
			if got := woken.take(); got != nil {
				t.Errorf("woke %v before the commit", got)
			}
			return nil
		})
		if got := woken.take(); !slices.Equal(got, []string{"b", "a"}) {
			t.Fatalf("woke %v", got)
		}
	})
}

func TestViewIsOneSnapshotAndReadOnly(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		view(t, s, func(tx *store.Tx) error {
			before := len(must(tx.Partners().List()))
			do(t, s, func(tx *store.Tx) error {
				must(tx.Partners().Put(member.Partner{Origin: "https://later.example"}))
				return nil
			})
			if after := len(must(tx.Partners().List())); after != before {
				t.Errorf("a View saw a later commit: %d, then %d", before, after)
			}
			return nil
		})
		err := s.View(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Partners().Put(member.Partner{Origin: "https://written.example"})
			return err
		})
		if err == nil {
			t.Fatal("a View wrote")
		}
		view(t, s, func(tx *store.Tx) error {
			if n := len(must(tx.Partners().List())); n != 1 {
				t.Errorf("%d partners", n)
			}
			return nil
		})
	})
}

func TestTxDoesNotOutliveItsClosure(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var kept *store.Tx
		do(t, s, func(tx *store.Tx) error { kept = tx; return nil })
		if _, err := kept.Partners().Put(member.Partner{Origin: "https://late.example"}); err == nil {
			t.Fatal("a Tx wrote after its commit")
		}
	})
}

func TestStoppedStoreSaysSo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantKind(t, s.Do(t.Context(), func(*store.Tx) error { return nil }), fault.Unavailable, "store_closed")
		wantKind(t, s.View(t.Context(), func(*store.Tx) error { return nil }), fault.Unavailable, "store_closed")
	})
}

func TestCallerThatLeftIsNotServed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		gone, leave := context.WithCancel(t.Context())
		leave()
		ran := false
		if err := s.Do(gone, func(*store.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
			t.Fatalf("got %v, ran %v", err, ran)
		}
	})
}

func TestUnitOfAConsumer(t *testing.T) {
	t.Parallel()
	type partnersOnly interface{ Partners() member.Store }
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		unit := store.For[partnersOnly](s)
		err := unit.Do(t.Context(), func(tx partnersOnly) error {
			_, err := tx.Partners().Put(member.Partner{Origin: "https://a.example"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = unit.View(t.Context(), func(tx partnersOnly) error {
			_, err := tx.Partners().Get("https://a.example")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestBulkGoesInBatchesBehindOrders(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		const steps = 3000
		s.SlowSteps(10 * time.Microsecond)
		before := s.Stats().Commits
		err := s.Bulk(t.Context(), steps, func(tx *store.Tx, i int) error {
			return tx.Cursors().SetCursor("https://a.example", fmt.Sprint(i), []byte{1})
		})
		if err != nil {
			t.Fatal(err)
		}
		commits := s.Stats().Commits - before
		t.Logf("%d steps in %d commits", steps, commits)
		if commits != steps/1000 {
			t.Fatalf("%d steps of 10 µs took %d commits", steps, commits)
		}
		view(t, s, func(tx *store.Tx) error {
			for _, i := range []int{0, steps / 2, steps - 1} {
				if must(tx.Cursors().Cursor("https://a.example", fmt.Sprint(i))) == nil {
					t.Errorf("step %d is lost", i)
				}
			}
			return nil
		})
		// An order placed in the middle of bulk work is decided before the bulk work ends, which here it does not by itself.
		var ordered atomic.Bool
		err = s.Bulk(t.Context(), 1<<30, func(tx *store.Tx, i int) error {
			if i == 1 {
				go func() {
					err := s.Do(context.Background(), func(tx *store.Tx) error {
						_, err := tx.Partners().Put(member.Partner{Origin: "https://order.example"})
						return err
					})
					if err != nil {
						t.Error(err)
					}
					ordered.Store(true)
				}()
			}
			if ordered.Load() {
				t.Logf("the order passed at step %d", i)
				return errStop
			}
			return tx.Cursors().SetCursor("https://a.example", fmt.Sprint(i%100), []byte{2})
		})
		if !errors.Is(err, errStop) {
			t.Fatal(err)
		}
	})
}

func TestBulkStopsAtAnError(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		calls := 0
		err := s.Bulk(t.Context(), 10, func(tx *store.Tx, i int) error {
			if calls++; i == 3 {
				return errStop
			}
			return tx.Cursors().SetCursor("https://a.example", "feed", []byte{byte(i)})
		})
		if !errors.Is(err, errStop) || calls != 4 {
			t.Fatalf("got %v after %d calls", err, calls)
		}
	})
}
