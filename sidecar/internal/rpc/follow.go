package rpc

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// follower is one stream: it looks, says what is new, and waits until somebody wakes it, the poll interval has passed, the
// caller's credential ends, or the caller goes.
type follower struct {
	config Config
	topic  unit.Topic
	// expires ends the stream; zero never does.
	expires time.Time
	// still refuses a caller that may not listen any more; it is asked at every poll.
	still func(ctx context.Context) error
	// look sends what is new. With force it says something even when nothing is, as a heartbeat. It tells whether it sent
	// and whether there is no more to come.
	look func(force bool) (sent, done bool, err error)
}

// run follows until done; nil when the stream ends in good order.
func (f follower) run(ctx context.Context) error {
	// Subscribing comes before the first look, so that a change in between is not lost.
	wake, cancel := f.config.Wakeups.Subscribe(f.topic)
	defer cancel()
	spoke := f.config.Now()
	force := true
	for {
		if f.over(ctx) {
			return nil
		}
		sent, done, err := f.look(force)
		if err != nil || done {
			return err
		}
		if sent {
			spoke = f.config.Now()
		}
		select {
		case <-wake:
		case <-f.config.After(f.pause(spoke)):
			if err := f.still(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return f.ended(ctx)
		}
		force = f.config.Now().Sub(spoke) >= f.config.Heartbeat
	}
}

// pause is the time until the next poll, heartbeat or expiry, whichever is first.
func (f follower) pause(spoke time.Time) time.Duration {
	now := f.config.Now()
	pause := min(f.config.Poll, f.config.Heartbeat-now.Sub(spoke))
	if !f.expires.IsZero() {
		pause = min(pause, f.expires.Sub(now))
	}
	return max(pause, time.Millisecond)
}

func (f follower) over(ctx context.Context) bool {
	return ctx.Err() == nil && !f.expires.IsZero() && !f.config.Now().Before(f.expires)
}

// ended is good order when the credential's end cut the call off: the middleware gives calls a deadline there.
func (f follower) ended(ctx context.Context) error {
	if !f.expires.IsZero() && !f.config.Now().Before(f.expires) {
		return nil
	}
	return ctx.Err()
}

// broken is a send that failed: the caller went. That is no defect, so it is not logged.
func broken(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.New(fault.Unavailable, "stream_broken", "the stream broke")
}
