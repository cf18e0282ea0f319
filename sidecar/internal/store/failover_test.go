package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

func TestAPoolingProxyIsRefusedInPlainWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode string
		size int
		says error
	}{{"transaction", 20, store.ErrPooled}, {"transaction", 2, store.ErrPooled}, {"transaction", 1, store.ErrPooled}, {"statement", 20, store.ErrPooled}, {"session", 100, nil}} {
		t.Run(fmt.Sprintf("%s, %d", c.mode, c.size), func(t *testing.T) {
			t.Parallel()
			server := servers.Postgres(t)
			direct := server.Database(t)
			cfg := store.Config{DSN: server.PgBouncer(t, direct, c.mode, c.size), SiteKey: siteKey, Exclusive: true, Readers: 4}
			s, err := store.Open(t.Context(), cfg)
			if !errors.Is(err, c.says) {
				t.Fatalf("got %v, want %v", err, c.says)
			}
			if err != nil {
				if !strings.Contains(err.Error(), "pool_mode = session") {
					t.Errorf("it does not say what to do: %v", err)
				}
				return
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			do(t, s, func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: them}); return err })
			if _, err := store.Open(t.Context(), store.Config{DSN: direct, SiteKey: siteKey, Exclusive: true}); !errors.Is(err, store.ErrInUse) {
				t.Errorf("a second sidecar beside the proxy: %v", err)
			}
		})
	}
}

// A transaction that began while the lock was ours does not commit when it is not any more, however long until somebody looks.
func TestALostLockStopsTheTransactionInProgress(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	cfg.SiteKey, cfg.Exclusive = siteKey, true
	s := open(t, cfg)
	s.LookAtLockEvery(time.Hour)
	var other *store.Store
	lost := false
	err := s.Do(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Partners().Put(member.Partner{Origin: "https://late.example"}); err != nil {
			return err
		}
		if lost {
			return nil
		}
		lost = true
		return s.LoseLock(t.Context(), func() { other = open(t, cfg) })
	})
	wantKind(t, err, fault.Unavailable, "store_not_exclusive")
	view(t, other, func(tx *store.Tx) error {
		if n := len(must(tx.Partners().List())); n != 0 {
			t.Errorf("%d partners were written by who had lost the lock", n)
		}
		return nil
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s.LookAtLockEvery(time.Nanosecond)
	do(t, s, func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: them}); return err })
}

func TestALockWhoseConnectionBrokeUnheardIsTakenAnew(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	cfg.SiteKey, cfg.Exclusive = siteKey, true
	s := open(t, cfg)
	end := s.BreakLock()
	do(t, s, func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: them}); return err })
	if _, err := store.Open(t.Context(), cfg); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second sidecar: %v", err)
	}
	do(t, s, func(tx *store.Tx) error { return tx.Jobs().At("kind", "key", them, start) })
	_ = end()
}

// ownServer is a PostgreSQL of one test, to be broken.
func ownServer(t *testing.T) *testserver.Postgres {
	t.Helper()
	p, err := testserver.StartPostgres()
	return closed(t, p, err)
}

