package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// writableFor is how long a durable commit proves that the next one would be taken too.
	writableFor = 5 * time.Second
	// probeEvery bounds how often it is tried, whoever asks.
	probeEvery = time.Second
	// probeTimeout ends a trial that a server does not answer.
	probeTimeout = 10 * time.Second
	// probeRoom is what a trial writes after a failure, in bytes: as much as an order with all that comes with it.
	probeRoom = 64 << 10
)

// writes is what the last commits say about the next.
type writes struct {
	mu     sync.Mutex
	good   time.Time // of the machine: the last durable commit, zero when one failed since
	failed bool
	// tried is when it was tried last, and with what answer.
	tried  time.Time
	answer error
	trial  singleflight.Group
}

func (w *writes) note(failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed, w.good = failed, time.Time{}
	if !failed {
		w.good = time.Now()
	}
}

// known reports what needs no trial.
func (w *writes) known() (answer error, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.good) < writableFor {
		return nil, true
	}
	return w.answer, time.Since(w.tried) < probeEvery
}

// Writable reports whether the store takes what is written: nil while it has just done so; where nothing was written for a
// while, or the last commit failed, it writes something itself, at most once a second. The error says why not, and is about the
// wait where ctx ends it.
func (s *Store) Writable(ctx context.Context) error {
	if answer, ok := s.writes.known(); ok {
		return answer
	}
	select {
	case tried := <-s.writes.trial.DoChan("", func() (any, error) { return nil, s.try() }):
		return tried.Err
	case <-ctx.Done():
		return errors.Join(errors.New("the database does not answer"), ctx.Err())
	}
}

func (s *Store) try() error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	s.writes.mu.Lock()
	size := 8
	if s.writes.failed {
		size = probeRoom
	}
	s.writes.mu.Unlock()
	probe := make([]byte, size)
	_, _ = rand.Read(probe) // never fails; zeros would be compressed away
	err := s.Do(ctx, func(tx *Tx) error {
		_, err := tx.exec(`INSERT INTO site (name, value) VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, probe)
		return err
	})
	if err != nil {
		err = fmt.Errorf("nothing can be written: %w", err)
	}
	s.writes.mu.Lock()
	defer s.writes.mu.Unlock()
	s.writes.tried, s.writes.answer = time.Now(), err
	return err
}
