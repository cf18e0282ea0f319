package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// classify turns an engine's error into ours: an outage is fault.Unavailable, anything else is a defect.
func classify(err error) error {
	if outage(err) {
		return unavailable(err)
	}
	return err
}

func outage(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT:
			return true
		}
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code[:2] {
		case "08", "25", "40", "53", "55", "57", "58", "XX": // connection, state, lost races, resources, shutdown, system
			return true
		}
		return false
	}
	var dial *pgconn.ConnectError
	var wire net.Error
	return errors.As(err, &dial) || errors.As(err, &wire) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}

// lostRace reports whether PostgreSQL asks for the transaction to be run again: serialization failure or deadlock.
func lostRace(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// conflict is a lost race: whoever runs its round again from the facts may win the next.
func conflict(noun, what, cause string) error {
	return fault.New(fault.Conflict, noun+"_"+what, "%s", cause).Because(unit.ErrStale)
}
