package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// TickEvery is how often the tick grows while a sidecar runs. It is a counter that goes into every checkpoint that we sign, so that
// of two checkpoints at one place the later one shows, and with it how old the store is that somebody restored.
const TickEvery = 20 * time.Second

// Tick is the present one.
func (b *Book) Tick() int64 { return b.tick.Load() }

// LoadTick reads the counter. Call it before anything is signed.
func (b *Book) LoadTick(ctx context.Context) error {
	_, err := b.readTick(ctx)
	return err
}

func (b *Book) readTick(ctx context.Context) (stored int64, err error) {
	err = b.Work.View(ctx, func(tx Tx) (err error) {
		stored, err = tx.Ledger().Tick()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read tick: %w", err)
	}
	b.adopt(stored)
	return stored, nil
}

// adopt goes on with a tick that is stored; it never goes back.
func (b *Book) adopt(stored int64) {
	for {
		have := b.tick.Load()
		if have >= stored || b.tick.CompareAndSwap(have, stored) {
			return
		}
	}
}

// Beat is one round of a replica, TickEvery after its last one, which returned last: the counter grows unless another replica
// had it grow since. So it grows about once in that time, however many they are, and no clock is compared. A store that has gone back is not
// the one that it was: nobody may write to it as if it were.
func (b *Book) Beat(ctx context.Context, last int64) (int64, error) {
	stored, err := b.readTick(ctx)
	if err == nil && stored < last {
		return b.wentBack(ctx, stored, last)
	}
	if err != nil || stored != last {
		return max(stored, last), err
	}
	err = b.Work.Do(ctx, func(tx Tx) error { return tx.Ledger().SetTick(stored, stored+1) })
	switch {
	case errors.Is(err, unit.ErrStale):
		return last, nil
	case err != nil:
		return last, fmt.Errorf("grow tick: %w", err)
	}
	b.adopt(stored + 1)
	return stored + 1, nil
}

// wentBack has all books proved again, and what is remembered of them forgotten: an older copy of the database was put back under running
// processes.
func (b *Book) wentBack(ctx context.Context, stored, last int64) (int64, error) {
	b.mu.Lock()
	clear(b.countersigned)
	clear(b.opened)
	b.mu.Unlock()
	err := b.Work.Do(ctx, func(tx Tx) error {
		if err := tx.Ledger().SetTick(stored, last+1); err != nil {
			return err
		}
		return Doubt(tx, ReasonWentBack, b.Now())
	})
	if errors.Is(err, unit.ErrStale) { // another replica may have seen it first; the next round shows
		return last, nil
	}
	if err != nil {
		return last, fmt.Errorf("put the books in doubt, for the store went back from tick %d to %d: %w", last, stored, err)
	}
	b.adopt(last + 1)
	if b.WentBack != nil {
		b.WentBack(stored, last)
	}
	return last + 1, nil
}

// surpass goes on above a tick of our own that a partner gave back to us: as each is stored before anything is signed with it, this store is
// older than what it signed, whatever its logs have. That is stored before anything is signed, and all partners are asked how the books stand,
// unless it is known already.
func (b *Book) surpass(ctx context.Context, partner string, came int64) error {
	if came <= b.tick.Load() {
		return nil
	}
	older := false
	var stored int64
	err := unit.Fresh(func() (err error) {
		older = false
		if stored, err = b.readTick(ctx); err != nil || came <= stored { // another replica was ahead of us
			return err
		}
		err = b.Work.Do(context.WithoutCancel(ctx), func(tx Tx) (err error) {
			if err := tx.Ledger().SetTick(stored, came+1); err != nil {
				return err
			}
			if older, err = unaware(tx); err != nil || !older {
				return err
			}
			return Doubt(tx, ReasonRestored, b.Now())
		})
		if err == nil {
			b.adopt(came + 1)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("go on above tick %d: %w", came, err)
	}
	if older && b.Surpassed != nil {
		b.Surpassed(partner, stored, came)
	}
	return nil
}

// unaware reports whether there is a partner with whom the books say nothing of an older store.
func unaware(tx Tx) (bool, error) {
	partners, err := tx.Ledger().Kept()
	if err != nil {
		return false, err
	}
	for _, partner := range partners {
		books, err := tx.Ledger().Books(partner)
		if err != nil || books.State == Level || books.State == Unproven && (books.Reason == ReasonStarted || books.Reason == ReasonMissing) {
			return err == nil, err
		}
	}
	return false, nil
}
