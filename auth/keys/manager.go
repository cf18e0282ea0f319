package keys

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// Purposes in the order in which they are made at first start.
var purposes = [...]Purpose{Token, Client, Business, Sealing}

// retention says how long a retired key still verifies or opens. Tokens and assertions live for minutes; documents are
// evidence for ten years; access data sealed to an old key may be fetched late.
func (p Purpose) retention() time.Duration {
	switch p {
	case Business:
		return 10 * 365 * 24 * time.Hour
	case Sealing:
		return 365 * 24 * time.Hour
	default:
		return time.Hour
	}
}

// Config of a Manager.
type Config struct {
	// Store keeps the keys. Required.
	Store Store
	// Now is the clock. Required.
	Now func() time.Time
}

// Manager has this member's keys in memory. It is safe for concurrent use and starts no goroutine; with several replicas the
// host calls Reload from time to time, so that each sees the others' rotations.
type Manager struct {
	store Store
	now   func() time.Time

	mu   sync.RWMutex
	sets map[Purpose]*set
}

// set is immutable once it is in the map.
type set struct {
	records []Record
	private []jose.JSONWebKey // same order as records
	public  []jose.JSONWebKey // what is published
	current int               // index; -1 for none
}

// New loads the keys and makes one Current and one Next where a purpose has none. Two replicas that start at the same moment
// agree on one set: the loser of SaveKeys reads what the winner wrote.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Store == nil || cfg.Now == nil {
		return nil, errors.New("keys: Store and Now are required")
	}
	m := &Manager{store: cfg.Store, now: cfg.Now, sets: map[Purpose]*set{}}
	for _, p := range purposes {
		if err := m.load(ctx, p); err != nil {
			return nil, err
		}
		if m.set(p).current >= 0 {
			continue
		}
		if err := m.create(ctx, p); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Manager) create(ctx context.Context, p Purpose) error {
	current, err := m.generate(p, Current)
	if err != nil {
		return err
	}
	next, err := m.generate(p, Next)
	if err != nil {
		return err
	}
	saveErr := m.store.SaveKeys(ctx, p, "", []Record{current, next})
	if err := m.load(ctx, p); err != nil {
		return err
	}
	if m.set(p).current < 0 {
		return fmt.Errorf("make %s keys: %w", p, saveErr)
	}
	return nil
}

// Rotate retires the current key of a purpose, makes the next one current and creates a new next one. Published keys stay
// published for as long as something signed by them may arrive.
func (m *Manager) Rotate(ctx context.Context, p Purpose) error {
	if err := m.load(ctx, p); err != nil {
		return err
	}
	s := m.set(p)
	if s.current < 0 {
		return fmt.Errorf("rotate %s keys: there is no current key", p)
	}
	old := s.records[s.current]
	old.State, old.NotAfter = Retired, m.now().Add(p.retention())
	next := Record{}
	for _, r := range s.records {
		if r.State == Next {
			next = r
		}
	}
	if next.KID == "" {
		var err error
		if next, err = m.generate(p, Next); err != nil {
			return err
		}
	}
	next.State = Current
	after, err := m.generate(p, Next)
	if err != nil {
		return err
	}
	if err := m.store.SaveKeys(ctx, p, old.KID, []Record{old, next, after}); err != nil {
		return fmt.Errorf("rotate %s keys: %w", p, err)
	}
	return m.load(ctx, p)
}

// RotateAged rotates a purpose whose next key has been published for longer than age, and reports whether it did. The next key
// is made at each rotation, so that its age is the time since the last one. Of replicas that try at once, one succeeds.
func (m *Manager) RotateAged(ctx context.Context, p Purpose, age time.Duration) (bool, error) {
	for _, r := range m.set(p).records {
		if r.State == Next && m.now().Sub(r.CreatedAt) > age {
			err := m.Rotate(ctx, p)
			return err == nil, err
		}
	}
	return false, nil
}

// Reload reads all keys again.
func (m *Manager) Reload(ctx context.Context) error {
	for _, p := range purposes {
		if err := m.load(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) load(ctx context.Context, p Purpose) error {
	records, err := m.store.Keys(ctx, p)
	if err != nil {
		return fmt.Errorf("read %s keys: %w", p, err)
	}
	s := &set{current: -1}
	for _, r := range records {
		var k jose.JSONWebKey
		if err := json.Unmarshal(r.Private, &k); err != nil {
			return fmt.Errorf("read %s key %s: %w", p, r.KID, err)
		}
		private, ok := k.Key.(*ecdsa.PrivateKey)
		if !ok || private.Curve != elliptic.P256() {
			return fmt.Errorf("read %s key %s: not a private P-256 key", p, r.KID)
		}
		k.KeyID = r.KID
		if r.State == Current {
			s.current = len(s.records)
		}
		s.records = append(s.records, r)
		s.private = append(s.private, k)
	}
	s.public = s.publish(p)
	m.mu.Lock()
	m.sets[p] = s
	m.mu.Unlock()
	return nil
}

// publish lists the current key first.
func (s *set) publish(p Purpose) []jose.JSONWebKey {
	var out []jose.JSONWebKey
	add := func(i int) {
		k := s.private[i].Public()
		if p == Sealing {
			k.Use, k.Algorithm = "enc", string(jose.ECDH_ES_A256KW)
		} else {
			k.Use, k.Algorithm = "sig", string(jose.ES256)
		}
		out = append(out, k)
	}
	if s.current >= 0 {
		add(s.current)
	}
	for i, r := range s.records {
		switch {
		case i == s.current:
		case r.State == Next && (p == Business || p == Sealing):
			// The next business key is known by its digest only; nobody may seal to a key that is not in use.
		default:
			add(i)
		}
	}
	return out
}

func (m *Manager) generate(p Purpose, state State) (Record, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Record{}, fmt.Errorf("make a %s key: %w", p, err)
	}
	k := jose.JSONWebKey{Key: private}
	k.KeyID = thumbprint(k)
	raw, err := k.MarshalJSON()
	if err != nil {
		return Record{}, fmt.Errorf("make a %s key: %w", p, err)
	}
	return Record{Purpose: p, KID: k.KeyID, State: state, Private: raw, CreatedAt: m.now()}, nil
}

func (m *Manager) set(p Purpose) *set {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if s := m.sets[p]; s != nil {
		return s
	}
	return &set{current: -1}
}
