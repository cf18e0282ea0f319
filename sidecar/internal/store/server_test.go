package store_test

import (
	"testing"

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
