package sidecar_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

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

// BenchmarkOrderOverTwoSidecars places orders through a reseller's Portal API and waits until the supplier's decisions are
// committed at the reseller: everything signed, verified and durable. The baseline in the same run is the bare pipe: the same
// two hops over the same HTTP and TLS, without store, auth and compression. Reported is the median of paired ratios, and beside it
// what holds on a busy machine too: the CPU time of the whole process for one order (callers, both members and their clients), the
// same for one call of the bare pipe, and the SQL statements of both members for one order.
func BenchmarkOrderOverTwoSidecars(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			orders := 200
			if callers > 1 {
				orders = 1000
			}
			real, bare := newRealPipe(b), newBarePipe(b)
			real.run(b, orders/4, callers)
			bare.run(b, orders/4, callers)
			var ratios, cpu, bareCPU, statements []float64
			var fastest float64
			placed := func() float64 {
				spent, ran := processCPU(b), real.statements()
				rate := real.run(b, orders, callers)
				cpu = append(cpu, float64((processCPU(b)-spent).Microseconds())/float64(orders))
				statements = append(statements, float64(real.statements()-ran)/float64(orders))
				return rate
			}
			passed := func() float64 {
				spent := processCPU(b)
				rate := bare.run(b, orders, callers)
				bareCPU = append(bareCPU, float64((processCPU(b)-spent).Microseconds())/float64(orders))
				return rate
			}
			b.ResetTimer()
			for range b.N {
				for pair := range 5 {
					var r, p float64
					if pair%2 == 0 {
						r, p = placed(), passed()
					} else {
						p, r = passed(), placed()
					}
					ratios = append(ratios, r/p)
					fastest = max(fastest, r)
				}
			}
			b.ReportMetric(median(ratios), "of-the-bare-pipe")
			b.ReportMetric(fastest, "orders/s")
			b.ReportMetric(median(cpu), "cpu-µs/order")
			b.ReportMetric(median(bareCPU), "bare-cpu-µs/call")
			b.ReportMetric(median(statements), "statements/order")
		})
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// each calls fn n times from c goroutines and returns the calls per second until done has returned.
func each(b *testing.B, n, c int, fn func(i int) error, done func()) float64 {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range c {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	done()
	return float64(n) / time.Since(began).Seconds()
}

// accepting is an adapter without a platform; it counts the orders that arrived and never provides: what is measured is the
// way of an order up to the supplier's decision (durable insert, bound call, verification, durable insert, receipt, durable
// update), as in the figures that we design for.
type accepting struct{ applied *atomic.Int64 }

func (accepting) Describe() adapters.Description {
	return adapters.Description{Name: "accepting", Tier: adapters.TierA, Outputs: []adapters.Output{{Name: "url"}}}
}
func (accepting) Validate(context.Context, adapters.Request) error { return nil }
func (a accepting) Apply(context.Context, adapters.Request) (adapters.Result, error) {
	a.applied.Add(1)
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

type realPipe struct {
	reseller *sidecartest.Member
	members  []*sidecartest.Member
	client   portalv1connect.OrderServiceClient
	listing  string
	prefix   atomic.Int64
	applied  *atomic.Int64
}

func newRealPipe(b *testing.B) *realPipe {
	applied := new(atomic.Int64)
	members := sidecartest.New(b, func(_ string, cfg *sidecar.Config) {
		cfg.Platforms = map[string]adapters.Adapter{"accepting": accepting{applied}}
		cfg.Adapters.Connections = map[string]sidecar.Connection{"nowhere": {Adapter: "accepting"}}
		cfg.Limits.RatePerSecond, cfg.Limits.RateBurst = 1e6, 1e6
	}, "reseller", "supplier")
	members[1].Apply(benchOffering)
	sidecartest.Connect(b, members[0], members[1], 2000, "EUR")
	key := members[0].AddPortal("shop")
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	p := &realPipe{reseller: members[0], members: members, applied: applied, client: portalv1connect.NewOrderServiceClient(h, members[0].PortalURL, sidecartest.Bearer(key))}
	catalog := portalv1connect.NewCatalogServiceClient(h, members[0].PortalURL, sidecartest.Bearer(key))
	sidecartest.Eventually(b, 20*time.Second, "the offering is listed", func() error {
		res, err := catalog.SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{}))
		if err != nil {
			return err
		}
		if len(res.Msg.GetListings()) == 0 {
			return fmt.Errorf("no listing")
		}
		p.listing = res.Msg.GetListings()[0].GetId()
		return nil
	})
	return p
}

// statements is how many SQL statements both members have run.
func (p *realPipe) statements() (n int64) {
	for _, m := range p.members {
		n += m.StoreStats().Statements
	}
	return n
}

func (p *realPipe) run(b *testing.B, n, c int) float64 {
	b.Helper()
	prefix := p.prefix.Add(1)
	want := p.applied.Load() + int64(n)
	inputs, err := structpb.NewStruct(map[string]any{"title": "x"})
	if err != nil {
		b.Fatal(err)
	}
	return each(b, n, c, func(i int) error {
		_, err := p.client.PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
			Id: fmt.Sprintf("order-%d-%d", prefix, i), Customer: "c", Items: []*portalv1.OrderItem{{
				Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: p.listing, Inputs: inputs,
			}},
		}))
		return err
	}, func() {
		for p.applied.Load() < want {
			<-time.After(time.Millisecond)
		}
		// The last receipts are on their way; a scrape costs too much to ask all the time.
		for p.undecided(b) > 0 {
			<-time.After(5 * time.Millisecond)
		}
	})
}

// undecided reads from the metrics how many retail orders wait for their supplier.
func (p *realPipe) undecided(b *testing.B) int {
	res, err := http.Get(p.reseller.OpsURL + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	waiting := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		line := lines.Text()
		for _, state := range []string{`state="acknowledged"`, `state="pending.unreachable"`} {
			if strings.HasPrefix(line, "hanse_orders{") && strings.Contains(line, `side="retail"`) && strings.Contains(line, state) {
				n, err := strconv.Atoi(line[strings.LastIndex(line, " ")+1:])
				if err != nil {
					b.Fatal(err)
				}
				waiting += n
			}
		}
	}
	return waiting
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

func newBarePipe(b *testing.B) *barePipe {
	ca, err := tlsdev.Open(b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	certificate, err := ca.Certificate("supplier.localhost")
	if err != nil {
		b.Fatal(err)
	}
	listen := func(h http.Handler, secured bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		address := l.Addr().String()
		if secured {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}})
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(l) }()
		b.Cleanup(func() { _ = server.Close() })
		return address
	}
	supplierMux := http.NewServeMux()
	supplierMux.Handle(peerv1connect.NewExchangeServiceHandler(bareSupplier{}))
	supplier := listen(supplierMux, true)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "supplier.localhost"}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64,
	}
	resellerMux := http.NewServeMux()
	resellerMux.Handle(portalv1connect.NewOrderServiceHandler(bareReseller{
		supplier: peerv1connect.NewExchangeServiceClient(&http.Client{Transport: transport}, "https://"+supplier, uncompressed), document: strings.Repeat("d", 900),
	}))
	reseller := listen(resellerMux, false)
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return &barePipe{client: portalv1connect.NewOrderServiceClient(h, "http://"+reseller, uncompressed)}
}

func (p *barePipe) run(b *testing.B, n, c int) float64 {
	b.Helper()
	return each(b, n, c, func(i int) error {
		_, err := p.client.PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
			Id: fmt.Sprintf("order-%d", i), Customer: "c", Items: []*portalv1.OrderItem{{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: "lst"}},
		}))
		return err
	}, func() {})
}
