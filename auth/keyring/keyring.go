// Package keyring caches other members' published key sets.
//
// A set is fetched when it is first needed and again when its age runs out. A kid that a set does not have causes at most one
// fetch a minute for each host, claimed before the fetch: a stranger who invents kids must not make us hammer a partner. A
// failed, empty, oversized or malformed answer never replaces keys that are good.
package keyring

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/refusal"
)

const (
	// RefetchEvery is the least time between two fetches from one host for an unknown kid or a stale set.
	RefetchEvery = time.Minute
	// KeepStale is how long keys outlive their freshness while the host cannot be reached.
	KeepStale = 24 * time.Hour
	maxKeys   = 32
	maxBytes  = 64 << 10
	maxSets   = 4096
)

// Reasons.
const (
	// ReasonKeyUnknown: the published set has no key with this kid.
	ReasonKeyUnknown = "key_unknown"
	// ReasonKeysUnusable: the published set is empty, oversized, malformed or not ES256, and none better is known.
	ReasonKeysUnusable = "keys_unusable"
	// ReasonKeysStale: the set could not be fetched again for too long.
	ReasonKeysStale = "keys_stale"
)

// Fetcher gets documents; *guard.Guard is one.
type Fetcher interface {
	Fetch(ctx context.Context, request guard.Request) (guard.Document, error)
	URL(raw string) (origin string, err error)
}

// Config of a Ring.
type Config struct {
	// Guard fetches. Required.
	Guard Fetcher
	// Now is the clock. Required.
	Now func() time.Time
}

// Ring is safe for concurrent use and starts no goroutine.
type Ring struct {
	cfg Config

	mu    sync.Mutex
	sets  map[string]*entry
	hosts map[string]time.Time // last refetch, by origin
}

type entry struct {
	keys       []jose.JSONWebKey
	freshUntil time.Time
}

// New makes a Ring.
func New(cfg Config) (*Ring, error) {
	if cfg.Guard == nil || cfg.Now == nil {
		return nil, errors.New("keyring: Guard and Now are required")
	}
	return &Ring{cfg: cfg, sets: map[string]*entry{}, hosts: map[string]time.Time{}}, nil
}

// Keys returns the set published at url if it has kid, fetching it when needed. Pass the result to keys.Verify.
func (r *Ring) Keys(ctx context.Context, url, kid string) ([]jose.JSONWebKey, error) {
	from, err := r.cfg.Guard.URL(url)
	if err != nil {
		return nil, err
	}
	now := r.cfg.Now()
	have, mayFetch := r.look(url, from, kid, now)
	if !mayFetch {
		return answer(have, kid, now)
	}
	fetched, err := r.fetch(ctx, url)
	if err != nil {
		if have == nil {
			return nil, err
		}
		// Good keys stay in use while their host is away or answers nonsense.
		return answer(have, kid, now)
	}
	r.mu.Lock()
	r.sets[url] = fetched
	r.mu.Unlock()
	return answer(fetched, kid, now)
}

// look returns what is cached, and whether a fetch is needed and allowed; allowed means claimed.
func (r *Ring) look(url, from, kid string, now time.Time) (*entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.sets[url]
	if have == nil {
		// The guard limits first fetches: by site, in all, and by its memory of failures.
		r.makeRoom()
		r.hosts[from] = now
		return nil, true
	}
	if now.Before(have.freshUntil) && has(have.keys, kid) {
		return have, false
	}
	if last, ok := r.hosts[from]; ok && now.Sub(last) < RefetchEvery {
		return have, false
	}
	r.hosts[from] = now
	return have, true
}

// makeRoom forgets something arbitrary when the cache is full; it only costs a fetch.
func (r *Ring) makeRoom() {
	for len(r.sets) >= maxSets {
		for url := range r.sets {
			delete(r.sets, url)
			break
		}
	}
	for len(r.hosts) >= maxSets {
		for host := range r.hosts {
			delete(r.hosts, host)
			break
		}
	}
}

func (r *Ring) fetch(ctx context.Context, url string) (*entry, error) {
	document, err := r.cfg.Guard.Fetch(ctx, guard.Request{URL: url, Max: maxBytes})
	if err != nil {
		return nil, err
	}
	set, err := keys.ParseSet(document.Body)
	if err != nil {
		return nil, refusal.New(refusal.Unauthenticated, ReasonKeysUnusable, "the published key set is malformed").Because(err)
	}
	usable := make([]jose.JSONWebKey, 0, len(set))
	for _, k := range set {
		if _, err := keys.SignatureKey(k); err == nil {
			usable = append(usable, k)
		}
	}
	if len(usable) == 0 || len(set) > maxKeys {
		return nil, refusal.New(refusal.Unauthenticated, ReasonKeysUnusable, "the published key set has no usable key, or too many")
	}
	return &entry{keys: usable, freshUntil: document.FreshUntil}, nil
}

func answer(e *entry, kid string, now time.Time) ([]jose.JSONWebKey, error) {
	if now.After(e.freshUntil.Add(KeepStale)) {
		return nil, refusal.New(refusal.Unavailable, ReasonKeysStale, "the published key set could not be read for too long")
	}
	if !has(e.keys, kid) {
		return nil, refusal.New(refusal.Unauthenticated, ReasonKeyUnknown, "no published key has this kid")
	}
	return e.keys, nil
}

func has(set []jose.JSONWebKey, kid string) bool {
	for i := range set {
		if set[i].KeyID == kid {
			return true
		}
	}
	return false
}
