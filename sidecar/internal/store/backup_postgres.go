package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// pieceSize is about how large a piece of a table is, in bytes.
const pieceSize = 1 << 20

// openPostgresSnapshot takes the view that pg_dump --serializable-deferrable takes: one that some order of the transactions so far gives.
func openPostgresSnapshot(ctx context.Context, dsn string) (_ *Snapshot, err error) {
	cfg, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	locked, err := lockable(ctx, c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	if err != nil {
		return nil, errors.Join(unavailable(err), c.Close())
	}
	leave := func() error { return errors.Join(tx.Rollback(), c.Close(), db.Close()) }
	// A table that a migration rewrites is empty to views of before. None changes a table while these locks are held; they come before the
	// view, for LOCK takes none.
	for _, statement := range []string{`SET TRANSACTION DEFERRABLE`, `LOCK TABLE ` + strings.Join(locked, ", ") + ` IN ACCESS SHARE MODE`} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(unavailable(err), tx.Rollback(), c.Close())
		}
	}
	s := &Snapshot{on: pgSession{tx}, close: leave, pieces: func(ctx context.Context, put Put) error { return copyOut(ctx, tx, c, put) }}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM pg_class c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`).Scan(&s.Size)
	var applied []Migration
	if err == nil {
		applied, err = appliedSchema(ctx, pgSession{tx})
	}
	if err == nil {
		err = CheckSchema(applied) // tables that we do not know would be left out
	}
	if names, _ := tables(migrationFiles, len(applied)); err == nil && len(names) != len(locked) {
		err = unavailable(errors.New("the schema was changed meanwhile"))
	}
	if err != nil {
		return nil, errors.Join(err, tx.Rollback(), c.Close())
	}
	return s, nil
}

// lockable are the tables that the migrations so far made.
func lockable(ctx context.Context, c *sql.Conn) ([]string, error) {
	var made bool
	if err := c.QueryRowContext(ctx, `SELECT to_regclass(current_schema() || '.migration') IS NOT NULL`).Scan(&made); err != nil {
		return nil, unavailable(err)
	}
	if !made {
		return nil, ErrNoDatabase
	}
	var applied int
	if err := c.QueryRowContext(ctx, `SELECT count(*) FROM migration`).Scan(&applied); err != nil {
		return nil, unavailable(err)
	}
	return tables(migrationFiles, applied)
}

// copyOut gives the rows of each table of ours, as COPY writes them, in pieces that end with a row.
func copyOut(ctx context.Context, tx *sql.Tx, c *sql.Conn, put Put) error {
	applied, err := appliedSchema(ctx, pgSession{tx})
	if err != nil {
		return err
	}
	names, err := tables(migrationFiles, len(applied))
	if err != nil {
		return err
	}
	for i, name := range names {
		out := &pieces{put: put, name: fmt.Sprintf("%03d.%s", i, name)}
		err := raw(c, func(on *pgconn.PgConn) error {
			_, err := on.CopyTo(ctx, out, `COPY `+name+` TO STDOUT`)
			return err
		})
		if err == nil {
			err = out.end()
		}
		if err != nil {
			return fmt.Errorf("read table %s: %w", name, err)
		}
	}
	return nil
}

func raw(c *sql.Conn, fn func(*pgconn.PgConn) error) error {
	return c.Raw(func(c any) error { return fn(c.(*stdlib.Conn).Conn().PgConn()) })
}

// pieces cuts what COPY writes; a row is a line.
type pieces struct {
	put  Put
	name string
	n    int
	rest []byte
}

func (p *pieces) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	if len(p.rest) < pieceSize {
		return len(b), nil
	}
	cut := bytes.LastIndexByte(p.rest, '\n') + 1
	if cut == 0 {
		return len(b), nil
	}
	if err := p.give(p.rest[:cut]); err != nil {
		return 0, err
	}
	p.rest = append(p.rest[:0], p.rest[cut:]...)
	return len(b), nil
}

func (p *pieces) end() error {
	if len(p.rest) == 0 {
		return nil
	}
	return p.give(p.rest)
}

func (p *pieces) give(rows []byte) error {
	p.n++
	return p.put(fmt.Sprintf("%s.%06d", p.name, p.n), int64(len(rows)), func(to io.Writer) error { _, err := to.Write(rows); return err })
}

// RestorePostgres makes the database at dsn, which must have nothing of ours in it, what a Snapshot was, in one transaction: all of
// it, or nothing. Pieces calls put for each piece. It is Restored then. The server is a new one: it is not compared with the one from
// which the Snapshot came.
func RestorePostgres(ctx context.Context, dsn string, schema []Migration, pieces func(put func(name string, from io.Reader) error) error) (err error) {
	if err := CheckSchema(schema); err != nil {
		return err
	}
	names, err := tables(migrationFiles, len(schema))
	if err != nil {
		return err
	}
	cfg, err := parseDSN(dsn)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = c.Close() }()
	tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := makeTables(ctx, tx, len(schema)); err != nil {
		return err
	}
	emptied := map[string]bool{} // of what the schema itself put in
	err = pieces(func(name string, from io.Reader) error {
		i := slices.IndexFunc(names, func(table string) bool { return pieceOf(name, table) })
		if i < 0 {
			return fmt.Errorf("%s is of no table of ours", name)
		}
		if !emptied[names[i]] {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+names[i]); err != nil {
				return err
			}
			emptied[names[i]] = true
		}
		return raw(c, func(on *pgconn.PgConn) error {
			_, err := on.CopyFrom(ctx, from, `COPY `+names[i]+` FROM STDIN`)
			return err
		})
	})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM site WHERE name = 'server'`); err != nil {
		return err
	}
	if err := upgrade(ctx, tx); err != nil {
		return err
	}
	s := &Store{cfg: Config{Now: time.Now, Rand: rand.Reader}}
	life, err := s.newLife()
	if err != nil {
		return err
	}
	if err := (&Tx{s: s, ctx: ctx, on: pgSession{tx}}).restored(life); err != nil {
		return err
	}
	return tx.Commit()
}

// pieceOf reports whether a piece is one of a table's.
func pieceOf(name, table string) bool {
	return len(name) == len("000.")+len(table)+len(".000000") && name[4:4+len(table)] == table
}

// makeTables brings an empty database to where the first n migrations lead; that they are applied stands among what comes in.
func makeTables(ctx context.Context, tx *sql.Tx, n int) error {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockMigrate); err != nil {
		return unavailable(err)
	}
	var made bool
	if err := tx.QueryRowContext(ctx, `SELECT to_regclass(current_schema() || '.migration') IS NOT NULL`).Scan(&made); err != nil {
		return err
	}
	if made {
		return ErrNotEmpty
	}
	all, err := migrations(migrationFiles)
	if err != nil {
		return err
	}
	on := pgSession{tx}
	if err := on.script(ctx, migrationTable); err != nil {
		return err
	}
	for _, m := range all[:n] {
		if err := on.script(ctx, m.text); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}
