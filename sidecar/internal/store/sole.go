package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// lockReplica is shared by the processes that have a database open which is not Exclusive.
const lockReplica = 0x48414e05

const solePoll = 50 * time.Millisecond

// Sole runs fn in one transaction where no other process has the database open, and before another one can pass here; where another has,
// it does nothing. Call it once, before anything else is written. That another process is there is known from a session of its own: one
// that broke unseen, or that a proxy shares among its callers, is taken for none.
func (s *Store) Sole(ctx context.Context, fn func(tx *Tx) error) error {
	leave, err := s.eng.enterAlone(ctx)
	if err != nil || leave == nil {
		return err
	}
	err = s.Do(ctx, fn)
	return errors.Join(err, leave(ctx, err == nil))
}

// Begin keeps a nonce of a process that starts, until it calls end: whoever has this store knows it, and nobody who has a copy.
func (s *Store) Begin(ctx context.Context, nonce string) (end func(), err error) {
	name := "start/" + nonce
	err = s.Do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`INSERT INTO site (name, value) VALUES ($1, $2)`, name, []byte{})
		return err
	})
	return func() {
		_ = s.Do(context.WithoutCancel(ctx), func(tx *Tx) error { _, err := tx.exec(`DELETE FROM site WHERE name = $1`, name); return err })
	}, err
}

// Begun reports whether a nonce is kept.
func (s *Store) Begun(ctx context.Context, nonce string) (is bool, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		var value []byte
		is, err = tx.row(`SELECT value FROM site WHERE name = $1`, []any{"start/" + nonce}, &value)
		return err
	})
	return is, err
}

// enterAlone of a file: its lock lets nobody else in.
func (e *sqliteEngine) enterAlone(context.Context) (leave func(context.Context, bool) error, err error) {
	return func(context.Context, bool) error { return nil }, nil
}

// enterAlone takes the lock for this process alone. Left well, it becomes one that all share who come later; otherwise it is given up.
func (e *postgresEngine) enterAlone(ctx context.Context) (leave func(context.Context, bool) error, err error) {
	nothing := func(context.Context, bool) error { return nil }
	if e.hold != nil {
		return nothing, nil
	}
	c, err := e.db.Conn(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	if err := ownSession(ctx, e.db, c); err != nil {
		discard(c)
		if errors.Is(err, ErrPooled) {
			return nothing, nil
		}
		return nil, err
	}
	if err := mortal(ctx, c); err != nil { // or who starts on a copy in its place would take it for alive
		discard(c)
		return nil, err
	}
	for {
		alone, err := advisory(ctx, c, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`)
		if err != nil {
			discard(c)
			return nil, err
		}
		if alone {
			return func(ctx context.Context, well bool) error {
				if well {
					_, err = advisory(ctx, c, `SELECT pg_try_advisory_lock_shared($1, hashtext(current_schema()))`)
				}
				if well && err == nil {
					_, err = advisory(ctx, c, `SELECT pg_advisory_unlock($1, hashtext(current_schema()))`)
				}
				if !well || err != nil {
					discard(c)
					return err
				}
				e.keep(c)
				return nil
			}, nil
		}
		shared, err := advisory(ctx, c, `SELECT pg_try_advisory_lock_shared($1, hashtext(current_schema()))`)
		if err != nil {
			discard(c)
			return nil, err
		}
		if shared {
			e.keep(c)
			return nil, nil
		}
		if err := pause(ctx, solePoll); err != nil { // another one is alone right now
			discard(c)
			return nil, err
		}
	}
}

// keep holds a connection, with the lock that lives in it, until the store is closed.
func (e *postgresEngine) keep(c *sql.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.replica = c
}

func advisory(ctx context.Context, c *sql.Conn, statement string) (got bool, err error) {
	if err = c.QueryRowContext(ctx, statement, lockReplica).Scan(&got); err != nil {
		err = unavailable(err)
	}
	return got, err
}
