package store_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// elsewhere is a server and timeline that no test runs on.
const elsewhere = "7000000000000000000/00000009"

// logged keeps what was logged, a line each.
type logged struct {
	mu  sync.Mutex
	all []string
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(line))
	return len(line), nil
}

// of counts the lines of a level that say something.
func (l *logged) of(level, something string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, "level="+level+" ") && strings.Contains(line, something) {
			n++
		}
	}
	return n
}

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
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	later := fstest.MapFS{fmt.Sprintf("migrations/%04d_later.sql", len(files)+1): {Data: []byte("CREATE TABLE later (id bigint)")}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		later[file] = &fstest.MapFile{Data: text}
	}
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

// A database that moves to a server which does not tell its timeline, as some hosted ones, or back from there, is an operator's
// to accept like any other.
func TestAServerThatDoesNotTellItsTimelineCanBeAccepted(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	role, database := plainRole(t, cfg.DSN)
	cfg.DSN = database
	s := open(t, cfg)
	write := func(s *store.Store) error {
		return s.Do(t.Context(), func(tx *store.Tx) error { return tx.Cursors().SetCursor(them, "offerings", nil) })
	}
	if err := write(s); err != nil {
		t.Fatal(err)
	}
	role("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	until(t, func() bool { return fault.ReasonOf(write(s)) == "store_server_changed" })
	lines := &logged{}
	cfg.Logger = slog.New(slog.NewTextHandler(lines, nil))
	started := open(t, cfg)
	wantKind(t, write(started), fault.Unavailable, "store_server_changed")
	if all, useful := lines.of("ERROR", ""), lines.of("ERROR", "hanse database accept"); all != 1 || useful != 1 {
		t.Errorf("of %d errors %d say what to do: %q", all, useful, lines.all)
	}
	for range 2 {
		_, is, err := store.AcceptServer(t.Context(), cfg.DSN)
		if err != nil || is != "" {
			t.Fatalf("accepted %q: %v", is, err)
		}
	}
	for _, s := range []*store.Store{s, started} {
		until(t, func() bool { return write(s) == nil })
	}
	if n := lines.of("INFO", "takes what is written again"); n != 1 {
		t.Errorf("%d lines say that it goes on: %q", n, lines.all)
	}

	role("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
	open(t, cfg) // from now on it is compared again
	if was, is, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil || was == "" || was != is {
		t.Errorf("recorded %q, now %q: %v", was, is, err)
	}
}

// plainRole gives a database to a role that is nothing special, and returns how the administrator runs a statement there, which
// ends all other sessions.
func plainRole(t *testing.T, dsn string) (administer func(statement string), theirs string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	asAdministrator(t, dsn, "CREATE ROLE "+name+" LOGIN", "ALTER DATABASE "+name+" OWNER TO "+name, "ALTER SCHEMA public OWNER TO "+name)
	u.User = url.User(name)
	return func(statement string) {
		asAdministrator(t, dsn, statement, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '"+name+"'")
	}, u.String()
}