func closed(t *testing.T, p *testserver.Postgres, err error) *testserver.Postgres {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// failovers are the ways by which a store comes from one server to its promoted standby without a restart.
var failovers = map[string]struct {
	// dsn leads to first now, and to second after move.
	dsn  func(dir string, first, second *testserver.Postgres) (string, error)
	move func(t *testing.T, dir string, first, second *testserver.Postgres)
}{
	"the first dies, both are in the DSN": {
		dsn: func(_ string, first, second *testserver.Postgres) (string, error) {
			return first.Socket + "," + second.Socket, nil
		},
		move: func(t *testing.T, _ string, first, second *testserver.Postgres) {
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if err := second.Promote(); err != nil {
				t.Fatal(err)
			}
		},
	},
	"the first is demoted and lives on, the address moves": {
		dsn: func(dir string, first, _ *testserver.Postgres) (string, error) {
			return filepath.Join(dir, "address"), os.Symlink(first.Socket, filepath.Join(dir, "address"))
		},
		move: func(t *testing.T, dir string, first, second *testserver.Postgres) {
			asAdministrator(t, first.DSN("postgres"), "ALTER SYSTEM SET default_transaction_read_only = on",
				"ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
			if err := second.Promote(); err != nil {
				t.Fatal(err)
			}
			address := filepath.Join(dir, "address")
			if err := errors.Join(os.Remove(address), os.Symlink(second.Socket, address)); err != nil {
				t.Fatal(err)
			}
		},
	},
}

// After a failover the store finds the new server by itself and reads from it; it writes when an operator has accepted that
// server's timeline.
func TestAFailoverNeedsAnOperatorAndNoRestart(t *testing.T) {
	t.Parallel()
	for name, way := range failovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, dir := ownServer(t), t.TempDir()
			asAdministrator(t, first.DSN("postgres"), "CREATE DATABASE exclusive", "CREATE DATABASE shared")
			second, err := first.Standby()
			closed(t, second, err)
			// From now on a commit is on both.
			asAdministrator(t, first.DSN("postgres"), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
			host, err := way.dsn(dir, first, second)
			if err != nil {
				t.Fatal(err)
			}
			both := map[string]*store.Store{}
			dsn := func(database string) string {
				return (&url.URL{
					Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
					RawQuery: url.Values{"host": {host}, "sslmode": {"disable"}}.Encode(),
				}).String()
			}
			for _, database := range []string{"exclusive", "shared"} {
				s := open(t, store.Config{DSN: dsn(database), SiteKey: siteKey, Exclusive: database == "exclusive"})
				if database == "exclusive" {
					s.LookAtLockEvery(10 * time.Millisecond)
				}
				run(t, s)
				both[database] = s
				do(t, s, func(tx *store.Tx) error {
					_, err := tx.Partners().Put(member.Partner{Origin: "https://before.example"})
					return err
				})
			}
			way.move(t, dir, first, second)
			for database, s := range both {
				t.Run(database, func(t *testing.T) { isAccepted(t, s, dsn(database)) })
			}
		})
	}
}

// isAccepted goes with a store, which wrote on the first server, through what follows a failover.
func isAccepted(t *testing.T, s *store.Store, dsn string) {
	put := func(origin string) error {
		return s.Do(context.Background(), func(tx *store.Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: origin}); return err })
	}
	until(t, func() bool { return fault.ReasonOf(put("https://between.example")) == "store_server_changed" })
	if err := s.Writable(t.Context()); err == nil {
		t.Error("writable on a server that nobody accepted")
	}
	view(t, s, func(tx *store.Tx) error { _, err := tx.Partners().Get("https://before.example"); return err })
	again, err := store.Open(t.Context(), store.Config{DSN: dsn, SiteKey: siteKey})
	if err != nil {
		t.Fatalf("a start on that server: %v", err)
	}
	wantKind(t, again.Do(t.Context(), func(tx *store.Tx) error { return tx.Jobs().At("kind", "key", them, start) }), fault.Unavailable, "store_server_changed")
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	was, is, err := store.AcceptServer(t.Context(), dsn)
	if err != nil || was == is || !strings.HasSuffix(was, "/00000001") || !strings.HasSuffix(is, "/00000002") {
		t.Fatalf("accepted %q for %q: %v", is, was, err)
	}
	until(t, func() bool { return put("https://after.example") == nil })
	view(t, s, func(tx *store.Tx) error {
		if n := len(must(tx.Partners().List())); n != 2 {
			t.Errorf("%d partners", n)
		}
		return nil
	})
}

// until asks again and again; the test's own time limit ends a wait that is in vain.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for tick := time.NewTicker(20 * time.Millisecond); !so(); <-tick.C {
	}
}
