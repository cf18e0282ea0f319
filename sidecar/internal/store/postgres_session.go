package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrPooled says that a proxy shares the server's sessions among its callers.
var ErrPooled = errors.New("the database is reached through a pooling proxy that gives a server's session to a caller for one " +
	"transaction only (as pgbouncer does with pool_mode = transaction or statement); the lock that keeps a second sidecar out does not " +
	"hold through it: connect to PostgreSQL directly, or through pool_mode = session")

// sessionWait is how long a session may take to answer while another one has a transaction open. A pool of one never answers.
const sessionWait = 5 * time.Second

// ownSession proves that c is one session of the server and nobody else's: while another connection of ours has a transaction
// open, which keeps whatever session it was given, c is where it was before, and the other one elsewhere. A proxy that pools
// transactions gives the session that c has just left to the next one that asks. All goes by the simple protocol, because such
// proxies lose prepared statements.
func ownSession(ctx context.Context, db *sql.DB, c *sql.Conn) error {
	before, err := backend(ctx, c)
	if err != nil {
		return unavailable(err)
	}
	other, err := db.Conn(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer discard(other)
	if _, err := other.ExecContext(ctx, "BEGIN", pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("%w (%w)", ErrPooled, err) // statement pooling has no transactions
	}
	taken, err := backend(ctx, other)
	if err != nil {
		return unavailable(err)
	}
	soon, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	after, err := backend(soon, c)
	switch {
	case err != nil && soon.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("%w (no answer within %s while another transaction is open)", ErrPooled, sessionWait)
	case err != nil:
		return unavailable(err)
	case after != before || taken == before:
		return ErrPooled
	}
	return nil
}

func backend(ctx context.Context, c *sql.Conn) (pid int64, err error) {
	err = c.QueryRowContext(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid, err
}
