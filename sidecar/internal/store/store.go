package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// ErrInUse says that another replica holds the database exclusively.
var ErrInUse = errors.New("another sidecar runs on this database; several replicas need Redis and PostgreSQL")

// Config of a Store. Exactly one of Path and DSN is set.
type Config struct {
	// Path of the SQLite file; it and its folder are made if missing, readable by the owner only.
	Path string
	// DSN of a PostgreSQL database, as a URL or key=value pairs.
	DSN string
	// SiteKey is the 32-byte key under which all secrets rest. Required; a key other than the one that the store was made
	// with is refused.
	SiteKey []byte
	// Exclusive refuses to open (ErrInUse) while another Store has the database open with Exclusive: the rule for members
	// without Redis. Default false.
	Exclusive bool
	// Readers is the number of concurrent Views; default 4 on SQLite, 16 on PostgreSQL.
	Readers int
	// Writers is the number of concurrent transactions on PostgreSQL; default 8. SQLite has one.
	Writers int
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Rand is the source of keys, nonces and where job ids begin; default crypto/rand.
	Rand io.Reader
	// Wake is called after a commit, once for each topic that the closure woke, on the goroutine of the caller of Do; nil
	// drops them.
	Wake func(topic unit.Topic)
	// Committed is told each durable commit, for metrics; default nobody is. It must be quick.
	Committed func(closures int, took time.Duration)
	// Failed is told each unit of work that the database did not take, for metrics; default nobody is. Reason is a word of a few
	// dozen at most: disk_full, read_only, io, damaged, resources, busy, lost_races, connection, shutdown, lock_lost,
	// server_changed, moved, other.
	Failed func(reason string)
	// Rehearse runs each closure of Do and Bulk once, takes back what it wrote, and runs it again: what a lost race does to one on
	// PostgreSQL, every time. A closure whose two runs do not end alike fails. For tests. Default false.
	Rehearse bool
	// Fail kills the process where a state machine takes an edge; nil does not. For tests.
	Fail *failpoint.Points
	// Logger is told, among others, when writing stops, as an Error, and goes on, as an Info; default discards.
	Logger *slog.Logger
}

// Store is the open database. It is safe for concurrent use.
type Store struct {
	cfg   Config
	eng   engine
	vault *vault
	stats stats
	// lastJob is the id of the job that was added last.
	lastJob atomic.Int64
	// writes is what Writable knows.
	writes writes
	// elapsed measures how long the writer is really held, which is not business time.
	elapsed func(since time.Time) time.Duration
}

// engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// do runs the work until it is committed or failed; it.tx is then the transaction that committed.
	do(it *work) error
	// waiting tells bulk work that others wait for the writer.
	waiting() bool
	view(ctx context.Context, fn func(*Tx) error) error
	// relieve does beside the writer what else it would do while all wait for it, after much was written.
	relieve(ctx context.Context) error
	migrate(ctx context.Context) error
	// recognise compares the server that this is with the one that it was. After migrate.
	recognise(ctx context.Context) error
	check(ctx context.Context) error
	// enterAlone is half of Sole: leave lets others in, and is nil where another process has the database open; false says that what was
	// to be done before others came in is not done.
	enterAlone(ctx context.Context) (leave func(ctx context.Context, done bool) error, err error)
	// run looks after what could get lost, until ctx ends.
	run(ctx context.Context)
	close() error
}

// Open opens the database, takes it for itself where Exclusive says so, brings its schema up to date and checks the site key.
// It starts no loop: see Run. Close releases the database.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if (cfg.Path == "") == (cfg.DSN == "") {
		return nil, errors.New("open store: exactly one of path and DSN must be set")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	v, err := newVault(cfg.SiteKey, cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{cfg: cfg, vault: v, elapsed: time.Since}
	first, err := firstJob(cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.lastJob.Store(first)
	s.stats.told, s.writes.log = cfg.Committed, cfg.Logger
	if cfg.Path != "" {
		s.eng, err = openSQLite(ctx, s)
	} else {
		s.eng, err = openPostgres(ctx, s)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.settle(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), s.eng.close())
	}
	return s, nil
}

func (s *Store) settle(ctx context.Context) error {
	if err := s.eng.migrate(ctx); err != nil {
		return err
	}
	if err := s.eng.recognise(ctx); err != nil {
		return err
	}
	if err := s.checkSiteKey(ctx); err != nil {
		return err
	}
	return s.loadLife(ctx)
}

// Check reports whether the database answers and, on SQLite, whether its file is sound; that reads all of it.
func (s *Store) Check(ctx context.Context) error { return s.eng.check(ctx) }

// Run looks after an Exclusive store's hold on its database until ctx ends, so that a lock that was lost with its connection is
// soon taken anew. Nothing depends on it: while Run does not run, a write that finds the lock unseen for too long looks itself.
func (s *Store) Run(ctx context.Context) error {
	s.eng.run(ctx)
	return nil
}

// Close waits for the transactions in progress and releases the database; call it when Run has returned. Do and View return
// fault.Unavailable afterwards.
func (s *Store) Close() error { return s.eng.close() }

// Do runs fn in one read-write transaction and returns after its commit. fn is pure and may run again. A cancelled ctx
// stops work that has not begun; work that has begun ends either way, and the answer tells which.
func (s *Store) Do(ctx context.Context, fn func(tx *Tx) error) error {
	return s.submit(&work{ctx: ctx, fn: fn})
}

