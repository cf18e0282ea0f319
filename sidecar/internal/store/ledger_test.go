package store_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const them = "https://them.example"

func withPartner(t *testing.T, s *store.Store) {
	t.Helper()
	do(t, s, func(tx *store.Tx) error {
		_, err := tx.Partners().Put(member.Partner{Origin: them, PartnershipID: "partnership", State: member.Active})
		return err
	})
}

func advance(tx *store.Tx, dir ledger.Direction, subject string) (ledger.Entry, error) {
	all, err := tx.Ledger().Advance(them, dir, func(after ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
		after.Seq++
		return []ledger.Entry{entryOf(after, prev, subject)}, nil
	})
	if err != nil {
		return ledger.Entry{}, err
	}
	return all[0], nil
}

func TestLedgerIsOneChain(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		withPartner(t, s)
		first := sha256.Sum256([]byte("partnership"))
		view(t, s, func(tx *store.Tx) error {
			want := ledger.Head{Partner: them, Direction: ledger.Own, Hash: first}
			if diff := cmp.Diff(want, must(tx.Ledger().Head(them, ledger.Own))); diff != "" {
				t.Error(diff)
			}
			_, err := tx.Ledger().Head("https://nobody.example", ledger.Own)
			wantKind(t, err, fault.NotFound, "partner_not_found")
			return nil
		})
		var one, two ledger.Entry
		woken.take()
		do(t, s, func(tx *store.Tx) error {
			one, two = must(advance(tx, ledger.Own, "a")), must(advance(tx, ledger.Own, "b"))
			must(advance(tx, ledger.Theirs, "c"))
			return nil
		})
		if diff := cmp.Diff([]string{"ledger/" + them}, woken.take()); diff != "" {
			t.Error(diff)
		}
		if one.Seq != 1 || one.Prev != first || two.Seq != 2 || two.Prev != one.Hash {
			t.Fatalf("the chain is broken: %+v, %+v", one, two)
		}
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff([]ledger.Entry{one, two}, must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{}, 10))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]ledger.Entry{two}, must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{Seq: 1}, 10))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(two, must(tx.Ledger().Entry(them, ledger.Own, ledger.Position{Seq: 2}))); diff != "" {
				t.Error(diff)
			}
			_, err := tx.Ledger().Entry(them, ledger.Own, ledger.Position{Seq: 3})
			wantKind(t, err, fault.NotFound, "ledger_entry_not_found")
			return nil
		})
		bad := map[string]func(e *ledger.Entry){
			"number skipped":  func(e *ledger.Entry) { e.Seq++ },
			"other chain":     func(e *ledger.Entry) { e.Prev[3] ^= 1 },
			"without hash":    func(e *ledger.Entry) { e.Hash = [32]byte{} },
			"without content": func(e *ledger.Entry) { e.Bytes = nil },
		}
		for name, spoil := range bad {
			err := s.Do(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Ledger().Advance(them, ledger.Own, func(after ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
					after.Seq++
					e := entryOf(after, prev, "x")
					spoil(&e)
					return []ledger.Entry{e}, nil
				})
				return err
			})
			if err == nil {
				t.Errorf("%s: stored", name)
			}
		}
		err := s.Do(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(them, ledger.Own, func(ledger.Position, [32]byte) ([]ledger.Entry, error) { return nil, errStop })
			return err
		})
		if !errors.Is(err, errStop) {
			t.Errorf("got %v", err)
		}
		view(t, s, func(tx *store.Tx) error {
			if head := must(tx.Ledger().Head(them, ledger.Own)); head.Seq != 2 || head.Hash != two.Hash {
				t.Errorf("head %+v", head)
			}
			return nil
		})
	})
}

