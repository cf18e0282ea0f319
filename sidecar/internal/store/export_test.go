package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// CommitEach makes the store commit each closure by itself, for comparison: whoever calls begins, runs and commits under a
// lock, without the queue.
func (s *Store) CommitEach() { s.eng = &commitEach{sqliteEngine: s.eng.(*sqliteEngine)} }

type commitEach struct {
	*sqliteEngine
	turn sync.Mutex
}

func (c *commitEach) do(it *work) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	it.said = make(chan word, 1)
	c.alone(it)
	return it.err
}

// SlowSteps makes each step of Bulk seem to take a time of its own.
func (s *Store) SlowSteps(step time.Duration) {
	var begun time.Time
	var steps time.Duration
	s.elapsed = func(since time.Time) time.Duration {
		if !since.Equal(begun) {
			begun, steps = since, 0
		}
		steps++
		return steps * step
	}
}

// Wake wakes a topic as the store's own writes do.
func (tx *Tx) Wake(topic unit.Topic) { tx.wake(topic) }

// Record is a stored record as it is, and SetRecord writes it as another version of us would.
func (tx *Tx) Record(table, where string) (raw []byte, err error) {
	_, err = tx.row(`SELECT record FROM `+table+` WHERE `+where, nil, &raw)
	return raw, err
}

func (tx *Tx) SetRecord(table, where string, raw []byte) error {
	n, err := tx.exec(`UPDATE `+table+` SET record = $1 WHERE `+where, raw)
	if err == nil && n != 1 {
		err = fmt.Errorf("%d rows of %s match %s", n, table, where)
	}
	return err
}

// LookAtLockEvery sets the pace of an exclusive PostgreSQL store. Before Run.
func (s *Store) LookAtLockEvery(d time.Duration) { s.eng.(*postgresEngine).hold.every = d }

// BreakLock forgets the connection that has the lock, as a network does that breaks without a word: its session lives on in the
// server.
func (s *Store) BreakLock() (end func() error) {
	h := s.eng.(*postgresEngine).hold
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	broken := h.conn
	h.conn = nil
	h.last.Store(&look{err: errLockGone})
	return broken.Close
}

// LoseLock ends the session that holds the lock, as a server that restarts does, and lets something happen before anybody
// looks.
func (s *Store) LoseLock(ctx context.Context, meanwhile func()) error {
	e := s.eng.(*postgresEngine)
	e.hold.turn <- struct{}{}
	defer func() { <-e.hold.turn }()
	var pid int
	if err := e.hold.conn.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	var ended bool
	if err := e.db.QueryRowContext(ctx, `SELECT pg_terminate_backend($1, 60000)`, pid).Scan(&ended); err != nil || !ended {
		return fmt.Errorf("end session %d: %v, %w", pid, ended, err)
	}
	meanwhile()
	return nil
}

// LimitPages gives an SQLite file a size beyond which it is full, in pages.
func (s *Store) LimitPages(n int) error {
	return s.Do(context.Background(), func(tx *Tx) error {
		_, err := tx.exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	})
}

// ForgetWrites forgets what the last commits proved.
func (s *Store) ForgetWrites() {
	s.writes.mu.Lock()
	defer s.writes.mu.Unlock()
	s.writes.good, s.writes.failed = time.Time{}, time.Now()
}

// MeetWithin begins a transaction, lets another connection meet another server, and asks whether the transaction may write.
func (s *Store) MeetWithin(ctx context.Context, another string) error {
	e := s.eng.(*postgresEngine)
	tx, met, end, err := e.begin(ctx, sql.LevelSerializable)
	if err != nil {
		return err
	}
	defer end()
	e.server.newest(another)
	return e.server.ours(ctx, tx, met)
}

// Migrate brings the schema to where other files are, as a later version does when it starts.
func (s *Store) Migrate(ctx context.Context, files fs.FS) error {
	return s.eng.(*postgresEngine).apply(ctx, files)
}

// Plans tells how the engine finds the rows of each statement that follows; SQLite's alone.
func (tx *Tx) Plans(tell func(query, step string)) { tx.on = planning{tx.on, tell} }

type planning struct {
	session
	tell func(query, step string)
}

func (p planning) explain(ctx context.Context, query string, args []any) error {
	steps, err := p.session.query(ctx, "EXPLAIN QUERY PLAN "+query, args)
	if err != nil {
		return err
	}
	var id, parent, unused int64
	var step string
	for steps.Next() {
		if err := steps.Scan(&id, &parent, &unused, &step); err != nil {
			return errors.Join(err, steps.Close())
		}
		p.tell(query, step)
	}
	return errors.Join(steps.Err(), steps.Close())
}

func (p planning) exec(ctx context.Context, query string, args []any) (int64, error) {
	if err := p.explain(ctx, query, args); err != nil {
		return 0, err
	}
	return p.session.exec(ctx, query, args)
}

func (p planning) query(ctx context.Context, query string, args []any) (rows, error) {
	if err := p.explain(ctx, query, args); err != nil {
		return nil, err
	}
	return p.session.query(ctx, query, args)
}

// BareRetail has n subscriptions of our customers, and one that a partner resells under the id of the first, as a hanse wrote them that had no column
// for whose they are. They are in no order.
func (tx *Tx) BareRetail(n int, of func(i int) string) error {
	if _, err := tx.exec(`DELETE FROM subscription`); err != nil {
		return err
	}
	put := func(side, partner string, i int, rec *storepb.Subscription) error {
		raw, err := proto.Marshal(rec)
		if err != nil {
			return err
		}
		_, err = tx.exec(`INSERT INTO subscription (side, partner, id, portal, customer, state, created_at, version, record) VALUES ($1, $2, $3, '', '', 'active', 0, 1, $4)`,
			side, partner, fmt.Sprintf("sub-%d", i), raw)
		return err
	}
	for i := range n {
		if err := put("retail", "", i, &storepb.Subscription{Partner: of(i)}); err != nil {
			return err
		}
	}
	return put("resale", "https://another", 0, &storepb.Subscription{Partner: "https://another"})
}

// FillCounterparts does what a migration does after it made the column.
func (tx *Tx) FillCounterparts() error { return fillCounterparts(tx.ctx, tx.on) }

// MisfilledRetail counts those of BareRetail that are another's than they should be.
func (tx *Tx) MisfilledRetail(n int, of func(i int) string) (wrong int, err error) {
	got := map[string]string{}
	var side, id, counterpart string
	err = tx.rows(`SELECT side, id, counterpart FROM subscription`, nil, func() []any { return []any{&side, &id, &counterpart} }, func() error {
		got[side+" "+id] = counterpart
		return nil
	})
	if len(got) != n+1 || got["resale sub-0"] != "" {
		wrong++
	}
	for i := range n {
		if got[fmt.Sprintf("retail sub-%d", i)] != of(i) {
			wrong++
		}
	}
	return wrong, err
}
