package federation

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Retry is an operator's way on for a parked subject: its entries are applied in their order, as many as a page has at most, up
// to the first that still cannot be. Skip is the sequence number of the first of them, where the operator has it left aside for
// good: it stays in the ledger as evidence and changes nothing here; 0 leaves none aside. It returns how many were applied and
// what is still parked, of which it reads little more than a page. fault.NotFound where nothing is, fault.Precondition where another entry than skip comes first.
func (r *LedgerReader) Retry(ctx context.Context, partner, subject string, skip int64) (applied int, left []ledger.Parked, err error) {
	var skipped *ledger.Parked
	err = unit.Fresh(func() error {
		return r.Work.Do(ctx, func(tx Tx) (err error) {
			applied, skipped = 0, nil
			parked, err := tx.Ledger().ParkedSubject(partner, subject, maxEntries+1)
			if err != nil {
				return err
			}
			if len(parked) == 0 {
				return fault.New(fault.NotFound, "parked_not_found", "nothing of %s is parked about %s", partner, subject).
					Do("hanse partner show lists the parked subjects")
			}
			if skip != 0 {
				if parked[0].Seq != skip {
					return fault.New(fault.Precondition, "parked_entry_not_first", "the first entry that waits about %s is %d", subject, parked[0].Seq).
						At("skip_seq").Do(fmt.Sprintf("look at entry %d before it is skipped: hanse ledger show", parked[0].Seq))
				}
				if err := tx.Ledger().Unpark(partner, subject, parked[0].Position()); err != nil {
					return err
				}
				skipped, parked = &parked[0], parked[1:]
			}
			for _, p := range parked[:min(len(parked), maxEntries)] {
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
		return 0, nil, fmt.Errorf("retry %s of %s: %w", subject, partner, err)
	}
	if skipped != nil && r.Skipped != nil {
		r.Skipped(*skipped)
	}
	return applied, left, nil
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
