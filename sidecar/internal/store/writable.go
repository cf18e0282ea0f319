package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
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

// writes is what the last commits say about the next. Its log has one Error line for each reason for which writing stopped, and one
// Info line when it goes on. All times are of the machine.
type writes struct {
	log *slog.Logger

	mu   sync.Mutex
	good time.Time // the last durable commit, zero when one failed since
	// failed is when one failed last, zero when one came to an end since.
	failed time.Time
	// stopped is when the first of the said reasons stopped it.
	stopped time.Time
	said    map[string]bool
	// tried is when it was tried last, and with what answer.
	tried  time.Time
	answer error
	trial  singleflight.Group
}

// took notes a durable commit of work that was begun then. It says nothing about now where something failed since.
func (w *writes) took(begun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if begun.Before(w.failed) {
		return
	}
	w.good, w.failed = time.Now(), time.Time{}
	if w.said != nil {
		w.log.Info("the database takes what is written again", "after", time.Since(w.stopped).Round(time.Millisecond))
		w.said = nil
	}
}

// refused notes what the database did not take. One who lost too many races has stopped nobody else.
func (w *writes) refused(err error) {
	reason := outageReason(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.good, w.failed = time.Time{}, time.Now()
	if w.said[reason] || reason == "lost_races" {
		return
	}
	if w.said == nil {
		w.stopped, w.said = time.Now(), map[string]bool{}
	}
	w.said[reason] = true
	about := []any{"reason", reason, "error", err}
	var known *fault.Error
	if errors.As(err, &known) && known.Action != "" {
		about = append(about, "action", known.Action)
	}
	w.log.Error("the database does not take what is written", about...)
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
	if !s.writes.failed.IsZero() {
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
