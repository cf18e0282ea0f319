package rpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClock moves only when a test says so; its timers fire as it passes them.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []fakeTimer
	// armed tells a test that somebody waits.
	armed chan struct{}
}

type fakeTimer struct {
	at time.Time
	ch chan time.Time
}

func newClock() *fakeClock {
	return &fakeClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), armed: make(chan struct{}, 100)}
}

func (c *fakeClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := fakeTimer{at: c.now.Add(d), ch: make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	c.armed <- struct{}{}
	return t.ch
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	var rest []fakeTimer
	for _, t := range c.timers {
		if t.at.After(c.now) {
			rest = append(rest, t)
			continue
		}
		t.ch <- c.now
	}
	c.timers = rest
}

// wakeups is a topic board like the hot state's.
type wakeups struct {
	mu   sync.Mutex
	subs map[unit.Topic][]chan struct{}
}

func (w *wakeups) Subscribe(topic unit.Topic) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.subs == nil {
		w.subs = make(map[unit.Topic][]chan struct{})
	}
	ch := make(chan struct{}, 1)
	w.subs[topic] = append(w.subs[topic], ch)
	return ch, func() {}
}

func (w *wakeups) wake(topic unit.Topic) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.subs[topic] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// orders is the real order service over the real store, but for Place, which is recorded, and Cancel, which finds what it would cancel.
type orders struct {
	*retail.Service
	mu     sync.Mutex
	placed []retail.PlaceCommand
	// fail is what Place answers.
	fail func(ctx context.Context) error
}

func (o *orders) Place(ctx context.Context, c retail.PlaceCommand) (retail.Order, error) {
	o.mu.Lock()
	o.placed = append(o.placed, c)
	o.mu.Unlock()
	if o.fail != nil {
		return retail.Order{}, o.fail(ctx)
	}
	placed := ordered(c.Portal, c.Customer, c.ID, order.Acknowledged)
	placed.Items[0].Action = c.Items[0].Action
	return placed, nil
}

func (o *orders) Rotate(_ context.Context, _, id string) (retail.Order, error) {
	return retail.Order{ID: id}, nil
}

func (o *orders) Cancel(ctx context.Context, portal, customer, id string) (retail.Order, error) {
	return o.Get(ctx, portal, customer, id)
}

func (o *orders) Abandon(ctx context.Context, portal, id string, _ bool, _ act.Word) (retail.Order, []int, error) {
	given, err := o.Get(ctx, portal, "", id)
	return given, []int{0}, err
}

// ordered is an order of one item in a state.
func ordered(portal, customer, id string, state order.State) retail.Order {
	return retail.Order{
		Portal: portal, Customer: customer, ID: id, Items: []retail.Item{{
			CorrelationID: "corr-" + id, Partner: "https://supplier.example", Item: order.Item{Action: order.Add, State: state},
		}},
	}
}

func (o *orders) count() int { o.mu.Lock(); defer o.mu.Unlock(); return len(o.placed) }

// shop has one listing.
type shop struct{}

func (shop) Search(_ context.Context, q search.Query) (listing.Page, error) {
	v, _, err := shop{}.Get(context.Background(), "lst-1")
	return listing.Page{
		Listings: []listing.View{v}, Total: 1, NextPageToken: q.PageToken,
		Facets: []search.Facet{{Name: "country", Values: []search.FacetValue{{Value: "SE", Count: 1}}}},
	}, err
}

func (shop) Get(_ context.Context, id string) (listing.View, []listing.View, error) {
	if id != "lst-1" {
		return listing.View{}, nil, fault.New(fault.NotFound, "listing_not_found", "there is no listing %s", id)
	}
	v := listing.View{
		ID: "lst-1", Partner: "https://supplier.example", OfferingID: "off-1", Name: "Web app", Summary: "Runs your app", Category: "compute",
		Region: "eu-north", Country: "SE", Certifications: []string{"iso27001"}, Currency: "EUR",
		Headline: price.Headline{Amount: money.Amount{Minor: 1999, Currency: "EUR"}, Per: "P1M"}, Description: "Text",
		InputsSchema: []byte(`{"type":"object"}`), Digest: "d1", Prices: []price.Component{
			{ID: "base", Name: "Base", Kind: price.Recurring, Period: "P1M", Amount: "19.99"},
			{ID: "req", Name: "Requests", Kind: price.Usage, Unit: "request", Tiers: []price.Tier{{UpTo: 10, Amount: "0"}, {Amount: "0.0043"}}},
		},
	}
	return v, nil, nil
}

// observed is what the metrics hooks heard.
type observed struct {
	mu      sync.Mutex
	calls   map[string]int
	refused []string
}

func (o *observed) refuse(reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = append(o.refused, reason)
}

