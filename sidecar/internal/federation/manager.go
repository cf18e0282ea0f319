package federation

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Manager runs the loops of all partners.
type Manager struct {
	Work unit.Work[Tx]
	// Feeds are what is read from each partner.
	Feeds []Feed
	// Away reports whether a partner could not be reached by the last call of any kind; nil is never. See Back.
	Away func(partner string) bool
	// Subscribe gives wake-ups of a topic.
	Subscribe func(topic unit.Topic) (<-chan struct{}, func())
	// Poll is how often partnerships are read again without a wake-up; 0 is 15 s.
	Poll time.Duration
	// BackOff gives the pause after n failures in a row; nil is about two seconds eight times, and then doubles to 15 minutes.
	BackOff func(n int) time.Duration
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Now    func() time.Time
	Logger *slog.Logger

	mu     sync.Mutex
	nudges map[loopKey]chan struct{}
	// probes says of a partner that is away which feed tries it; the others wait for that.
	probes map[string]string
}

// loopKey is one loop's identity.
type loopKey struct{ partner, feed string }

// Run keeps a loop per feed and partner that the feed wants until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	wake, cancel := m.Subscribe(unit.Partners)
	defer cancel()
	running := make(map[loopKey]context.CancelFunc)
	defer func() {
		for _, stop := range running {
			stop()
		}
	}()
	poll := m.Poll
	if poll == 0 {
		poll = 15 * time.Second
	}
	for {
		want, err := m.wanted(ctx)
		if err != nil && ctx.Err() == nil {
			m.Logger.Warn("partners unreadable, loops stay as they are", "error", err)
		}
		if err == nil {
			for key, stop := range running {
				if _, stays := want[key]; !stays {
					stop()
					delete(running, key)
				}
			}
			for key, f := range want {
				if running[key] != nil {
					continue
				}
				loop, stop := context.WithCancel(ctx)
				running[key] = stop
				group.Go(func() error { m.loop(loop, key.partner, f); return nil })
			}
		}
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-wake:
		case <-m.after(poll):
		}
	}
}

func (m *Manager) after(d time.Duration) <-chan time.Time {
	if m.After != nil {
		return m.After(d)
	}
	return time.After(d)
}

// maxBackOff caps every pause between sidecars; many failures in a row come to it.
const (
	maxBackOff = 15 * time.Minute
	many       = 100
)

// A partner that was lost a moment ago is mostly back in a moment: so many tries are soon after one another, a quarter of a minute in all,
// before the pauses begin to double.
const (
	soon     = 2 * time.Second
	soonMost = 8
)

func (m *Manager) backOff(failures int) time.Duration {
	if m.BackOff != nil {
		return m.BackOff(failures)
	}
	pause := soon
	switch {
	case failures == 1:
		pause = soon / 2
	case failures > soonMost:
		pause = min(soon<<min(failures-soonMost, 10), maxBackOff)
	}
	return pause*4/5 + rand.N(pause*2/5)
}

// wanted are the loops that the partnerships ask for.
func (m *Manager) wanted(ctx context.Context) (map[loopKey]Feed, error) {
	var want map[loopKey]Feed
	err := m.Work.View(ctx, func(tx Tx) error {
		want = make(map[loopKey]Feed)
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		for _, f := range m.Feeds {
			wanted, err := f.Wanted(tx)
			if err != nil {
				return err
			}
			for _, p := range partners {
				if wanted(p) {
					want[loopKey{p.Origin, f.Name}] = f
				}
			}
		}
		return nil
	})
	return want, err
}

// Nudge ends the present pause of a partner's loops, at most one in nudgeEvery, the next at the end of that: it called us, so it may be
// there again, or its log goes on beyond our copy. While it is away the one loop that tries it is enough.
func (m *Manager) Nudge(partner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if probe, away := m.probes[partner]; away {
		m.nudge(loopKey{partner, probe})
		return
	}
	m.nudgeAll(partner, "")
}

// Back is told when a partner that was away was reached: all its loops go on.
func (m *Manager) Back(partner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.probes, partner)
	m.nudgeAll(partner, "")
}

// nudgeAll and nudge are under mu.
func (m *Manager) nudgeAll(partner, but string) {
	for _, f := range m.Feeds {
		if f.Name != but {
			m.nudge(loopKey{partner, f.Name})
		}
	}
}

func (m *Manager) nudge(key loopKey) {
	select {
	case m.nudges[key] <- struct{}{}:
	default:
	}
}

