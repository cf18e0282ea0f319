package listing

import (
	"context"
	"sync"
	"time"
)

// Memory is Service.Offer from memory: what was read within memoryAge, unless Forget was called since. What it says may be a moment
// old where another replica changed it; who refuses a customer, or loses a race, asks the Service.
type Memory struct {
	Service *Service

	mu sync.Mutex
	// epoch counts the calls of Forget.
	epoch uint64
	known map[string]remembered
}

type remembered struct {
	offer Offer
	read  time.Time
}

const (
	// memoryAge bounds how long another replica's change may go unseen without a wake-up.
	memoryAge = 5 * time.Second
	// memoryMost bounds how many listings are kept.
	memoryMost = 1000
)

// Forget drops what is kept; what is being read now is not kept.
func (m *Memory) Forget() {
	m.mu.Lock()
	m.epoch++
	m.known = nil
	m.mu.Unlock()
}

// Offer is Service.Offer.
func (m *Memory) Offer(ctx context.Context, id string) (Offer, error) {
	now := m.Service.Now()
	m.mu.Lock()
	have, known := m.known[id]
	epoch := m.epoch
	m.mu.Unlock()
	if age := now.Sub(have.read); known && age >= 0 && age < memoryAge {
		return have.offer, nil
	}
	offer, err := m.Service.Offer(ctx, id)
	if err != nil {
		return offer, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return offer, nil
	}
	if m.known == nil || len(m.known) >= memoryMost {
		m.known = make(map[string]remembered)
	}
	m.known[id] = remembered{offer, now}
	return offer, nil
}
