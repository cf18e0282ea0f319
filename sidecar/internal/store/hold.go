package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// hold is PostgreSQL's advisory lock of a member that runs one replica. The lock lives and dies with its connection, so the
// connection is checked and, when it broke, the lock is taken anew; nothing is written in between. The nil hold is for
// stores that are not exclusive.
type hold struct {
	db   *sql.DB
	log  *slog.Logger
	conn *sql.Conn
	ok   atomic.Bool
	stop context.CancelFunc
	done sync.WaitGroup
}

func newHold(ctx context.Context, db *sql.DB, log *slog.Logger) (*hold, error) {
	h := &hold{db: db, log: log}
	limit := time.Now().Add(exclusiveWait)
	for {
		err := h.take(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrInUse) || time.Now().After(limit) {
			return nil, err
		}
		if err := pause(ctx, exclusivePoll); err != nil {
			return nil, err
		}
	}
	var watch context.Context
	watch, h.stop = context.WithCancel(context.Background())
	h.done.Go(func() { h.watch(watch) })
	return h, nil
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
	h.ok.Store(true)
	return nil
}

func (h *hold) watch(ctx context.Context) {
	tick := time.NewTicker(exclusiveCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h.check(ctx)
	}
}

func (h *hold) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, exclusiveCheck)
	defer cancel()
	if h.conn != nil {
		if h.conn.PingContext(ctx) == nil {
			return
		}
		h.ok.Store(false)
		_ = h.conn.Close()
		h.conn = nil
	}
	if err := h.take(ctx); err != nil {
		h.log.Error("database lock lost, writes are refused until it is back", "err", err)
	}
}

func (h *hold) held() bool { return h == nil || h.ok.Load() }

func (h *hold) release() error {
	if h == nil {
		return nil
	}
	h.stop()
	h.done.Wait()
	if h.conn == nil {
		return nil
	}
	// Not merely returned to the pool: the lock belongs to the session.
	_, err := h.conn.ExecContext(context.Background(), `SELECT pg_advisory_unlock_all()`)
	return errors.Join(err, h.conn.Close())
}
