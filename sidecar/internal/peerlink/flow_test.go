package peerlink

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// message is one kind of message that comes over and over.
type message struct {
	weight
	news bool
}

// takes sends a message n times, so long after each other, and returns how many were taken, and what the first that was not said.
func takes(f *flows, clock *markettest.Clock, m message, n int, apart time.Duration) (taken int, over Overflow, err error) {
	key := flowKey{"https://partner.example", "ledger"}
	for range n {
		o, e := f.take(key, m.weight, clock.Now())
		if e == nil {
			taken++
			if m.news {
				f.news(key)
			}
		} else if err == nil {
			over, err = o, e
		}
		clock.Pass(apart)
	}
	return taken, over, err
}

func TestAFloodIsTakenUpToItsBound(t *testing.T) {
	t.Parallel()
	heartbeat := message{}
	for _, c := range []struct {
		name  string
		m     message
		bound string
		// most are taken at once; hourly is how many more in the hour that follows, if they never stop.
		most, hourly int
	}{
		{"heartbeats", heartbeat, "heartbeats", 60, 3600},
		{"empty pages that call themselves news", message{news: true}, "heartbeats", 60, 3600},
		{"snapshots of nothing", message{weight: weight{marked: true, ends: true}}, "snapshots", 60, 60},
		{"snapshots of nothing that call themselves news", message{weight{marked: true, ends: true}, true}, "snapshots", 60, 60},
		{"snapshots of one offering", message{weight{items: 1, bytes: 400, marked: true, ends: true}, true}, "snapshots", 60, 60},
		{"snapshots of nothing that never end", message{weight: weight{marked: true}}, "heartbeats", 60, 3600},
		{"snapshots of what we have that never end", message{weight: weight{items: 1, bytes: 400, marked: true}}, "stale_pages", 6000, 6000},
		{"pages of one entry that we have", message{weight: weight{items: 1, bytes: 400}}, "stale_pages", 6000, 6000},
		{"full pages of what we have", message{weight: weight{items: 200, bytes: 800_000}}, "stale_pages", 6000, 6000},
		{"pages of one new entry", message{weight{items: 1, bytes: 400}, true}, "pages", 36_000, 360_000},
		{"the largest pages of new entries", message{weight{items: 500, bytes: 500 * 400}, true}, "items", 8000, 8000},
		{"the largest messages", message{weight{items: 200, bytes: 16 << 20}, true}, "bytes", 1024, 1024},
		{"a message larger than its bound", message{weight{items: 1, bytes: 17 << 30}, true}, "bytes", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var f flows
			clock := markettest.NewClock()
			taken, over, err := takes(&f, clock, c.m, c.most+1000, 0)
			if taken != c.most || over.Bound != c.bound || !over.First {
				t.Fatalf("%d are taken, then there are too many %s (first: %t); want %d and %s", taken, over.Bound, over.First, c.most, c.bound)
			}
			var told *fault.Error
			if !errors.As(err, &told) || told.Kind != fault.Exhausted || told.Reason != federation.ReasonFlood || told.RetryAfter <= 0 {
				t.Fatalf("it ends with %v", err)
			}
			if c.most == 0 {
				return
			}
			// Faster than it may, for an hour.
			tries := c.hourly * 3 / 2
			taken, over, _ = takes(&f, clock, c.m, tries, time.Hour/time.Duration(tries))
			if taken < c.hourly-2 || taken > c.hourly+2 || over.First {
				t.Errorf("%d are taken in the hour after, want %d; told again: %t", taken, c.hourly, over.First)
			}
			// Half a bound is there when the wait is over.
			clock.Pass(told.RetryAfter)
			if taken, over, _ = takes(&f, clock, c.m, c.most/2-1, 0); taken != c.most/2-1 {
				t.Errorf("%d are taken after the wait, then %+v", taken, over)
			}
			clock.Pass(2 * time.Hour)
			if taken, over, _ := takes(&f, clock, c.m, c.most+1, 0); taken != c.most || !over.First {
				t.Errorf("%d are taken after two hours of silence, then %+v", taken, over)
			}
		})
	}
}

