package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// hold is PostgreSQL's advisory lock of a member that runs one replica. The lock lives and dies with its connection, so the
// connection is looked at and, when it broke, the lock is taken anew; nothing is written in between. While watch runs, it
// looks; a write that finds its last look too old looks itself. The nil hold is for stores that are not exclusive.
type hold struct {
	db  *sql.DB
	log *slog.Logger
	// every is how often watch looks.
	every time.Duration
	last  atomic.Pointer[look]

	turn     chan struct{} // whoever puts something in may use what follows
	conn     *sql.Conn
	released bool
}

// look is what was found out about the lock; it was so at that time or later.
type look struct {
	held bool
	at   time.Time // of the machine: it measures how long nobody has looked, not business time
}

func newHold(ctx context.Context, db *sql.DB, log *slog.Logger) (*hold, error) {
	h := &hold{db: db, log: log, every: exclusiveCheck, turn: make(chan struct{}, 1)}
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
	var got bool
	err = c.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, lockExclusive).Scan(&got)
	if err == nil && !got {
		err = ErrInUse
	}
	if err != nil {
		return errors.Join(err, c.Close())
	}
	h.conn = c
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
	if !h.last.Load().held {
		return errNotExclusive()
	}
	return nil
}

func errNotExclusive() error {
	return fault.New(fault.Unavailable, "store_not_exclusive", "our database is not ours alone at the moment").
		Because(&outage{reason: "lock_lost", err: errors.New("the lock went with its connection")})
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
		if h.conn.PingContext(ctx) == nil {
			h.last.Store(&look{held: true, at: begun})
			return
		}
		h.last.Store(&look{at: begun})
		_ = h.conn.Close()
		h.conn = nil
	}
	err := h.take(ctx)
	if err != nil {
		h.log.Error("database lock lost, writes are refused until it is back", "error", err)
	}
	h.last.Store(&look{held: err == nil, at: begun})
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
