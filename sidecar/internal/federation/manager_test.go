package federation_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// timeline is a clock that stands still but for who moves it. It tells tell, if set, of every look at it.
type timeline struct {
	mu   sync.Mutex
	now  time.Time
	tell func(string)
}

func (c *timeline) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tell != nil {
		c.tell("clock")
	}
	return c.now
}

func (c *timeline) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// link is a partner of which each stream is what the test says. It does not answer the feeds of which it says nothing.
type link struct {
	tail  func(ctx context.Context, after ledger.Position, fn func(federation.LedgerPage) error) error
	watch func(ctx context.Context, cursor []byte, fn func(federation.CatalogPage) error) error
}

func (l link) TailLedger(ctx context.Context, _ string, after ledger.Position, fn func(federation.LedgerPage) error) error {
	if l.tail == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.tail(ctx, after, fn)
}

func (l link) WatchCatalog(ctx context.Context, _ string, cursor []byte, fn func(federation.CatalogPage) error) error {
	if l.watch == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.watch(ctx, cursor, fn)
}

// unreachable is what a link says that finds nobody.
var unreachable = fault.New(fault.Unavailable, "partner_unreachable", "no route")

const poll = time.Hour

// alone leaves the supplier as the only partner of a reseller, with the key that it signs with.
func alone(t *testing.T, s, r *party) {
	t.Helper()
	err := r.Store.Do(t.Context(), func(tx *store.Tx) error {
		for origin, state := range map[string]member.State{supplier: member.Active, nobody: member.Refused} {
			p, err := tx.Partners().Get(origin)
			if err != nil {
				return err
			}
			p.State, p.BusinessKey = state, s.Key()
			if _, err := tx.Partners().Put(p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run starts the loops and answers what stops them.
func run(t *testing.T, m *federation.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func newManager(r *party, reader *federation.LedgerReader, l link) *federation.Manager {
	reader.Link = l
	return &federation.Manager{
		Work: store.For[federation.Tx](r.Store), Feeds: []federation.Feed{reader.Feed()}, Now: reader.Now, Logger: slog.New(slog.DiscardHandler),
		Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return nil, func() {} }, Poll: poll,
		After:   func(time.Duration) <-chan time.Time { return nil },
		BackOff: func(n int) time.Duration { return time.Duration(n) * time.Minute },
	}
}

// pauses runs the one feed of a manager until it has paused n times and answers how long each pause was.
func pauses(t *testing.T, m *federation.Manager, c *timeline, n int) []time.Duration {
	t.Helper()
	done := make(chan struct{})
	var all []time.Duration
	m.After = func(d time.Duration) <-chan time.Time {
		if d == poll {
			return nil
		}
		all = append(all, d)
		if len(all) == n {
			close(done)
			return nil
		}
		c.pass(d)
		over := make(chan time.Time, 1)
		over <- c.Now()
		return over
	}
	stop := run(t, m)
	<-done
	stop()
	return all
}

func TestATailThatNeverSpeaksIsCountedFromItsStart(t *testing.T) {
	t.Parallel()
	_, r, _, reader, _ := setUp(t)
	started := make(chan string, 10)
	reader.Tailed = func(partner string) { started <- partner }
	silent := link{tail: func(context.Context, ledger.Position, func(federation.LedgerPage) error) error { return unreachable }}
	stop := run(t, newManager(r, reader, silent))
	got := []string{<-started, <-started}
	stop()
	slices.Sort(got)
	if want := []string{nobody, supplier}; !slices.Equal(got, want) || len(started) != 0 {
		t.Fatalf("tails of %v and %d more, want %v", got, len(started), want)
	}
}

func TestAPartnerCannotDriveUsIntoAStormOfStreams(t *testing.T) {
	t.Parallel()
	const growing = time.Minute
	cases := []struct {
		name   string
		stream func(t *testing.T, s *party, c *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error
		want   []time.Duration
	}{
		{"a heartbeat and the end at once", func(t *testing.T, s *party, _ *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			return fn(s.page(t, reseller, after.Seq, 10))
		}, []time.Duration{growing, 2 * growing, 3 * growing, 4 * growing}},
		{"a page that proves nothing", func(t *testing.T, s *party, _ *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			return fn(federation.LedgerPage{Checkpoint: "signed by nobody"})
		}, []time.Duration{growing, 2 * growing, 3 * growing, 4 * growing}},
		{"a new entry and the end at once", func(t *testing.T, s *party, c *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			c.pass(200 * time.Millisecond)
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			return fn(s.page(t, reseller, after.Seq, 10))
		}, slices.Repeat([]time.Duration{800 * time.Millisecond}, 4)},
		{"a new entry and a fork", func(t *testing.T, s *party, _ *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			if err := fn(s.page(t, reseller, after.Seq, 10)); err != nil {
				return err
			}
			return fn(s.fork(t, "order-9"))
		}, []time.Duration{growing, 2 * growing, 3 * growing, 4 * growing}},
		{"a fork after a long time", func(t *testing.T, s *party, c *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			c.pass(time.Hour)
			return fn(s.fork(t, "order-9"))
		}, []time.Duration{growing, 2 * growing, 3 * growing, 4 * growing}},
		{"a stream that breaks after a new entry", func(t *testing.T, s *party, _ *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			s.Append(reseller, ledger.OrderAccepted, "order-1")
			if err := fn(s.page(t, reseller, after.Seq, 10)); err != nil {
				return err
			}
			return unreachable
		}, []time.Duration{growing, growing, growing, growing}},
		{"a stream that breaks after ten seconds", func(t *testing.T, s *party, c *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			c.pass(10 * time.Second)
			return unreachable
		}, []time.Duration{growing, growing, growing, growing}},
		{"a stream that breaks after nine seconds", func(t *testing.T, s *party, c *timeline, after ledger.Position, fn func(federation.LedgerPage) error) error {
			c.pass(9 * time.Second)
			return unreachable
		}, []time.Duration{growing, 2 * growing, 3 * growing, 4 * growing}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, r, _, reader, _ := setUp(t)
			alone(t, s, r)
			// The fork cases need an entry to differ from.
			s.Append(reseller, ledger.OrderAccepted, "order-0")
			if _, err := reader.Read(t.Context(), member.Partner{Origin: supplier, BusinessKey: s.Key()}, ledger.Position{}, s.page(t, reseller, 0, 10)); err != nil {
				t.Fatal(err)
			}
			at := &timeline{now: markettest.Noon()}
			reader.Now = at.Now
			m := newManager(r, reader, link{tail: func(_ context.Context, after ledger.Position, fn func(federation.LedgerPage) error) error {
				return c.stream(t, s, at, after, fn)
			}})
			if got := pauses(t, m, at, len(c.want)); !slices.Equal(got, c.want) {
				t.Fatalf("paused %v, want %v", got, c.want)
			}
		})
	}
}

// A partner that sends more than we take is left alone for as long as the link says, however often it calls us meanwhile; that was
// told where it was met, and is no failure of the stream.
func TestAFloodingPartnerIsLeftAlone(t *testing.T) {
	t.Parallel()
	s, r, _, reader, _ := setUp(t)
	alone(t, s, r)
	at := &timeline{now: markettest.Noon()}
	reader.Now = at.Now
	waits := []time.Duration{30 * time.Second, 0, time.Hour, time.Minute}
	streams := 0
	m := newManager(r, reader, link{})
	m.Feeds[0].Once = func(context.Context, member.Partner) federation.Outcome {
		streams++
		m.Nudge(supplier)
		flood := fault.New(fault.Exhausted, federation.ReasonFlood, "too many")
		flood.RetryAfter = waits[streams-1]
		return federation.Outcome{News: true, Err: flood}
	}
	var log bytes.Buffer
	m.Logger = slog.New(slog.NewTextHandler(&log, nil))
	want := []time.Duration{30 * time.Second, time.Second, 15 * time.Minute, time.Minute}
	if got := pauses(t, m, at, len(want)); !slices.Equal(got, want) {
		t.Errorf("paused %v, want %v", got, want)
	}
	if log.Len() != 0 {
		t.Errorf("the log has\n%s", &log)
	}
}

// A stream may last longer than the distance between two starts; then the next one follows without a pause.
func TestATailGoesOnAtOnceWhenItsTokenExpired(t *testing.T) {
	t.Parallel()
	s, r, _, reader, _ := setUp(t)
	alone(t, s, r)
	at := &timeline{now: markettest.Noon()}
	reader.Now = at.Now
	streams := 0
	m := newManager(r, reader, link{tail: func(context.Context, ledger.Position, func(federation.LedgerPage) error) error {
		if streams++; streams == 4 {
			return unreachable
		}
		at.pass(5 * time.Minute)
		return nil
	}})
	if got, want := pauses(t, m, at, 1), []time.Duration{time.Minute}; !slices.Equal(got, want) {
		t.Fatalf("paused %v after %d streams, want %v", got, streams, want)
	}
}

// TestANudgeFromBeforeAStreamBrokeEndsNoPause: a partner that starts again called us while its stream was there. That it calls when it is back
// must not wait because of that.
func TestANudgeFromBeforeAStreamBrokeEndsNoPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r, _, reader, _ := setUp(t)
		alone(t, s, r)
		m := newManager(r, reader, link{})
		m.Now, m.After = time.Now, nil
		var begun []time.Duration
		start := time.Now()
		m.Feeds[0].Once = func(context.Context, member.Partner) federation.Outcome {
			begun = append(begun, time.Since(start))
			m.Nudge(supplier)
			time.Sleep(time.Second)
			return federation.Outcome{News: true, Err: unreachable}
		}
		stop := run(t, m)
		time.Sleep(3 * time.Second)
		m.Nudge(supplier)
		synctest.Wait()
		stop()
		if want := []time.Duration{0, 3 * time.Second}; !slices.Equal(begun, want) {
			t.Errorf("streams begin after %v, want %v", begun, want)
		}
	})
}

func TestANudgeEndsAPauseOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	s, r, _, reader, _ := setUp(t)
	alone(t, s, r)
	events := make(chan string, 100)
	at := &timeline{now: markettest.Noon(), tell: func(what string) { events <- what }}
	reader.Now = at.Now
	m := newManager(r, reader, link{tail: func(context.Context, ledger.Position, func(federation.LedgerPage) error) error {
		events <- "stream"
		return unreachable
	}})
	kept := make(chan time.Time)
	waits := make(chan time.Duration, 1)
	m.After = func(d time.Duration) <-chan time.Time {
		if d == poll || d >= time.Minute {
			return nil
		}
		waits <- d
		return kept
	}
	stop := run(t, m)
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := <-events; got != w {
				t.Fatalf("%s, want %s", got, w)
			}
		}
	}
	stream := []string{"clock", "stream", "clock"}
	expect(stream...)
	m.Nudge(supplier)
	expect("clock") // the nudge is taken
	expect(stream...)
	m.Nudge(supplier)
	expect("clock") // this one is kept: however long the pause is, it ends ten seconds after the last one, or a little later
	if wait := <-waits; wait < 10*time.Second || wait > 12500*time.Millisecond {
		t.Errorf("it is kept for %v", wait)
	}
	at.pass(10 * time.Second)
	kept <- at.Now()
	expect("clock", "clock")
	expect(stream...)
	at.pass(10 * time.Second)
	m.Nudge(supplier)
	expect("clock")
	expect(stream...)
	if n := m.Listeners(); n != 1 {
		t.Errorf("%d feeds listen for nudges, want the supplier's ledger alone", n)
	}
	m.Nudge("https://stranger.localhost:4")
	m.Nudge(nobody)
	if n := m.Listeners(); n != 1 {
		t.Errorf("%d feeds listen after callers without one", n)
	}
	stop()
	if n := m.Listeners(); n != 0 {
		t.Errorf("%d feeds listen after the end", n)
	}
}