// TestWhatAMemberHasToTellIsTaken: whatever comes to be said between two honest members passes as fast as the line carries it.
func TestWhatAMemberHasToTellIsTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		m     message
		n     int
		apart time.Duration
	}{
		{"half a million offerings for the first time", message{weight{items: 200, bytes: 200 * 8 << 10}, true}, 2500, 0},
		{"half a million offerings in pages of twenty", message{weight{items: 20, bytes: 20 * 8 << 10}, true}, 25_000, 0},
		{"half a million offerings anew, none changed", message{weight{items: 200, bytes: 200 * 8 << 10}, false}, 2500, 0},
		{"a million entries after an outage", message{weight{items: 100, bytes: 100 * 1 << 10}, true}, 10_000, 0},
		{"a million entries in the largest pages", message{weight{items: 500, bytes: 500 * 1 << 10}, true}, 2000, 0},
		{"a small catalog that is asked for anew each minute, for a day", message{weight{200, 200 * 8 << 10, true, true}, false}, 24 * 60, time.Minute},
		{"our heartbeats for a week", message{}, 7 * 24 * 180, 20 * time.Second},
		{"streams that end at once and begin with a heartbeat, for a day", message{}, 24 * 3600, time.Second},
		{"fifty orders a second for an hour, each in a page of its own", message{weight{items: 1, bytes: 400}, true}, 180_000, 20 * time.Millisecond},
		{"a price that changes every second for a day", message{weight{items: 1, bytes: 8 << 10}, true}, 24 * 3600, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var f flows
			if taken, over, err := takes(&f, markettest.NewClock(), c.m, c.n, c.apart); taken != c.n {
				t.Errorf("%d of %d are taken: %+v, %v", taken, c.n, over, err)
			}
		})
	}
}

func TestOnePartnersFloodIsNobodyElses(t *testing.T) {
	t.Parallel()
	var f flows
	now := markettest.Noon()
	for range 100 {
		_, _ = f.take(flowKey{"a", "ledger"}, weight{}, now)
	}
	for _, key := range []flowKey{{"b", "ledger"}, {"a", "catalog"}} {
		if _, err := f.take(key, weight{}, now); err != nil {
			t.Errorf("%v pays for it: %v", key, err)
		}
	}
	// A clock that is set back gives nothing for a second time.
	if _, err := f.take(flowKey{"a", "ledger"}, weight{}, now.Add(-time.Hour)); err == nil {
		t.Error("a clock that was set back gives more")
	}
	if _, err := f.take(flowKey{"a", "ledger"}, weight{}, now.Add(time.Second)); err != nil {
		t.Errorf("nor does it take: %v", err)
	}
}

// flooder is a partner whose streams never stop.
type flooder struct {
	peerv1connect.UnimplementedLedgerServiceHandler
	peerv1connect.UnimplementedCatalogServiceHandler
	tail  func(n int) *peerv1.TailResponse
	watch func(n int) *peerv1.WatchResponse
}

