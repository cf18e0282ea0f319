package federation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Apply is an operator's way on for a parked subject: its entries are applied in their order, as many as a page has at most, up to the
// first that still cannot be. It returns how many were applied and what is still parked, of which it reads little more than a page.
// fault.NotFound where nothing is.
func (r *LedgerReader) Apply(ctx context.Context, partner, subject string, w act.Word) (applied int, left []ledger.Parked, err error) {
	return r.resume(ctx, partner, subject, func(tx Tx, parked []ledger.Parked) error {
		return tx.Acts().Add(w.On(r.Now(), "ledger parked apply", partner, subject, fmt.Sprintf("from entry %s", parked[0].Position())))
	})
}

// Resume applies what is parked about a subject as Apply does, because what it waits for may be there now, and nobody's word is needed.
func (r *LedgerReader) Resume(ctx context.Context, partner, subject string) (applied int, left []ledger.Parked, err error) {
	return r.resume(ctx, partner, subject, func(Tx, []ledger.Parked) error { return nil })
}

// Release leaves the first parked entry of a subject aside for good, which an operator names by its sequence number, and applies those
// behind it as Apply does: it stays in the ledger as evidence and changes nothing here. fault.NotFound where nothing is parked,
// fault.Precondition where another entry comes first.
func (r *LedgerReader) Release(ctx context.Context, partner, subject string, seq int64, w act.Word) (applied int, left []ledger.Parked, err error) {
	var released ledger.Parked
	applied, left, err = r.resume(ctx, partner, subject, func(tx Tx, parked []ledger.Parked) error {
		if released = parked[0]; released.Seq != seq {
			return fault.New(fault.Precondition, "parked_entry_not_first", "the first entry that waits about %s is %d", subject, released.Seq).
				At("seq").Do(fmt.Sprintf("look at entry %d before it is released: hanse ledger parked list %s", released.Seq, partner))
		}
		if err := tx.Ledger().Unpark(partner, subject, released.Position()); err != nil {
			return err
		}
		return tx.Acts().Add(w.On(r.Now(), "ledger parked release", partner, subject, fmt.Sprintf("entry %s: %s", released.Position(), released.Reason)))
	})
	if err == nil && r.Released != nil {
		r.Released(released)
	}
	return applied, left, err
}

// resume has a word done about what is parked, at least one entry, and applies what is then.
func (r *LedgerReader) resume(ctx context.Context, partner, subject string, word func(tx Tx, parked []ledger.Parked) error) (applied int, left []ledger.Parked, err error) {
	err = unit.Fresh(func() error {
		return r.Work.Do(ctx, func(tx Tx) (err error) {
			applied = 0
			parked, err := tx.Ledger().ParkedSubject(partner, subject, 1)
			if err != nil {
				return err
			}
			if len(parked) == 0 {
				return fault.New(fault.NotFound, "parked_not_found", "nothing of %s is parked about %s", partner, subject).
					Do("hanse ledger parked list shows all that is")
			}
			if err := word(tx, parked); err != nil {
				return err
			}
			if left, err = tx.Ledger().ParkedSubject(partner, subject, maxEntries+1); err != nil {
				return err
			}
			for _, p := range left[:min(len(left), maxEntries)] {
				done, err := r.retry(tx, p)
				if err != nil {
					return err
				}
				if !done {
					break
				}
				applied++
			}
			left, err = tx.Ledger().ParkedSubject(partner, subject, maxEntries+1)
			return err
		})
	})
	if err != nil {
		return 0, nil, fmt.Errorf("go on with %s of %s: %w", subject, partner, err)
	}
	return applied, left, nil
}

// parkedMost is of how many parked entries it is told at most.
const parkedMost = 500

// TellParked is told when the books with a partner are open again: what is parked still does not come back by itself any more.
func (r *LedgerReader) TellParked(partner string) {
	if r.StillParked == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var parked []ledger.Parked
	err := r.Work.View(ctx, func(tx Tx) error {
		parked = nil
		state, err := tx.Ledger().Standing(partner)
		if err == nil && state == ledger.Level {
			parked, err = tx.Ledger().ParkedPage(partner, ledger.Parked{}, parkedMost)
		}
		return err
	})
	if err != nil || len(parked) == 0 {
		return // hanse ledger parked list shows them all the same
	}
	subjects := make(map[string]bool)
	for _, p := range parked {
		subjects[p.Subject] = true
	}
	r.StillParked(parked[0], len(subjects))
}

// Again applies entries of our copy of a partner's log about one subject once more, in their order: all of them, or nothing where one cannot be.
// What was applied before changes nothing. fault.Precondition with reason subject_parked where the subject waits for an operator.
func (r *LedgerReader) Again(ctx context.Context, partner, subject string, entries []ledger.Entry) error {
	err := unit.Fresh(func() error {
		return r.Work.Do(ctx, func(tx Tx) error {
			parked, err := tx.Ledger().ParkedSubject(partner, subject, 1)
			if err == nil && len(parked) > 0 {
				err = fault.New(fault.Precondition, "subject_parked", "entry %s about it is parked: %s", parked[0].Position(), parked[0].Reason)
			}
			for _, e := range entries {
				if err == nil {
					err = r.dispatch(tx, e)
				}
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("apply %s of %s again: %w", subject, partner, err)
	}
	return nil
}

// ReadBack stores entries behind our copy of a partner's log at a place, of a life that has ended, which the caller has proved, and applies them,
// each by itself, while the books are read back: what waits for what comes back of ours is parked until then. No checkpoint stands at the new
// end: the document that opened the next life does. unit.ErrStale where our copy is elsewhere.
func (r *LedgerReader) ReadBack(ctx context.Context, partner string, after ledger.Position, entries []ledger.Entry) error {
	for i := range entries {
		entries[i].Partner, entries[i].Direction = partner, ledger.Theirs
	}
	err := r.Work.Do(ctx, func(tx Tx) error {
		books, err := tx.Ledger().Books(partner)
		if err == nil && !books.Recovers() {
			err = errors.New("the books are not behind any more")
		}
		if err != nil {
			return err
		}
		_, err = r.write(tx, partner, place{Head: ledger.Head{Life: after.Life, Seq: after.Seq}}, entries, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("read back ledger of %s: %w", partner, err)
	}
	return nil
}

// retry applies one entry, or says anew why it waits.
func (r *LedgerReader) retry(tx Tx, p ledger.Parked) (done bool, err error) {
	e, err := tx.Ledger().Entry(p.Partner, ledger.Theirs, p.Position())
	if err != nil {
		return false, err
	}
	if err := tx.Ledger().Unpark(p.Partner, p.Subject, p.Position()); err != nil {
		return false, err
	}
	err = tx.Savepoint(func() error { return r.dispatch(tx, e) })
	if err == nil || again(err) {
		return err == nil, err
	}
	_, err = r.park(tx, e, err.Error())
	return false, err
}
