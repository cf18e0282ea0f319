package exchange_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// passes lets time go by in which the first partner answers, or is silent.
func (d *doubt) passes(long time.Duration, silent bool) {
	d.t.Helper()
	d.mu.Lock()
	d.silent = silent
	d.mu.Unlock()
	time.Sleep(long)
	synctest.Wait()
}

// TestWhoWithholdsItsLogForksTheBooksAfterThreeDays in which it was reached, and undoes that when it gives it.
func TestWhoWithholdsItsLogForksTheBooksAfterThreeDays(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		p := d.peers[firstOrigin]
		p.Append(d.Origin, ledger.OrderAccepted, "order-3") // its answers are signed to there, and nobody reads it
		stop := d.start()
		defer func() { stop() }()
		d.passes(71*time.Hour, false)
		if b := d.stand(firstOrigin); b.State != ledger.Unproven || b.Withheld.For < 70*time.Hour {
			t.Fatalf("after 71 hours: %+v", b)
		}
		d.passes(2*time.Hour, false)
		b := d.stand(firstOrigin)
		if b.State != ledger.Forked || b.Reason != ledger.ReasonWithheld || !b.Withholds() {
			t.Fatalf("after 73 hours: %+v", b)
		}
		if err := b.Closed(); fault.ReasonOf(err) != ledger.ReasonBehind {
			t.Errorf("meanwhile: %v", err)
		}
		if n := strings.Count(d.logged.String(), "level=ERROR"); n != 1 {
			t.Errorf("told %d times: %s", n, &d.logged)
		}
		if b := d.stand(secondOrigin); b.State != ledger.Level {
			t.Errorf("with the other: %+v", b)
		}
		d.View(func(tx *store.Tx) error {
			if raw, err := tx.Ledger().Evidence(firstOrigin); err != nil || !strings.Contains(string(raw), `"answer"`) {
				t.Errorf("the evidence is %s, %v", raw, err)
			}
			return ledger.Deaf(tx, firstOrigin) // what comes is read
		})
		stop()
		d.reads(d.Member, p)
		stop = d.start()
		d.passes(time.Hour, false)
		if b := d.stand(firstOrigin); b.State != ledger.Level || b.Doubted || !b.Withheld.Since.IsZero() {
			t.Errorf("when it gave it: %+v", b)
		}
	})
}

// TestWhoIsAwayWithholdsNothing: the time in which it does not answer counts for nobody, and what we do not ask either.
func TestWhoIsAwayWithholdsNothing(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		d.peers[firstOrigin].Append(d.Origin, ledger.OrderAccepted, "order-3")
		stop := d.start()
		d.passes(time.Hour, false)
		stop()
		time.Sleep(80 * time.Hour)
		stop = d.start()
		defer stop()
		d.passes(time.Hour, false)
		if b := d.stand(firstOrigin); b.State != ledger.Unproven || b.Withheld.For > 3*time.Hour {
			t.Errorf("after two hours of answers: %+v", b)
		}
	})
}

// TestWhatWasSeenToBeWithheldIsNotUndoneByLess: a shorter answer gives nothing.
func TestWhatWasSeenToBeWithheldIsNotUndoneByLess(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		d.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(firstOrigin)
			if err != nil {
				return err
			}
			books.State, books.Withheld = ledger.Unproven, ledger.Withheld{Since: time.Now(), Last: time.Now().Add(-30 * time.Minute), For: 72 * time.Hour}
			if _, err := tx.Ledger().PutBooks(books); err != nil {
				return err
			}
			_, err = ledger.Withhold(tx, firstOrigin, ledger.Position{Seq: 7}, "signed", time.Now())
			return err
		})
		stop := d.start()
		defer stop()
		d.passes(time.Hour, false)
		if b := d.stand(firstOrigin); !b.Withholds() {
			t.Errorf("its log ends before what it proved to have: %+v", b)
		}
		d.Do(func(tx *store.Tx) error { // somebody may say what he likes
			if err := ledger.VouchFor(tx, firstOrigin, ledger.Vouch{By: "operator"}, time.Now()); fault.ReasonOf(err) != "books_not_unproven" {
				t.Errorf("vouched: %v", err)
			}
			return nil
		})
	})
}

