package federation

import (
	"context"
	"errors"
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
)

// Link opens partners' feeds. Each call blocks while the stream lasts, hands over what arrives and ends with the stream's
// error; nil when the stream ended in good order (the token expired).
type Link interface {
	TailLedger(ctx context.Context, partner string, afterSeq int64, fn func(LedgerPage) error) error
	WatchCatalog(ctx context.Context, partner string, cursor []byte, fn func(CatalogPage) error) error
}

// Manager runs the loops of all partners.
type Manager struct {
	Work    Work
	Link    Link
	Self    string
	Ledger  *LedgerReader
	Catalog *CatalogReader
	// Subscribe gives wake-ups of a topic.
	Subscribe func(topic string) (<-chan struct{}, func())
	// Poll is how often partnerships are read again without a wake-up; 0 is 15 s.
	Poll time.Duration
	// BackOff gives the pause after n failures in a row; nil doubles from one second to 15 minutes, with jitter.
	BackOff func(n int) time.Duration
	// After makes a timer's channel; nil is time.After.
	After  func(time.Duration) <-chan time.Time
	Logger *slog.Logger

	mu     sync.Mutex
	nudges map[string]chan struct{}
}

// feed is one loop's identity.
type feed struct{ partner, name string }

// Run keeps a loop per active partner and feed until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	wake, cancel := m.Subscribe(member.Topic)
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

// Nudge ends the present pause of a partner's loops: it called us, so it may be there again.
func (m *Manager) Nudge(partner string) {
	for _, name := range []string{"ledger", catalog.FeedCursor} {
		select {
		case m.nudge(feed{partner, name}) <- struct{}{}:
		default:
		}
	}
}

func (m *Manager) nudge(f feed) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nudges == nil {
		m.nudges = make(map[string]chan struct{})
	}
	key := f.partner + " " + f.name
	if m.nudges[key] == nil {
		m.nudges[key] = make(chan struct{}, 1)
	}
	return m.nudges[key]
}

func (m *Manager) loop(ctx context.Context, f feed) {
	failures := 0
	if f.name != catalog.FeedCursor {
		m.Ledger.tailed(f.partner)
	}
	for ctx.Err() == nil {
		progress, err := m.once(ctx, f)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && progress:
			failures = 0
			continue
		case progress:
			failures = 0
		}
		failures++
		level := slog.LevelWarn
		if fault.Is(err, fault.Conflict) {
			level = slog.LevelError
		}
		m.Logger.Log(ctx, level, "feed interrupted", "partner", f.partner, "feed", f.name, "failures", failures, "error", err)
		select {
		case <-ctx.Done():
			return
		case <-m.nudge(f):
		case <-m.after(m.backOff(failures)):
		}
	}
}

// once runs one stream to its end and tells whether anything was read.
func (m *Manager) once(ctx context.Context, f feed) (progress bool, err error) {
	var partner member.Partner
	var currency string
	var cursor []byte
	var seq int64
	err = m.Work.View(ctx, func(tx Tx) error {
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
		seq = head.Seq
		return err
	})
	if err != nil {
		return false, err
	}
	if f.name == catalog.FeedCursor {
		err = m.Link.WatchCatalog(ctx, f.partner, cursor, func(p CatalogPage) error {
			progress = true
			err := m.Catalog.Read(ctx, partner, currency, cursor, p)
			cursor = p.Cursor
			return err
		})
	} else {
		err = m.Link.TailLedger(ctx, f.partner, seq, func(p LedgerPage) error {
			progress = true
			return m.Ledger.Read(ctx, partner, p)
		})
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return progress, nil
	}
	return progress, err
}
