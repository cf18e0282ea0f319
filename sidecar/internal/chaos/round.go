package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// play goes through the rounds of a plan.
func (m *market) play(ctx context.Context, plan Plan) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer m.hasty.Wait()
	defer stop()
	for _, name := range memberNames {
		for _, r := range m.members[name].replicas {
			watchers.Go(func() { m.members[name].watch(watching, r) })
		}
	}
	for i := 0; i < len(plan.Rounds)+latest; i++ { // the last ones are for what was put off
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var round Round
		if i < len(plan.Rounds) {
			round = plan.Rounds[i]
		}
		round.Faults = slices.Clone(round.Faults)
		for n := range round.Faults {
			round.Faults[n].round = i
		}
		round.Faults = append(round.Faults, m.due(plan, i)...)
		if i >= len(plan.Rounds) && len(round.Faults) == 0 {
			break
		}
		m.say("round %d of %d: %d wishes; %s", i+1, len(plan.Rounds), len(round.Wishes), describe(round))
		if len(round.Copies) > 0 {
			_ = m.settleDown(ctx, copyTime)
		}
		for _, c := range round.Copies {
			if err := m.copy(ctx, c); err != nil {
				return fmt.Errorf("copy %d of %s: %w", c.ID, c.Member, err)
			}
		}
		var busy sync.WaitGroup
		errs := make(chan error, len(round.Faults))
		for _, f := range round.Faults { // first what needs a still market; callers wait for it
			if f.Kind.still() {
				for _, name := range memberNames { // partners refuse what a wrong clock dates, and nothing would come to rest
					if err := m.members[name].right(ctx); err != nil {
						return err
					}
				}
				if !m.settleDown(ctx, restTime) { // what no partner has read cannot come back from it
					m.putOff(f, "the market did not come to rest")
					continue
				}
				errs <- m.hurt(ctx, f)
			}
		}
		for _, f := range round.Faults {
			if f.Kind.still() {
				continue
			}
			busy.Go(func() {
				pause(ctx, nil, f.After)
				errs <- m.hurt(ctx, f)
			})
		}
		m.call(ctx, round.Wishes)
		busy.Wait()
		m.hasty.Wait()
		close(errs)
		for err := range errs {
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
		m.lostLate()
		if round.Breath {
			m.breathe(ctx, breathTime)
		}
	}
	m.leaveLate()
	return nil
}

func describe(r Round) (text string) {
	for _, f := range r.Faults {
		who := f.Member
		if f.Other != "" {
			who += "+" + f.Other
		}
		if f.Point != "" {
			who += " " + f.Point
		}
		text += fmt.Sprintf("%s %s, ", f.Kind, who)
	}
	if text == "" {
		return "no fault"
	}
	return text[:len(text)-2]
}

const callers = 6

// call has some callers carry out wishes, spread a little.
func (m *market) call(ctx context.Context, wishes []Wish) {
	queue := make(chan Wish)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for w := range queue {
				m.carryOut(ctx, w)
				pause(ctx, nil, time.Duration(rand.Int64N(int64(500*time.Millisecond))))
			}
		})
	}
	for _, w := range wishes {
		if w.Kind == Buy || w.Kind == End {
			m.history.want(w)
		}
		queue <- w
	}
	close(queue)
	all.Wait()
}

// breathe waits until what was acknowledged has ended, and notes how long that took for each.
func (m *market) breathe(ctx context.Context, limit time.Duration) {
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	operated := time.Now()
	var refused error
	err := within(ctx, limit, func() error {
		var open []string
		if time.Since(operated) > time.Second { // some of it waits for an operator, or is not known to a member that was put back
			operated = time.Now()
			_, _ = m.operators(ctx)
			refused = m.remind(ctx)
		}
		for _, o := range m.history.all() {
			if !o.acknowledged.IsZero() && !o.ended && o.void == "" && !m.look(ctx, o.ID, from) {
				open = append(open, o.ID)
			}
		}
		if len(open) > 0 {
			return errors.Join(fmt.Errorf("%d orders are open, such as %s", len(open), open[0]), refused)
		}
		return nil
	})
	if err != nil {
		m.say("not all ends: %v", err)
	}
}

// remind has portals place again what they see that their member does not know any more, and returns why some of it is not taken.
func (m *market) remind(ctx context.Context) (err error) {
	for _, o := range m.history.all() {
		if o.acknowledged.IsZero() || o.ended || o.void != "" {
			continue
		}
		if _, unknown := m.read(ctx, o.ID); connect.CodeOf(unknown) == connect.CodeNotFound {
			err = errors.Join(err, m.place(ctx, o.ID))
		}
	}
	return err
}

const (
	// breathTime is how long a breath waits until all has ended, copyTime a copy, which is made all the same, readTime until a member that
	// is copied has read what its partners wrote, stillTime what is put back while
	// orders are under way, and restTime what is put back while nothing is.
	breathTime = 5 * time.Second
	copyTime   = 2 * time.Second
	readTime   = 3 * time.Second
	stillTime  = 10 * time.Second
	restTime   = time.Minute
)

// settleDown waits until what was ordered has ended, nobody has anything to do that no operator is wanted for, all books are level, and all
// members have read what their partners wrote: only what a partner has read can come back from it. Each of the two waits lasts so long at most.
func (m *market) settleDown(ctx context.Context, limit time.Duration) bool {
	m.breathe(ctx, limit)
	err := within(ctx, limit, func() error {
		for _, name := range memberNames { // access data that are not fetched yet are gone with their supplier's disk
			jobs, err := m.jobs(ctx, m.members[name])
			if err != nil {
				return err
			}
			for _, j := range jobs {
				if j.GetState() != "parked" {
					return fmt.Errorf("%s has %s to do, %s", name, j.GetKind(), j.GetState())
				}
			}
		}
		for _, d := range deals {
			reseller, supplier := m.members[d.reseller], m.members[d.supplier]
			if err := m.level(ctx, reseller, supplier); err != nil {
				return err
			}
			if err := m.hasRead(ctx, supplier, reseller); err != nil {
				return err
			}
			if err := m.hasRead(ctx, reseller, supplier); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.say("the market does not come to rest: %v", err)
	}
	return err == nil
}

// look reads whether an order has ended, and notes how long that took since.
func (m *market) look(ctx context.Context, id string, since time.Time) bool {
	o, err := m.read(ctx, id)
	if err != nil {
		return false
	}
	ended := false
	m.history.change(id, func(p *placed) {
		p.state = o.GetState()
		if o.GetEnded() && !p.ended {
			p.seen = time.Now()
			if p.acknowledged.Before(since) {
				m.mu.Lock()
				m.healing = append(m.healing, p.seen.Sub(since))
				m.mu.Unlock()
			}
		}
		p.ended = o.GetEnded()
		ended = p.ended
	})
	return ended
}
