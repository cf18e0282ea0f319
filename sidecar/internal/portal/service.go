package portal

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Scopes lists all scopes of the Portal API, in the order in which they are shown.
func Scopes() []string {
	return []string{
		ScopeCatalogRead, ScopeOrdersWrite, ScopeOrdersRead, ScopeSubscriptionsRead, ScopeAccessReveal, ScopeSessionsWrite,
	}
}

// Tx is what this package needs of a transaction.
type Tx interface {
	Portals() Store
}

// Config of a Service.
type Config struct {
	// Work is the store.
	Work unit.Work[Tx]
	// HashKey is 32 bytes or more, derived from the site key. All replicas share it; another one makes all keys and
	// sessions invalid.
	HashKey []byte
	// Now is the clock.
	Now func() time.Time
	// Rand is the source of keys.
	Rand io.Reader
	// CacheFor is how long a client is remembered between look-ups, and so how long another replica may still accept a key
	// that was removed here; 0 is 5 seconds.
	CacheFor time.Duration
}

// Service keeps portal clients and recognises callers.
type Service struct {
	work  unit.Work[Tx]
	macs  macs
	now   func() time.Time
	rand  io.Reader
	cache *cache
	// locals are keys of this process alone.
	locals locals
}

// DefaultOverlap is how long the old key stays valid after a rotation.
const DefaultOverlap = time.Hour

const defaultCacheFor = 5 * time.Second

// New makes a Service.
func New(c Config) (*Service, error) {
	if c.Work == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("portal: Work, Now and Rand are needed")
	}
	m, err := deriveMACs(c.HashKey)
	if err != nil {
		return nil, err
	}
	if c.CacheFor == 0 {
		c.CacheFor = defaultCacheFor
	}
	return &Service{work: c.Work, macs: m, now: c.Now, rand: c.Rand, cache: newCache(c.CacheFor, c.Now)}, nil
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Add makes a portal client and its first key, which cannot be read again. No scopes are all scopes. The name of a removed portal
// is taken again only with reuse: the new key then reads and changes what was ordered under it. fault.Conflict portal_exists or
// portal_name_used; fault.Invalid.
func (s *Service) Add(ctx context.Context, name string, scopes []string, reuse bool) (Client, string, error) {
	if !validName.MatchString(name) {
		return Client{}, "", fault.New(fault.Invalid, "portal_name", "a portal's name is lower-case letters, digits and hyphens").At("name")
	}
	scopes, err := knownScopes(scopes)
	if err != nil {
		return Client{}, "", err
	}
	key, err := newSecret(s.rand, prefixKey)
	if err != nil {
		return Client{}, "", err
	}
	// Sessions are bound to this time, in milliseconds.
	created := s.now().UTC().Truncate(time.Millisecond)
	client := Client{Name: name, Scopes: scopes, KeyHash: mac(s.macs.key, []byte(key)), CreatedAt: created, RotatedAt: created}
	var stored Client
	err = s.work.Do(ctx, func(tx Tx) error {
		next := client
		have, err := tx.Portals().Get(name)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return err
		case !have.Removed():
			return fault.New(fault.Conflict, "portal_exists", "there is a portal %s already", name).At("name").
				Do("rotate its key, or remove it first")
		case !reuse:
			return fault.New(fault.Conflict, "portal_name_used",
				"a portal %s was removed on %s; a new one of that name would read and change its orders, subscriptions and access data",
				name, have.RemovedAt.UTC().Format(time.DateOnly)).At("name").
				Do("take another name, or for the same shop: hanse portal add " + name + " --reuse")
		default:
			if next.Version = have.Version; !next.CreatedAt.After(have.CreatedAt) {
				next.CreatedAt = have.CreatedAt.Add(time.Millisecond) // no session of the one before lives on
			}
		}
		stored, err = tx.Portals().Put(next)
		return err
	})
	s.cache.clear()
	if err != nil {
		return Client{}, "", fmt.Errorf("add portal %s: %w", name, err)
	}
	return stored, key, nil
}

