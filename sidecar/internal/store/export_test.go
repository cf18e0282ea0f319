package store

import "sync"

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
