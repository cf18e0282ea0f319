package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// txTimeout bounds a transaction, so that a server that stopped answering does not hold callers for ever.
	txTimeout     = 30 * time.Second
	commitTimeout = 10 * time.Second
	// triesShared run beside others; from then on a closure runs alone in this process. triesMost ends it.
	triesShared = 4
	triesMost   = 40
	// connLifetime is how long at most we stay with a server after its name leads to another.
	connLifetime = 5 * time.Minute
	// exclusiveWait is how long a new process waits for the server to notice that the old one is dead.
	exclusiveWait = 3 * time.Second
	exclusivePoll = 50 * time.Millisecond
	// exclusiveCheck is how often the lock is looked at, and how long a look may wait for the server.
	exclusiveCheck = 5 * time.Second
)

// Advisory locks of ours: of the current schema, but for lockHolder, which has a number of its own each time it is taken.
const (
	lockMigrate   = 0x48414e01
	lockExclusive = 0x48414e02
	// lockHolder is held beside lockExclusive, so that a transaction can ask whether that one session of ours still lives.
	lockHolder = 0x48414e03
	// lockFence is shared by the commits of whoever asked, so that the next holder waits for them.
	lockFence = 0x48414e04
)

type postgresEngine struct {
	s      *Store
	db     *sql.DB
	writer chan struct{} // tickets of concurrent transactions
	queued atomic.Int64
	alone  sync.RWMutex
	closed chan struct{}
	once   sync.Once
	busy   sync.WaitGroup
	mu     sync.Mutex // orders busy.Add against close
	hold   *hold
	server server
	// replica is the connection whose lock says that this process is there; see Sole.
	replica *sql.Conn
}

func openPostgres(ctx context.Context, s *Store) (engine, error) {
	cfg, err := parseDSN(s.cfg.DSN)
	if err != nil {
		return nil, err
	}
	writers, readers := s.cfg.Writers, s.cfg.Readers
	if writers <= 0 {
		writers = 8
	}
	if readers <= 0 {
		readers = 16
	}
	e := &postgresEngine{s: s, writer: make(chan struct{}, writers), closed: make(chan struct{}), server: server{log: s.cfg.Logger}}
	cfg.AfterConnect = e.server.met
	e.db = stdlib.OpenDB(*cfg, stdlib.OptionResetSession(e.server.still))
	e.db.SetMaxOpenConns(writers + readers + 1)
	e.db.SetMaxIdleConns(writers + readers + 1)
	if s.cfg.Exclusive {
		if e.hold, err = newHold(ctx, e.db, s.writes.refused); err != nil {
			return nil, errors.Join(err, e.db.Close())
		}
	}
	return e, nil
}

func (e *postgresEngine) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return false
	default:
		e.busy.Add(1)
		return true
	}
}

func (e *postgresEngine) do(it *work) error {
	if !e.enter() {
		return errClosed()
	}
	defer e.busy.Done()
	e.queued.Add(1)
	select {
	case e.writer <- struct{}{}:
		e.queued.Add(-1)
		defer func() { <-e.writer }()
	case <-it.ctx.Done():
		e.queued.Add(-1)
		return it.ctx.Err()
	}
	for try := 1; ; try++ {
		err := e.attempt(it, try > triesShared)
		if !lostRace(err) {
			e.server.suspect(err)
			return err
		}
		if try == triesMost {
			return unavailable(fmt.Errorf("lost %d races: %w", try, err))
		}
		e.s.stats.retries.Add(1)
		if err := pause(it.ctx, time.Millisecond<<min(try, 6)); err != nil {
			return err
		}
	}
}