// Rotate makes a new key; the one before stays valid for the overlap, an older one not. 0 is DefaultOverlap.
func (s *Service) Rotate(ctx context.Context, name string, overlap time.Duration) (Client, string, error) {
	if overlap == 0 {
		overlap = DefaultOverlap
	}
	key, err := newSecret(s.rand, prefixKey)
	if err != nil {
		return Client{}, "", err
	}
	now := s.now().UTC()
	var client Client
	err = s.work.Do(ctx, func(tx Tx) error {
		have, err := present(tx, name)
		if err != nil {
			return err
		}
		have.OldKeyHash, have.OldKeyUntil = have.KeyHash, now.Add(overlap)
		have.KeyHash, have.RotatedAt = mac(s.macs.key, []byte(key)), now
		client, err = tx.Portals().Put(have)
		return err
	})
	s.cache.clear()
	if err != nil {
		return Client{}, "", fmt.Errorf("rotate key of portal %s: %w", name, err)
	}
	return client, key, nil
}

// Remove ends a portal client, its keys and its customers' sessions; see Add for its name. fault.NotFound.
func (s *Service) Remove(ctx context.Context, name string) error {
	err := s.work.Do(ctx, func(tx Tx) error {
		have, err := present(tx, name)
		if err != nil {
			return err
		}
		have.KeyHash, have.OldKeyHash, have.OldKeyUntil, have.RemovedAt = nil, nil, time.Time{}, s.now().UTC()
		_, err = tx.Portals().Put(have)
		return err
	})
	s.cache.clear()
	if err != nil {
		return fmt.Errorf("remove portal %s: %w", name, err)
	}
	return nil
}

// List lists the portal clients by name.
func (s *Service) List(ctx context.Context) (list []Client, err error) {
	err = s.work.View(ctx, func(tx Tx) error {
		list, err = tx.Portals().List()
		return err
	})
	return slices.DeleteFunc(list, Client.Removed), err
}

// present reads a client that was not removed; fault.NotFound.
func present(tx Tx, name string) (Client, error) {
	c, err := tx.Portals().Get(name)
	if err == nil && c.Removed() {
		return Client{}, fault.New(fault.NotFound, "portal_not_found", "portal %s was removed", name)
	}
	return c, err
}

// Authenticate recognises a portal key or a customer session token. Anything else is fault.Unauthenticated; a store that
// cannot be read is its own error, never the caller's fault.
func (s *Service) Authenticate(ctx context.Context, token string) (Principal, error) {
	switch {
	case token == "":
		return Principal{}, errNoKey()
	case strings.HasPrefix(token, prefixSession):
		return s.session(ctx, token)
	case wellFormed(token, prefixKey):
		return s.key(ctx, token)
	case wellFormed(token, prefixLocal):
		return s.local(ctx, token)
	}
	return Principal{}, errKeyInvalid()
}

func (s *Service) key(ctx context.Context, key string) (Principal, error) {
	hash := mac(s.macs.key, []byte(key))
	client, err := s.cache.get("key:"+string(hash), func() (c Client, err error) {
		err = s.work.View(ctx, func(tx Tx) error {
			c, err = tx.Portals().ByKeyHash(hash)
			return err
		})
		return c, err
	})
	if fault.Is(err, fault.NotFound) {
		return Principal{}, errKeyInvalid()
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up a portal key: %w", err)
	}
	old := hmac.Equal(hash, client.OldKeyHash) && s.now().Before(client.OldKeyUntil)
	if !hmac.Equal(hash, client.KeyHash) && !old {
		return Principal{}, errKeyInvalid()
	}
	return Principal{Portal: client.Name, Scopes: slices.Clone(client.Scopes), generation: generation(client)}, nil
}

func (s *Service) client(ctx context.Context, name string) (Client, error) {
	return s.cache.get("name:"+name, func() (c Client, err error) {
		err = s.work.View(ctx, func(tx Tx) error {
			c, err = present(tx, name)
			return err
		})
		return c, err
	})
}

// generation tells a client from a later one of the same name.
func generation(c Client) int64 { return c.CreatedAt.UnixMilli() }

func knownScopes(scopes []string) ([]string, error) {
	if len(scopes) == 0 {
		return Scopes(), nil
	}
	var out []string
	for i, scope := range scopes {
		if !slices.Contains(Scopes(), scope) {
			return nil, fault.New(fault.Invalid, "scope_unknown", "scope %q is not one of %s", scope, strings.Join(Scopes(), " ")).
				At(fmt.Sprintf("scopes[%d]", i))
		}
		if !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	return out, nil
}