// TestToGiveItsOwnLogIsNotToGiveOurs: what a partner withholds of our log counts on while it gives its own, before the books fork for it and after;
// and what it withholds of its own says nothing of ours.
func TestToGiveItsOwnLogIsNotToGiveOurs(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		now := time.Now()
		for _, state := range []ledger.BooksState{ledger.Behind, ledger.Forked} {
			d.Do(func(tx *store.Tx) error {
				books, err := tx.Ledger().Books(firstOrigin)
				if err != nil {
					return err
				}
				books.State, books.Withheld = ledger.Behind, ledger.Withheld{Since: now, Last: now.Add(-30 * time.Minute), For: 71 * time.Hour}
				if state == ledger.Forked {
					books.Withheld.For = 72 * time.Hour
				}
				if _, err := tx.Ledger().PutBooks(books); err != nil {
					return err
				}
				if forked, err := ledger.Withhold(tx, firstOrigin, ledger.Position{Seq: 7}, "signed", now); forked || err != nil {
					t.Errorf("its own log counts as ours: %t, %v", forked, err)
				}
				forked, err := ledger.Withhold(tx, firstOrigin, ledger.Position{}, "", now)
				if err != nil || forked != (state == ledger.Forked) {
					t.Errorf("forked is %t, %v", forked, err)
				}
				if undone, err := ledger.Delivered(tx, firstOrigin, now); undone || err != nil {
					t.Errorf("its own log undid it: %t, %v", undone, err)
				}
				return nil
			})
			if b := d.stand(firstOrigin); b.State != state || b.Withheld.For < 71*time.Hour || !b.Recovers() {
				t.Errorf("the books are %+v", b)
			}
		}
	})
}

// TestWhatWasWithheldIsNoProofOfAFork: it does not lie beside our signature in a later life, and what lay beside it does.
func TestWhatWasWithheldIsNoProofOfAFork(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		fork := &ledger.Evidence{At: ledger.Position{Seq: 2}, Seen: "the fork"}
		for partner, c := range map[string]struct {
			reason, want string
		}{
			firstOrigin:  {ledger.ReasonWithheld, ""},
			secondOrigin: {ledger.ReasonFork, "withheld or forked"},
		} {
			for _, beside := range []*ledger.Evidence{nil, fork} {
				want := c.want
				if beside != nil && c.reason == ledger.ReasonWithheld {
					want = beside.Seen
				}
				d.Do(func(tx *store.Tx) error {
					books, err := tx.Ledger().Books(partner)
					if err != nil {
						return err
					}
					books.State, books.Reason, books.Doubted = ledger.Forked, c.reason, true
					if _, err := tx.Ledger().PutBooks(books); err != nil {
						return err
					}
					raw, err := json.Marshal(ledger.Evidence{At: ledger.Position{Seq: 3}, Seen: "withheld or forked", Other: beside})
					if err != nil {
						return err
					}
					return tx.Ledger().PutEvidence(partner, raw)
				})
				later, err := d.Book.Checkpoint(partner, ledger.Position{Life: 1, Seq: 1}, [32]byte{1})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.Book.Held(t.Context(), partner, later, ""); fault.ReasonOf(err) != "ledger_recovering" {
					t.Errorf("held: %v", err)
				}
				var proof ledger.Evidence
				d.View(func(tx *store.Tx) error {
					raw, err := tx.Ledger().Evidence(partner)
					if err != nil {
						return err
					}
					return json.Unmarshal(raw, &proof)
				})
				got := ""
				if proof.Other != nil {
					got = proof.Other.Seen
				}
				if b := d.stand(partner); b.State != ledger.Behind || got != want {
					t.Errorf("of books that were %s, beside our signature lies %q, not %q; the books are %s", c.reason, got, want, b.State)
				}
			}
		}
	})
}

// TestTheMostThatAPartnerSaidItHasIsKept, from the first answer on: a later one that says less unsays nothing.
func TestTheMostThatAPartnerSaidItHasIsKept(t *testing.T) {
	inDoubt(t, func(t *testing.T, d *doubt) {
		now := time.Now()
		d.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(firstOrigin)
			if err == nil {
				books.State = ledger.Unproven
				_, err = tx.Ledger().PutBooks(books)
			}
			return err
		})
		for _, c := range []struct {
			after  time.Duration
			seq    int64
			answer string
			most   string
			counts time.Duration
		}{
			{0, 7, "seven", "seven", 0},
			{time.Minute, 5, "five", "seven", 0},
			{2 * time.Minute, 9, "nine", "nine", 0}, // kept before the time is
			{30 * time.Minute, 8, "eight", "nine", 30 * time.Minute},
		} {
			d.Do(func(tx *store.Tx) error {
				_, err := ledger.Withhold(tx, firstOrigin, ledger.Position{Seq: c.seq}, c.answer, now.Add(c.after))
				return err
			})
			if w := d.stand(firstOrigin).Withheld; w.Answer != c.most || w.For != c.counts {
				t.Errorf("after an answer at %d: %+v", c.seq, w)
			}
		}
		d.Do(func(tx *store.Tx) error {
			books, err := tx.Ledger().Books(firstOrigin)
			if err != nil {
				return err
			}
			books.Withheld.For = 72 * time.Hour
			if _, err := tx.Ledger().PutBooks(books); err != nil {
				return err
			}
			forked, err := ledger.Withhold(tx, firstOrigin, ledger.Position{Seq: 6}, "six", now.Add(time.Hour))
			if err != nil || !forked {
				t.Errorf("it is forked: %t, %v", forked, err)
			}
			raw, err := tx.Ledger().Evidence(firstOrigin)
			if !strings.Contains(string(raw), `"nine"`) || !strings.Contains(string(raw), `"seq":9`) {
				t.Errorf("the evidence is %s", raw)
			}
			return err
		})
	})
}
