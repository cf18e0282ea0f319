package federation

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Link opens partners' feeds. Each call blocks while the stream lasts, hands over what arrives and ends with the stream's
// error; nil when the stream ended in good order (the token expired).
type Link interface {
	TailLedger(ctx context.Context, partner string, afterSeq int64, fn func(LedgerPage) error) error
	WatchCatalog(ctx context.Context, partner string, cursor []byte, fn func(CatalogPage) error) error
}

// Manager runs the loops of all partners. Its clock is the one of Ledger.
type Manager struct {
	Work    unit.Work[Tx]
	Link    Link
	Self    string
	Ledger  *LedgerReader
	Catalog *CatalogReader
	// Subscribe gives wake-ups of a topic.
	Subscribe func(topic unit.Topic) (<-chan struct{}, func())
	// Poll is how often partnerships are read again without a wake-up; 0 is 15 s.
	Poll time.Duration
	// BackOff gives the pause after n failures in a row; nil doubles from one second to 15 minutes, with jitter.
	BackOff func(n int) time.Duration
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Logger *slog.Logger

	mu     sync.Mutex
	nudges map[feed]chan struct{}
}

// feed is one loop's identity.
type feed struct{ partner, name string }

// Run keeps a loop per active partner and feed until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	wake, cancel := m.Subscribe(unit.Partners)
	defer cancel()
	running := make(map[feed]context.CancelFunc)
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
			for f, stop := range running {
				if !want[f] {
					stop()
					delete(running, f)
				}
			}
			for f := range want {
				if running[f] != nil {
					continue
				}
				loop, stop := context.WithCancel(ctx)
				running[f] = stop
				group.Go(func() error { m.loop(loop, f); return nil })
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

// maxBackOff caps every pause between sidecars.
const maxBackOff = 15 * time.Minute

func (m *Manager) backOff(failures int) time.Duration {
	if m.BackOff != nil {
		return m.BackOff(failures)
	}
	pause := maxBackOff
	if failures <= 10 {
		pause = min(pause, time.Second<<(failures-1))
	}
	return pause*4/5 + rand.N(pause*2/5)
}

// wanted is the set of loops that the partnerships ask for.
func (m *Manager) wanted(ctx context.Context) (map[feed]bool, error) {
	want := make(map[feed]bool)
	err := m.Work.View(ctx, func(tx Tx) error {
		partners, err := tx.Partners().List()
		if err != nil {
			return err
		}
		for _, p := range partners {
			switch p.State {
			case member.Qualified, member.Active, member.Suspended, member.Ended:
				want[feed{p.Origin, "ledger"}] = true
			}
			if p.State == member.Active && p.Has(member.Supplier) {
				if _, err := supply(tx, m.Self, p.Origin); err == nil {
					want[feed{p.Origin, catalog.FeedCursor}] = true
				} else if !fault.Is(err, fault.NotFound) {
					return err
				}
			}
		}
		return nil
	})
	return want, err
}

// supply is our active agreement with a supplier; fault.NotFound.
func supply(tx Tx, self, supplier string) (agreement.Agreement, error) {
	list, err := tx.Agreements().Between(supplier, self)
	if err != nil {
		return agreement.Agreement{}, err
	}
	for _, a := range list {
		if a.State == agreement.Active {
			return a, nil
		}
	}
	return agreement.Agreement{}, fault.New(fault.NotFound, "agreement_not_found", "there is no active agreement with %s", supplier)
}

// Nudge ends the present pause of a partner's loops, at most one in nudgeEvery: it called us, so it may be there again.
func (m *Manager) Nudge(partner string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range []string{"ledger", catalog.FeedCursor} {
		select {
		case m.nudges[feed{partner, name}] <- struct{}{}:
		default:
		}
	}
}

// listen makes the channel of a loop's nudges; forget drops it.
func (m *Manager) listen(f feed) (nudges <-chan struct{}, forget func()) {
	ch := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nudges == nil {
		m.nudges = make(map[feed]chan struct{})
	}
	m.nudges[f] = ch
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.nudges[f] == ch { // else the loop that follows this one was faster
			delete(m.nudges, f)
		}
	}
}

