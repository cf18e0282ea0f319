package search_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hanse-market/hanse/sdk"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/hot"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/portal"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	rpcportal "github.com/hanse-market/hanse/sidecar/internal/rpc/portal"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// BenchmarkCatalogPageThroughRelay asks for pages of a catalog of 100,000 listings as a browser does: JSON over HTTP to the portal's
// storefront, which relays to the Portal API, 64 callers at once. The baseline in the same run is the same storefront and Portal
// API over a shop that finds in SQLite's FTS5 and shows finished rows, retail prices and all. The pages are compared before
// anything is timed. Run it with -benchtime 1x.
func BenchmarkCatalogPageThroughRelay(b *testing.B) {
	const callers, pages, rounds = 64, 384, 5
	shelf := newBenchShelf(b)
	s := openStore(b)
	seed(b, s, shelf)
	index := search.New()
	defer index.Close()
	work := store.For[listing.Tx](s)
	indexer := &listing.Indexer{Self: pageSelf, Work: work, Index: index, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if err := indexer.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	ours := newStorefront(b, s, &listing.Service{Self: pageSelf, Work: work, Index: index, Now: time.Now})
	theirs := newStorefront(b, s, newFTSShop(b, shelf))
	var questions [][]byte
	for _, q := range benchQuestions(shelf, benchListings) {
		m := &portalv1.SearchListingsRequest{Query: q.Text, Currency: q.Currency, Sort: portalv1.ListingSort_LISTING_SORT_PRICE_ASC, PageSize: benchPage}
		for _, f := range q.Filters {
			m.Filters = append(m.Filters, &portalv1.FacetFilter{Facet: f.Facet, Values: f.Values})
		}
		raw, err := protojson.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		questions = append(questions, raw)
		if d := gocmp.Diff(theirs.page(b, raw), ours.page(b, raw), protocmp.Transform()); d != "" {
			b.Fatalf("the pages differ on %s (FTS5 -, ours +):\n%s", raw, d)
		}
	}
	load := func(at *storefront) (took []time.Duration, cpu float64) {
		took = make([]time.Duration, pages)
		var next atomic.Int64
		var all sync.WaitGroup
		spent := processCPU(b)
		for range callers {
			all.Go(func() {
				for i := int(next.Add(1)) - 1; i < pages; i = int(next.Add(1)) - 1 {
					begun := time.Now()
					at.ask(b, questions[i%len(questions)])
					took[i] = time.Since(begun)
				}
			})
		}
		all.Wait()
		return took, float64((processCPU(b) - spent).Microseconds()) / pages
	}
	var p50, p99, cpu, ours50, ours99, oursCPU, statements []float64
	for b.Loop() {
		for round := range rounds {
			var took [2][]time.Duration
			var spent [2]float64
			for turn := range 2 {
				e := (turn + round) % 2
				before := s.Stats().Statements
				took[e], spent[e] = load([]*storefront{ours, theirs}[e])
				if e == 0 {
					statements = append(statements, float64(s.Stats().Statements-before)/pages)
				}
			}
			p50, p99 = append(p50, ratio(took[1], took[0], 50)), append(p99, ratio(took[1], took[0], 99))
			ours50, ours99 = append(ours50, micro(took[0], 50)), append(ours99, micro(took[0], 99))
			oursCPU = append(oursCPU, spent[0])
			if spent[0] > 0 {
				cpu = append(cpu, spent[1]/spent[0])
			}
		}
	}
	b.ReportMetric(median(p50), "x-FTS5-p50")
	b.ReportMetric(median(p99), "x-FTS5-p99")
	if len(cpu) > 0 {
		b.ReportMetric(median(cpu), "x-FTS5-cpu")
	}
	b.ReportMetric(median(ours50)/1000, "p50-ms")
	b.ReportMetric(median(ours99)/1000, "p99-ms")
	b.ReportMetric(median(oursCPU), "cpu-us/page")
	b.ReportMetric(median(statements), "statements/page")
}

const (
	pageSelf     = "https://us.localhost"
	pageSupplier = "https://north.localhost"
)

func openStore(b *testing.B) *store.Store {
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "hanse.db"), SiteKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// inputs is a schema as offerings have them.
const inputs = `{"type":"object","additionalProperties":false,"required":["title","image"],"properties":{"title":{"type":"string","title":"Name",
"maxLength":60},"image":{"type":"string","title":"System","enum":["debian-13","ubuntu-26.04","rocky-10"]},"key":{"type":"string","title":"SSH key","maxLength":4000},
"backup":{"type":"boolean","title":"Daily backup","default":false}}}`

// seed stores the shelf as what a supplier offers: sold at a discount of a fifth, and marked up to the price on the shelf.
func seed(b *testing.B, s *store.Store, shelf benchShelf) {
	do := func(fn func(tx listing.Tx) error) {
		if err := store.For[listing.Tx](s).Do(b.Context(), fn); err != nil {
			b.Fatal(err)
		}
	}
	do(func(tx listing.Tx) error {
		_, err := tx.Agreements().Put(agreement.Agreement{
			ID: "a1", Supplier: pageSupplier, Reseller: pageSelf, State: agreement.Active, Terms: agreement.Terms{WholesaleDiscountBP: 2000, Currency: "EUR"},
		})
		return err
	})
	do(func(tx listing.Tx) error { return tx.Listings().PutRule(listing.Rule{MarkupBP: 2500}) })
	const batch = 2000
	for from := 0; from < benchListings; from += batch {
		do(func(tx listing.Tx) error {
			for i := from; i < from+batch; i++ {
				d := shelf.at(i)
				raw, err := json.Marshal(catalog.Document{
					ID: offeringID(i), Revision: 1, State: catalog.Orderable, Name: d.Name, Summary: d.Summary, Description: d.Description, Category: d.Category,
					Region: d.Region, Country: d.Country, Certifications: d.Certifications, Currency: d.Currency,
					Inputs: json.RawMessage(inputs), Outputs: json.RawMessage(`{"type":"object","properties":{"ip":{"type":"string"},"password":{"type":"string"}}}`),
					Prices: []price.Component{{ID: "monthly", Name: "Monthly fee", Kind: price.Recurring, Period: "P1M", Amount: fmt.Sprintf("%d.%02d", d.Price/100, d.Price%100)}},
				})
				if err != nil {
					return err
				}
				if _, err := tx.Catalog().PutForeign(catalog.Foreign{
					Partner: pageSupplier, ID: offeringID(i), Listing: pageListing(i), Revision: 1, Document: raw, Digest: sha256.Sum256(raw),
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func offeringID(number int) string { return fmt.Sprintf("server-%d", number) }

func pageListing(number int) string { return catalog.ListingID(pageSupplier, offeringID(number)) }

// pageShelf is the shelf under the ids that listings of the store have.
type pageShelf struct{ benchShelf }

func (s pageShelf) at(number int) search.Doc {
	d := s.benchShelf.at(number)
	d.ID = pageListing(number)
	return d
}

// ftsShop shows what FTS5 finds.
type ftsShop struct {
	rpcportal.Shop
	b *testing.B
	*fts
	rows map[string]listing.View
}

// newFTSShop keeps the finished rows in memory, where reading them costs it nothing.
func newFTSShop(b *testing.B, shelf benchShelf) *ftsShop {
	docs := newShelfByPrice(pageShelf{shelf}, benchListings)
	shop := &ftsShop{b: b, fts: newFTS(b, docs), rows: map[string]listing.View{}}
	shop.db.SetMaxOpenConns(4)
	for _, d := range docs.each {
		shop.rows[d.ID] = listing.View{
			ID: d.ID, Name: d.Name, Summary: d.Summary, Category: d.Category, Region: d.Region, Country: d.Country, Certifications: d.Certifications,
			Headline: price.Headline{Amount: money.Amount{Minor: d.Price, Currency: d.Currency}, Per: "P1M"}, Availability: listing.Orderable,
		}
	}
	return shop
}

// Search implements rpcportal.Shop.
func (s *ftsShop) Search(_ context.Context, q search.Query) (listing.Page, error) {
	a := s.ask(s.b, q)
	page := listing.Page{Total: a.Total}
	for _, id := range a.IDs {
		page.Listings = append(page.Listings, s.rows[id])
	}
	for _, facet := range []string{search.FacetCategory, search.FacetRegion, search.FacetCountry, search.FacetCertification} {
		f := search.Facet{Name: facet}
		for key, n := range a.Counts {
			if value, is := strings.CutPrefix(key, facet+" "); is {
				f.Values = append(f.Values, search.FacetValue{Value: value, Count: n})
			}
		}
		page.Facets = append(page.Facets, f)
	}
	return page, nil
}

// storefront is a portal with Hanse in it, and the sidecar behind it.
type storefront struct {
	url    string
	client *http.Client
}

func newStorefront(b *testing.B, s *store.Store, shop rpcportal.Shop) *storefront {
	b.Helper()
	callers, err := portal.New(portal.Config{Work: store.For[portal.Tx](s), HashKey: bytes.Repeat([]byte{7}, 32), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	_, key, err := callers.Add(b.Context(), fmt.Sprintf("shop-%d", time.Now().UnixNano()), nil, true)
	if err != nil {
		b.Fatal(err)
	}
	var calls atomic.Int64
	api, err := rpcportal.New(rpcportal.Config{
		Config: gate.Config{
			Log: slog.New(slog.DiscardHandler), Now: time.Now, NewID: func() string { return fmt.Sprint(calls.Add(1)) }, Wakeups: hot.NewMemory(time.Now),
		},
		Callers: callers, Shop: shop, Orders: &retail.Service{}, Subscriptions: &subscription.Service{},
	})
	if err != nil {
		b.Fatal(err)
	}
	between := &http.Transport{MaxIdleConnsPerHost: 64}
	outside := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(between.CloseIdleConnections)
	b.Cleanup(outside.CloseIdleConnections)
	client, err := sdk.New(listen(b, api), key, sdk.WithHTTPClient(&http.Client{Transport: between}))
	if err != nil {
		b.Fatal(err)
	}
	front := sdk.Storefront(client, sdk.StorefrontConfig{Customer: func(*http.Request) (string, bool) { return "", false }})
	return &storefront{url: listen(b, front) + "/hanse/api/hanse.portal.v1.CatalogService/SearchListings", client: &http.Client{Transport: outside}}
}

// listen serves until the benchmark ends.
func listen(b *testing.B, h http.Handler) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(l)
	}()
	b.Cleanup(func() { _ = server.Close(); <-stopped })
	return "http://" + l.Addr().String()
}

func (f *storefront) ask(b *testing.B, question []byte) []byte {
	res, err := f.client.Post(f.url, "application/json", bytes.NewReader(question))
	if err != nil {
		b.Error(err)
		return nil
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Errorf("%s: %s (%v)", res.Status, raw, err)
	}
	return raw
}

// page is what both shops must show: the listings, how many there are, and the counts of four facets.
func (f *storefront) page(b *testing.B, question []byte) *portalv1.SearchListingsResponse {
	var out portalv1.SearchListingsResponse
	if err := protojson.Unmarshal(f.ask(b, question), &out); err != nil {
		b.Fatal(err)
	}
	out.NextPageToken = ""
	out.Facets = out.GetFacets()[:4]
	for _, facet := range out.GetFacets() {
		facet.Values = slices.DeleteFunc(facet.Values, func(v *portalv1.FacetValue) bool { return v.GetCount() == 0 })
		slices.SortFunc(facet.GetValues(), func(x, y *portalv1.FacetValue) int { return strings.Compare(x.GetValue(), y.GetValue()) })
	}
	return &out
}
