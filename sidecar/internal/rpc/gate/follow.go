package gate

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Follower is one stream: it looks, says what is new, and waits until somebody wakes it, a heartbeat is due, the caller's
// credential ends, or the caller goes.
type Follower struct {
	Config Config
	Topic  unit.Topic
	// Expires ends the stream; zero never does.
	Expires time.Time
	// Pace is the least time between two looks that a wake-up begins: what becomes new meanwhile goes together. 0 is none.
	Pace time.Duration
	// Still refuses a caller that may not listen any more; it is asked before every look but the first, whatever began it.
	Still func(ctx context.Context) error
	// Look sends what is new. With force it says something even when nothing is, as a heartbeat. It reports whether it sent
	// and whether there is no more to come.
	Look func(force bool) (sent, done bool, err error)
}

// Run follows until done; nil when the stream ends in good order.
func (f Follower) Run(ctx context.Context) error {
	// Subscribing comes before the first look, so that a change in between is not lost.
	wake, cancel := f.Config.Wakeups.Subscribe(f.Topic)
	defer cancel()
	spoke := f.Config.Now()
	force := true
	for {
		if ctx.Err() == nil && f.over() {
			return nil
		}
		sent, done, err := f.Look(force)
		if err != nil || done {
			return err
		}
		if sent {
			spoke = f.Config.Now()
		}
		if now := f.Config.Now(); now.Before(spoke) {
			spoke = now // the clock was set back
		}
		due := f.due(spoke)
		select {
		case <-wake:
			if err := f.gather(ctx, spoke); err != nil {
				return f.ended(ctx)
			}
		case <-f.Config.After(f.pause(due)):
		case <-ctx.Done():
			return f.ended(ctx)
		}
		if over, err := f.May(ctx); over || err != nil {
			return err
		}
		force = !f.Config.Now().Before(due)
	}
}

// gather waits where it spoke a moment ago.
func (f Follower) gather(ctx context.Context, spoke time.Time) error {
	since := f.Config.Now().Sub(spoke)
	wait := f.Pace - since
	if wait <= 0 || since < 0 { // the clock may be set back
		return nil
	}
	select {
	case <-f.Config.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// together is how far apart the heartbeats of all streams are: what is due in between goes out at once, so that a process with many
// quiet streams sleeps in between, and so do its partners.
const together = 5 * time.Second

// due is the time of the next heartbeat.
func (f Follower) due(spoke time.Time) time.Time {
	due := spoke.Add(f.Config.Heartbeat)
	// Truncate tells by the wall clock, which may be set back; what comes of it is told by the other.
	if with := due.Add(due.Truncate(together).Sub(due)); with.After(spoke) {
		return with
	}
	return due
}

// pause is the time until the next heartbeat or the expiry, whichever is first.
func (f Follower) pause(due time.Time) time.Duration {
	now := f.Config.Now()
	pause := min(due.Sub(now), f.Config.Heartbeat)
	if !f.Expires.IsZero() {
		pause = min(pause, f.Expires.Sub(now))
	}
	return max(pause, time.Millisecond)
}

// May refuses a caller that may not listen any more, and reports whether its stream ends in good order instead, with its credential. It is
// asked between two looks, and by a look between two messages.
func (f Follower) May(ctx context.Context) (over bool, err error) {
	if f.over() {
		return true, nil
	}
	if err := f.Still(ctx); err != nil {
		if ctx.Err() != nil || f.over() { // which may be all that Still met
			return true, f.ended(ctx)
		}
		return false, err
	}
	return false, nil
}

func (f Follower) over() bool { return !f.Expires.IsZero() && !f.Config.Now().Before(f.Expires) }

// ended is good order when the credential's end cut the call off: the middleware gives calls a deadline there.
func (f Follower) ended(ctx context.Context) error {
	if f.over() {
		return nil
	}
	return ctx.Err()
}

// Broken is a send that failed: the caller went. That is no defect, so it is not logged.
func Broken(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.New(fault.Unavailable, "stream_broken", "the stream broke")
}
