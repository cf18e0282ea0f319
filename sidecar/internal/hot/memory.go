package hot

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Memory is State within one process.
type Memory struct {
	topics
	now   func() time.Time
	birth time.Time

	mu     sync.Mutex
	keys   times
	rates  times
	leases map[string]lease
}

type lease struct {
	owner string
	until time.Time
}

var _ State = (*Memory)(nil)

// NewMemory starts empty: its birth is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, birth: now(), keys: newTimes(), rates: newTimes(), leases: map[string]lease{}, topics: newTopics(),
	}
}

// maxKeys bounds the memory: about 200 MiB. Beyond it nothing can be claimed, and callers fail closed.
const maxKeys = 1 << 20

var errFull = errors.New("hot state in memory is full")

// Claim implements State.
func (m *Memory) Claim(_ context.Context, key string, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.keys.expire(now)
	if m.keys.until["claim:"+key].After(now) && !plant.On(plant.TakeAProofTwice) {
		return false, nil
	}
	if len(m.keys.until) >= maxKeys {
		return false, errFull
	}
	m.keys.set("claim:"+key, now.Add(ttl))
	return true, nil
}

// Birth implements State.
func (m *Memory) Birth(context.Context) (time.Time, error) { return m.birth, nil }

// Mark implements State; a shorter ttl than the present one changes nothing.
func (m *Memory) Mark(_ context.Context, key string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.keys.expire(now)
	if until := now.Add(ttl); until.After(m.keys.until["mark:"+key]) {
		m.keys.set("mark:"+key, until)
	}
	return nil
}

// Marked implements State.
func (m *Memory) Marked(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys.until["mark:"+key].After(m.now()), nil
}

var errRate = errors.New("a rate limit needs a positive rate and burst")

// Allow implements State: the generic cell rate algorithm, where a key's time is when its bucket would be full again.
func (m *Memory) Allow(_ context.Context, key string, perSecond float64, burst int) (bool, time.Duration, error) {
	if perSecond <= 0 || burst < 1 {
		return false, 0, errRate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.rates.expire(now)
	interval := time.Duration(float64(time.Second) / perSecond)
	next, whole := m.rates.until[key], time.Duration(burst)*interval
	// A bucket is full again within this time: what lies beyond it was written before the clock stepped back.
	if next.Before(now) || next.After(now.Add(whole)) {
		next = now
	}
	next = next.Add(interval)
	if wait := next.Add(-whole).Sub(now); wait > 0 {
		return false, wait, nil
	}
	m.rates.set(key, next)
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
func (m *Memory) Publish(_ context.Context, topic unit.Topic) error {
	m.wake(topic)
	return nil
}

// Run implements State: in one process there is nothing to carry.
func (m *Memory) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close implements State.
func (m *Memory) Close() error { return nil }

// times are keys with an end. What has ended is removed a little at each use, so that no call pays for all of it.
type times struct {
	until map[string]time.Time
	order *ends
}

type end struct {
	at  time.Time
	key string
}

func newTimes() times { return times{until: map[string]time.Time{}, order: &ends{}} }

func (t times) set(key string, until time.Time) {
	if _, known := t.until[key]; !known {
		heap.Push(t.order, end{until, key})
	}
	t.until[key] = until
}

func (t times) expire(now time.Time) {
	const atOnce = 8
	for range atOnce {
		if t.order.Len() == 0 || (*t.order)[0].at.After(now) {
			return
		}
		e := heap.Pop(t.order).(end)
		if until := t.until[e.key]; until.After(now) {
			heap.Push(t.order, end{until, e.key}) // it was prolonged
		} else {
			delete(t.until, e.key)
		}
	}
}

// ends is a heap, earliest first.
type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = end{}
	*e = (*e)[:last]
	return x
}
