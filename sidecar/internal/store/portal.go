package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
)

var portalTable = newTable("portal", "portal_client", []string{"name"}, nil, []string{"key_hash", "old_key_hash"})

type portals struct{ tx *Tx }

func (s portals) Get(name string) (portal.Client, error) {
	return s.one(`SELECT key_hash, old_key_hash, version, record FROM portal_client WHERE name = $1`, name)
}

func (s portals) ByKeyHash(hash []byte) (portal.Client, error) {
	if len(hash) == 0 {
		return portal.Client{}, portalNotFound() // an empty old hash is "none", not a key
	}
	return s.one(`SELECT key_hash, old_key_hash, version, record FROM portal_client WHERE key_hash = $1 OR old_key_hash = $1`, hash)
}

func portalNotFound() error {
	return fault.New(fault.NotFound, "portal_not_found", "there is no such portal client")
}

func (s portals) one(query string, arg any) (portal.Client, error) {
	all, err := s.list(query, arg)
	if err != nil {
		return portal.Client{}, err
	}
	if len(all) == 0 {
		return portal.Client{}, portalNotFound()
	}
	return all[0], nil
}

func (s portals) List() ([]portal.Client, error) {
	return s.list(`SELECT key_hash, old_key_hash, version, record FROM portal_client ORDER BY name`)
}

func (s portals) list(query string, args ...any) ([]portal.Client, error) {
	var all []portal.Client
	var version int64
	var now, old, raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&now, &old, &version, &raw} }, func() error {
		var rec storepb.PortalClient
		if err := decode(raw, &rec); err != nil {
			return err
		}
		c := portal.Client{
			Name: rec.Name, Scopes: rec.Scopes, KeyHash: now, OldKeyUntil: at(rec.OldKeyUntil),
			CreatedAt: at(rec.CreatedAt), RotatedAt: at(rec.RotatedAt), RemovedAt: at(rec.RemovedAt),
			Version: version,
		}
		if len(old) > 0 {
			c.OldKeyHash = old
		}
		all = append(all, c)
		now, old = nil, nil
		return nil
	})
	return all, err
}

func (s portals) Put(c portal.Client) (portal.Client, error) {
	var rec storepb.PortalClient
	version, err := s.tx.put(&portalTable, []any{c.Name}, []any{notNil(c.KeyHash), notNil(c.OldKeyHash)}, c.Version, &rec, func() {
		rec.Name, rec.Scopes = c.Name, c.Scopes
		rec.OldKeyUntil, rec.CreatedAt, rec.RotatedAt = ns(c.OldKeyUntil), ns(c.CreatedAt), ns(c.RotatedAt)
		rec.RemovedAt = ns(c.RemovedAt)
	})
	if err != nil {
		return portal.Client{}, err
	}
	c.Version = version
	return c, nil
}

// notNil keeps "none" out of NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
