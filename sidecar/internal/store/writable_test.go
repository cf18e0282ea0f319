package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// reasons counts what Failed tells.
type reasons struct {
	mu  sync.Mutex
	all map[string]int
}

func (r *reasons) add(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string]int{}
	}
	r.all[reason]++
}

func (r *reasons) of(reason string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[reason]
}

// asAdministrator runs statements on a database of the tests' server.
func asAdministrator(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A store says that it takes nothing while that is so, whether or not somebody writes, and takes it back by itself.
func TestAStoreThatTakesNothingSaysSoUntilItDoes(t *testing.T) {
	t.Parallel()
	type trouble struct {
		reason    string
		cfg       func(t *testing.T) store.Config
		come, end func(t *testing.T, s *store.Store, cfg store.Config)
	}
	engine := func(name string) func(t *testing.T) store.Config {
		return func(t *testing.T) store.Config { return engines[name](t) }
	}
	// others is the maintenance database of the same server, whose sessions the fault does not touch.
	others := func(cfg store.Config) (dsn, database string) {
		u, err := url.Parse(cfg.DSN)
		if err != nil {
			panic(err)
		}
		database = strings.TrimPrefix(u.Path, "/")
		u.Path = "/postgres"
		return u.String(), database
	}
	readOnly := func(t *testing.T, cfg store.Config, value string) {
		dsn, database := others(cfg)
		asAdministrator(t, dsn, fmt.Sprintf(`ALTER DATABASE %s SET default_transaction_read_only = %s`, database, value),
			fmt.Sprintf(`SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '%s'`, database))
	}
	var other *store.Store
	troubles := map[string]trouble{
		"a file that is gone": {
			"moved", engine("sqlite"),
			func(t *testing.T, _ *store.Store, cfg store.Config) {
				if err := os.Rename(cfg.Path, cfg.Path+".old"); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, _ *store.Store, cfg store.Config) {
				if err := os.Rename(cfg.Path+".old", cfg.Path); err != nil {
					t.Fatal(err)
				}
			},
		},
		"a file that is full": {
			"disk_full", engine("sqlite"),
			func(t *testing.T, s *store.Store, _ store.Config) {
				if err := s.LimitPages(1); err != nil {
					t.Fatal(err)
				}
				big := func(tx *store.Tx) error { return tx.Cursors().SetCursor(them, "offerings", make([]byte, 1<<20)) }
				wantKind(t, s.Do(t.Context(), big), fault.Unavailable, "store_unavailable")
			},
			func(t *testing.T, s *store.Store, _ store.Config) {
				if err := s.LimitPages(1_000_000); err != nil {
					t.Fatal(err)
				}
			},
		},
		"a server that became read-only": {
			"read_only", engine("postgres"),
			func(t *testing.T, _ *store.Store, cfg store.Config) { readOnly(t, cfg, "on") },
			func(t *testing.T, _ *store.Store, cfg store.Config) { readOnly(t, cfg, "off") },
		},
		"a lock that went to another": {
			"lock_lost", func(t *testing.T) store.Config {
				cfg := engines["postgres"](t)
				cfg.Exclusive = true
				return cfg
			},
			func(t *testing.T, s *store.Store, cfg store.Config) {
				s.LookAtLockEvery(time.Nanosecond)
				if err := s.LoseLock(t.Context(), func() { other = open(t, cfg) }); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, _ *store.Store, _ store.Config) {
				if err := other.Close(); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
	for name, f := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, counted := f.cfg(t), &reasons{}
			lines := &logged{}
			cfg.SiteKey, cfg.Failed, cfg.Logger = siteKey, counted.add, slog.New(slog.NewTextHandler(lines, nil))
			s := open(t, cfg)
			if err := s.Writable(t.Context()); err != nil {
				t.Fatalf("a healthy one: %v", err)
			}
			f.come(t, s, cfg)
			becomes(t, s, func(err error) bool { return err != nil && counted.of(f.reason) > 1 })
			if n := lines.of("ERROR", "reason="+f.reason); n != 1 {
				t.Errorf("%d lines say that it stopped", n)
			}
			if n := lines.of("INFO", ""); n != 0 {
				t.Errorf("%d lines say that it goes on", n)
			}
			f.end(t, s, cfg)
			becomes(t, s, func(err error) bool { return err == nil })
			if n := lines.of("INFO", "takes what is written again"); n != 1 {
				t.Errorf("%d lines say that it goes on", n)
			}
		})
	}
}

// becomes asks until the answer is as wanted; the test's own time limit ends a wait that is in vain.
func becomes(t *testing.T, s *store.Store, wanted func(error) bool) {
	t.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		if wanted(s.Writable(t.Context())) {
			return
		}
	}
}

func TestWhoAsksDoesNotWaitForADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	s := open(t, engines["sqlite"](t))
	s.ForgetWrites()
	begun, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.Do(context.Background(), func(*store.Tx) error { close(begun); <-end; return nil })
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Writable(ctx); err == nil {
		t.Error("writable while nothing answers")
	}
	close(end)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	becomes(t, s, func(err error) bool { return err == nil })
}
