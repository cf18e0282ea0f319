package peerlink

import (
	"fmt"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
)

// Overflow is a stream that was ended because it brought more than a partner may.
type Overflow struct {
	Partner, Feed string
	// Bound is what there was too much of: snapshots, heartbeats, stale_pages, pages, items or bytes.
	Bound string
	// First: no other of this partner was told within tellEvery.
	First bool
}

// tellEvery is how often a partner that floods us is worth a line.
const tellEvery = time.Hour

// What a message is charged for, before anything of it is verified.
const (
	snapshots  = iota // ends of snapshots, each of which has us go through all that we have of a catalog
	heartbeats        // messages without items
	stale             // messages with items, or with a snapshot's beginning or end; given back where it proves to be news
	pages
	items
	size
	charges
)

// bounds of each feed of each partner: so many at once, and so many a second after that. News is bounded far above what a member ever has to tell:
// half a million offerings for the first time, or a million entries after an outage, pass at once in pages of any sensible size. What tells
// nothing new costs us a signature's verification all the same, and has no reason to come more often than a heartbeat, but for a
// supplier that begins its catalog anew, which it has no reason to do often.
var bounds = [charges]struct {
	name        string
	most, every float64
}{
	snapshots:  {"snapshots", 60, 60.0 / 3600},
	heartbeats: {"heartbeats", 60, 1},
	stale:      {"stale_pages", 6_000, 6_000.0 / 3600},
	pages:      {"pages", 36_000, 100},
	items:      {"items", 4_000_000, 4_000_000.0 / 3600},
	size:       {"bytes", 16 << 30, (16 << 30) / 3600.0},
}

// flow is what is left of the bounds to one feed of a partner: some 60 bytes.
type flow struct {
	left [charges]float64
	at   time.Time
}

// flowKey is one feed of a partner.
type flowKey struct{ partner, feed string }

// flows keeps what partners' streams may bring, over the ends of the streams. It lives in memory: a start forgives. The zero value is ready.
type flows struct {
	mu   sync.Mutex
	of   map[flowKey]*flow
	told map[string]time.Time
}

// weight is what a message is charged for.
type weight struct {
	items, bytes int
	// marked: a snapshot of a catalog begins or ends with it; ends: it ends.
	marked, ends bool
}

func (w weight) cost() (cost [charges]float64) {
	cost[size] = float64(w.bytes)
	if w.items == 0 {
		cost[heartbeats] = 1
	}
	if w.items > 0 || w.marked {
		cost[stale], cost[pages], cost[items] = 1, 1, float64(w.items)
	}
	if w.ends {
		cost[snapshots] = 1
	}
	return cost
}

// take charges for a message. An error of fault.Exhausted says that the stream has to end, before the message is verified.
func (f *flows) take(key flowKey, w weight, now time.Time) (over Overflow, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.refilled(key, now)
	cost := w.cost()
	for i, c := range cost {
		if left[i] >= c {
			continue
		}
		// Half of the bound is worth a new stream.
		wait := time.Duration((bounds[i].most/2 - left[i]) / bounds[i].every * float64(time.Second))
		over := Overflow{Partner: key.partner, Feed: key.feed, Bound: bounds[i].name, First: f.tell(key.partner, now)}
		return over, flooded(over, max(wait, time.Second))
	}
	for i, c := range cost {
		left[i] -= c
	}
	return Overflow{}, nil
}

// news gives back what a message was charged for the case that it has none.
func (f *flows) news(key flowKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.of[key]; s != nil {
		s.left[stale] = min(s.left[stale]+1, bounds[stale].most)
	}
}

// refilled is what is left now.
func (f *flows) refilled(key flowKey, now time.Time) *[charges]float64 {
	s := f.of[key]
	if s == nil {
		if f.of == nil {
			f.of, f.told = map[flowKey]*flow{}, map[string]time.Time{}
		}
		s = &flow{at: now}
		for i, b := range bounds {
			s.left[i] = b.most
		}
		f.of[key] = s
		return &s.left
	}
	// A clock that was set back gives nothing, and takes nothing.
	passed := max(0, now.Sub(s.at).Seconds())
	s.at = now
	for i, b := range bounds {
		s.left[i] = min(s.left[i]+passed*b.every, b.most)
	}
	return &s.left
}

func (f *flows) tell(partner string, now time.Time) bool {
	if last, told := f.told[partner]; told && now.Sub(last) < tellEvery {
		return false
	}
	f.told[partner] = now
	return true
}

func flooded(o Overflow, wait time.Duration) error {
	err := fault.New(fault.Exhausted, federation.ReasonFlood, "%s sends more %s in its %s feed than we take", o.Partner, o.Bound, o.Feed).
		Do(fmt.Sprintf("it is asked again in %s, and nothing is lost; tell the partner if this goes on", wait.Round(time.Second)))
	err.RetryAfter = wait
	return err
}
