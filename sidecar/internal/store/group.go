package store

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// groupMost bounds the closures of one commit, and with it how long the first of them waits.
	groupMost = 256
	// groupsBeforeBulk lets waiting bulk work on after so many commits, so that it is behind orders but never starved.
	groupsBeforeBulk = 8
)

// word is what a waiting caller is told: its work is over, or the writer's turn is its own.
type word bool

const (
	over word = false
	lead word = true
)

// queue is who waits for the writer. A caller that finds nobody writing writes itself, without a change of goroutine, which
// is what makes a lone caller as fast as without a queue; when its own work is over it passes the turn to one that waits.
type queue struct {
	mu      sync.Mutex
	orders  []*work
	bulk    []*work
	writing bool
	closed  bool
	idle    chan struct{} // closed when the queue was closed and the last writer has gone
	waiting atomic.Int64  // len(orders), readable without the lock
	groups  int           // since the last bulk work
}

// enter queues the work and reports whether its caller is the writer now.
func (q *queue) enter(it *work) (leads, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, false
	}
	if it.bulk {
		q.bulk = append(q.bulk, it)
	} else {
		q.orders = append(q.orders, it)
		q.waiting.Add(1)
	}
	leads = !q.writing
	q.writing = true
	return leads, true
}

// next takes who begins a group: an order, or bulk work when no order waits or it is bulk work's turn.
func (q *queue) next() *work {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.bulk) > 0 && (len(q.orders) == 0 || q.groups >= groupsBeforeBulk) {
		it := q.bulk[0]
		q.bulk, q.groups = q.bulk[1:], 0
		return it
	}
	q.groups++
	return q.order()
}

// join takes an order that may come along.
func (q *queue) join() *work {
	if q.waiting.Load() == 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.order()
}

func (q *queue) order() *work {
	if len(q.orders) == 0 {
		return nil
	}
	it := q.orders[0]
	q.orders[0] = nil
	q.orders = q.orders[1:]
	q.waiting.Add(-1)
	return it
}

// pass gives the turn to somebody who waits, who stays queued and finds itself in the next group.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.orders) > 0:
		q.orders[0].said <- lead
	case len(q.bulk) > 0:
		q.bulk[0].said <- lead
	default:
		q.writing = false
		if q.closed {
			close(q.idle)
		}
	}
}

func (q *queue) drop(it *work) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := len(q.orders)
	mine := func(other *work) bool { return other == it }
	q.orders, q.bulk = slices.DeleteFunc(q.orders, mine), slices.DeleteFunc(q.bulk, mine)
	q.waiting.Add(int64(len(q.orders) - waiting))
}

// close lets nobody in any more and waits for those who are.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	if !q.writing {
		close(q.idle)
	}
	q.mu.Unlock()
	<-q.idle
}

func (e *sqliteEngine) waiting() bool { return e.queue.waiting.Load() > 0 }

func (e *sqliteEngine) do(it *work) error {
	it.said = make(chan word, 2) // at most a turn and an end: nobody who tells them blocks
	leads, ok := e.queue.enter(it)
	if !ok {
		return errClosed()
	}
	if !leads && <-it.said == over {
		return it.err
	}
	defer func() {
		if !it.over {
			e.queue.drop(it) // its goroutine is ending; the turn must not come back to it
		}
		e.queue.pass()
	}()
	for !it.over {
		e.group(e.queue.next())
	}
	return it.err
}

// finish ends a work; its caller, if it is not the writer itself, goes on.
func (it *work) finish(err error) {
	it.err, it.over = err, true
	it.said <- over
}

// group runs first and whoever waits by then, a savepoint each, and commits them together. Whoever fails in it is told after the
// commit too: it may have failed on what a neighbour wrote, which nobody can read before, and which may come to nothing.
func (e *sqliteEngine) group(first *work) {
	members := append(make([]*work, 0, 8), first)
	var refused []*work
	settled := false
	defer func() {
		if settled {
			return
		}
		// A closure ended the goroutine (runtime.Goexit, as a failing test does). Nothing of the group stands.
		e.rollback()
		for _, m := range slices.Concat(members, refused) {
			m.finish(errors.New("a closure ended its goroutine"))
		}
	}()
	if err := e.begin(); err != nil {
		settled = true
		first.finish(err)
		return
	}
	// The first needs no savepoint: when it fails, nothing else is in the transaction yet.
	if err, _ := e.attempt(first, false); err != nil {
		settled = true
		e.rollback()
		first.finish(err)
		return
	}
	for len(members)+len(refused) < groupMost {
		it := e.queue.join()
		if it == nil {
			break
		}
		members = append(members, it)
		err, lost := e.attempt(it, true)
		if err == nil && !lost {
			continue
		}
		members = members[:len(members)-1]
		if lost {
			// The engine left the whole transaction because of it. The neighbours run again without it.
			settled = true
			e.rollback()
			it.finish(err)
			for _, m := range slices.Concat(members, refused) {
				e.alone(m)
			}
			return
		}
		it.err = err
		refused = append(refused, it)
	}
	err := e.commit(len(members))
	settled = true
	for _, m := range members {
		m.finish(err)
	}
	for _, m := range refused {
		if err == nil {
			m.finish(m.err)
		} else {
			m.finish(err)
		}
	}
}

func (e *sqliteEngine) alone(it *work) {
	if err := e.begin(); err != nil {
		it.finish(err)
		return
	}
	err, _ := e.attempt(it, false)
	if err != nil {
		e.rollback()
	} else {
		err = e.commit(1)
	}
	it.finish(err)
}
