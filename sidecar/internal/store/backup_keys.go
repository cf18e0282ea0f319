package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// KeyRing is what a member needs beside its site key to be itself again without its database: all of it rests under the site key, as it
// does in the database, but for what is known about partners, of which the pinned keys matter most.
type KeyRing struct {
	// Facts are keys that the store itself keeps, by name.
	Facts    map[string][]byte `json:"facts"`
	Keys     []SealedKey       `json:"keys"`
	Partners []SealedPartner   `json:"partners"`
}

// SealedKey is one of the member's keys as it is stored; times in nanoseconds since 1970.
type SealedKey struct {
	Purpose   string `json:"purpose"`
	KID       string `json:"kid"`
	State     string `json:"state"`
	CreatedAt int64  `json:"created_at"`
	NotAfter  int64  `json:"not_after"`
	Sealed    []byte `json:"sealed"`
}

// SealedPartner is a partner as it is stored.
type SealedPartner struct {
	Origin string `json:"origin"`
	Record []byte `json:"record"`
}

// lasting are the purposes of keys that cannot be made anew without asking partners, or losing what was sealed to them. The others the
// sidecar renews by itself.
var lasting = []string{string(keys.Business), string(keys.Sealing)}

// Generation names the set of keys and partners: another one says that an export of before is stale.
func (r KeyRing) Generation() string {
	var all []string
	for name, value := range r.Facts {
		sum := sha256.Sum256(value)
		all = append(all, fmt.Sprintf("fact %s %x", name, sum))
	}
	for _, k := range r.Keys {
		if slices.Contains(lasting, k.Purpose) {
			all = append(all, "key "+k.Purpose+" "+k.KID)
		}
	}
	for _, p := range r.Partners {
		all = append(all, "partner "+p.Origin)
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
	return hex.EncodeToString(sum[:8])
}

// KeyRing reads the keys of the snapshot.
func (s *Snapshot) KeyRing(ctx context.Context) (KeyRing, error) { return keyRing(ctx, s.on) }

func keyRing(ctx context.Context, on session) (r KeyRing, err error) {
	r.Facts = map[string][]byte{}
	var name string
	var value []byte
	err = each(ctx, on, `SELECT name, value FROM site WHERE name LIKE '%_key'`, []any{&name, &value}, func() error { r.Facts[name] = value; return nil })
	if err != nil {
		return KeyRing{}, err
	}
	var k SealedKey
	err = each(ctx, on, `SELECT purpose, kid, state, created_at, not_after, sealed FROM member_key ORDER BY purpose, created_at, kid`,
		[]any{&k.Purpose, &k.KID, &k.State, &k.CreatedAt, &k.NotAfter, &k.Sealed}, func() error { r.Keys = append(r.Keys, k); return nil })
	if err != nil {
		return KeyRing{}, err
	}
	var p SealedPartner
	err = each(ctx, on, `SELECT origin, record FROM partner ORDER BY origin`, []any{&p.Origin, &p.Record}, func() error { r.Partners = append(r.Partners, p); return nil })
	return r, err
}

func each(ctx context.Context, on session, query string, into []any, row func() error, args ...any) error {
	rows, err := on.query(ctx, query, args)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return errors.Join(err, rows.Close())
		}
		if err := row(); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// ImportKeys makes a store in which nothing stands one of the member whose keys these are. Of its books nothing is there, and they are
// in doubt with every partner: what the partners hold says how far they went. ErrNotEmpty where there are keys.
func (s *Store) ImportKeys(ctx context.Context, r KeyRing) error {
	return s.Do(ctx, func(tx *Tx) error {
		var have int
		if _, err := tx.row(`SELECT count(*) FROM member_key`, nil, &have); err != nil {
			return err
		}
		if have > 0 {
			return ErrNotEmpty
		}
		for name, value := range r.Facts {
			if _, err := tx.exec(`INSERT INTO site (name, value) VALUES ($1, $2)`, name, value); err != nil {
				return err
			}
		}
		for _, k := range r.Keys {
			if _, err := tx.exec(`INSERT INTO member_key (purpose, kid, state, created_at, not_after, sealed) VALUES ($1, $2, $3, $4, $5, $6)`,
				k.Purpose, k.KID, k.State, k.CreatedAt, k.NotAfter, k.Sealed); err != nil {
				return err
			}
		}
		for _, p := range r.Partners {
			if err := tx.importPartner(p); err != nil {
				return err
			}
		}
		tx.wake(unit.Partners)
		return nil
	})
}

func (tx *Tx) importPartner(p SealedPartner) error {
	if _, err := tx.exec(`INSERT INTO partner (origin, version, record) VALUES ($1, 1, $2)`, p.Origin, p.Record); err != nil {
		return err
	}
	_, err := tx.Ledger().PutBooks(ledger.Books{
		Partner: p.Origin, State: ledger.Unproven, Reason: ledger.ReasonRestored, Since: tx.s.cfg.Now().UTC(), Epoch: 1,
	})
	return err
}

var (
	// ErrKeysOther says that exported keys are not those of this member.
	ErrKeysOther = errors.New("they are not keys of this member")
	// ErrKeysOlder says that the business key of a store follows the exported one.
	ErrKeysOlder = errors.New("the business key of this member follows those in it")
)

// Renewal is what RenewKeys did: Before and Now are the thumbprints of the business key.
type Renewal struct {
	Before, Now string
	// Changed says that there was something to take up.
	Changed bool
	// Partners are those that were not there.
	Partners []string
}

// RenewKeys takes up the business and sealing keys of a ring that was exported later than this copy of the store was made, and the partners that
// the copy does not know; all else stays. The ring must lead from the business key that is here over the one that may follow it. Books are in
// doubt with every partner afterwards, and feeds begin a new generation: the store is an old one. Nothing changes where the keys are the same.
// ErrInUse where another process has the database open, ErrKeysOther, ErrKeysOlder.
func (s *Store) RenewKeys(ctx context.Context, r KeyRing) (done Renewal, err error) {
	life, err := s.newLife()
	if err != nil {
		return Renewal{}, err
	}
	alone := false
	err = s.Sole(ctx, func(tx *Tx) (err error) {
		alone = true
		done, err = tx.renewKeys(r, life)
		return err
	})
	if err == nil && !alone {
		err = ErrInUse
	}
	if err != nil {
		return Renewal{}, err
	}
	return done, nil
}

func (tx *Tx) renewKeys(r KeyRing, life []byte) (done Renewal, err error) {
	if err := tx.sameFacts(r.Facts); err != nil {
		return done, err
	}
	turns, newer := make([]keys.Turn, 0, len(lasting)), false
	for _, purpose := range lasting {
		turn, fresh, err := tx.turnTo(r, keys.Purpose(purpose))
		if err != nil {
			return done, err
		}
		turns, newer = append(turns, turn), newer || fresh
	}
	done.Before, done.Now = turns[0].Guard, turns[0].Records[currentOf(turns[0].Records)].KID
	if done.Changed = newer; !newer {
		return done, nil
	}
	for _, turn := range turns {
		if err := tx.TurnKeys(turn); err != nil {
			return done, err
		}
	}
	known, err := tx.Partners().List()
	if err != nil {
		return done, err
	}
	for _, p := range r.Partners {
		if slices.ContainsFunc(known, func(k member.Partner) bool { return k.Origin == p.Origin }) {
			continue
		}
		if err := tx.importPartner(p); err != nil {
			return done, err
		}
		done.Partners = append(done.Partners, p.Origin)
	}
	tx.wake(unit.Partners)
	return done, tx.restored(life)
}

// sameFacts refuses keys of a member that has others for the same: whose store this is they say as much as the business key does.
func (tx *Tx) sameFacts(facts map[string][]byte) error {
	for name, value := range facts {
		var mine []byte
		have, err := tx.row(`SELECT value FROM site WHERE name = $1`, []any{name}, &mine)
		switch {
		case err != nil:
			return err
		case have && !bytes.Equal(mine, value):
			return fmt.Errorf("%w: its %s is another", ErrKeysOther, name)
		case !have:
			if _, err := tx.exec(`INSERT INTO site (name, value) VALUES ($1, $2)`, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func currentOf(records []keys.Record) int {
	return slices.IndexFunc(records, func(k keys.Record) bool { return k.State == keys.Current })
}

// turnTo is the turn by which the keys of a purpose become those of the ring, and whether that has any which are not here.
func (tx *Tx) turnTo(r KeyRing, purpose keys.Purpose) (turn keys.Turn, fresh bool, err error) {
	mine, err := tx.keys(purpose)
	if err != nil {
		return turn, false, err
	}
	turn.Purpose = purpose
	next := ""
	for _, k := range mine {
		switch k.State {
		case keys.Current:
			turn.Guard = k.KID
		case keys.Next:
			next = k.KID
		}
	}
	for _, k := range r.Keys {
		if k.Purpose != string(purpose) {
			continue
		}
		opened, err := tx.open(purpose, k)
		if err != nil {
			return turn, false, fmt.Errorf("%w: %w", ErrKeysOther, err)
		}
		turn.Records = append(turn.Records, opened)
		fresh = fresh || !slices.ContainsFunc(mine, func(m keys.Record) bool { return m.KID == k.KID && m.State == opened.State })
	}
	turn.Records = keys.Line(turn.Records)
	at := slices.IndexFunc(turn.Records, func(k keys.Record) bool { return k.KID == turn.Guard })
	switch {
	case at < 0 && slices.ContainsFunc(mine, func(k keys.Record) bool {
		return k.State == keys.Retired && slices.ContainsFunc(turn.Records, func(r keys.Record) bool { return r.State == keys.Current && r.KID == k.KID })
	}):
		return turn, false, ErrKeysOlder
	case at < 0 || currentOf(turn.Records) < 0:
		return turn, false, fmt.Errorf("%w: the %s key %s is not among them", ErrKeysOther, purpose, turn.Guard)
	case turn.Records[at].State == keys.Next:
		return turn, false, ErrKeysOlder
	case purpose != keys.Business || next == "":
	case at+1 == len(turn.Records): // it has no next key, and here is one
		return turn, false, ErrKeysOlder
	case turn.Records[at+1].KID != next:
		return turn, false, fmt.Errorf("%w: another key than %s follows %s", ErrKeysOther, next, turn.Guard)
	}
	return turn, fresh, nil
}