// What a partner can drive us to is bounded by these.
const (
	// minApart lies between the starts of two streams of a feed.
	minApart = time.Second
	// steady is how long a stream lasts that ends a row of failures although it brought nothing new.
	steady = 10 * time.Second
	// nudgeEvery is how often a nudge ends a pause of a feed.
	nudgeEvery = 10 * time.Second
)

func (m *Manager) loop(ctx context.Context, f feed) {
	nudges, forget := m.listen(f)
	defer forget()
	if f.name != catalog.FeedCursor {
		m.Ledger.tailed(f.partner)
	}
	failures := 0
	var nudged time.Time
	for ctx.Err() == nil {
		begun := m.Ledger.Now()
		got := m.once(ctx, f)
		if ctx.Err() != nil {
			return
		}
		lasted := m.Ledger.Now().Sub(begun)
		pause := minApart - lasted
		good := !got.refused && (got.news || lasted >= steady)
		if good {
			failures = 0
		}
		if good && got.err == nil {
			m.rest(ctx, pause, nil, nil)
			continue
		}
		failures++
		level := slog.LevelWarn
		if got.refused && contradicts(got.err) {
			level = slog.LevelError
		}
		m.Logger.Log(ctx, level, "feed interrupted", "partner", f.partner, "feed", f.name, "failures", failures, "error", got.err)
		m.rest(ctx, max(pause, m.backOff(failures)), nudges, &nudged)
	}
}

// rest pauses, until a nudge at the most if the last one that ended a pause is long enough ago.
func (m *Manager) rest(ctx context.Context, pause time.Duration, nudges <-chan struct{}, nudged *time.Time) {
	if pause <= 0 {
		return
	}
	timer := m.after(pause)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer:
			return
		case <-nudges:
			if now := m.Ledger.Now(); now.Sub(*nudged) >= nudgeEvery {
				*nudged = now
				return
			}
		}
	}
}

// contradicts tells whether a partner's log is not the one that it signed before, which only people can settle.
func contradicts(err error) bool {
	switch fault.ReasonOf(err) {
	case "ledger_fork", "ledger_rewound", "ledger_gap":
		return true
	}
	return false
}

// outcome is what came of one stream.
type outcome struct {
	// news: something was read, verified and applied that we did not have when the stream began.
	news bool
	// refused: the stream ended because what came cannot be the partner's feed as it should be.
	refused bool
	// err is nil when the stream ended in good order.
	err error
}

// once runs one stream to its end.
func (m *Manager) once(ctx context.Context, f feed) outcome {
	var partner member.Partner
	var currency string
	var cursor []byte
	var after int64
	err := m.Work.View(ctx, func(tx Tx) (err error) {
		if partner, err = tx.Partners().Get(f.partner); err != nil {
			return err
		}
		if f.name == catalog.FeedCursor {
			a, err := supply(tx, m.Self, f.partner)
			if err != nil {
				return err
			}
			currency = a.Terms.Currency
			cursor, err = tx.Cursors().Cursor(f.partner, catalog.FeedCursor)
			return err
		}
		head, err := tx.Ledger().Head(f.partner, ledger.Theirs)
		after = head.Seq
		return err
	})
	if err != nil {
		return outcome{err: err}
	}
	var got outcome
	var read error
	if f.name == catalog.FeedCursor {
		err = m.Link.WatchCatalog(ctx, f.partner, cursor, func(p CatalogPage) error {
			if read = m.Catalog.Read(ctx, partner, currency, cursor, p); read != nil {
				return read
			}
			got.news = got.news || !bytes.Equal(cursor, p.Cursor)
			cursor = p.Cursor
			return nil
		})
	} else {
		err = m.Link.TailLedger(ctx, f.partner, after, func(p LedgerPage) error {
			upTo, err := m.Ledger.Read(ctx, partner, after, p)
			got.news = got.news || upTo > after
			after, read = upTo, err
			return err
		})
	}
	switch {
	case fault.ReasonOf(read) == "cursor_moved":
		// Another replica of ours was faster: what it read is news to us too, and the place to go on from is in the store.
		return outcome{news: true}
	case fault.Is(read, fault.Conflict), fault.Is(read, fault.Invalid), fault.Is(read, fault.Unauthenticated):
		got.refused = true
	}
	got.err = err
	return got
}
