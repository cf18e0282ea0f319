package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// RolloverPause is the least time between two rollovers of our business key: for so long a reader may keep what we serve, and would hold
// the member document of one against the keys of the other.
const RolloverPause = 5 * time.Minute

// OwnKeys are this member's keys in memory; *keys.Manager is one.
type OwnKeys interface {
	Reload(ctx context.Context) error
	Standing() keys.Standing
	Successions() []keys.Succession
	Turn(ctx context.Context, p keys.Purpose) (keys.Turn, error)
}

// OwnKey is our business key, by which partners know us.
type OwnKey struct {
	keys.Standing
	// Acts are what operators did about it, the oldest first.
	Acts []act.Act
}

// Key reads our business key, as the store has it.
func (d *Desk) Key(ctx context.Context) (own OwnKey, err error) {
	if err := d.Keys.Reload(ctx); err != nil {
		return OwnKey{}, err
	}
	own.Standing = d.Keys.Standing()
	err = d.Work.View(ctx, func(tx Tx) (err error) {
		own.Acts, err = tx.Acts().About(d.Self, "")
		return err
	})
	return own, err
}

// RotateKey has the next key, to which partners hold us, follow the business key that our operator was shown, and makes the next one after it. What
// the one before signed goes on counting. fault.Conflict with reason key_changed where another one is current; fault.Precondition with reason
// books_not_level, rollover_recent, rollovers_limit or next_key_missing where partners might not take the new key for ours.
func (d *Desk) RotateKey(ctx context.Context, shown string, w act.Word) (OwnKey, error) {
	turn, err := d.Keys.Turn(ctx, keys.Business)
	switch {
	case errors.Is(err, keys.ErrNoNext):
		return OwnKey{}, fault.New(fault.Precondition, "next_key_missing", "the key that may follow the business key is not in this store, and partners take no other one").
			Do("put a backup back that has it: docs/keys.md").Because(err)
	case err != nil:
		return OwnKey{}, err
	}
	was := d.Keys.Standing()
	if shown != was.Current {
		return OwnKey{}, changed(was.Current + " now, not the one that you saw")
	}
	now := d.Now()
	if err := timely(was, len(d.Keys.Successions()), now); err != nil {
		return OwnKey{}, err
	}
	own := OwnKey{Standing: was.After(turn)}
	err = d.Work.Do(ctx, func(tx Tx) (err error) {
		if err := d.provenAll(tx); err != nil {
			return err
		}
		if err := tx.TurnKeys(turn); fault.ReasonOf(err) == "keys_changed" {
			return changed("another one by now: somebody else was first").Because(err)
		} else if err != nil {
			return err
		}
		if err := tx.Acts().Add(w.On(now, "key rotate", d.Self, "", fmt.Sprintf("%s followed %s", was.Next, was.Current))); err != nil {
			return err
		}
		if own.Acts, err = tx.Acts().About(d.Self, ""); err != nil {
			return err
		}
		d.Fail.Hit("key.rotate.before_commit")
		return nil
	})
	if err != nil {
		return OwnKey{}, fmt.Errorf("rotate the business key: %w", err)
	}
	d.Fail.Hit("key.rotate.after_commit")
	// It is done, whatever becomes of this: what was committed has the keys read again from time to time until that succeeds, which is logged.
	_ = d.Keys.Reload(ctx)
	return own, nil
}

func changed(to string) *fault.Error {
	return fault.New(fault.Conflict, "key_changed", "the business key is %s", to).At("thumbprint").Do("look at it again: hanse key show")
}

// timely refuses a rollover after which partners would refuse the whole chain of them, or could not have heard of the last one yet.
func timely(was keys.Standing, published int, now time.Time) error {
	if published >= trust.MaxRollovers {
		return fault.New(fault.Precondition, "rollovers_limit", "%d rollovers of the business key are published, and partners take no longer chain", published).
			Do("wait until the oldest key is ten years past and no longer published")
	}
	if len(was.Past) == 0 {
		return nil
	}
	again := was.Since.Add(RolloverPause)
	if now.Before(again) {
		return fault.New(fault.Precondition, "rollover_recent", "the business key was rolled over at %s, and partners may still read what was served before", was.Since.UTC().Format(time.RFC3339)).
			Do("repeat it after " + again.UTC().Format(time.RFC3339) + "; if that is far off, this machine's clock was or is wrong")
	}
	return nil
}

// provenAll refuses while it is not known of any partnership that this store is the one that signed its log: one that is older than a rollover
// would make a second key to follow, which no partner ever takes.
func (d *Desk) provenAll(tx Tx) error {
	if d.Book.IsShut() {
		return ledger.Unproven.Closed()
	}
	uneven, err := tx.Ledger().Uneven()
	if err != nil {
		return err
	}
	partners, err := tx.Partners().List()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(partners, func(p member.Partner) bool {
		return uneven[p.Origin] != "" && p.State.Exchanges() && p.State != member.Ended
	})
	if i < 0 {
		return nil
	}
	partner, state := partners[i].Origin, uneven[partners[i].Origin]
	instead := map[ledger.BooksState]string{
		ledger.Unproven: "wait for its answer; where it does not come, hanse partner vouch " + partner,
		ledger.Behind:   "wait until what is missing was read back from it: hanse partner show " + partner,
		ledger.Forked:   "open a new life first: hanse ledger fork show " + partner,
	}
	return fault.New(fault.Precondition, "books_not_level", "our books with %s are %s: this store may be older than what it signed, and partners would never take a second key that follows the same one",
		partner, state).Do(instead[state])
}
