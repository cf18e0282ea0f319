package store_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// elsewhere is a server and timeline that no test runs on.
const elsewhere = "7000000000000000000/00000009"

// movedHere makes a database one that was another server's before, as a copy has it.
func movedHere(t *testing.T, dsn string) {
	t.Helper()
	asAdministrator(t, dsn, `UPDATE site SET value = '`+elsewhere+`' WHERE name = 'server'`)
}

// Two servers at once: what a neighbour's connection meets says nothing about where a transaction in progress is.
func TestATransactionIsJudgedByTheServerOfItsOwnConnection(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	movedHere(t, cfg.DSN)
	s := open(t, cfg)
	wantKind(t, s.MeetWithin(t.Context(), elsewhere), fault.Unavailable, "store_server_changed")
	if _, _, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return s.MeetWithin(t.Context(), elsewhere) == nil })
}

// A new version that starts right after a failover changes no schema on a server that nobody accepted.
func TestASchemaIsChangedOnlyOnAnAcceptedServer(t *testing.T) {
	t.Parallel()
	const spine = "migrations/0001_spine.sql"
	text, err := os.ReadFile(spine)
	if err != nil {
		t.Fatal(err)
	}
	later := fstest.MapFS{spine: {Data: text}, "migrations/0002_later.sql": {Data: []byte("CREATE TABLE later (id bigint)")}}
	for _, exclusive := range []bool{true, false} {
		cfg := engines["postgres"](t)
		cfg.Exclusive = exclusive
		s := open(t, cfg)
		movedHere(t, cfg.DSN)
		wantKind(t, s.Migrate(t.Context(), later), fault.Unavailable, "store_server_changed")
		if _, _, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second has nothing to do
			if err := s.Migrate(t.Context(), later); err != nil {
				t.Fatal(err)
			}
		}
		asAdministrator(t, cfg.DSN, "DROP TABLE later") // which it made
	}
}
