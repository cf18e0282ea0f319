package exchange

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/job"
)

// parcel is a document on its way, with the job that it is leased under.
type parcel struct {
	// job is as it was taken, leased as it is held now; the latter under the outbox's lock.
	job, leased job.Job
	document    *dispatch.Document
	since       time.Time
}

func (o *Outbox) parcel(j job.Job, d *dispatch.Document) *parcel {
	return &parcel{job: j, leased: j, document: d, since: o.Now()}
}

// lapsed reports whether the lease has ended, so that others may have the job. Under the outbox's lock.
func (p *parcel) lapsed(now time.Time) bool { return !p.leased.LeaseUntil.After(now) }

// suspect reports whether processes that held the document died so often that it goes alone: what dies then, it was.
func (p *parcel) suspect() bool { return p.job.Crashes >= job.Suspect }

func (p *parcel) size() int {
	if p.document == nil {
		return 0
	}
	return p.document.Size()
}

// lane is what is on its way to one partner. It is the outbox's, under its lock, and there is one only while there is something
// to know about the partner.
type lane struct {
	// turns are the agreements that have documents waiting, the next one first.
	turns   []string
	waiting map[string][]*parcel
	// count and bytes are of what waits and what is under way.
	count, bytes int
	// sending: a goroutine takes batches from here.
	sending bool
	// overflow: there may be more in the store.
	overflow bool
	// failures in a row make the partner away; probe is when it is tried again, heard when its call makes us try again.
	failures     int
	probe, heard time.Time
}

func (l *lane) away() bool { return l.failures > 0 }

// idle reports whether there is nothing to know about the partner. For one that is away and was not tried when that was due nothing waits.
func (l *lane) idle(now time.Time) bool {
	return l.count == 0 && !l.sending && !now.Before(l.heard) && (!l.away() || now.Sub(l.probe) > time.Minute)
}

// closed reports whether nothing more is tried now: the partner is away, and its next try is not due or under way.
func (l *lane) closed(now time.Time) bool { return l.away() && (l.count > 0 || now.Before(l.probe)) }

// queue adds a parcel to its partner's lane, which begins to move. One whose job is here already brings another lease for it, of
// which the later one is held.
func (o *Outbox) queue(p *parcel) {
	if have := o.held[p.job.ID]; have != nil {
		if p.leased.LeaseUntil.After(have.leased.LeaseUntil) {
			have.leased = p.leased
		}
		return
	}
	l := o.lane(p.job.Partner)
	o.held[p.job.ID] = p
	l.count, l.bytes = l.count+1, l.bytes+p.size()
	agreement := p.document.Agreement
	if len(l.waiting[agreement]) == 0 {
		l.turns = append(l.turns, agreement)
	}
	l.waiting[agreement] = append(l.waiting[agreement], p)
	if !l.sending {
		l.sending = true
		o.running.Go(func() { o.move(p.job.Partner, l) })
	}
}

// lane is the partner's, made where there is none.
func (o *Outbox) lane(partner string) *lane {
	if o.lanes == nil {
		o.lanes, o.held = make(map[string]*lane), make(map[int64]*parcel)
	}
	l := o.lanes[partner]
	if l == nil {
		l = &lane{waiting: make(map[string][]*parcel)}
		o.lanes[partner] = l
	}
	return l
}

// forget drops the lane of a partner about whom there is nothing to know. Under mu.
func (o *Outbox) forget(partner string, l *lane) {
	if l.idle(o.Now()) && o.lanes[partner] == l {
		delete(o.lanes, partner)
	}
}

// empty takes all that waits out of the lane; it stays counted until it is let go.
func (l *lane) empty() (all []*parcel) {
	for _, agreement := range l.turns {
		all = append(all, l.waiting[agreement]...)
	}
	l.turns = nil
	clear(l.waiting)
	return all
}

// batch takes the next documents: of the agreement whose turn it is, as many as go in one call, and a suspect alone.
func (l *lane) batch() []*parcel {
	if len(l.turns) == 0 {
		return nil
	}
	agreement := l.turns[0]
	queue := l.waiting[agreement]
	n, size := 1, queue[0].size()
	for n < len(queue) && n < batchMost && size+queue[n].size() <= batchBytes && !queue[n-1].suspect() && !queue[n].suspect() {
		size += queue[n].size()
		n++
	}
	taken := slices.Clone(queue[:n])
	clear(queue[:n])
	l.turns = l.turns[1:]
	if rest := queue[n:]; len(rest) > 0 {
		l.waiting[agreement] = rest
		l.turns = append(l.turns, agreement)
	} else {
		delete(l.waiting, agreement)
	}
	return taken
}

// release lets parcels go: their jobs are over, or another's. What waits in a lane and was let go is not sent; see mine.
func (o *Outbox) release(parcels ...*parcel) {
	o.mu.Lock()
	look := false
	for _, p := range parcels {
		if o.held[p.job.ID] != p {
			continue
		}
		delete(o.held, p.job.ID)
		l := o.lanes[p.job.Partner]
		l.count, l.bytes = l.count-1, l.bytes-p.size()
		if l.overflow && l.count <= o.most()/2 && l.bytes <= laneBytes/2 && !l.away() {
			l.overflow, look = false, true
		}
		o.forget(p.job.Partner, l)
	}
	o.mu.Unlock()
	if look {
		o.Look()
	}
}
