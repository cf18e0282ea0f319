package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
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
	err = each(ctx, on, `SELECT name, value FROM site WHERE name LIKE '%_key'`, []any{&name, &value}, func() { r.Facts[name] = value })
	if err != nil {
		return KeyRing{}, err
	}
	var k SealedKey
	err = each(ctx, on, `SELECT purpose, kid, state, created_at, not_after, sealed FROM member_key ORDER BY purpose, created_at, kid`,
		[]any{&k.Purpose, &k.KID, &k.State, &k.CreatedAt, &k.NotAfter, &k.Sealed}, func() { r.Keys = append(r.Keys, k) })
	if err != nil {
		return KeyRing{}, err
	}
	var p SealedPartner
	err = each(ctx, on, `SELECT origin, record FROM partner ORDER BY origin`, []any{&p.Origin, &p.Record}, func() { r.Partners = append(r.Partners, p) })
	return r, err
}

func each(ctx context.Context, on session, query string, into []any, row func()) error {
	rows, err := on.query(ctx, query, nil)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return errors.Join(err, rows.Close())
		}
		row()
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
			if _, err := tx.exec(`INSERT INTO partner (origin, version, record) VALUES ($1, 1, $2)`, p.Origin, p.Record); err != nil {
				return err
			}
			books := ledger.Books{Partner: p.Origin, State: ledger.Unproven, Reason: ledger.ReasonRestored, Since: s.cfg.Now().UTC(), Epoch: 1}
			if _, err := tx.Ledger().PutBooks(books); err != nil {
				return err
			}
		}
		tx.wake(unit.Partners)
		return nil
	})
}
