package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var _ keys.Store = (*Store)(nil)

// Keys lists the member's keys of a purpose, oldest first, opened.
func (s *Store) Keys(ctx context.Context, purpose keys.Purpose) (all []keys.Record, err error) {
	err = s.View(ctx, func(tx *Tx) error {
		all, err = tx.keys(purpose)
		return err
	})
	return all, err
}

func (tx *Tx) keys(purpose keys.Purpose) (all []keys.Record, err error) {
	var k SealedKey
	err = tx.rows(`SELECT kid, state, created_at, not_after, sealed FROM member_key WHERE purpose = $1 ORDER BY created_at, kid`,
		[]any{string(purpose)},
		func() []any { return []any{&k.KID, &k.State, &k.CreatedAt, &k.NotAfter, &k.Sealed} },
		func() error {
			rec, err := tx.open(purpose, k)
			if err == nil {
				all = append(all, rec)
			}
			return err
		})
	return all, err
}

// open opens a key as it is stored.
func (tx *Tx) open(purpose keys.Purpose, k SealedKey) (keys.Record, error) {
	private, err := open(tx.s.vault.member, k.Sealed, row("member_key", string(purpose), k.KID))
	if err != nil {
		return keys.Record{}, fmt.Errorf("%s key %s: %w", purpose, k.KID, err)
	}
	return keys.Record{
		Purpose: purpose, KID: k.KID, State: keys.State(k.State), Private: private, CreatedAt: at(k.CreatedAt), NotAfter: at(k.NotAfter),
	}, nil
}

// SaveKeys writes all records in one transaction unless another key than guard is Current by now: fault.Conflict.
func (s *Store) SaveKeys(ctx context.Context, purpose keys.Purpose, guard string, records []keys.Record) error {
	return s.Do(ctx, func(tx *Tx) error { return tx.TurnKeys(keys.Turn{Purpose: purpose, Guard: guard, Records: records}) })
}

// TurnKeys writes a rotation of this member's keys; see SaveKeys.
func (tx *Tx) TurnKeys(turn keys.Turn) error {
	records := slices.Clone(turn.Records)
	// The current one last: there is never a second one beside it, not even within the transaction.
	slices.SortStableFunc(records, func(a, b keys.Record) int {
		return cmp.Compare(flag(a.State == keys.Current), flag(b.State == keys.Current))
	})
	purpose := string(turn.Purpose)
	var current string
	if _, err := tx.row(`SELECT kid FROM member_key WHERE purpose = $1 AND state = 'current'`, []any{purpose}, &current); err != nil {
		return err
	}
	if current != turn.Guard {
		return fault.New(fault.Conflict, "keys_changed", "the %s key was changed by another replica", purpose)
	}
	for _, r := range records {
		sealed, err := tx.s.vault.seal(tx.s.vault.member, r.Private, row("member_key", purpose, r.KID))
		if err != nil {
			return err
		}
		if _, err := tx.exec(`INSERT INTO member_key (purpose, kid, state, created_at, not_after, sealed)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (purpose, kid) DO UPDATE SET state = excluded.state,
			created_at = excluded.created_at, not_after = excluded.not_after, sealed = excluded.sealed`,
			purpose, r.KID, string(r.State), ns(r.CreatedAt), ns(r.NotAfter), sealed); err != nil {
			return err
		}
	}
	tx.wake(unit.Keys)
	return nil
}
