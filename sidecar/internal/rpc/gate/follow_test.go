package gate_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

type wakeups chan struct{}

func (w wakeups) Subscribe(unit.Topic) (<-chan struct{}, func()) { return w, func() {} }

// TestFollower_AClockThatIsSetBackSilencesNobody: what is new goes out at once, and heartbeats before anybody takes the stream for dead.
func TestFollower_AClockThatIsSetBackSilencesNobody(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"by an hour": -time.Hour, "by a second": -time.Second, "ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				var looks, beats atomic.Int64
				wake := make(wakeups, 1)
				f := gate.Follower{
					Config: gate.Config{
						Now:   func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) },
						After: time.After, Wakeups: wake, Heartbeat: 20 * time.Second,
					},
					Pace:  50 * time.Millisecond,
					Still: func(context.Context) error { return nil },
					Look: func(force bool) (sent, done bool, err error) {
						if looks.Add(1); force {
							beats.Add(1)
						}
						return true, false, nil
					},
				}
				ctx, end := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- f.Run(ctx) }()
				time.Sleep(time.Second)
				offset.Store(int64(step))
				before := looks.Load()
				wake <- struct{}{}
				time.Sleep(100 * time.Millisecond)
				if looks.Load() == before {
					t.Error("what is new waits")
				}
				beaten := beats.Load()
				time.Sleep(45 * time.Second)
				if beats.Load() == beaten {
					t.Error("no heartbeat in 45 seconds")
				}
				end()
				if err := <-ended; err == nil {
					t.Error("it ended in good order")
				}
			})
		})
	}
}

// TestFollower_WhoMayNotListenHearsNothingMore: however often it is woken, what is told to a caller is told to one that still may.
func TestFollower_WhoMayNotListenHearsNothingMore(t *testing.T) {
	t.Parallel()
	revoked := errors.New("revoked")
	for name, wakes := range map[string]bool{"woken": true, "by its heartbeat": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var may atomic.Bool
				may.Store(true)
				var looks int
				wake := make(wakeups, 1)
				f := gate.Follower{
					Config: gate.Config{Now: time.Now, After: time.After, Wakeups: wake, Heartbeat: 20 * time.Second},
					Still: func(context.Context) error {
						if !may.Load() {
							return revoked
						}
						return nil
					},
					Look: func(bool) (sent, done bool, err error) {
						looks++
						return true, false, nil
					},
				}
				ended := make(chan error)
				go func() { ended <- f.Run(t.Context()) }()
				synctest.Wait()
				wake <- struct{}{}
				synctest.Wait()
				if looks != 2 {
					t.Fatalf("%d looks, want the first one and one for the wake-up", looks)
				}
				may.Store(false)
				if wakes {
					wake <- struct{}{}
				}
				if err := <-ended; !errors.Is(err, revoked) || looks != 2 {
					t.Errorf("%d looks, then %v", looks, err)
				}
			})
		})
	}
}
