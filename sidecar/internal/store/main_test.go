package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var servers testserver.Servers

type withServers struct{ m *testing.M }

func (w withServers) Run() int { return servers.Run(w.m) }

func TestMain(m *testing.M) {
	if path := os.Getenv(crashStore); path != "" {
		crashWriter(path)
	}
	if path := os.Getenv(holdStore); path != "" {
		holder(path)
	}
	goleak.VerifyTestMain(withServers{m})
}

var siteKey = bytes.Repeat([]byte{7}, 32)

// start is the clock of the tests; nanoseconds, so that a lost digit shows.
var start = time.Date(2026, 11, 21, 8, 30, 0, 123456789, time.UTC)

func frozen() time.Time { return start }

// engines are the databases that every conformance test runs on.
var engines = map[string]func(t testing.TB) store.Config{
	"sqlite": func(t testing.TB) store.Config {
		return store.Config{Path: filepath.Join(t.TempDir(), "data", "hanse.db")}
	},
	"postgres": func(t testing.TB) store.Config {
		return store.Config{DSN: servers.Postgres(t).Database(t)}
	},
}

// onEach runs a test on a fresh store of each engine.
func onEach(t *testing.T, test func(t *testing.T, s *store.Store, woken *topics)) {
	t.Helper()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			woken := &topics{}
			cfg := config(t)
			cfg.Wake = woken.add
			test(t, open(t, cfg), woken)
		})
	}
}

func open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	if cfg.SiteKey == nil {
		cfg.SiteKey = siteKey
	}
	if cfg.Now == nil {
		cfg.Now = frozen
	}
	s, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// topics records what was woken.
type topics struct {
	mu  sync.Mutex
	all []string
}

func (w *topics) add(topic unit.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(topic))
}

func (w *topics) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// do and view fail the test when the transaction does.
func do(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.Do(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, s *store.Store, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// must unwraps inside a closure; a failure ends the test through the store's own containment of panics.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantKind(t testing.TB, err error, kind fault.Kind, reason string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.ReasonOf(err) != reason {
		t.Fatalf("got %v, want %s %s", err, kind, reason)
	}
}

var errStop = errors.New("stop")

// together runs fn n times at once and waits for all.
func together(n int, fn func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { fn(i) })
	}
	all.Wait()
}