func TestSeveralEntriesAreOneWrite(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		withPartner(t, s)
		want := []ledger.Entry{}
		prev := sha256.Sum256([]byte("partnership"))
		// All ways to cut a list into the statements that there are, and one that is empty.
		for _, n := range []int{0, 1, 2, 3, 4, 5, 15, 16, 17, 70} {
			do(t, s, func(tx *store.Tx) error {
				got, err := tx.Ledger().Advance(them, ledger.Own, func(after ledger.Position, last [32]byte) ([]ledger.Entry, error) {
					if after.Seq != int64(len(want)) || last != prev {
						t.Errorf("asked to follow %s", after)
					}
					var all []ledger.Entry
					for range n {
						after.Seq++
						e := entryOf(after, last, "subject")
						all, last = append(all, e), e.Hash
					}
					return all, nil
				})
				if len(got) != n {
					t.Errorf("%d of %d entries", len(got), n)
				}
				if n > 0 {
					want, prev = append(want, got...), got[n-1].Hash
				}
				return err
			})
		}
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff(want, must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{}, 1000))); diff != "" {
				t.Error(diff)
			}
			if h := must(tx.Ledger().Head(them, ledger.Own)); h.Seq != int64(len(want)) || h.Hash != prev {
				t.Errorf("head %+v", h)
			}
			return nil
		})
		// One that does not follow takes the others with it.
		err := s.Do(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Ledger().Advance(them, ledger.Own, func(after ledger.Position, last [32]byte) ([]ledger.Entry, error) {
				one := entryOf(ledger.Position{Seq: after.Seq + 1}, last, "a")
				return []ledger.Entry{one, entryOf(ledger.Position{Seq: after.Seq + 3}, one.Hash, "b")}, nil
			})
			return err
		})
		if err == nil {
			t.Error("a gap was stored")
		}
		view(t, s, func(tx *store.Tx) error {
			if h := must(tx.Ledger().Head(them, ledger.Own)); h.Seq != int64(len(want)) {
				t.Errorf("head %+v", h)
			}
			return nil
		})
	})
}

func TestBooksAreLevelUntilSomebodySaysOtherwise(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		view(t, s, func(tx *store.Tx) error {
			if b := must(tx.Ledger().Books(them)); b.State != ledger.Level || b.Partner != them || b.Version != 0 {
				t.Errorf("books are %+v", b)
			}
			return nil
		})
		want := ledger.Books{Partner: them, State: ledger.Forked, Epoch: 3, Since: start, Reason: "ledger_fork", Shown: "a.b.c", Doubted: true, Asked: 1, Answered: 2}
		woken.take()
		do(t, s, func(tx *store.Tx) (err error) { want, err = tx.Ledger().PutBooks(want); return err })
		if diff := cmp.Diff([]string{"partner"}, woken.take()); diff != "" {
			t.Error(diff)
		}
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff(want, must(tx.Ledger().Books(them))); diff != "" {
				t.Error(diff)
			}
			if state := must(tx.Ledger().Standing(them)); state != ledger.Forked {
				t.Errorf("they stand %s", state)
			}
			return nil
		})
		// What proves it lies beside them: who only asks how they stand reads a small record, once in a transaction.
		for _, proof := range [][]byte{[]byte("proof"), bytes.Repeat([]byte("proof"), 1<<19)} {
			do(t, s, func(tx *store.Tx) error { return tx.Ledger().PutEvidence(them, proof) })
			view(t, s, func(tx *store.Tx) error {
				before := s.Stats().Statements
				for range 3 {
					_ = must(tx.Ledger().Standing(them))
				}
				if n := s.Stats().Statements - before; n != 1 {
					t.Errorf("%d statements", n)
				}
				if kept := must(tx.Ledger().Evidence(them)); !bytes.Equal(kept, proof) || must(tx.Ledger().Evidence("https://another.example")) != nil {
					t.Errorf("kept %d bytes", len(kept))
				}
				return nil
			})
		}
		for _, version := range []int64{0, want.Version + 1} {
			late := want
			late.Version = version
			err := s.Do(t.Context(), func(tx *store.Tx) error { _, err := tx.Ledger().PutBooks(late); return err })
			if !errors.Is(err, unit.ErrStale) {
				t.Errorf("version %d over %d: %v", version, want.Version, err)
			}
		}
	})
}

func TestTheTickIsComparedAndSwapped(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		set := func(from, to int64) error {
			return s.Do(t.Context(), func(tx *store.Tx) error { return tx.Ledger().SetTick(from, to) })
		}
		stands := func(want int64) {
			t.Helper()
			view(t, s, func(tx *store.Tx) error {
				if got := must(tx.Ledger().Tick()); got != want {
					t.Errorf("the tick is %d, want %d", got, want)
				}
				return nil
			})
		}
		stands(0)
		woken.take()
		must(0, set(0, 1))
		must(0, set(1, 500))
		if err := set(1, 2); !errors.Is(err, unit.ErrStale) {
			t.Errorf("a tick that is another: %v", err)
		}
		stands(500)
		if topics := woken.take(); len(topics) != 0 {
			t.Errorf("woke %v", topics)
		}
		var won atomic.Int64
		together(8, func(int) {
			if set(500, 501) == nil {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of 8 replicas moved it", won.Load())
		}
		stands(501)
	})
}