func (s *Store) submit(it *work) error {
	if err := it.ctx.Err(); err != nil {
		return err
	}
	begun := time.Now()
	if err := s.eng.do(it); err != nil {
		s.failed(err)
		return err
	}
	s.cfg.Fail.Taken(it.tx.taken, failpoint.AfterCommit)
	if it.tx.wrote { // a transaction without changes ends well on a full disk too
		s.writes.took(begun)
	}
	if s.cfg.Wake != nil {
		for _, topic := range it.tx.topics {
			s.cfg.Wake(topic)
		}
	}
	return nil
}

// failed counts what came to nothing, and tells where it was the database's doing.
func (s *Store) failed(err error) {
	s.stats.failed.Add(1)
	reason := outageReason(err)
	if !fault.Is(err, fault.Unavailable) || reason == "" {
		return
	}
	s.writes.refused(err)
	if s.cfg.Failed != nil {
		s.cfg.Failed(reason)
	}
}

// View runs fn on a read-only snapshot.
func (s *Store) View(ctx context.Context, fn func(tx *Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.stats.views.Add(1)
	return s.eng.view(ctx, fn)
}

// Bounds of one batch of Bulk: bulkSlice of time, and at least bulkLeast steps even while others wait.
const (
	bulkSlice = 10 * time.Millisecond
	bulkLeast = 16
	// bulkRelief is after how many batches the writer is relieved.
	bulkRelief = 4
)

// Bulk runs fn for i = 0 to n-1 in order, in as many transactions as it takes, behind all waiting Do calls and for at most
// 10 ms in each. It is not atomic: an error rolls back the batch in which it happened and ends Bulk, earlier batches stay. So
// make the steps idempotent and let the last one record how far it came.
func (s *Store) Bulk(ctx context.Context, n int, fn func(tx *Tx, i int) error) error {
	for next, batches := 0, 1; next < n; batches++ {
		start, done := next, next
		err := s.submit(&work{ctx: ctx, bulk: true, fn: func(tx *Tx) error {
			begun := time.Now()
			for done = start; done < n; {
				if err := fn(tx, done); err != nil {
					return err
				}
				done++
				if s.elapsed(begun) >= bulkSlice || done-start >= bulkLeast && s.eng.waiting() {
					break
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
		next = done
		if next < n && batches%bulkRelief == 0 {
			if err := s.eng.relieve(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Unit is the unit of work as a consumer sees it: T is the consumer's own interface, which *Tx satisfies.
type Unit[T any] struct{ s *Store }

// For gives a consumer the unit of work in terms of its own transaction interface. It panics at once if *Tx does not
// satisfy T, which is a defect in the wiring.
func For[T any](s *Store) Unit[T] {
	_ = any((*Tx)(nil)).(T)
	return Unit[T]{s}
}

// Do is Store.Do.
func (u Unit[T]) Do(ctx context.Context, fn func(T) error) error {
	return u.s.Do(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}

// View is Store.View.
func (u Unit[T]) View(ctx context.Context, fn func(T) error) error {
	return u.s.View(ctx, func(tx *Tx) error { return fn(any(tx).(T)) })
}

// Bulk is Store.Bulk.
func (u Unit[T]) Bulk(ctx context.Context, n int, fn func(tx T, i int) error) error {
	return u.s.Bulk(ctx, n, func(tx *Tx, i int) error { return fn(any(tx).(T), i) })
}

// work is one closure on its way to a commit.
type work struct {
	ctx  context.Context
	fn   func(*Tx) error
	bulk bool
	tx   *Tx
	// said is how the writer's turn is passed: see group.go.
	said chan word
	err  error
	over bool
}

// run calls the closure on tx. An engine error wins over what the closure made of it: a closure that swallows one must not
// commit half of its work.
func (it *work) run(tx *Tx) (err error) {
	it.tx = tx
	defer tx.end()
	err = guard(tx, it.fn)
	if tx.failed != nil {
		return tx.failed
	}
	return err
}

// run calls a closure on a transaction, in a store that rehearses for the second time.
func (s *Store) run(it *work, tx func() *Tx) error {
	if !s.cfg.Rehearse {
		return s.last(it, tx())
	}
	first, err := it.rehearse(tx())
	if err != nil {
		return err
	}
	err = s.last(it, tx())
	if (first == nil) != (err == nil) && it.tx.failed == nil {
		return fmt.Errorf("a unit of work ended with %v when it began again, and before with %v", err, first)
	}
	return err
}

// last calls a closure on the transaction that is committed then.
func (s *Store) last(it *work, tx *Tx) error {
	err := it.run(tx)
	if err == nil {
		s.cfg.Fail.Taken(tx.taken, failpoint.BeforeCommit)
	}
	return err
}

// rehearse calls the closure on tx and takes back what it wrote. said is what the closure returned, err why nothing runs after it.
func (it *work) rehearse(tx *Tx) (said, err error) {
	on := tx.on
	if _, err := on.exec(tx.ctx, "SAVEPOINT rehearsal", nil); err != nil {
		return nil, classify(err)
	}
	said = it.run(tx)
	if fault.Is(tx.failed, fault.Unavailable) {
		return nil, tx.failed
	}
	for _, statement := range []string{"ROLLBACK TO SAVEPOINT rehearsal", "RELEASE SAVEPOINT rehearsal"} {
		if _, err := on.exec(tx.ctx, statement, nil); err != nil {
			return nil, errors.Join(said, classify(err))
		}
	}
	return said, nil
}

// guard has a panic end fn alone. The text of it has the stack, for whoever logs it as any other error.
func guard(tx *Tx, fn func(*Tx) error) error {
	err := unit.Guarded(func() error { return fn(tx) })
	var crash *unit.PanicError
	if errors.As(err, &crash) {
		return fmt.Errorf("in a transaction: %w\n%s", err, crash.Stack)
	}
	return err
}

func errClosed() error {
	return fault.New(fault.Unavailable, "store_closed", "the sidecar is stopping")
}
