package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// hold is PostgreSQL's advisory lock of a member that runs one replica. The lock lives and dies with its connection, so each
// transaction asks, right before its commit, whether that connection is still there (fence), and the connection is looked at:
// when it broke, the lock is taken anew; nothing is written in between. While watch runs, it looks; a write that finds its last
// look too old looks itself. The nil hold is for stores that are not exclusive.
type hold struct {
	db *sql.DB
	// refused is told why nothing can be written.
	refused func(error)
	// every is how often watch looks.
	every time.Duration
	last  atomic.Pointer[look]
	// number is lockHolder's, of the connection that has the lock.
	number atomic.Int32

	turn     chan struct{} // whoever puts something in may use what follows
	conn     *sql.Conn
	released bool
}

// look is what was found out about the lock; it was so at that time or later.
type look struct {
	held bool
	at   time.Time // of the machine: it measures how long nobody has looked, not business time
	err  error     // why it is not held
}

func newHold(ctx context.Context, db *sql.DB, refused func(error)) (*hold, error) {
	h := &hold{db: db, refused: refused, every: exclusiveCheck, turn: make(chan struct{}, 1)}
	limit := time.Now().Add(exclusiveWait)
	for {
		begun := time.Now()
		err := h.take(ctx)
		if err == nil {
			h.last.Store(&look{held: true, at: begun})
			return h, nil
		}
		if !errors.Is(err, ErrInUse) || time.Now().After(limit) {
			return nil, err
		}
		if err := pause(ctx, exclusivePoll); err != nil {
			return nil, err
		}
	}
}

func (h *hold) take(ctx context.Context) error {
	c, err := h.db.Conn(ctx)
	if err != nil {
		return unavailable(err)
	}
	if err := h.lock(ctx, c); err != nil {
		discard(c)
		return err
	}
	h.conn = c
	return nil
}

func (h *hold) lock(ctx context.Context, c *sql.Conn) error {
	if err := ownSession(ctx, h.db, c); err != nil {
		return err
	}
	if err := mortal(ctx, c); err != nil { // or no other one could start
		return err
	}
	got, err := h.try(ctx, c)
	if err == nil && !got {
		// The session of ours that had it may live on in the server, which has not heard yet that its connection broke.
		if _, err = c.ExecContext(ctx, `SELECT pg_terminate_backend(pid, 1000) FROM pg_locks WHERE locktype = 'advisory' AND granted
			AND classid::bigint = $1 AND objid::bigint = $2`, lockHolder, h.number.Load()); err == nil {
			got, err = h.try(ctx, c)
		}
	}
	if err != nil {
		return unavailable(err)
	}
	if !got {
		return ErrInUse
	}
	number := 1 + rand.Int32N(math.MaxInt32) // 0 is nobody's
	if _, err := c.ExecContext(ctx, `SELECT pg_advisory_lock($1, $2)`, lockHolder, number); err != nil {
		return unavailable(err)
	}
	h.number.Store(number)
	// Whoever had the lock before may be about to commit; it must not do so after our first look at the data.
	if _, err := c.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockFence); err != nil {
		return unavailable(err)
	}
	return nil
}

// mortal has the server notice within half a minute and not within hours when this machine dies.
func mortal(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, `SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
		set_config('tcp_keepalives_count', '4', false)`)
	if err != nil {
		return unavailable(err)
	}
	return nil
}

func (h *hold) try(ctx context.Context, c *sql.Conn) (got bool, err error) {
	err = c.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, lockExclusive).Scan(&got)
	return got, err
}

// discard closes a connection for good: what it holds is not for the pool.
func discard(c *sql.Conn) {
	_ = c.Raw(func(any) error { return driver.ErrBadConn })
	_ = c.Close()
}

// fence ends a transaction well only while the lock is ours on this very server. It is the last word before the commit: the
// next holder waits until the commit is over.
func (h *hold) fence(ctx context.Context, tx *sql.Tx) error {
	if h == nil {
		return nil
	}
	var lost bool // CASE fixes the order
	err := tx.QueryRowContext(ctx, `SELECT CASE WHEN pg_advisory_xact_lock_shared($1, hashtext(current_schema())) IS NULL THEN true
		ELSE pg_try_advisory_xact_lock_shared($2, $3) END`, lockFence, lockHolder, h.number.Load()).Scan(&lost)
	if err != nil {
		return classify(err)
	}
	if lost {
		h.last.Store(&look{err: errLockGone}) // so long ago that the next write looks
		return errNotExclusive(errLockGone)
	}
	return nil
}

// watch looks at the lock until ctx ends.
func (h *hold) watch(ctx context.Context) {
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h.turn <- struct{}{}
		h.check()
		<-h.turn
	}
}

// held returns nil while the lock is known to be ours. What watch found stands for as long as watch needs at most to look
// again; when nobody watches, it is the caller who looks then.
func (h *hold) held(ctx context.Context) error {
	if h == nil {
		return nil
	}
	if h.stale() {
		select {
		case h.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if h.stale() { // else it was looked at while we waited
			h.check()
		}
		<-h.turn
	}
	if last := h.last.Load(); !last.held {
		return errNotExclusive(last.err)
	}
	return nil
}

var errLockGone = errors.New("the lock went with its connection")

func errNotExclusive(why error) error {
	return fault.New(fault.Unavailable, "store_not_exclusive", "our database is not ours alone at the moment").
		Because(&outage{reason: cmp.Or(outageReason(why), "lock_lost"), err: why})
}

func (h *hold) stale() bool { return time.Since(h.last.Load().at) > 2*h.every }

// check looks at the lock and takes it anew when it was lost. Nobody's end interrupts it: a driver that is interrupted closes
// the connection, and with it goes the lock.
func (h *hold) check() {
	if h.released {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), exclusiveCheck)
	defer cancel()
	begun := time.Now()
	if h.conn != nil {
		// One that was found gone by a fence, on another server than the connection's, is taken anew there.
		if !h.last.Load().at.IsZero() && h.alive(ctx) {
			h.last.Store(&look{held: true, at: begun})
			return
		}
		h.last.Store(&look{at: begun, err: errLockGone})
		discard(h.conn)
		h.conn = nil
	}
	err := h.take(ctx)
	if err != nil {
		h.refused(errNotExclusive(err))
	}
	h.last.Store(&look{held: err == nil, at: begun, err: err})
}

// alive asks the connection whether it has the lock and its server can be written.
func (h *hold) alive(ctx context.Context) bool {
	var alive bool
	err := h.conn.QueryRowContext(ctx, `SELECT current_setting('transaction_read_only') = 'off' AND EXISTS (
		SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
		AND classid::bigint = $1 AND objid::bigint = $2)`, lockHolder, h.number.Load()).Scan(&alive)
	return err == nil && alive
}

func (h *hold) release() error {
	if h == nil {
		return nil
	}
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	h.released = true
	if h.conn == nil {
		return nil
	}
	// Not merely returned to the pool: the lock belongs to the session.
	_, err := h.conn.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`)
	return errors.Join(err, h.conn.Close())
}
