package job

import (
	"slices"
	"time"
)

// crew counts who works. It belongs to the runner's loop, but for freed, where each worker that was taken reports its end once.
type crew struct {
	free  int
	busy  map[string]int
	freed chan end
	// ends are of runs of which the store is still to be told what came: their workers are free, and their jobs not yet others'.
	ends []end
	// short says that the last look into the store found work for every free worker, full of which partners it found as much as may
	// run at once: when one is freed, there may be more. left are the partners of those freed since, as the store knows it.
	short bool
	full  []string
	left  []string
}

func newCrew(workers int) *crew {
	return &crew{free: workers, busy: make(map[string]int), freed: make(chan end, workers)}
}

func (c *crew) take(jobs []Job) {
	for _, j := range jobs {
		c.free--
		c.busy[j.Partner]++
	}
}

func (c *crew) ended(e end) {
	partner := e.job.Partner
	c.free++
	if c.busy[partner]--; c.busy[partner] == 0 {
		delete(c.busy, partner)
	}
	if e.unwritten() {
		c.ends = append(c.ends, e)
	} else {
		c.leave(partner)
	}
}

// over takes the ends that are to be written; their partners leave once they are.
func (c *crew) over() []end {
	ends := c.ends
	c.ends = nil
	return ends
}

func (c *crew) written(ends []end) {
	for _, e := range ends {
		c.leave(e.job.Partner)
	}
}

func (c *crew) leave(partner string) {
	if !slices.Contains(c.left, partner) {
		c.left = append(c.left, partner)
	}
}

// drain counts all who have ended by now.
func (c *crew) drain() {
	for {
		select {
		case e := <-c.freed:
			c.ended(e)
		default:
			return
		}
	}
}

// wanted reports whether a worker was freed, and not taken again by what was handed over, that the store may have work for.
func (c *crew) wanted(perPartner int) bool {
	if c.free == 0 {
		return false // until there is one
	}
	wanted := slices.ContainsFunc(c.left, func(partner string) bool {
		return c.short || c.busy[partner] < perPartner && slices.Contains(c.full, partner)
	})
	c.left = c.left[:0]
	return wanted
}

// alarm is when the runner looks into the store by itself.
type alarm struct {
	fires <-chan time.Time
	end   func() bool
	at    time.Time
}

// within sets the alarm where it is not set, or set for later than that. What goes on meanwhile does not put it off.
func (a *alarm) within(r *Runner, wait time.Duration) {
	at := r.cfg.Now().Add(wait)
	if a.fires != nil && !at.Before(a.at) {
		return
	}
	a.stop()
	a.at = at
	a.fires, a.end = r.cfg.After(wait)
}

func (a *alarm) stop() {
	if a.fires != nil {
		a.end()
		a.fires = nil
	}
}
