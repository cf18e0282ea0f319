package sidecar_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	_ "modernc.org/sqlite"

	"github.com/hanse-market/hanse/adapters"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/tlsdev"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// each calls fn n times from c goroutines and returns the calls per second until done has returned.
func each(t testing.TB, n, c int, fn func(i int) error, done func()) float64 {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range c {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := fn(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	done()
	return float64(n) / time.Since(began).Seconds()
}

// accepting is an adapter without a platform that never provides: what is measured is the way of an order up to the supplier's decision (durable insert, bound call, verification, durable insert, receipt, durable
// update), as in the figures that we design for.
type accepting struct{}

func (accepting) Describe() adapters.Description {
	return adapters.Description{Name: "accepting", Tier: adapters.TierA, Outputs: []adapters.Output{{Name: "url"}}}
}
func (accepting) Validate(context.Context, adapters.Request) error { return nil }
func (accepting) Apply(context.Context, adapters.Request) (adapters.Result, error) {
	return adapters.Result{}, &adapters.Error{Class: adapters.NotReady, Message: "not measured", After: time.Hour}
}

func (accepting) Observe(context.Context, adapters.Request) (adapters.Observation, error) {
	return adapters.Observation{}, nil
}

func (accepting) Act(context.Context, adapters.Request, string) (adapters.Result, error) {
	return adapters.Result{}, nil
}
func (accepting) Destroy(context.Context, adapters.Request) error { return nil }
func (accepting) Collect(context.Context, adapters.Request, time.Time, time.Time) ([]adapters.MeterPoint, error) {
	return nil, nil
}
func (accepting) Close() error { return nil }

const benchOffering = `apiVersion: hanse/v1
kind: Offering
id: bench
name: Bench
summary: Something to order.
category: test
region: here
country: FI
currency: EUR
prices:
  - {id: monthly, name: Monthly fee, kind: recurring, period: P1M, amount: "4.90"}
recipe:
  inputs: {type: object, additionalProperties: false, properties: {title: {type: string}}}
  outputs: {type: object, properties: {url: {type: string}}}
  step: {adapter: accepting, connection: nowhere}
`

// realPipe is a reseller with its suppliers and a portal that places orders with them, in this process or elsewhere.
type realPipe struct {
	members []*sidecartest.Member // the reseller first
	// clients are of the reseller's Portal API, one for each replica; they take turns.
	clients []portalv1connect.OrderServiceClient
	bearer  connect.ClientOption
	// listings are ordered in turn, one of each supplier.
	listings []string
	runs     atomic.Int64
	// database is the reseller's.
	database *sql.DB
}

// acceptingMember configures a member of a pipe.
func acceptingMember(_ string, cfg *sidecar.Config) {
	cfg.Platforms = map[string]adapters.Adapter{"accepting": accepting{}}
	cfg.Adapters.Connections = map[string]sidecar.Connection{"nowhere": {Adapter: "accepting"}}
	cfg.Limits.RatePerSecond, cfg.Limits.RateBurst = 1e6, 1e6
}

// enter lets the portal use a replica of the reseller too.
func (p *realPipe) enter(replica *sidecartest.Member) {
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	p.clients = append(p.clients, portalv1connect.NewOrderServiceClient(h, replica.PortalURL, p.bearer))
}

// newRealPipe is a reseller and so many suppliers in this process.
func newRealPipe(t testing.TB, suppliers int) *realPipe {
	t.Helper()
	names := []string{"reseller"}
	for i := range suppliers {
		names = append(names, fmt.Sprintf("supplier%d", i))
	}
	return onFiles(t, partnered(t, sidecartest.New(t, acceptingMember, names...)))
}

// partnered makes the members partners, the first the reseller of all others, and opens a portal.
func partnered(t testing.TB, members []*sidecartest.Member) *realPipe {
	t.Helper()
	for _, supplier := range members[1:] {
		supplier.Apply(benchOffering)
		sidecartest.Connect(t, members[0], supplier, 2000, "EUR")
	}
	p := &realPipe{members: members}
	p.open(t)
	return p
}

// open makes a portal and waits until an offering of each supplier is listed.
func (p *realPipe) open(t testing.TB) {
	t.Helper()
	p.bearer, p.clients = sidecartest.Bearer(p.members[0].AddPortal("shop")), nil
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	p.enter(p.members[0])
	catalog := portalv1connect.NewCatalogServiceClient(h, p.members[0].PortalURL, p.bearer)
	sidecartest.Eventually(t, time.Minute, "the offerings are listed", func() error {
		res, err := catalog.SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{PageSize: 100}))
		if err != nil {
			return err
		}
		p.listings = nil
		for _, l := range res.Msg.GetListings() {
			p.listings = append(p.listings, l.GetId())
		}
		if len(p.listings) != len(p.members)-1 {
			return fmt.Errorf("%d listings", len(p.listings))
		}
		return nil
	})
}

// statements is how many SQL statements the members have run.
func (p *realPipe) statements() (n int64) {
	for _, m := range p.members {
		n += m.StoreStats().Statements
	}
	return n
}

