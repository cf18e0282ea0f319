package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

func TestDatabaseAccept_TakesThePostgreSQLThatIsThere(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	dsn := server.Database(t)
	cfg := devConfig(t)
	cfg.Database.Driver, cfg.Database.DSN = "postgres", dsn
	s, err := sidecar.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const before = "7000000000000000000/00000009" // as a copy of another cluster's database has it
	if _, err := db.ExecContext(t.Context(), `UPDATE site SET value = $1 WHERE name = 'server'`, []byte(before)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "hanse.yaml")
	text := fmt.Sprintf("origin: %s\ndev: true\ndata_dir: %s\ndatabase: {driver: postgres, dsn: %q}\n", cfg.Origin, cfg.DataDir, dsn)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	first := hanse(t, nil, "", "-c", file, "-o", "json", "database", "accept")
	var told acceptance
	if err := json.Unmarshal([]byte(first.stdout), &told); err != nil || first.code != exitOK || told.Was != before || !strings.HasSuffix(told.Is, "/00000001") {
		t.Fatalf("accept: %+v", first)
	}
	if again := hanse(t, nil, "", "-c", file, "database", "accept"); again.code != exitOK || !strings.Contains(again.stdout, told.Is+" were accepted before") {
		t.Errorf("accept again: %+v", again)
	}
	text = fmt.Sprintf("origin: %s\ndev: true\ndata_dir: %s\n", cfg.Origin, cfg.DataDir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if lite := hanse(t, nil, "", "-c", file, "database", "accept"); lite.code != exitFailure || !strings.Contains(lite.stderr, "database.driver") {
		t.Errorf("with SQLite: %+v", lite)
	}
}

func TestDatabaseAccept_TellsAServerThatIsDownFromADSNThatIsNone(t *testing.T) {
	for dsn, want := range map[string]struct {
		code   int
		reason string
	}{
		"postgres://u:sekret@127.0.0.1:1/x?connect_timeout=5": {exitPending, "database_unreachable"},
		"postgres://u:sekret@127.0.0.1:port/x":                {exitFailure, "database.dsn"},
		"host=127.0.0.1 port=sekret":                          {exitFailure, "database.dsn"},
	} {
		file := filepath.Join(t.TempDir(), "hanse.yaml")
		write(t, file, fmt.Sprintf("dev: true\ndatabase: {driver: postgres, dsn: %q}\n", dsn))
		got := hanse(t, nil, "", "-c", file, "database", "accept")
		if got.code != want.code || !strings.Contains(got.stderr, want.reason) || strings.Contains(got.stderr, "u:sekret") {
			t.Errorf("%s: %+v", dsn, got)
		}
	}
}
