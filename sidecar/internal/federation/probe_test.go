package federation_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// TestOneFeedTriesAPartnerThatIsAway counts what is tried of a partner in an hour that none of its feeds reaches: what one feed would,
// and of each other one a try every 15 minutes. The first success lets all go on at once; so does the end of the feed that tried.
func TestOneFeedTriesAPartnerThatIsAway(t *testing.T) {
	t.Parallel()
	const feeds = 3
	hour := func(t *testing.T, n int, test func(tries *[feeds]atomic.Int64, up *atomic.Bool, stop *atomic.Bool, m *federation.Manager)) {
		synctest.Test(t, func(t *testing.T) {
			s, r, _, _, _ := setUp(t)
			alone(t, s, r)
			var tries [feeds]atomic.Int64
			var up, stop atomic.Bool
			m := &federation.Manager{
				Work: store.For[federation.Tx](r.Store), Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: time.Second,
				Away: func(string) bool { return !up.Load() },
				// Without jitter: what is due by itself is due at other moments than those that are looked at.
				BackOff:   func(n int) time.Duration { return min(time.Second<<min(n-1, 20), 15*time.Minute) },
				Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return nil, func() {} },
			}
			for i := range n {
				m.Feeds = append(m.Feeds, federation.Feed{
					Name: string(rune('a' + i)),
					Wanted: func(federation.Tx) (func(member.Partner) bool, error) {
						return func(p member.Partner) bool { return p.Origin == supplier && (i > 0 || !stop.Load()) }, nil
					},
					Once: func(ctx context.Context, _ member.Partner) federation.Outcome {
						tries[i].Add(1)
						time.Sleep(10 * time.Millisecond * time.Duration(i+1))
						if !up.Load() {
							return federation.Outcome{Err: unreachable}
						}
						m.Back(supplier)
						<-ctx.Done()
						return federation.Outcome{Err: ctx.Err()}
					},
				})
			}
			defer run(t, m)()
			time.Sleep(time.Hour + time.Minute)
			test(&tries, &up, &stop, m)
		})
	}
	var single int64
	hour(t, 1, func(tries *[feeds]atomic.Int64, _, _ *atomic.Bool, _ *federation.Manager) { single = tries[0].Load() })
	hour(t, feeds, func(tries *[feeds]atomic.Int64, up, _ *atomic.Bool, m *federation.Manager) {
		all := func() (n int64) {
			for i := range tries {
				n += tries[i].Load()
			}
			return n
		}
		if most := single + 2*(feeds-1) + (feeds-1)*5; all() > most || single < 9 {
			t.Errorf("%d tries in an hour, one feed alone has %d", all(), single)
		}
		before := all()
		m.Nudge(supplier) // it called us, and cannot be reached all the same
		time.Sleep(time.Second)
		if got := all() - before; got != 1 {
			t.Errorf("its call has it tried %d times", got)
		}
		time.Sleep(20 * time.Second)
		up.Store(true)
		before = all()
		m.Nudge(supplier)
		time.Sleep(time.Second)
		if got := all() - before; got != feeds {
			t.Errorf("%d of %d feeds go on a second after it is back", got, feeds)
		}
	})
	hour(t, feeds, func(tries *[feeds]atomic.Int64, _, stop *atomic.Bool, _ *federation.Manager) {
		before := tries[1].Load() + tries[2].Load()
		stop.Store(true) // the one that tries is not wanted any more
		time.Sleep(15 * time.Second)
		if got := tries[1].Load() + tries[2].Load() - before; got == 0 {
			t.Error("nobody tries it instead")
		}
	})
}

// TestAPartnerThatComesBackMeanwhileIsTriedByNobodyForAll: a feed that just heard that the partner is away does not keep nudges from the
// others when that is over before it says that it tries.
func TestAPartnerThatComesBackMeanwhileIsTriedByNobodyForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, r, _, _, _ := setUp(t)
		alone(t, s, r)
		var other atomic.Int64
		up := false
		wanted := func(federation.Tx) (func(member.Partner) bool, error) {
			return func(p member.Partner) bool { return p.Origin == supplier }, nil
		}
		var m *federation.Manager
		m = &federation.Manager{
			Work: store.For[federation.Tx](r.Store), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			BackOff: func(int) time.Duration { return time.Hour },
			Away: func(string) bool {
				if up {
					return false
				}
				up = true
				m.Back(supplier)
				return true
			},
			Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return nil, func() {} },
			Feeds: []federation.Feed{
				{Name: "first", Wanted: wanted, Once: func(ctx context.Context, _ member.Partner) federation.Outcome {
					if !up {
						return federation.Outcome{Err: unreachable}
					}
					<-ctx.Done()
					return federation.Outcome{Err: ctx.Err()}
				}},
				{Name: "other", Wanted: wanted, Once: func(context.Context, member.Partner) federation.Outcome {
					time.Sleep(time.Second)
					other.Add(1)
					return federation.Outcome{Err: fault.New(fault.Invalid, "page_broken", "a bad page")}
				}},
			},
		}
		defer run(t, m)()
		time.Sleep(time.Minute)
		before := other.Load()
		m.Nudge(supplier)
		time.Sleep(time.Minute)
		if got := other.Load() - before; got != 1 {
			t.Errorf("its call has the other feed read %d times", got)
		}
	})
}

// TestAShortCutIsOverSoon counts what is tried of a partner that is away, by the pauses that members have: one that is back within a quarter
// of a minute is found within little more than two seconds, and one that stays away for a day costs hardly more for it.
func TestAShortCutIsOverSoon(t *testing.T) {
	t.Parallel()
	for _, cut := range []time.Duration{3 * time.Second, 7 * time.Second, 10 * time.Second, 12 * time.Second, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, r, _, _, _ := setUp(t)
			alone(t, s, r)
			begun, found := time.Now(), make(chan time.Time, 1)
			tries := 0
			m := &federation.Manager{
				Work: store.For[federation.Tx](r.Store), Now: time.Now, Logger: slog.New(slog.DiscardHandler), Poll: time.Hour,
				Away:      func(string) bool { return time.Since(begun) < cut },
				Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return nil, func() {} },
				Feeds: []federation.Feed{{
					Name: "a",
					Wanted: func(federation.Tx) (func(member.Partner) bool, error) {
						return func(p member.Partner) bool { return p.Origin == supplier }, nil
					},
					Once: func(ctx context.Context, _ member.Partner) federation.Outcome {
						tries++
						if time.Since(begun) < cut {
							return federation.Outcome{Err: unreachable}
						}
						found <- time.Now()
						<-ctx.Done()
						return federation.Outcome{Err: ctx.Err()}
					},
				}},
			}
			end := run(t, m)
			late := (<-found).Sub(begun.Add(cut))
			end()
			if cut < time.Minute && late > 2500*time.Millisecond {
				t.Errorf("after %s it is found %s late", cut, late)
			}
			if most := 24*5 + 20; tries > most || late > 18*time.Minute {
				t.Errorf("after %s it is found %s late, with %d tries", cut, late, tries)
			}
		})
	}
}
