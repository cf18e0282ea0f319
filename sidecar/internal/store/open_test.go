package store_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func TestSecondReplicaWithoutRedisIsRefused(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.SiteKey, cfg.Exclusive = siteKey, true
			first := open(t, cfg)
			if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrInUse) {
				t.Fatalf("second replica: %v", err)
			}
			do(t, first, func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: them}); return err })
			shared := cfg
			shared.Exclusive = false // a tool that reads beside the daemon
			view(t, open(t, shared), func(tx *store.Tx) error { _, err := tx.Partners().Get(them); return err })
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			open(t, cfg)
		})
	}
}

// Whoever lost the lock writes nothing while another one has it, whether or not Run looks after it.
func TestALostLockIsNoticedWithoutRun(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	cfg.SiteKey, cfg.Exclusive = siteKey, true
	s := open(t, cfg)
	write := func(s *store.Store) error {
		return s.Do(t.Context(), func(tx *store.Tx) error { return tx.Jobs().At("kind", "key", them, start) })
	}
	lose := func(t *testing.T) {
		var other *store.Store
		if err := s.LoseLock(t.Context(), func() { other = open(t, cfg) }); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantKind(t, write(s), fault.Unavailable, "store_not_exclusive")
		}
		if err := write(other); err != nil {
			t.Errorf("who has the lock: %v", err)
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if err := write(s); err != nil {
			t.Errorf("when it could be taken anew: %v", err)
		}
	}
	s.LookAtLockEvery(time.Nanosecond)
	t.Run("before", lose)
	s.LookAtLockEvery(time.Hour)
	run(t, s)()
	s.LookAtLockEvery(time.Nanosecond)
	t.Run("after", lose)
	if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrInUse) {
		t.Errorf("it was not taken anew: %v", err)
	}
}

func TestRunNoticesALostLockBeforeAnyWrite(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	cfg.SiteKey, cfg.Exclusive = siteKey, true
	noticed := make(signal, 1)
	logged := cfg
	logged.Logger = slog.New(slog.NewTextHandler(noticed, nil))
	s := open(t, logged)
	s.LookAtLockEvery(10 * time.Millisecond)
	run(t, s)
	var other *store.Store
	if err := s.LoseLock(t.Context(), func() { other = open(t, cfg) }); err != nil {
		t.Fatal(err)
	}
	<-noticed // the test's own time limit ends a wait that is in vain
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

// signal says that something was logged.
type signal chan struct{}

func (s signal) Write(line []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(line), nil
}

// run runs a store until the returned function is called, at the latest until the test ends.
func run(t *testing.T, s *store.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); cancel() })
	return stop
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			shared, exclusive := config(t), config(t)
			exclusive.Exclusive = true
			for _, cfg := range []store.Config{shared, exclusive} {
				stop := run(t, open(t, cfg))
				stop()
			}
		})
	}
}

func TestReplicasThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	for name, config := range engines {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.SiteKey, cfg.Now = siteKey, frozen
			var mu sync.Mutex
			var all []*store.Store
			together(6, func(int) {
				s, err := store.Open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			})
			for i, s := range all {
				do(t, s, func(tx *store.Tx) error {
					if len(must(tx.Partners().List())) != i {
						t.Error("the replicas do not share a database")
					}
					_, err := tx.Partners().Put(member.Partner{Origin: string(rune('a' + i))})
					return err
				})
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestConfigsThatCannotWork(t *testing.T) {
	t.Parallel()
	const one = "exactly one of path and DSN"
	for name, c := range map[string]struct {
		cfg  store.Config
		says string
	}{
		"no database":  {store.Config{SiteKey: siteKey}, one},
		"two":          {store.Config{SiteKey: siteKey, Path: "a", DSN: "postgres://b"}, one},
		"unusable dsn": {store.Config{SiteKey: siteKey, DSN: "postgres://user:hunter2@h:notaport/d"}, "not one of PostgreSQL"},
	} {
		_, err := store.Open(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error is %v, want something about %q", name, err, c.says)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in the error %v", name, err)
		}
	}
}