func (f *flooder) Tail(ctx context.Context, _ *connect.Request[peerv1.TailRequest], s *connect.ServerStream[peerv1.TailResponse]) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := s.Send(f.tail(n)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (f *flooder) Watch(ctx context.Context, _ *connect.Request[peerv1.WatchRequest], s *connect.ServerStream[peerv1.WatchResponse]) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := s.Send(f.watch(n)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

const (
	supplier = "http://supplier.localhost:1"
	reseller = "http://reseller.localhost:2"
)

// market is a supplier and a reseller whose readers are the real ones; handler is what the supplier serves.
func market(t testing.TB, handler *flooder) (s *markettest.Member, l *Link, books *federation.LedgerReader, goods *federation.CatalogReader, partner member.Partner) {
	t.Helper()
	s, r := markettest.NewMember(t, supplier), markettest.NewMember(t, reseller)
	r.Meet(s)
	mux := http.NewServeMux()
	mux.Handle(peerv1connect.NewLedgerServiceHandler(handler))
	mux.Handle(peerv1connect.NewCatalogServiceHandler(handler))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	l = &Link{Transports: direct{rewrite{server}}, Book: nothing{}, Status: &Status{}, Now: r.Clock.Now}
	books = &federation.LedgerReader{Self: reseller, Work: store.For[federation.Tx](r.Store), Link: l, Now: r.Clock.Now, Handlers: map[ledger.Kind]federation.Handler{}}
	for _, kind := range ledger.Kinds() {
		books.Handlers[kind] = func(federation.Tx, ledger.Entry) error { return nil }
	}
	goods = &federation.CatalogReader{
		Self: reseller, Work: store.For[federation.Tx](r.Store), Link: l,
		Catalog: &catalog.Reader{Work: store.For[catalog.Tx](r.Store), Schemas: recipe.NewSchemas(0), Now: r.Clock.Now},
	}
	r.View(func(tx *store.Tx) (err error) { partner, err = tx.Partners().Get(supplier); return err })
	return s, l, books, goods, partner
}

// TestAFloodEndsItsStreamBeforeItIsVerified has a partner send what verifies, as fast as it can.
func TestAFloodEndsItsStreamBeforeItIsVerified(t *testing.T) {
	t.Parallel()
	h := &flooder{}
	s, l, books, goods, partner := market(t, h)
	s.Append(reseller, ledger.OrderAccepted, "order-1")
	page, err := s.Book.Tail(t.Context(), reseller, ledger.Position{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	h.tail = func(n int) *peerv1.TailResponse {
		if n == 0 {
			return &peerv1.TailResponse{Entries: page.Entries, Checkpoint: page.Checkpoint}
		}
		return &peerv1.TailResponse{Checkpoint: page.Checkpoint}
	}
	feed := &federation.CatalogFeed{Self: supplier, Signer: s.Keys, Catalog: &catalog.Service{Self: supplier, Work: store.For[catalog.Tx](s.Store), Now: s.Clock.Now}}
	nothingSold, err := feed.Page(t.Context(), reseller, nil, federation.CatalogPage{})
	if err != nil || len(nothingSold.Items) > 0 {
		t.Fatalf("an empty catalog has %+v, %v", nothingSold, err)
	}
	h.watch = func(int) *peerv1.WatchResponse {
		return &peerv1.WatchResponse{
			Cursor: nothingSold.Cursor, Signature: nothingSold.Signature, SnapshotBegin: nothingSold.SnapshotBegin, SnapshotEnd: nothingSold.SnapshotEnd,
		}
	}
	var overs []Overflow
	l.Over = func(o Overflow) { overs = append(overs, o) }
	verified := 0
	books.Tailed = func(string) { verified++ }
	goods.Synced = func(string) { verified++ }
	for _, c := range []struct {
		feed string
		once func(context.Context, member.Partner) federation.Outcome
		want int
	}{
		{"ledger", books.Feed().Once, 61}, // one has news
		{"catalog", goods.Feed().Once, 60},
	} {
		verified = 0
		got := c.once(t.Context(), partner)
		if fault.ReasonOf(got.Err) != federation.ReasonFlood || !fault.Is(got.Err, fault.Exhausted) || got.Refused {
			t.Fatalf("the %s feed ends as %+v", c.feed, got)
		}
		if verified != c.want {
			t.Errorf("%d messages of the %s feed are verified, want %d", verified, c.feed, c.want)
		}
		// A new stream is no new bound.
		verified = 0
		if got := c.once(t.Context(), partner); fault.ReasonOf(got.Err) != federation.ReasonFlood {
			t.Errorf("a second %s stream ends as %+v", c.feed, got)
		}
		if most := 1; verified > most { // the ledger's first page is not empty
			t.Errorf("a second stream has %d verified", verified)
		}
	}
	if len(overs) != 4 || !overs[0].First || overs[1].First || overs[2].First || overs[3].First || overs[0].Feed != "ledger" || overs[2].Feed != "catalog" || overs[2].Bound != "snapshots" {
		t.Errorf("told of %+v", overs)
	}
	if reach := l.Status.Of(supplier); !reach.Up || reach.LastError == "" {
		t.Errorf("the partner shows as %+v", reach)
	}
}

// BenchmarkHeartbeat compares what a heartbeat takes that is verified with one that is charged and refused.
func BenchmarkHeartbeat(b *testing.B) {
	s, l, books, _, partner := market(b, &flooder{})
	page, err := s.Book.Tail(b.Context(), reseller, ledger.Position{}, 10)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verified", func(b *testing.B) {
		for b.Loop() {
			if _, err := books.Read(b.Context(), partner, ledger.Position{}, federation.LedgerPage{Checkpoint: page.Checkpoint}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("charged", func(b *testing.B) {
		message := &peerv1.TailResponse{Checkpoint: page.Checkpoint}
		for b.Loop() {
			_ = l.take(flowKey{supplier, "ledger"}, l.Status.begin(), weight{bytes: proto.Size(message)})
		}
	})
}
