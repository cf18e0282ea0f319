package adapterstest

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/hanse-market/hanse/adapters"
)

// Fixture is one adapter on one real platform. Each case gets its own, with tags of its own.
type Fixture struct {
	// Adapter is ready for use. The fixture closes what it made in t.Cleanup.
	Adapter adapters.Adapter
	// Reopen gives another instance that knows only what the platform knows, as after the host was killed: nothing is
	// closed before.
	Reopen func(t *testing.T) adapters.Adapter
	// A and B are requests of two tenants, with tags of their own, generation 1.
	A, B adapters.Request
	// Changed is another With for A: generation 2.
	Changed map[string]any
	// Stalled is a request to a platform that never answers or never gets ready.
	Stalled adapters.Request
	// Secrets are the values of the connection that must never be seen.
	Secrets []string
	// Logs is what the adapter has logged.
	Logs *Log

	// Count is how many resources of A's and B's tags the platform really has.
	Count func(ctx context.Context) (int, error)
	// Probe uses what the outputs give, as a customer does.
	Probe func(ctx context.Context, result adapters.Result) error
	// Isolated fails when the holder of mine can reach what other is.
	Isolated func(ctx context.Context, mine, other adapters.Result) error
	// IsChanged fails unless the platform really has Changed.
	IsChanged func(ctx context.Context, req adapters.Request) error
	// Drift changes A's resource behind the adapter's back; Apply can repair it.
	Drift func(ctx context.Context) error
}

// Log collects what an adapter logs.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Logger writes everything, debug level included, to l.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
