package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var errRefused = errors.New("refused")

func openLite(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "hanse.db"), SiteKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(origin string) func(*Tx) error {
	return func(tx *Tx) error { _, err := tx.Partners().Put(member.Partner{Origin: origin}); return err }
}

func have(t *testing.T, s *Store) (origins []string) {
	t.Helper()
	err := s.View(t.Context(), func(tx *Tx) error {
		all, err := tx.Partners().List()
		for _, p := range all {
			origins = append(origins, p.Origin)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return origins
}

// inOneGroup makes the writer find all closures waiting: the first one holds it until the others have queued.
func inOneGroup(t *testing.T, s *Store, first func(*Tx) error, others ...func(*Tx) error) []error {
	t.Helper()
	e := s.eng.(*sqliteEngine)
	started, queued := make(chan struct{}), make(chan struct{})
	answers := make([]chan error, 0, len(others)+1)
	submit := func(fn func(*Tx) error) {
		answer := make(chan error, 1)
		answers = append(answers, answer)
		go func() { answer <- s.Do(context.Background(), fn) }()
	}
	once := false
	submit(func(tx *Tx) error {
		if !once {
			once = true
			close(started)
			<-queued
		}
		return first(tx)
	})
	<-started
	for i, fn := range others {
		submit(fn)
		for e.queue.waiting.Load() != int64(i+1) { // the queue is ours alone: it grows as soon as the goroutine has run
			runtime.Gosched()
		}
	}
	close(queued)
	errs := make([]error, len(answers))
	for i, answer := range answers {
		errs[i] = <-answer
	}
	return errs
}

func TestOneClosureOfAGroupFailsAndItsNeighboursCommit(t *testing.T) {
	t.Parallel()
	failures := map[string]struct {
		fail func(tx *Tx) error
		// commits that the whole takes: one group, or one each after the engine gave up the group
		commits int64
	}{
		"refuses after writing": {func(tx *Tx) error { return errors.Join(put("lost")(tx), errRefused) }, 1},
		"panics":                {func(tx *Tx) error { _ = put("lost")(tx); panic("boom") }, 1},
		"ignores an error of the engine": {func(tx *Tx) error {
			_ = put("lost")(tx)
			_, _ = tx.exec("nonsense")
			return nil
		}, 1},
		"loses the whole transaction": {func(tx *Tx) error {
			_ = put("lost")(tx)
			_, err := tx.exec("ROLLBACK") // as the engine does by itself when the disk is full
			return errors.Join(err, errRefused)
		}, 3},
	}
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			s := openLite(t)
			before := s.Stats()
			errs := inOneGroup(t, s, put("a"), put("b"), f.fail, put("c"))
			if errs[0] != nil || errs[1] != nil || errs[2] == nil || errs[3] != nil {
				t.Fatalf("answers: %v", errs)
			}
			if got := have(t, s); !slices.Equal(got, []string{"a", "b", "c"}) {
				t.Fatalf("stored %v", got)
			}
			if got := s.Stats().Commits - before.Commits; got != f.commits {
				t.Fatalf("%d commits, want %d", got, f.commits)
			}
			if got := s.Stats().Closures - before.Closures; got != 3 {
				t.Fatalf("%d closures", got)
			}
		})
	}
}

