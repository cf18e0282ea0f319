package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"zombiezen.com/go/sqlite"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// outage is why the database does not take what it should, in a word that metrics count.
type outage struct {
	reason string
	err    error
}

func (o *outage) Error() string { return o.reason + ": " + o.err.Error() }
func (o *outage) Unwrap() error { return o.err }

// classify turns an engine's error into ours: an outage is fault.Unavailable, anything else is a defect.
func classify(err error) error {
	if outageReason(err) != "" {
		return unavailable(err)
	}
	return err
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, "store_unavailable", "our database is not available").
		Because(&outage{reason: cmp.Or(outageReason(err), "other"), err: err})
}

// outageReason is "" where the error is no outage.
func outageReason(err error) string {
	var known *outage
	if errors.As(err, &known) {
		return known.reason
	}
	if code := sqlite.ErrCode(err).ToPrimary(); code != sqlite.ResultOK && code != sqlite.ResultError {
		return liteOutages[code]
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return cmp.Or(pgOutages[pg.Code], pgOutages[pg.Code[:min(2, len(pg.Code))]])
	}
	var dial *pgconn.ConnectError
	var wire net.Error
	if errors.As(err, &dial) || errors.As(err, &wire) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) {
		return "connection"
	}
	return ""
}

// liteOutages are SQLite's primary result codes (sqlite.org/rescode.html) that say nothing about what was asked.
var liteOutages = map[sqlite.ResultCode]string{
	sqlite.ResultFull: "disk_full", sqlite.ResultReadOnly: "read_only", sqlite.ResultIOErr: "io", sqlite.ResultCantOpen: "io",
	sqlite.ResultCorrupt: "damaged", sqlite.ResultNotADB: "damaged", sqlite.ResultNoMem: "resources",
	sqlite.ResultBusy: "busy", sqlite.ResultLocked: "busy", sqlite.ResultProtocol: "busy",
}

// pgOutages are PostgreSQL's (appendix A of its manual), by code or else by class.
var pgOutages = map[string]string{
	"53100": "disk_full", "25006": "read_only", "58030": "io",
	"08": "connection", "25": "connection", "40": "lost_races", "53": "resources", "55": "busy", "57": "shutdown", "58": "io", "XX": "damaged",
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