// pause waits for a random part of most.
func pause(ctx context.Context, most time.Duration) error {
	timer := time.NewTimer(rand.N(most))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *postgresEngine) attempt(it *work, alone bool) error {
	if alone {
		e.alone.Lock()
		defer e.alone.Unlock()
	} else {
		e.alone.RLock()
		defer e.alone.RUnlock()
	}
	if err := e.hold.held(it.ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(it.ctx, txTimeout)
	defer cancel()
	sqlTx, met, end, err := e.begin(ctx, sql.LevelSerializable)
	if err != nil {
		return down(it.ctx, err)
	}
	defer end()
	if err := e.server.ours(ctx, sqlTx, met); err != nil {
		return err
	}
	if err := e.s.run(it, func() *Tx { return &Tx{s: e.s, ctx: ctx, on: pgSession{sqlTx}} }); err != nil {
		if it.ctx.Err() != nil && it.tx.failed != nil {
			return it.ctx.Err()
		}
		return err
	}
	if err := e.hold.fence(ctx, sqlTx); err != nil {
		return err
	}
	begun := time.Now()
	if err := commitWithin(sqlTx, cancel); err != nil {
		if lostRace(err) {
			return err
		}
		// Whether it was committed is not known. The caller repeats its work, which is idempotent, or reports an outage.
		return unavailable(err)
	}
	e.s.stats.committed(1, time.Since(begun))
	return nil
}

// begin begins a transaction and tells which server it is on. Whoever calls end gives it up, where it was not committed, and
// its connection back.
func (e *postgresEngine) begin(ctx context.Context, level sql.IsolationLevel) (sqlTx *sql.Tx, met string, end func(), err error) {
	c, err := e.db.Conn(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	if met, err = metBy(c); err == nil {
		sqlTx, err = c.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	}
	if err != nil {
		return nil, "", nil, errors.Join(err, c.Close())
	}
	return sqlTx, met, func() { _, _ = sqlTx.Rollback(), c.Close() }, nil
}

// commitWithin commits without the caller's deadline: a commit that was sent is waited for.
func commitWithin(sqlTx *sql.Tx, cancel func()) error {
	watchdog := time.AfterFunc(commitTimeout, cancel)
	err := sqlTx.Commit()
	if !watchdog.Stop() && err != nil {
		return &outage{reason: "connection", err: fmt.Errorf("no answer to a commit within %s: %w", commitTimeout, err)}
	}
	return err
}

// down is the answer when no transaction could be begun: the caller's own end, or an outage.
func down(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(err)
}

// relieve has nothing to do: the server looks after its log by itself.
func (e *postgresEngine) relieve(context.Context) error { return nil }

func (e *postgresEngine) waiting() bool { return e.queued.Load() > 0 }

func (e *postgresEngine) view(ctx context.Context, fn func(*Tx) error) error {
	if !e.enter() {
		return errClosed()
	}
	defer e.busy.Done()
	bounded, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	sqlTx, err := e.db.BeginTx(bounded, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		e.server.suspect(err)
		return down(ctx, err)
	}
	defer func() { _ = sqlTx.Rollback() }()
	tx := &Tx{s: e.s, ctx: bounded, on: pgSession{sqlTx}}
	err = (&work{fn: fn}).run(tx)
	e.server.suspect(err)
	if tx.failed != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (e *postgresEngine) migrate(ctx context.Context) error { return e.apply(ctx, migrationFiles) }

// apply changes the schema of no server that nobody accepted, as Do writes nothing there.
func (e *postgresEngine) apply(ctx context.Context, files fs.FS) error {
	sqlTx, met, end, err := e.begin(ctx, sql.LevelDefault) // it waits for the lock, and sees what was committed meanwhile
	if err != nil {
		return down(ctx, err)
	}
	defer end()
	if _, err := sqlTx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockMigrate); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	may := func() error {
		if err := e.server.remember(ctx, sqlTx); err != nil {
			return err
		}
		return e.server.ours(ctx, sqlTx, met)
	}
	if err := applyMigrations(ctx, pgSession{sqlTx}, files, e.s.cfg.Now().UnixNano(), may); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := e.hold.fence(ctx, sqlTx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return sqlTx.Commit()
}

func (e *postgresEngine) run(ctx context.Context) {
	if e.hold != nil {
		e.hold.watch(ctx)
	}
	<-ctx.Done()
}

func (e *postgresEngine) close() error {
	var err error
	e.once.Do(func() {
		e.mu.Lock()
		close(e.closed)
		e.mu.Unlock()
		e.busy.Wait()
		if e.replica != nil {
			discard(e.replica)
		}
		err = errors.Join(e.hold.release(), e.db.Close())
	})
	return err
}

type pgSession struct{ tx *sql.Tx }

func (p pgSession) exec(ctx context.Context, query string, args []any) (int64, error) {
	res, err := p.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (p pgSession) query(ctx context.Context, query string, args []any) (rows, error) {
	return p.tx.QueryContext(ctx, query, args...)
}

// script relies on pgx's simple protocol for statements without arguments, which takes several at once.
func (p pgSession) script(ctx context.Context, text string) error {
	_, err := p.tx.ExecContext(ctx, text)
	return err
}

// check asks the server for an answer; it watches its own files.
func (e *postgresEngine) check(ctx context.Context) error {
	return e.view(ctx, func(tx *Tx) error {
		_, err := tx.row(`SELECT count(*) FROM migration`, nil, new(int64))
		return err
	})
}