// mayProbe reports whether a loop whose partner is away tries it; only one does.
func (m *Manager) mayProbe(key loopKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.probes == nil {
		m.probes = make(map[string]string)
	}
	if _, away := m.probes[key.partner]; !away {
		m.probes[key.partner] = key.feed
	}
	return m.probes[key.partner] == key.feed
}

// probed ends what a loop tried for the others: the partner is there, or the loop is over.
func (m *Manager) probed(key loopKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.probes[key.partner] == key.feed {
		delete(m.probes, key.partner)
		m.nudgeAll(key.partner, key.feed)
	}
}

// listen makes the channel of a loop's nudges; forget drops it.
func (m *Manager) listen(key loopKey) (nudges <-chan struct{}, forget func()) {
	ch := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nudges == nil {
		m.nudges = make(map[loopKey]chan struct{})
	}
	m.nudges[key] = ch
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.nudges[key] == ch { // else the loop that follows this one was faster
			delete(m.nudges, key)
		}
	}
}

// What a partner can drive us to is bounded by these.
const (
	// minApart lies between the starts of two streams of a feed.
	minApart = time.Second
	// steady is how long a stream lasts that ends a row of failures although it brought nothing new.
	steady = 10 * time.Second
	// nudgeEvery is how often a nudge ends a pause of a feed. One that is kept ends it up to nudgeSpread later: two members that nudge each other
	// would fall into step else, and all that one of them nudges.
	nudgeEvery  = 10 * time.Second
	nudgeSpread = nudgeEvery / 4
)

func (m *Manager) loop(ctx context.Context, partner string, f Feed) {
	key := loopKey{partner, f.Name}
	nudges, forget := m.listen(key)
	defer forget()
	defer m.probed(key)
	if f.Begun != nil {
		f.Begun(partner)
	}
	failures := 0
	var nudged time.Time
	for ctx.Err() == nil {
		begun := m.Now()
		got := m.once(ctx, partner, f)
		if ctx.Err() != nil {
			return
		}
		lasted := m.Now().Sub(begun)
		pause := minApart - lasted
		good := !got.Refused && (got.News || lasted >= steady)
		if good {
			failures = 0
			m.probed(key)
			select {
			case <-nudges: // it called while its stream was there, which says nothing about what comes now
			default:
			}
		}
		if good && got.Err == nil {
			m.rest(ctx, pause, nil, nil)
			continue
		}
		if wait := flooded(got.Err); wait > 0 { // counted and told where it was met
			m.rest(ctx, max(pause, wait), nil, nil)
			continue
		}
		failures++
		m.Logger.Warn("feed interrupted", "partner", partner, "feed", f.Name, "failures", failures, "error", text.ForeignError(got.Err))
		rest := m.backOff(failures)
		if away := m.Away != nil && fault.Is(got.Err, fault.Unavailable) && m.Away(partner); !away {
			m.probed(key)
		} else if !m.mayProbe(key) {
			rest = m.backOff(many) // the one that tries the partner wakes this one
		} else if !m.Away(partner) {
			m.probed(key) // it came back meanwhile, and nobody says so again
		}
		m.rest(ctx, max(pause, rest), nudges, &nudged)
	}
}

// once runs one stream to its end, with the partner as it stands now.
func (m *Manager) once(ctx context.Context, origin string, f Feed) Outcome {
	var partner member.Partner
	err := m.Work.View(ctx, func(tx Tx) (err error) {
		partner, err = tx.Partners().Get(origin)
		return err
	})
	if err != nil {
		return Outcome{Err: err}
	}
	return f.Once(ctx, partner)
}

// rest pauses, until a nudge at the most; one that comes too soon after the last one that ended a pause is kept until it may.
func (m *Manager) rest(ctx context.Context, pause time.Duration, nudges <-chan struct{}, nudged *time.Time) {
	if pause <= 0 {
		return
	}
	timer := m.after(pause)
	var early <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer:
			return
		case <-nudges:
			now := m.Now()
			wait := nudgeEvery - now.Sub(*nudged)
			if wait <= 0 {
				*nudged = now
				return
			}
			early, nudges = m.after(wait+rand.N(nudgeSpread)), nil
		case <-early:
			*nudged = m.Now()
			return
		}
	}
}

// flooded is how long a partner that sent more than we take is left alone, whatever it calls us for; 0 for any other end of a stream.
func flooded(err error) time.Duration {
	var f *fault.Error
	if !errors.As(err, &f) || f.Reason != ReasonFlood {
		return 0
	}
	return min(max(f.RetryAfter, minApart), maxBackOff)
}
