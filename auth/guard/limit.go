package guard

import (
	"container/list"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/time/rate"
)

const (
	// A site is what one party registered (eTLD+1): whoever owns evil.example owns all names below it.
	sitePerSecond, siteBurst = 1, 60
	allPerSecond, allBurst   = 50, 200
	// failureMemory is how long a failed URL is not asked again.
	failureMemory = 5 * time.Second
	remembered    = 4096
)

// limits is bounded: the least recently used entry goes first.
type limits struct {
	mu       sync.Mutex
	all      *rate.Limiter
	sites    lru[*rate.Limiter]
	failures lru[failure]
}

type failure struct {
	err   error
	until time.Time
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(allPerSecond, allBurst), sites: newLRU[*rate.Limiter](), failures: newLRU[failure]()}
}

// allow takes one fetch from the site's and the overall allowance, or returns why not.
func (l *limits) allow(now time.Time, origin, address string) error {
	site := Site(origin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.failures.get(address); ok && now.Before(f.until) {
		return f.err
	}
	limiter, ok := l.sites.get(site)
	if !ok {
		limiter = rate.NewLimiter(sitePerSecond, siteBurst)
		l.sites.put(site, limiter)
	}
	its := limiter.ReserveN(now, 1)
	if its.DelayFrom(now) > 0 || !l.all.AllowN(now, 1) {
		its.CancelAt(now) // what is not fetched costs the site nothing
		return unavailable(ReasonLimited, "too many fetches from this site")
	}
	return nil
}

// Site is what one party holds of the network, as far as an origin tells: the name that it registered (eTLD+1, by the Public Suffix
// List), or for an address the prefix that is given to one customer: /24 of IPv4, /48 of IPv6. What cannot be read is a site of
// its own.
func Site(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return origin
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		bits := 48
		if ip = ip.Unmap(); ip.Is4() {
			bits = 24
		}
		return netip.PrefixFrom(ip.WithZone(""), bits).Masked().String()
	}
	site, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return site
}

func (l *limits) failed(now time.Time, address string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.put(address, failure{err: err, until: now.Add(failureMemory)})
}

// forgive forgets what failed at an origin.
func (l *limits) forgive(origin string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.failures.order.Front(); e != nil; {
		next, key := e.Next(), e.Value.(pair[failure]).key
		if strings.HasPrefix(key, origin+"/") {
			l.failures.order.Remove(e)
			delete(l.failures.index, key)
		}
		e = next
	}
}

type lru[V any] struct {
	order *list.List
	index map[string]*list.Element
}

type pair[V any] struct {
	key   string
	value V
}

func newLRU[V any]() lru[V] { return lru[V]{order: list.New(), index: map[string]*list.Element{}} }

func (c *lru[V]) get(key string) (V, bool) {
	e, ok := c.index[key]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(e)
	return e.Value.(pair[V]).value, true
}

func (c *lru[V]) put(key string, value V) {
	if e, ok := c.index[key]; ok {
		e.Value = pair[V]{key, value}
		c.order.MoveToFront(e)
		return
	}
	c.index[key] = c.order.PushFront(pair[V]{key, value})
	if c.order.Len() > remembered {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.index, oldest.Value.(pair[V]).key)
	}
}
