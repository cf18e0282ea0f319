package portal

import (
	"sync"
	"time"
)

// maxCached bounds the cache; only clients that exist are kept, so that made-up keys do not fill it.
const maxCached = 4096

// cache remembers clients for a short time, so that a call does not cost a query. What changes here is forgotten at once.
type cache struct {
	ttl time.Duration
	now func() time.Time

	mu      sync.Mutex
	epoch   uint64
	entries map[string]cached
}

type cached struct {
	client Client
	until  time.Time
}

func newCache(ttl time.Duration, now func() time.Time) *cache {
	return &cache{ttl: ttl, now: now, entries: make(map[string]cached)}
}

// get returns from memory, or loads. What was loaded while the cache was cleared is not kept: it may be from before the
// change.
func (c *cache) get(key string, load func() (Client, error)) (Client, error) {
	now := c.now()
	c.mu.Lock()
	entry, ok := c.entries[key]
	epoch := c.epoch
	c.mu.Unlock()
	if ok && now.Before(entry.until) {
		return entry.client, nil
	}
	client, err := load()
	if err != nil {
		return Client{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return client, nil
	}
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[key] = cached{client: client, until: now.Add(c.ttl)}
	return client, nil
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	clear(c.entries)
}
