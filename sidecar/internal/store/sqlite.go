package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
)

// busyWait is how long a statement waits for another process, a tool beside the daemon.
const busyWait = 5 * time.Second

// sqliteEngine is one writing connection, which group.go hands from caller to caller, and a pool of read-only ones.
type sqliteEngine struct {
	s       *Store
	file    *sqliteFile
	queue   queue
	writer  *conn
	readers chan *conn
	quit    chan struct{}
	closing atomic.Bool
}

func openSQLite(ctx context.Context, s *Store) (_ engine, err error) {
	e := &sqliteEngine{s: s, quit: make(chan struct{}), queue: queue{idle: make(chan struct{})}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.release())
		}
	}()
	if e.file, err = openSQLiteFile(s.cfg.Path, s.cfg.Exclusive); err != nil {
		return nil, err
	}
	// secure_delete overwrites what Erase deletes. cache_size is in KiB. Checkpoints are rarer than by default (in pages),
	// because a cold sync dirties the same index pages again and again.
	if e.writer, err = e.connect(ctx, "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "cache_size=-16000",
		"wal_autocheckpoint=4000", "journal_size_limit=67108864", "temp_store=MEMORY"); err != nil {
		return nil, err
	}
	readers := s.cfg.Readers
	if readers <= 0 {
		readers = 4
	}
	e.readers = make(chan *conn, readers)
	for range readers {
		c, err := e.connect(ctx, "query_only=ON", "cache_size=-4000", "temp_store=MEMORY")
		if err != nil {
			return nil, err
		}
		e.readers <- c
	}
	return e, nil
}

func (e *sqliteEngine) connect(ctx context.Context, pragmas ...string) (*conn, error) {
	raw, err := sqlite.OpenConn(e.file.path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, classify(err)
	}
	raw.SetBusyTimeout(busyWait)
	c := &conn{c: raw, stmts: map[string]*statement{}}
	for _, p := range pragmas {
		if err := c.script(ctx, "PRAGMA "+p); err != nil {
			return nil, errors.Join(fmt.Errorf("pragma %s: %w", p, classify(err)), c.close())
		}
	}
	return c, nil
}

// attempt runs one closure; lost tells that the transaction is gone, and everything before it in the group too.
func (e *sqliteEngine) attempt(it *work, savepoint bool) (err error, lost bool) {
	if err := it.ctx.Err(); err != nil {
		return err, false
	}
	ctx := context.Background() // a caller that goes away must not interrupt its neighbours
	if savepoint {
		if _, err := e.writer.exec(ctx, "SAVEPOINT closure", nil); err != nil {
			return classify(err), true
		}
	}
	err = e.s.run(it, func() *Tx { return &Tx{s: e.s, ctx: ctx, on: e.writer} })
	if !savepoint {
		return err, false
	}
	if err != nil {
		if _, back := e.writer.exec(ctx, "ROLLBACK TO closure", nil); back != nil {
			return err, true
		}
	}
	if _, end := e.writer.exec(ctx, "RELEASE closure", nil); end != nil {
		return errors.Join(err, classify(end)), true
	}
	return err, false
}

func (e *sqliteEngine) commit(closures int) error {
	begun := time.Now()
	if _, err := e.writer.exec(context.Background(), "COMMIT", nil); err != nil {
		e.rollback()
		return unavailable(err)
	}
	e.s.stats.committed(closures, time.Since(begun))
	return nil
}

// begin begins the writer's transaction.
func (e *sqliteEngine) begin() error {
	if err := e.file.moved(); err != nil {
		return err
	}
	if _, err := e.writer.exec(context.Background(), "BEGIN IMMEDIATE", nil); err != nil {
		return classify(err)
	}
	return nil
}

// rollback leaves the transaction, if the engine has not done so itself.
func (e *sqliteEngine) rollback() {
	_, _ = e.writer.exec(context.Background(), "ROLLBACK", nil)
}

// reader takes a reading connection out of the pool; the caller gives it back.
func (e *sqliteEngine) reader(ctx context.Context) (*conn, error) {
	select {
	case <-e.quit:
		return nil, errClosed()
	default:
	}
	select {
	case c := <-e.readers:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.quit:
		return nil, errClosed()
	}
}

// relieve brings the log into the file. Whoever writes goes on meanwhile, and at a commit has little left to bring in. Who is reading
// what stands in the log keeps it there: then it is brought in later.
func (e *sqliteEngine) relieve(ctx context.Context) error {
	if err := e.file.moved(); err != nil {
		return err
	}
	c, err := e.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { e.readers <- c }()
	if _, err := c.exec(ctx, "PRAGMA wal_checkpoint(PASSIVE)", nil); err != nil {
		return classify(err)
	}
	return nil
}

func (e *sqliteEngine) view(ctx context.Context, fn func(*Tx) error) error {
	c, err := e.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { e.readers <- c }()
	bg := context.Background()
	if _, err := c.exec(bg, "BEGIN", nil); err != nil {
		return classify(err)
	}
	defer func() { _, _ = c.exec(bg, "ROLLBACK", nil) }()
	return (&work{fn: fn}).run(&Tx{s: e.s, ctx: bg, on: c})
}

// recognise has nothing to compare: a file is what it is.
func (e *sqliteEngine) recognise(context.Context) error { return nil }

// run has nothing to look after: a file lock is the process's own until it ends.
func (e *sqliteEngine) run(ctx context.Context) { <-ctx.Done() }

func (e *sqliteEngine) close() error {
	if e.closing.Swap(true) {
		<-e.queue.idle
		return nil
	}
	close(e.quit)
	e.queue.close()
	return e.release()
}

func (e *sqliteEngine) release() error {
	var errs []error
	for range cap(e.readers) {
		select {
		case c := <-e.readers:
			errs = append(errs, c.close())
		default:
			if e.closing.Load() {
				c := <-e.readers // a View in progress gives it back
				errs = append(errs, c.close())
			}
		}
	}
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	if e.file != nil {
		errs = append(errs, e.file.close())
	}
	return errors.Join(errs...)
}

// check asks the engine whether the file is sound.
func (e *sqliteEngine) check(ctx context.Context) error {
	return e.view(ctx, func(tx *Tx) error {
		var verdict string
		if _, err := tx.row(`PRAGMA integrity_check(1)`, nil, &verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("the database file is damaged: %s", verdict)
		}
		return nil
	})
}
