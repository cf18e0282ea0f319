package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// parseDSN wants a server that can be written, unless the DSN says otherwise in target_session_attrs: of several hosts the
// primary is found, and a standby is left for it as soon as one is there.
func parseDSN(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the DSN is not one of PostgreSQL") // pgx's text may repeat the password
	}
	if cfg.ValidateConnect == nil { // also for "any", which would leave us with a server that takes nothing
		cfg.ValidateConnect = func(ctx context.Context, c *pgconn.PgConn) error {
			if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, c); err != nil {
				return &outage{reason: "read_only", err: err}
			}
			return nil
		}
	}
	return cfg, nil
}

// server is which PostgreSQL this is: the cluster's system identifier and its timeline, which changes with each promotion and
// each restore. A server of another timeline may lack what its predecessor had committed, and partners have seen. So what is
// recorded in the database is compared with what each new connection meets, and where they differ nothing is written until an
// operator has accepted it.
type server struct {
	log *slog.Logger
	// generation outdates the connections that were made before.
	generation atomic.Int64

	mu sync.Mutex
	// now is what the newest connection met, "" where that server does not tell. Others may still be connected elsewhere.
	now string
	// recorded is nil until it was read.
	recorded *string
	read     time.Time // of the machine
}

// madeKey is where a connection keeps when it was made.
const madeKey = "hanse_made"

// made is the generation and the time, of the machine, in which a connection was made, and the server that it leads to.
type made struct {
	generation int64
	at         time.Time
	met        string
}

// identify needs no privilege, but some hosted servers refuse it (untold): then there is nothing to compare.
const identify = `SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) FROM pg_control_system()`

// met notes what a new connection meets.
func (s *server) met(ctx context.Context, c *pgconn.PgConn) error {
	generation := s.generation.Load()
	results, err := c.Exec(ctx, identify).ReadAll() // the simple protocol, for the sake of proxies
	if err != nil && !untold(err) {
		return err
	}
	now := ""
	if err == nil && len(results) == 1 && len(results[0].Rows) == 1 {
		now = string(results[0].Rows[0][0])
	}
	if s.newest(now) {
		generation = s.generation.Add(1) // whoever is still connected elsewhere comes over
	}
	c.CustomData()[madeKey] = made{generation, time.Now(), now}
	return nil
}

// untold reports whether the server answered identify that it will not tell. Whoever is short of something, going or gone
// (57P01) has only not told yet.
func untold(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return false
	}
	switch outageReason(err) {
	case "", "busy", "damaged": // as servers say that have no log of their own: 55000, XX000
		return true
	}
	return false
}

// newest notes what the newest connection met, and reports whether that is another server than before.
func (s *server) newest(now string) (another bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.now
	s.now = now
	if before == "" || before == now {
		return false
	}
	s.log.Warn("the database is on another server or timeline", "before", before, "now", now)
	return true
}

// metBy returns the server that a connection leads to.
func metBy(c *sql.Conn) (met string, err error) {
	err = c.Raw(func(c any) error {
		m, ok := c.(*stdlib.Conn).Conn().PgConn().CustomData()[madeKey].(made)
		if !ok {
			return driver.ErrBadConn
		}
		met = m.met
		return nil
	})
	return met, err
}

// still keeps a connection of the pool from being used again when it is outdated. It bounds their life, too: the pool's own way
// to do so is a goroutine.
func (s *server) still(_ context.Context, c *pgx.Conn) error {
	m, ok := c.PgConn().CustomData()[madeKey].(made)
	if !ok || m.generation != s.generation.Load() || time.Since(m.at) > connLifetime {
		return driver.ErrBadConn
	}
	return nil
}

// suspect outdates all connections after an error that speaks of the server and not of what was asked: it became read-only
// (25006), shuts down or starts (57P01 to 57P03), or the connection is broken (class 08).
func (s *server) suspect(err error) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return
	}
	switch {
	case pg.Code == "25006", pg.Code == "57P01", pg.Code == "57P02", pg.Code == "57P03", strings.HasPrefix(pg.Code, "08"):
		s.generation.Add(1)
	}
}

// differs returns what is recorded where it differs from what was met, and whether it is time to read it again.
func (s *server) differs(met string) (recorded string, differ, reread bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recorded == nil || *s.recorded == met || *s.recorded == "" {
		return "", false, false
	}
	reread = time.Since(s.read) > probeEvery
	if reread {
		s.read = time.Now()
	}
	return *s.recorded, true, reread
}