func TestACatalogThatAnotherReplicaReadIsNoFailure(t *testing.T) {
	t.Parallel()
	s, r, _, reader, _ := setUp(t)
	alone(t, s, r)
	err := r.Store.Do(t.Context(), func(tx *store.Tx) error {
		p, err := tx.Partners().Get(supplier)
		if err != nil {
			return err
		}
		p.Roles = []member.Role{member.Supplier}
		if _, err := tx.Partners().Put(p); err != nil {
			return err
		}
		_, err = tx.Agreements().Put(agreement.Agreement{ID: "a", Supplier: supplier, Reseller: reseller, State: agreement.Active})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	at := &timeline{now: markettest.Noon()}
	reader.Now = at.Now
	feed := &federation.CatalogFeed{
		Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: at.Now},
	}
	// Another replica reads each page first: the cursor is elsewhere when this one's transaction begins.
	pages := 0
	overtaken := racing[catalog.Tx]{store.For[catalog.Tx](r.Store), func() {
		pages++
		err := r.Store.Do(t.Context(), func(tx *store.Tx) error {
			return tx.Cursors().SetCursor(supplier, catalog.FeedCursor, fmt.Appendf(nil, "read %d", pages))
		})
		if err != nil {
			t.Error(err)
		}
	}}
	m := newManager(r, reader, link{watch: func(ctx context.Context, cursor []byte, fn func(federation.CatalogPage) error) error {
		page, err := feed.Page(ctx, reseller, cursor, federation.CatalogPage{})
		if err != nil {
			return err
		}
		return fn(page)
	}})
	var log bytes.Buffer
	m.Logger = slog.New(slog.NewTextHandler(&log, nil))
	offers := &federation.CatalogReader{
		Self: reseller, Work: store.For[federation.Tx](r.Store), Link: reader.Link.(link), Logger: m.Logger,
		Catalog: &catalog.Reader{Work: overtaken, Schemas: recipe.NewSchemas(0), Now: at.Now},
	}
	m.Feeds = append(m.Feeds, offers.Feed())
	if got, want := pauses(t, m, at, 3), slices.Repeat([]time.Duration{time.Second}, 3); !slices.Equal(got, want) {
		t.Errorf("paused %v, want %v", got, want)
	}
	if pages != 3 || log.Len() != 0 {
		t.Errorf("%d pages, log:\n%s", pages, &log)
	}
}
