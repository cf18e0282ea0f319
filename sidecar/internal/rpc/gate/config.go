package gate

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Config is what the handlers of every surface need.
type Config struct {
	// Log gets one line per internal error and per outage. Required.
	Log *slog.Logger
	// Now is the clock. Required.
	Now func() time.Time
	// NewID makes request ids. Required.
	NewID func() string
	// After makes a timer's channel on the same clock as Now. Default: time.After.
	After func(d time.Duration) <-chan time.Time
	// Observe hears of every call: its procedure ("unknown" where there is none), its code ("ok" or a Connect code) and how
	// long it took. Default: nobody does.
	Observe func(procedure, code string, took time.Duration)
	// Refused hears why a caller was not recognised; what bearer refuses does not come here. Default: nobody does.
	Refused func(reason string)
	// Allow is the rate limiter, asked once a call with the caller's name. An error lets the call through: a limiter that is
	// down must not stop a portal. Default: no limit.
	Allow func(ctx context.Context, caller string) (ok bool, retryAfter time.Duration, err error)
	// Wakeups announces changes. Required by the Portal and Peer API.
	Wakeups Wakeups
	// Deadline bounds a unary call. Default 30 s.
	Deadline time.Duration
	// MaxBytes bounds a message, as sent and decompressed. Default 256 KiB.
	MaxBytes int
	// TailPace is the least time between two messages of a ledger's tail that a change begins: while documents come in, their sender
	// reads what is decided in the answers. Default 0: none.
	TailPace time.Duration
	// Heartbeat is how often a stream speaks although nothing changed, and looks for changes that no wake-up announced. Default 20 s.
	Heartbeat time.Duration
}

// Wakeups is the subscribing half of the hot state: ch gets a value after a change, several changes may be one value.
type Wakeups interface {
	Subscribe(topic unit.Topic) (ch <-chan struct{}, cancel func())
}

const (
	defaultDeadline  = 30 * time.Second
	defaultMaxBytes  = 256 << 10
	defaultHeartbeat = 20 * time.Second
)

// Complete checks what is required and fills in the defaults.
func (c Config) Complete() (Config, error) {
	if c.Log == nil || c.Now == nil || c.NewID == nil {
		return c, errors.New("rpc/gate: Log, Now and NewID are needed")
	}
	if c.After == nil {
		c.After = time.After
	}
	if c.Observe == nil {
		c.Observe = func(string, string, time.Duration) {}
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	if c.Allow == nil {
		c.Allow = func(context.Context, string) (bool, time.Duration, error) { return true, 0, nil }
	}
	if c.Deadline == 0 {
		c.Deadline = defaultDeadline
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	return c, nil
}