// What a closure fails on may be its neighbour's, which nobody else can read before the commit and which may come to nothing.
func TestWhoFailsInAGroupIsToldAfterItsCommit(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	errs := inOneGroup(t, s, func(tx *Tx) error {
		_, err := tx.exec("COMMIT") // so that the group's own fails
		return err
	}, func(*Tx) error { return errRefused })
	for i, err := range errs {
		if !fault.Is(err, fault.Unavailable) || errors.Is(err, errRefused) {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	runs := 0
	errs = inOneGroup(t, s, put("a"), func(tx *Tx) error {
		runs++
		if _, err := tx.Partners().Get("a"); err != nil {
			return err
		}
		return errRefused
	}, func(tx *Tx) error { _, err := tx.exec("ROLLBACK"); return errors.Join(err, errRefused) })
	if errs[0] != nil || !errors.Is(errs[1], errRefused) || runs != 2 {
		t.Errorf("after a group that was lost: %v, %d runs", errs, runs)
	}
}

func TestTheFirstOfAGroupFailsAndTheOthersCommit(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	errs := inOneGroup(t, s, func(tx *Tx) error { return errors.Join(put("lost")(tx), errRefused) }, put("a"), put("b"))
	if errs[0] == nil || errs[1] != nil || errs[2] != nil {
		t.Fatalf("answers: %v", errs)
	}
	if got := have(t, s); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("stored %v", got)
	}
}

// A closure of a group sees what its neighbours wrote before it, and nothing of one that failed.
func TestNeighboursAreSerial(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	count := func(into *int) func(*Tx) error {
		return func(tx *Tx) error {
			all, err := tx.Partners().List()
			*into = len(all)
			return err
		}
	}
	var n, m int
	inOneGroup(t, s, put("a"), count(&n), func(tx *Tx) error { return errors.Join(put("lost")(tx), errRefused) }, count(&m))
	if n != 1 || m != 1 {
		t.Fatalf("saw %d, then %d", n, m)
	}
}

func TestAClosureThatEndsItsGoroutineStopsNobodyElse(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Do(context.Background(), func(tx *Tx) error { _ = put("lost")(tx); runtime.Goexit(); return nil })
	}()
	<-ended
	if err := s.Do(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	if got := have(t, s); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("stored %v", got)
	}
}

func TestFullDiskIsAnOutage(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	err := s.Do(t.Context(), func(tx *Tx) error { _, err := tx.exec("PRAGMA max_page_count = 1"); return err })
	if err != nil {
		t.Fatal(err)
	}
	err = s.Do(t.Context(), func(tx *Tx) error {
		for i := range 1000 {
			if err := tx.Cursors().SetCursor("https://a.example", fmt.Sprint(i), bytes.Repeat([]byte{1}, 5000)); err != nil {
				return fmt.Errorf("step: %w", err)
			}
		}
		return nil
	})
	if !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v", err)
	}
	if err := s.Do(t.Context(), func(tx *Tx) error { _, err := tx.exec("PRAGMA max_page_count = 1000000"); return err }); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context(), put("later")); err != nil {
		t.Fatalf("after the disk has space again: %v", err)
	}
}

func TestASecretThatWasMovedDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	err := s.Do(t.Context(), func(tx *Tx) error {
		u := tx.Subscriptions()
		for _, id := range []string{"mine", "theirs"} {
			if err := u.PutSecret(subscription.RetailKey(id), "access", []byte(id)); err != nil {
				return err
			}
		}
		return u.PutSecret(subscription.RetailKey("mine"), "inputs", []byte("inputs"))
	})
	if err != nil {
		t.Fatal(err)
	}
	moves := map[string]string{
		"another name": `UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE subscription_id = 'mine' AND name = 'inputs')
			WHERE subscription_id = 'mine' AND name = 'access'`,
		"another subscription, with its key": `UPDATE secret SET sealed =
			(SELECT sealed FROM secret WHERE subscription_id = 'theirs' AND name = '') WHERE subscription_id = 'mine' AND name = ''`,
	}
	for name, move := range moves {
		err := s.Do(t.Context(), func(tx *Tx) error {
			if _, err := tx.exec(move); err != nil {
				return err
			}
			_, err := tx.Subscriptions().Secret(subscription.RetailKey("mine"), "access")
			if err == nil {
				t.Errorf("moved to %s it opened", name)
			}
			return errRefused
		})
		if !errors.Is(err, errRefused) {
			t.Fatal(err)
		}
	}
}

func TestANewerSchemaIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := openLite(t)
	err := s.Do(t.Context(), func(tx *Tx) error {
		_, err := tx.exec(`INSERT INTO migration (version, name, digest, applied_at) VALUES (9999, 'later', $1, 0)`, make([]byte, 32))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), s.cfg)
	if err != nil {
		t.Fatalf("version N does not start on the schema of N+1: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.Do(t.Context(), func(tx *Tx) error {
		_, err := tx.exec(`UPDATE migration SET digest = $1 WHERE version = 1`, make([]byte, 32))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), s.cfg); err == nil {
		t.Fatal("started on a schema made by other statements")
	}
}
