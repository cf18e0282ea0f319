package exchange

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
)

// failed notes that the partner gives no usable answer, or that nothing may be sent to it: it is away until something reaches it. What
// was tried waits for the next try, as an outcome says; what stands behind it waits in the store without one.
func (o *Outbox) failed(ctx context.Context, partner string, batch []*parcel, because outcome, asked time.Duration) {
	probe, behind := o.pause(partner, math.MaxInt, asked)
	if plant.On(plant.EndWithThePartner) {
		go panic("a partner is away")
	}
	over := make([]outcome, 0, len(batch))
	for _, p := range batch {
		because.parcel, because.due = p, probe
		if plant.On(plant.NoAnswerIsAnAnswer) {
			because.fate = finish
		}
		over = append(over, because)
	}
	o.settle(ctx, over)
	o.giveBack(ctx, behind)
}

// pause has the partner be away until a next try, whose pauses grow up to one of so many failures, and returns what waits in its lane.
func (o *Outbox) pause(partner string, most int, asked time.Duration) (probe time.Time, behind []*parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lane(partner)
	l.failures = min(l.failures+1, most)
	l.probe = o.later(l.failures, asked)
	return l.probe, l.empty()
}

// Up to which failure the pauses grow while the partner decides nothing: 4 to 8 seconds where it asks us and knows within seconds, 16 to 32
// where it has to read back what it lacks. It does not call when it is done.
const (
	unprovenMost = 4
	behindMost   = 6
)

// undecides has all that waits for a partner wait together where it says that its books with us keep it from deciding anything: as if it
// were away, for as many documents as wait would otherwise be sent over and over. It returns what waits in its lane.
func (o *Outbox) undecides(partner string, reply Answer, over []outcome) (closed bool, behind []*parcel) {
	most, asked := behindMost, time.Duration(0)
	for _, said := range reply.Outcomes {
		if !said.booksClosed() {
			continue
		}
		closed, asked = true, max(asked, said.Undecided.RetryAfter)
		if said.Undecided.Reason == ledger.ReasonUnproven {
			most = unprovenMost
		}
	}
	if !closed {
		return false, nil
	}
	probe, behind := o.pause(partner, most, asked)
	for i, said := range reply.Outcomes {
		if said.booksClosed() {
			over[i].due = probe
		}
	}
	return true, behind
}

// booksClosed reports whether the partner says that it decides nothing of ours now, whatever it is.
func (t Told) booksClosed() bool {
	return t.Undecided != nil && !t.Undecided.Final && (t.Undecided.Reason == ledger.ReasonUnproven || t.Undecided.Reason == ledger.ReasonBehind)
}

// giveBack ends the leases of documents that were not tried.
func (o *Outbox) giveBack(ctx context.Context, parcels []*parcel) {
	over := make([]outcome, 0, len(parcels))
	for _, p := range parcels {
		over = append(over, outcome{parcel: p, fate: giveBack})
	}
	for len(over) > 0 {
		n := min(len(over), batchMost)
		o.settle(ctx, over[:n])
		over = over[n:]
	}
}

func (o *Outbox) isAway(partner string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lanes[partner]
	return l != nil && l.away()
}

// Back is told when something reached a partner that was away: all that waits for it goes on now, and its feeds are read.
func (o *Outbox) Back(partner string) {
	o.mu.Lock()
	if l := o.lanes[partner]; l != nil {
		l.failures, l.probe = 0, time.Time{}
		o.forget(partner, l)
	}
	delete(o.told, partner)
	o.mu.Unlock()
	o.Behind(partner)
	o.expedite(partner)
}

// again tries every partner that is away: an operator wants it of one of them, and what waits for that one is due already.
func (o *Outbox) again() {
	var away []string
	o.mu.Lock()
	for partner, l := range o.lanes {
		if l.away() {
			l.failures, l.probe = 0, time.Time{}
			away = append(away, partner)
			o.forget(partner, l)
		}
	}
	o.mu.Unlock()
	for _, partner := range away {
		o.Behind(partner)
	}
	o.Look()
}

// Heard is told when a partner called us that cannot be called, as far as we know: it is tried once, at most every ten seconds.
func (o *Outbox) Heard(partner string) {
	now := o.Now()
	o.mu.Lock()
	due := false
	if o.open() {
		l := o.lane(partner)
		if due = !now.Before(l.heard); due {
			l.heard, l.probe = now.Add(heardEvery+rand.N(heardSpread)), now
		}
	}
	o.mu.Unlock()
	if due {
		o.expedite(partner)
	}
}

// expedite makes due what waits for the partner.
func (o *Outbox) expedite(partner string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	now := o.Now()
	if err := o.Work.Do(ctx, func(tx federation.Tx) error { return tx.Jobs().Expedite(partner, now, o.Waiting...) }); err != nil {
		o.Logger.Warn("jobs not made due", "partner", partner, "error", err)
	}
	o.Look()
}

// tidy forgets the partners about whom there is nothing to know any more.
func (o *Outbox) tidy() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partner, l := range o.lanes {
		o.forget(partner, l)
	}
}

// renew extends the leases that end soon. A lease that is lost is another's now, or its job is done.
func (o *Outbox) renew(ctx context.Context) {
	o.leases.Lock()
	defer o.leases.Unlock()
	now := o.Now()
	until := now.Add(job.SendingLease)
	var ending []*parcel
	var leased []job.Job
	o.mu.Lock()
	for _, p := range o.held {
		if p.leased.LeaseUntil.Sub(now) < 2*renewEvery {
			ending, leased = append(ending, p), append(leased, p.leased)
		}
	}
	o.mu.Unlock()
	if len(ending) == 0 {
		return
	}
	renewed := make([]job.Job, len(ending))
	err := o.Work.Do(ctx, func(tx federation.Tx) error {
		for i := range ending {
			j, err := tx.Jobs().Extend(leased[i], until)
			if fault.Is(err, fault.Conflict) {
				j.ID = 0
			} else if err != nil {
				return err
			}
			renewed[i] = j
		}
		return nil
	})
	if err != nil {
		o.Logger.Warn("leases of documents cannot be extended", "documents", len(ending), "error", err)
		return
	}
	for i, p := range ending {
		if renewed[i].ID == 0 {
			o.release(p)
			continue
		}
		o.mu.Lock()
		p.leased = renewed[i]
		o.mu.Unlock()
	}
}
