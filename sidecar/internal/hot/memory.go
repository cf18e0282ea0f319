package hot

import (
	"context"
	"sync"
	"time"
)

// Memory is State within one process.
type Memory struct {
	now   func() time.Time
	birth time.Time

	mu     sync.Mutex
	keys   map[string]time.Time
	rates  map[string]time.Time
	leases map[string]lease
	subs   map[string]map[chan struct{}]bool
	sweep  time.Time
}

type lease struct {
	owner string
	until time.Time
}

var _ State = (*Memory)(nil)

// NewMemory starts empty: its birth is now.
func NewMemory(now func() time.Time) *Memory {
	at := now()
	return &Memory{
		now: now, birth: at, sweep: at,
		keys: map[string]time.Time{}, rates: map[string]time.Time{}, leases: map[string]lease{},
		subs: map[string]map[chan struct{}]bool{},
	}
}

// sweepEvery bounds how long what has run out takes memory.
const sweepEvery = 10 * time.Second

func (m *Memory) expire(now time.Time) {
	if now.Sub(m.sweep) < sweepEvery {
		return
	}
	m.sweep = now
	for _, times := range []map[string]time.Time{m.keys, m.rates} {
		for k, until := range times {
			if !until.After(now) {
				delete(times, k)
			}
		}
	}
	for name, l := range m.leases {
		if !l.until.After(now) {
			delete(m.leases, name)
		}
	}
}

// Claim implements State.
func (m *Memory) Claim(_ context.Context, key string, ttl time.Duration) (bool, error) {
	return m.set("claim:"+key, ttl), nil
}

func (m *Memory) set(key string, ttl time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if m.keys[key].After(now) {
		return false
	}
	m.keys[key] = now.Add(ttl)
	return true
}

// Birth implements State.
func (m *Memory) Birth(context.Context) (time.Time, error) { return m.birth, nil }

// Mark implements State; a longer ttl prolongs it.
func (m *Memory) Mark(_ context.Context, key string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	if until := now.Add(ttl); until.After(m.keys["mark:"+key]) {
		m.keys["mark:"+key] = until
	}
	return nil
}

// Marked implements State.
func (m *Memory) Marked(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys["mark:"+key].After(m.now()), nil
}

// Allow implements State.
func (m *Memory) Allow(_ context.Context, key string, perSecond float64, burst int) (bool, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.expire(now)
	interval := time.Duration(float64(time.Second) / perSecond)
	at := m.rates[key]
	if at.Before(now) {
		at = now
	}
	next := at.Add(interval)
	if wait := next.Add(-time.Duration(burst) * interval).Sub(now); wait > 0 {
		return false, wait, nil
	}
	m.rates[key] = next
	return true, 0, nil
}

// Lease implements State.
func (m *Memory) Lease(_ context.Context, name, owner string, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if l, held := m.leases[name]; held && l.owner != owner && l.until.After(now) {
		return false, nil
	}
	m.leases[name] = lease{owner: owner, until: now.Add(ttl)}
	return true, nil
}

// Release implements State.
func (m *Memory) Release(_ context.Context, name, owner string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases[name].owner == owner {
		delete(m.leases, name)
	}
	return nil
}

// Publish implements State.
func (m *Memory) Publish(_ context.Context, topic string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ch := range m.subs[topic] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	return nil
}

// Subscribe implements State.
func (m *Memory) Subscribe(topic string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.subs[topic] == nil {
		m.subs[topic] = map[chan struct{}]bool{}
	}
	m.subs[topic][ch] = true
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.subs[topic], ch)
		if len(m.subs[topic]) == 0 {
			delete(m.subs, topic)
		}
	}
}

// Close implements State.
func (m *Memory) Close() error { return nil }
