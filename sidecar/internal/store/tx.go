package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/provision"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is one transaction. It belongs to the closure that got it, on one goroutine, until the closure returns.
type Tx struct {
	s      *Store
	ctx    context.Context
	on     session
	topics []unit.Topic
	// change and changeEnd are the rest of the block of change numbers that this transaction took.
	change, changeEnd int64
	// read is what this transaction knows of rows, by table and key.
	read map[string]stored
	// together says that new rows wait in pending for others of their table.
	together bool
	pending  []pending
	// unwritten is why rows that waited were not inserted.
	unwritten error
	// wrote says that rows were changed.
	wrote bool
	// taken are the edges of state machines that this transaction took, where somebody looks at them.
	taken []failpoint.Edge
	// failed is the first error of the engine; nothing runs after it, because the engine may have left the transaction.
	failed error
}

// takes notes that something goes from one state to another; "" is where what is made comes from.
func (tx *Tx) takes(machine, side, from, to string) {
	if from == to || !tx.s.cfg.Fail.Edges() {
		return
	}
	if from == "" {
		from = failpoint.New
	}
	e := failpoint.Edge{Machine: machine, Side: side, From: from, To: to}
	tx.s.cfg.Fail.Takes(e)
	tx.taken = append(tx.taken, e)
}

// session is one connection's transaction.
type session interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (rows, error)
}

// rows is what a query found; *sql.Rows is one.
type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

func (tx *Tx) Partners() member.Store            { return partners{tx} }
func (tx *Tx) Agreements() agreement.Store       { return agreements{tx} }
func (tx *Tx) Offers() member.Offers             { return agreement.Offers{Store: agreements{tx}, Jobs: jobs{tx}} }
func (tx *Tx) Catalog() catalog.Store            { return offerings{tx} }
func (tx *Tx) Listings() listing.Store           { return listings{tx} }
func (tx *Tx) RetailOrders() retail.Store        { return retailOrders{tx} }
func (tx *Tx) ResaleOrders() resale.Store        { return resaleOrders{tx} }
func (tx *Tx) Steps() provision.Store            { return steps{tx} }
func (tx *Tx) Subscriptions() subscription.Store { return subscriptions{tx} }
func (tx *Tx) Ledger() ledger.Store              { return books{tx} }
func (tx *Tx) Jobs() job.Store                   { return jobs{tx} }
func (tx *Tx) Acts() act.Store                   { return acts{tx} }
func (tx *Tx) Lives() life.Store                 { return lives{tx} }
func (tx *Tx) Portals() portal.Store             { return portals{tx} }
func (tx *Tx) Decisions() exchange.Store         { return decisions{tx} }
func (tx *Tx) Cursors() catalog.CursorStore      { return cursors{tx} }

// wake publishes the topic after the commit, once however often it is woken. A rollback drops it.
func (tx *Tx) wake(topic unit.Topic) {
	if !slices.Contains(tx.topics, topic) {
		tx.topics = append(tx.topics, topic)
	}
}

// Savepoint runs fn and undoes all that it wrote and woke when it fails; the transaction goes on. Its answer is fn's error,
// or the engine's where fn swallowed one. Where the engine asks for the whole transaction again (an outage, a lost race) or
// has left it, the transaction is failed for good: nothing after the Savepoint runs, whatever becomes of its answer.
func (tx *Tx) Savepoint(fn func() error) error {
	if _, err := tx.exec("SAVEPOINT part"); err != nil {
		return err
	}
	topics, change, changeEnd, wrote := len(tx.topics), tx.change, tx.changeEnd, tx.wrote
	err := fn()
	if err == nil {
		err = tx.flush()
	}
	if tx.failed != nil {
		err = tx.failed
	}
	if err == nil {
		_, err = tx.exec("RELEASE SAVEPOINT part")
		return err
	}
	if fault.Is(tx.failed, fault.Unavailable) {
		return err
	}
	tx.pending, tx.unwritten = nil, nil
	for _, statement := range []string{"ROLLBACK TO SAVEPOINT part", "RELEASE SAVEPOINT part"} {
		if _, back := tx.on.exec(tx.ctx, statement, nil); back != nil {
			return errors.Join(err, tx.fail(statement, back))
		}
	}
	tx.forget()
	// Numbers of a block that was taken inside are others' now.
	tx.failed, tx.topics, tx.change, tx.changeEnd, tx.wrote = nil, tx.topics[:topics], change, changeEnd, wrote
	return err
}

var errEnded = errors.New("the transaction has ended; its Tx was kept after the closure returned")

func (tx *Tx) end() { tx.on = ended{} }

// exec runs a statement and returns the number of rows it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if err := tx.flush(); err != nil {
		return 0, err
	}
	return tx.run(query, args)
}

func (tx *Tx) run(query string, args []any) (int64, error) {
	if tx.failed != nil {
		return 0, tx.failed
	}
	tx.s.stats.statements.Add(1)
	n, err := tx.on.exec(tx.ctx, query, args)
	if err != nil {
		return 0, tx.fail(query, err)
	}
	if n > 0 && !strings.Contains(query, "SAVEPOINT") { // SQLite repeats the number of the statement before
		tx.wrote = true
	}
	return n, nil
}

// rows scans each row into dest and calls use, which must not run another statement: the row's one is still open.
func (tx *Tx) rows(query string, args []any, dest func() []any, use func() error) error {
	if err := tx.flush(); err != nil {
		return err
	}
	if tx.failed != nil {
		return tx.failed
	}
	tx.s.stats.statements.Add(1)
	found, err := tx.on.query(tx.ctx, query, args)
	if err != nil {
		return tx.fail(query, err)
	}
	for found.Next() {
		if err := found.Scan(dest()...); err != nil {
			return tx.fail(query, errors.Join(err, found.Close()))
		}
		if err := use(); err != nil {
			return errors.Join(err, found.Close())
		}
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return tx.fail(query, err)
	}
	return nil
}

// row reads at most one row and reports whether there was one.
func (tx *Tx) row(query string, args []any, dest ...any) (bool, error) {
	found := false
	err := tx.rows(query, args, func() []any { return dest }, func() error { found = true; return nil })
	return found, err
}

func (tx *Tx) fail(query string, err error) error {
	if tx.failed == nil {
		tx.failed = classify(fmt.Errorf("%w in %q", err, query))
	}
	return tx.failed
}

type ended struct{}

func (ended) exec(context.Context, string, []any) (int64, error) { return 0, errEnded }
func (ended) query(context.Context, string, []any) (rows, error) { return nil, errEnded }
