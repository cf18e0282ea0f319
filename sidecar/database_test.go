package sidecar_test

import (
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// A sidecar starts on a PostgreSQL server that is not the one it knew: it reads, is not ready, says what to do, and is ready when
// an operator has accepted the server.
func TestAnotherDatabaseServerWantsAnOperator(t *testing.T) {
	t.Parallel()
	dsn := servers.Postgres(t).Database(t)
	cfg := sidecar.Config{
		Origin: "https://alpha.localhost:7443", Dev: true, DataDir: t.TempDir(), Database: sidecar.Database{Driver: "postgres", DSN: dsn},
	}
	open := func() *sidecar.Sidecar {
		s, err := sidecar.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// As a copy of another cluster's database has it.
	if _, err := db.ExecContext(t.Context(), `UPDATE site SET value = $1 WHERE name = 'server'`, []byte("7000000000000000000/00000009")); err != nil {
		t.Fatal(err)
	}
	s := open()
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ready := func() string {
		w := httptest.NewRecorder()
		s.OpsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		return w.Body.String()
	}
	if page := ready(); !strings.Contains(page, "ok store\n") || !strings.Contains(page, "failed store_writes: nothing can be written: store_server_changed") {
		t.Errorf("readyz: %s", page)
	}
	if _, _, err := sidecar.AcceptDatabase(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	sidecartest.Eventually(t, 30*time.Second, "it writes", func() error {
		if page := ready(); !strings.Contains(page, "ok store_writes\n") {
			return errors.New(page)
		}
		return nil
	})
}