// refusals are the reasons since it was asked last.
func (o *observed) refusals() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.refused
	o.refused = nil
	return out
}

func (o *observed) hear(procedure, code string, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls = make(map[string]int)
	}
	o.calls[procedure+" "+code]++
}

func (o *observed) of(procedure, code string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[procedure+" "+code]
}

// bench is a Portal API over the real store, served over real HTTP.
type bench struct {
	server   *httptest.Server
	clock    *fakeClock
	store    *store.Store
	callers  *portal.Service
	orders   *orders
	wakeups  *wakeups
	observed *observed
	log      *lockedBuffer
	// key is a portal key with all scopes.
	key string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func newBench(t *testing.T, options ...func(*rpcportal.Config)) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "hanse.db"), SiteKey: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &bench{clock: newClock(), store: s, wakeups: &wakeups{}, observed: &observed{}, log: &lockedBuffer{}}
	b.callers, err = portal.New(portal.Config{Work: store.For[portal.Tx](s), HashKey: bytes.Repeat([]byte{7}, 32), Now: b.clock.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	b.orders = &orders{Service: &retail.Service{
		Work: store.For[retail.Tx](s), Correlate: func(portal, id string, position int) string { return fmt.Sprintf("%s/%s/%d", portal, id, position) },
	}}
	c := rpcportal.Config{
		Config:  b.config(),
		Callers: b.callers, Shop: shop{}, Orders: b.orders,
		Subscriptions: &subscription.Service{Work: store.For[subscription.Tx](s)},
	}
	for _, option := range options {
		option(&c)
	}
	h, err := rpcportal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewUnstartedServer(h)
	b.server.EnableHTTP2 = true
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
	b.key = b.addPortal(t, "shop")
	return b
}

func (b *bench) config() gate.Config {
	var n int
	var mu sync.Mutex
	return gate.Config{
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: b.clock.Now, After: b.clock.After, Wakeups: b.wakeups,
		NewID:   func() string { mu.Lock(); defer mu.Unlock(); n++; return fmt.Sprintf("req-%d", n) },
		Observe: b.observed.hear, Refused: b.observed.refuse,
	}
}

func (b *bench) addPortal(t *testing.T, name string, scopes ...string) string {
	t.Helper()
	_, key, err := b.callers.Add(t.Context(), name, scopes, false)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (b *bench) session(t *testing.T, key, customer, origin string) string {
	t.Helper()
	who, err := b.callers.Authenticate(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := b.callers.CreateSession(t.Context(), who, customer, nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// putOrder and putSubscription write what belongs to a customer.
func (b *bench) putOrder(t *testing.T, o retail.Order) retail.Order {
	t.Helper()
	err := b.store.Do(t.Context(), func(tx *store.Tx) (err error) {
		o, err = tx.RetailOrders().Put(o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (b *bench) putSubscription(t *testing.T, s subscription.Subscription, access string) {
	t.Helper()
	err := store.For[subscription.Tx](b.store).Do(t.Context(), func(tx subscription.Tx) error {
		if _, err := tx.Subscriptions().Put(s); err != nil || access == "" {
			return err
		}
		return tx.Subscriptions().PutSecret(s.Key(), subscription.SecretAccess, []byte(access))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// reply is an answer as a plain HTTP client sees it.
type reply struct {
	status int
	header http.Header
	body   []byte
	// code, reason and field of the error; "" where there is none.
	code, reason, field, cause, message, action string
}

func (r reply) String() string { return fmt.Sprintf("%d %s/%s %s", r.status, r.code, r.reason, r.body) }

// send makes a request the way curl does.
func send(t *testing.T, client *http.Client, req *http.Request) reply {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	// protojson varies its spaces from build to build.
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		body = compact.Bytes()
	}
	out := reply{status: res.StatusCode, header: res.Header, body: body}
	var e struct {
		Code    string
		Message string
		Details []struct {
			Type  string
			Debug struct{ Reason, Field, Cause, Action string }
		}
	}
	if res.StatusCode != http.StatusOK && json.Unmarshal(body, &e) == nil {
		out.code, out.message = e.Code, e.Message
		for _, d := range e.Details {
			if d.Type == "hanse.type.v1.ErrorInfo" {
				out.reason, out.field, out.cause, out.action = d.Debug.Reason, d.Debug.Field, d.Debug.Cause, d.Debug.Action
			}
		}
	}
	return out
}

func (b *bench) post(t *testing.T, procedure, key, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.server.URL+procedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return send(t, b.server.Client(), req)
}

var errSecret = errors.New("dial postgres://hanse:hunter2@10.0.0.7: no route")

type pathKey struct{}

// withPath stands in for bearer's middleware: it tells the test's caller which procedure is called.
func withPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pathKey{}, r.URL.Path)))
	})
}