func TestCheckpointsOnlyGoForward(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		withPartner(t, s)
		do(t, s, func(tx *store.Tx) error {
			must(advance(tx, ledger.Theirs, "a"))
			must(0, tx.Ledger().SetCheckpoint(them, ledger.Checkpoint{Seq: 1, Tick: 3}, "checkpoint 1"))
			must(advance(tx, ledger.Own, "a"))
			must(0, tx.Ledger().SetSeen(them, ledger.Checkpoint{Seq: 3, Tick: 2}, "seen 3"))
			must(0, tx.Ledger().SetSeen(them, ledger.Checkpoint{Seq: 5, Tick: 1}, "seen 5")) // signed by a replica that is behind
			return tx.Ledger().SetSeen(them, ledger.Checkpoint{Seq: 4, Tick: 9}, "seen 4")
		})
		if err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Ledger().SetCheckpoint(them, ledger.Checkpoint{Seq: 7}, "ahead") }); err == nil {
			t.Error("a checkpoint beyond our copy was stored")
		}
		view(t, s, func(tx *store.Tx) error {
			if at, checkpoint, err := tx.Ledger().Verified(them); err != nil || at.Seq != 1 || checkpoint != "checkpoint 1" {
				t.Errorf("verified %q at %s, %v", checkpoint, at, err)
			}
			if h := must(tx.Ledger().Head(them, ledger.Theirs)); h.Checkpoint != "checkpoint 1" || h.Seq != 1 || h.Tick != 3 {
				t.Errorf("theirs: %+v", h)
			}
			if h := must(tx.Ledger().Head(them, ledger.Own)); h.Seen.Seq != 5 || h.Tick != 2 || h.SeenCheckpoint != "seen 5" || h.Seq != 1 {
				t.Errorf("own: %+v", h)
			}
			return nil
		})
	})
}

func TestParkedEntries(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		a1 := ledger.Parked{Partner: them, Subject: "a", Seq: 3, Reason: "fault", At: start}
		a2, b := a1, a1
		a2.Seq, b.Subject, b.Seq = 9, "b", 4
		do(t, s, func(tx *store.Tx) error {
			for _, p := range []ledger.Parked{a2, b, a1, a1} {
				must(0, tx.Ledger().Park(p))
			}
			return nil
		})
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff([]ledger.Parked{a1, a2}, must(tx.Ledger().ParkedSubject(them, "a", 0))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]ledger.Parked{a1}, must(tx.Ledger().ParkedSubject(them, "a", 1))); diff != "" {
				t.Error(diff)
			}
			if !must(tx.Ledger().AnyParked(them)) || must(tx.Ledger().AnyParked("https://nobody.example")) {
				t.Error("it does not say where something is parked")
			}
			if diff := cmp.Diff([]ledger.Parked{a1, b, a2}, must(tx.Ledger().ParkedAll(them))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error { return tx.Ledger().Unpark(them, "a", ledger.Position{Seq: 3}) })
		view(t, s, func(tx *store.Tx) error {
			if diff := cmp.Diff([]ledger.Parked{a2}, must(tx.Ledger().ParkedSubject(them, "a", 0))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	})
}

