package sidecar_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar"
)

// TestNewStartsNothing finds what runs between New and Run. A pool of SQL connections has a goroutine of its own as long as it
// is open, which sleeps until a connection is missing.
func TestNewStartsNothing(t *testing.T) {
	postgres := func(t *testing.T) sidecar.Database {
		return sidecar.Database{Driver: "postgres", DSN: servers.Postgres(t).Database(t)}
	}
	for name, change := range map[string]func(t *testing.T, cfg *sidecar.Config){
		"one file":          func(*testing.T, *sidecar.Config) {},
		"alone on a server": func(t *testing.T, cfg *sidecar.Config) { cfg.Database = postgres(t) },
		"one of several": func(t *testing.T, cfg *sidecar.Config) {
			cfg.Database, cfg.Redis.Addresses = postgres(t), []string{servers.Redis(t).Socket}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sidecar.Config{Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}
			change(t, &cfg)
			before := goleak.IgnoreCurrent()
			s, err := sidecar.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := goleak.Find(before, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener")); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Replicas need a Redis and a PostgreSQL; with one of them alone a second sidecar is refused.
func TestASecondSidecarNeedsRedisAndPostgreSQL(t *testing.T) {
	redis := []string{servers.Redis(t).Socket}
	postgres := func() sidecar.Database {
		return sidecar.Database{Driver: "postgres", DSN: servers.Postgres(t).Database(t)}
	}
	for name, c := range map[string]struct {
		redis    []string
		database sidecar.Database
		may      bool
	}{
		"neither":          {nil, sidecar.Database{}, false},
		"Redis alone":      {redis, sidecar.Database{}, false},
		"PostgreSQL alone": {nil, postgres(), false},
		"both":             {redis, postgres(), true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := sidecar.Config{Dev: true, DataDir: t.TempDir(), DevCADir: t.TempDir(), Database: c.database, Logger: slog.New(slog.DiscardHandler)}
			cfg.Redis.Addresses = c.redis
			for i := range 2 {
				s, err := sidecar.New(t.Context(), cfg)
				if refused := err != nil; refused != (i == 1 && !c.may) {
					t.Errorf("sidecar %d: %v", i+1, err)
				}
				if err == nil {
					t.Cleanup(func() {
						if err := s.Close(); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
}