// queryer is a database or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// ours returns nil while the server that the connection met is the one that is recorded.
func (s *server) ours(ctx context.Context, on queryer, met string) error {
	_, differ, reread := s.differs(met)
	if !differ {
		return nil
	}
	if reread { // an operator may have accepted it
		if err := s.remember(ctx, on); err != nil {
			return unavailable(err)
		}
	}
	recorded, differ, _ := s.differs(met)
	if !differ {
		return nil
	}
	return changed(recorded, met)
}

func changed(recorded, now string) error {
	cause := "our database is on another server or timeline than before"
	if now == "" {
		cause = "our database does not tell any more which server and timeline it is on"
	}
	return fault.New(fault.Unavailable, "store_server_changed", "%s", cause).
		Do("make sure that it has all that was committed, then run: hanse database accept").
		Because(&outage{reason: "server_changed", err: fmt.Errorf("recorded %s, now %s", recorded, now)})
}

// remember reads what is recorded.
func (s *server) remember(ctx context.Context, on queryer) error {
	var recorded []byte
	if err := on.QueryRowContext(ctx, recordedServer).Scan(&recorded); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(recorded)
	s.recorded, s.read = &text, time.Now()
	return nil
}

const recordedServer = `SELECT coalesce((SELECT value FROM site WHERE name = 'server'), '')`

// recognise records the server at the first start, and compares it at each later one.
func (e *postgresEngine) recognise(ctx context.Context) error {
	if err := e.server.remember(ctx, e.db); err != nil {
		return unavailable(err)
	}
	e.server.mu.Lock()
	now, recorded := e.server.now, *e.server.recorded
	e.server.mu.Unlock()
	switch {
	case recorded == now && now != "":
	case recorded != "":
		e.s.writes.refused(changed(recorded, now))
	case now == "":
		e.server.log.Warn("the database does not tell its timeline, so a failover that loses commits will not be noticed")
	default:
		if _, err := e.s.fact(ctx, "server", []byte(now)); err != nil {
			return err
		}
		return e.server.remember(ctx, e.db)
	}
	return nil
}

// AcceptServer records that the PostgreSQL server at dsn has all that was committed before, as an operator has made sure of.
// Sidecars that run on it write again within a second. It returns what was recorded and what is now: a system identifier and a
// timeline each, "" where nothing was recorded and where the server does not tell. What does not tell is accepted like any other, and
// is not compared until a sidecar starts on one that does. A schema that an older version made is brought up to date first, since no sidecar may; nobody asks whether
// sidecars of that version run. What an operator has made sure of is not proved: where the server is another, the books with all partners are unproven
// from here on, whoever runs on it, and all feeds begin a new life.
func AcceptServer(ctx context.Context, dsn string) (was, is string, err error) {
	cfg, err := parseDSN(dsn)
	if err != nil {
		return "", "", err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return "", "", unavailable(err)
	}
	if err := db.QueryRowContext(ctx, identify).Scan(&is); err != nil && !untold(err) {
		return "", "", fmt.Errorf("ask the server for its timeline: %w", err)
	}
	sqlTx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return "", "", unavailable(err)
	}
	defer func() { _ = sqlTx.Rollback() }()
	var before []byte
	if err := sqlTx.QueryRowContext(ctx, recordedServer).Scan(&before); err != nil {
		return "", "", fmt.Errorf("read what was recorded; is this a sidecar's database? %w", err)
	}
	if was = string(before); is == "" {
		_, err = sqlTx.ExecContext(ctx, `DELETE FROM site WHERE name = 'server'`) // as before the first start
	} else {
		_, err = sqlTx.ExecContext(ctx, `INSERT INTO site (name, value) VALUES ('server', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, []byte(is))
	}
	if err == nil && was != is {
		if err := upgrade(ctx, sqlTx); err != nil {
			return "", "", err
		}
		s := &Store{cfg: Config{Now: time.Now, Rand: rand.Reader}}
		tx := &Tx{s: s, ctx: ctx, on: pgSession{sqlTx}}
		var life []byte
		if life, err = s.newLife(); err == nil {
			err = errors.Join(tx.renewFeeds(life), ledger.Doubt(tx, ledger.ReasonServerChanged, time.Now()))
		}
	}
	if err == nil {
		err = sqlTx.Commit()
	}
	return was, is, err
}

// upgrade brings the schema of a database up to date which no Store has open, inside the transaction of whoever writes there.
func upgrade(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockMigrate); err != nil {
		return unavailable(err)
	}
	on := pgSession{tx}
	applied, err := appliedSchema(ctx, on)
	if err == nil {
		err = CheckSchema(applied)
	}
	if err == nil {
		err = applyMigrations(ctx, on, migrationFiles, time.Now().UnixNano(), nil)
	}
	return err
}