// Writers append to one log at once, a third of them roll back. Readers that follow by sequence number never see a gap: a
// number that is visible has all numbers before it visible.
func TestSequenceNumbersAreGaplessInCommitOrder(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		withPartner(t, s)
		const writers, each = 64, 6
		var kept atomic.Int64
		stop, watched := make(chan struct{}), make(chan error, 1)
		go func() {
			cursor := int64(0)
			for {
				select {
				case <-stop:
					watched <- nil
					return
				default:
				}
				err := s.View(t.Context(), func(tx *store.Tx) error {
					entries, err := tx.Ledger().Entries(them, ledger.Own, ledger.Position{Seq: cursor}, 50)
					for _, e := range entries {
						if e.Seq != cursor+1 {
							return fmt.Errorf("read %d after %d", e.Seq, cursor)
						}
						cursor = e.Seq
					}
					return err
				})
				if err != nil {
					watched <- err
					return
				}
			}
		}()
		together(writers, func(w int) {
			for i := range each {
				err := s.Do(t.Context(), func(tx *store.Tx) error {
					if _, err := advance(tx, ledger.Own, fmt.Sprint(w, "/", i)); err != nil {
						return err
					}
					if (w+i)%3 == 0 {
						return errStop
					}
					return nil
				})
				switch {
				case err == nil:
					kept.Add(1)
				case !errors.Is(err, errStop):
					t.Error(err)
				}
			}
		})
		close(stop)
		if err := <-watched; err != nil {
			t.Fatal(err)
		}
		view(t, s, func(tx *store.Tx) error {
			all := must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{}, writers*each))
			prev := sha256.Sum256([]byte("partnership"))
			for i, e := range all {
				if e.Seq != int64(i+1) || e.Prev != prev {
					t.Fatalf("entry %d is %d", i+1, e.Seq)
				}
				prev = e.Hash
			}
			if head := must(tx.Ledger().Head(them, ledger.Own)); int64(len(all)) != kept.Load() || head.Seq != kept.Load() || head.Hash != prev {
				t.Fatalf("%d entries, %d kept, head %d", len(all), kept.Load(), head.Seq)
			}
			return nil
		})
		t.Logf("%d kept, %d retries", kept.Load(), s.Stats().Retries)
	})
}

func TestTheEpochOfTheBooksGrowsWithEachQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, woken *topics) {
		woken.take()
		second := ledger.Token{Key: "second", Issued: start.Add(time.Second)}
		do(t, s, func(tx *store.Tx) error { return tx.Ledger().Answer(them, ledger.Token{Key: "first", Issued: start}) })
		do(t, s, func(tx *store.Tx) error {
			if epoch := must(tx.Ledger().Ask(them)); epoch != 2 {
				t.Errorf("raised to %d", epoch)
			}
			return nil
		})
		do(t, s, func(tx *store.Tx) error { return tx.Ledger().Answer(them, second) })
		do(t, s, func(tx *store.Tx) error { return tx.Ledger().Answer(them, ledger.Token{Key: "first", Issued: start}) }) // it was held up
		view(t, s, func(tx *store.Tx) error {
			want := ledger.Books{Partner: them, State: ledger.Level, Epoch: 4, Asked: 2, Answered: 4, Asker: second, Version: 4}
			if diff := cmp.Diff(want, must(tx.Ledger().Books(them))); diff != "" {
				t.Error(diff)
			}
			return nil
		})
		if topics := woken.take(); len(topics) > 0 {
			t.Errorf("woke %v", topics)
		}
	})
}

// TestNobodyIsAskedAboutAPartnerThatWasRemoved: what it wrote to us stays, and nobody answers for it.
// TestWhoAskedBeforeOurClockWasSetBackKeepsNobodyOut: else a partner that asks again would be refused until our clock has caught up.
func TestWhoAskedBeforeOurClockWasSetBackKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		now := ledger.Token{Key: "now", Issued: start}
		do(t, s, func(tx *store.Tx) error {
			return tx.Ledger().Answer(them, ledger.Token{Key: "before", Issued: start.Add(time.Hour)})
		})
		do(t, s, func(tx *store.Tx) error { return tx.Ledger().Answer(them, now) })
		view(t, s, func(tx *store.Tx) error {
			if asker := must(tx.Ledger().Books(them)).Asker; asker != now {
				t.Errorf("asked last: %+v", asker)
			}
			return nil
		})
	})
}

func TestNobodyIsAskedAboutAPartnerThatWasRemoved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		withPartner(t, s)
		do(t, s, func(tx *store.Tx) error { _, err := advance(tx, ledger.Theirs, "a"); return err })
		for _, want := range [][]string{{them}, nil} {
			view(t, s, func(tx *store.Tx) error {
				if diff := cmp.Diff(want, must(tx.Ledger().Kept())); diff != "" {
					t.Error(diff)
				}
				return nil
			})
			if want != nil {
				do(t, s, func(tx *store.Tx) error { return tx.Partners().Remove(them) })
			}
		}
	})
}