// run places n orders from c callers and returns their rate until all of them are decided.
func (p *realPipe) run(t testing.TB, n, c int) float64 {
	t.Helper()
	run := p.runs.Add(1)
	return each(t, n, c, func(i int) error { return p.place(run, i) }, func() { p.wait(t, run) })
}

func (p *realPipe) place(run int64, i int) error {
	_, err := p.clients[i%len(p.clients)].PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
		Id: fmt.Sprintf("order-%d-%d", run, i), Customer: customer(run), Items: []*portalv1.OrderItem{{
			Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: p.listings[i%len(p.listings)],
			Inputs: &structpb.Struct{Fields: map[string]*structpb.Value{"title": structpb.NewStringValue("x")}},
		}},
	}))
	return err
}

// customer is who orders in a run, so that its orders can be found.
func customer(run int64) string { return fmt.Sprintf("customer-%d", run) }

// wait waits until all orders of a run are decided. It asks the reseller's database past the sidecar, so that waiting costs the
// sidecar nothing and counts nowhere.
func (p *realPipe) wait(t testing.TB, run int64) {
	t.Helper()
	for open := 1; open > 0 && !t.Failed(); {
		if err := p.database.QueryRow(`SELECT count(*) FROM retail_order WHERE portal = 'shop' AND customer = $1
			AND state IN ('acknowledged', 'pending.unreachable')`, customer(run)).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if open > 0 {
			<-time.After(time.Millisecond)
		}
	}
}

// onFiles is for members whose databases are files.
func onFiles(t testing.TB, p *realPipe) *realPipe {
	t.Helper()
	p.database = beside(t, p.members[0])
	return p
}

// beside opens a member's own database file for one who looks on.
func beside(t testing.TB, m *sidecartest.Member) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(m.Dir, "hanse.db")+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// barePipe is two handlers that only pass the message on.
type barePipe struct {
	client portalv1connect.OrderServiceClient
}

type bareSupplier struct {
	peerv1connect.UnimplementedExchangeServiceHandler
}

func (bareSupplier) Submit(_ context.Context, r *connect.Request[peerv1.SubmitRequest]) (*connect.Response[peerv1.SubmitResponse], error) {
	document := r.Msg.GetDocuments()[0].GetJws()
	return connect.NewResponse(&peerv1.SubmitResponse{
		Entries: [][]byte{[]byte(document)}, Checkpoint: document, Outcomes: []*peerv1.Outcome{{Result: &peerv1.Outcome_Decided{Decided: &peerv1.Decided{Seq: 1}}}},
	}), nil
}

type bareReseller struct {
	portalv1connect.UnimplementedOrderServiceHandler
	supplier peerv1connect.ExchangeServiceClient
	document string
}

func (s bareReseller) PlaceOrder(ctx context.Context, r *connect.Request[portalv1.PlaceOrderRequest]) (*connect.Response[portalv1.PlaceOrderResponse], error) {
	_, err := s.supplier.Submit(ctx, connect.NewRequest(&peerv1.SubmitRequest{Documents: []*peerv1.Document{{Jws: s.document, Inputs: []byte("{}")}}}))
	return connect.NewResponse(&portalv1.PlaceOrderResponse{Order: &portalv1.Order{Id: r.Msg.GetId(), State: "inProgress"}}), err
}

// uncompressed keeps a pipe bare: compressing small answers costs more than all else that it does.
var uncompressed = connect.WithAcceptCompression("gzip", nil, nil)

func newBarePipe(t testing.TB) *barePipe {
	t.Helper()
	ca := t.TempDir()
	return bareClient(bareResellerAt(t, ca, bareSupplierAt(t, ca)))
}

func bareClient(reseller string) *barePipe {
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return &barePipe{client: portalv1connect.NewOrderServiceClient(h, "http://"+reseller, uncompressed)}
}

const bareHost = "supplier.localhost"

// bareSupplierAt serves the far end under a CA and returns its address.
func bareSupplierAt(t testing.TB, devCA string) string {
	t.Helper()
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Certificate(bareHost)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(peerv1connect.NewExchangeServiceHandler(bareSupplier{}))
	return listen(t, mux, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}})
}

// bareResellerAt serves the near end and returns its address.
func bareResellerAt(t testing.TB, devCA, supplier string) string {
	t.Helper()
	ca, err := tlsdev.Open(devCA, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: bareHost}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
	}
	t.Cleanup(transport.CloseIdleConnections)
	mux := http.NewServeMux()
	mux.Handle(portalv1connect.NewOrderServiceHandler(bareReseller{
		supplier: peerv1connect.NewExchangeServiceClient(&http.Client{Transport: transport}, "https://"+supplier, uncompressed), document: strings.Repeat("d", 900),
	}))
	return listen(t, mux, nil)
}

// listen serves until the end of the test; secured, if not nil, is TLS.
func listen(t testing.TB, h http.Handler, secured *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if secured != nil {
		l = tls.NewListener(l, secured)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return address
}

func (p *barePipe) run(t testing.TB, n, c int) float64 {
	t.Helper()
	return each(t, n, c, func(i int) error {
		_, err := p.client.PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
			Id: fmt.Sprintf("order-%d", i), Customer: "c", Items: []*portalv1.OrderItem{{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: "lst"}},
		}))
		return err
	}, func() {})
}
