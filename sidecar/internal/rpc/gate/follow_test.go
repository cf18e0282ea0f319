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

// TestFollower_EndsInGoodOrderWithItsCredential: whatever the question met that was under way just then, between two looks and inside of one.
func TestFollower_EndsInGoodOrderWithItsCredential(t *testing.T) {
	t.Parallel()
	away := errors.New("the list of revocations is away")
	for name, c := range map[string]struct {
		life  time.Duration // of the credential, when the question begins
		cut   bool          // the call has a deadline there, as the middleware gives it
		meets error
		want  error
	}{
		"an outage before it":               {time.Minute, false, away, away},
		"an outage while it passes":         {time.Second, false, away, nil},
		"a call cut off there":              {time.Second, true, away, nil},
		"a credential that ended before":    {0, false, away, nil},
		"nothing, and the credential holds": {time.Minute, false, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.cut {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.life)
					defer cancel()
				}
				f := gate.Follower{
					Config:  gate.Config{Now: time.Now, After: time.After, Wakeups: make(wakeups), Heartbeat: 20 * time.Second},
					Expires: time.Now().Add(c.life),
					Still: func(context.Context) error {
						time.Sleep(2 * time.Second)
						return c.meets
					},
				}
				if over, err := f.May(ctx); !errors.Is(err, c.want) || over != (c.life < 2*time.Second) {
					t.Errorf("over %t, %v", over, err)
				}
				f.Look = func(bool) (sent, done bool, err error) {
					over, err := f.May(ctx)
					return true, over || c.life > time.Second, err
				}
				if err := f.Run(ctx); !errors.Is(err, c.want) {
					t.Errorf("the stream ended with %v", err)
				}
			})
		})
	}
}
