// Package heap says how often the daemon collects its garbage. What a sidecar keeps is little, 10 to 20 MiB, so that under load Go's
// default, to collect whenever that has doubled, collects all the time: a quarter of all CPU then. While collections follow each
// other closely the heap may grow to Busy before the next one; once they do not, it is as small as ever. Only a program may ask for
// it, never the library: it is about the whole process.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// Busy is how many bytes the heap may have before a collection while there is much to do. Go's own memory limit (GOMEMLIMIT) still
	// holds below it.
	Busy = 64 << 20
	// closely is how near two collections are to each other when there is much to do. Go itself has one at least every two minutes,
	// which ends a quiet time after load.
	closely = 2 * time.Second
	// usual is Go's default: the percentage of what is kept that may be new before a collection. Most bounds ours, where little is kept.
	usual = 100
	most  = 800
)

// Pace sets the percentage after each collection until it is stopped.
type Pace struct {
	mu      sync.Mutex
	now     func() time.Time
	set     func(percent int) int
	last    time.Time
	percent int
	stopped bool
}

// Start paces collections until Stop. Where the operator has set GOGC it does nothing: that is what counts.
func Start() *Pace {
	p := &Pace{now: time.Now, set: debug.SetGCPercent, percent: usual}
	if os.Getenv("GOGC") == "" {
		p.watch()
	}
	return p
}

// Stop puts back what is usual.
func (p *Pace) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.change(usual)
}

// watch has collected called once after the next collection, which finds nothing that keeps the mark.
func (p *Pace) watch() {
	mark := new(struct{ self *Pace })
	mark.self = p
	runtime.AddCleanup(mark, func(p *Pace) {
		if p.collected(live()) {
			p.watch()
		}
	}, p)
}

// collected is told how many bytes a collection left, and reports whether the next one is of interest.
func (p *Pace) collected(live uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	now := p.now()
	busy := !p.last.IsZero() && now.Sub(p.last) < closely
	p.last = now
	p.change(percent(live, busy))
	return true
}

// change stops the world for an instant, so that it is left where it would change little.
func (p *Pace) change(to int) {
	if d := to - p.percent; d == 0 || to != usual && -usual/4 < d && d < usual/4 {
		return
	}
	p.percent = to
	p.set(to)
}

// percent is how much may be new beside what is kept.
func percent(live uint64, busy bool) int {
	if !busy || live >= Busy/2 {
		return usual
	}
	return int(min((Busy-live)*100/max(live, 1), most))
}

// live is what the last collection left.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
