package federation_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/hanse-market/hanse/auth/keys"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// BenchmarkCatalogColdSync takes over the whole catalog of a partner, from the bytes of the pages to the last listing in the search, and
// loads the rows that it left into a new SQLite file of the same tables, in one transaction; the ratio is of the rows a second.
// Run it with -benchtime 1x.
func BenchmarkCatalogColdSync(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 500_000} {
		b.Run(fmt.Sprintf("offerings=%d", n), func(b *testing.B) {
			var ratios, busy, rates, cpu []float64
			for b.Loop() {
				r := newCatalogReseller(b)
				pages := r.pages(b, n, 1)
				runtime.GC()
				ours, used := r.sync(b, pages, n)
				r.end()
				theirs, load := r.bulkLoad(b, n)
				ratios = append(ratios, theirs.Seconds()/ours.Seconds())
				busy = append(busy, load.Seconds()/used.Seconds())
				rates = append(rates, float64(n)/ours.Seconds())
				cpu = append(cpu, float64(used.Microseconds())/float64(n))
				b.Logf("%d offerings of %d bytes: synced in %v, loaded in %v", n, len(benchDocument(0, 1)), ours.Round(time.Millisecond), theirs.Round(time.Millisecond))
			}
			b.ReportMetric(middle(ratios), "x-bulk-load")
			b.ReportMetric(middle(busy), "x-bulk-load-cpu")
			b.ReportMetric(middle(rates), "offerings/s")
			b.ReportMetric(middle(cpu), "cpu-us/offering")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCatalogEditVisible has a partner change one of 100,000 offerings after the other, and measures from the bytes of the page to
// the search that finds the new price. Run it with -benchtime 1x.
func BenchmarkCatalogEditVisible(b *testing.B) {
	const n, edits = 100_000, 300
	for b.Loop() {
		r := newCatalogReseller(b)
		r.sync(b, r.pages(b, n, 1), n)
		before := r.member.Store.Stats()
		var took []time.Duration
		for i := range edits {
			page := r.page(b, []int{i * 331 % n}, int64(2+i), false, false)
			begun := time.Now()
			r.read(b, page)
			awaits(func() bool { return r.finds(b, i*331%n, int64(2+i)) })
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		after := r.member.Store.Stats()
		b.ReportMetric(float64(took[edits/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(took[edits*99/100].Microseconds())/1000, "ms-p99")
		b.ReportMetric(float64(after.Statements-before.Statements)/edits, "statements/edit")
		var pages []float64
		for i := range 20 { // full pages of edits all over the catalog: how long they hold up other writes
			var ids []int
			for k := range federation.PageSize {
				ids = append(ids, (i+k*199)%n)
			}
			page := r.page(b, ids, int64(1000+i), false, false)
			begun := time.Now()
			r.read(b, page)
			pages = append(pages, float64(time.Since(begun).Microseconds())/1000)
		}
		b.ReportMetric(middle(pages), "ms-full-page")
		b.ReportMetric(0, "ns/op")
	}
}

// catalogReseller takes over a catalog that nobody needs to sell: its pages are made and signed here.
type catalogReseller struct {
	member  *markettest.Member
	reader  *federation.CatalogReader
	indexer *listing.Indexer
	partner member.Partner
	from    *markettest.Member
	wake    chan struct{}
	cursor  []byte
	seq     uint64
	// end stops the indexer.
	end func()
}

func newCatalogReseller(b *testing.B) *catalogReseller {
	b.Helper()
	r := &catalogReseller{wake: make(chan struct{}, 1), from: markettest.NewMember(b, supplier)}
	r.member = markettest.Open(b, reseller, markettest.Config{Wake: func(topic unit.Topic) {
		if topic == unit.Listings {
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}})
	r.member.Meet(r.from)
	markettest.Agree(r.from, r.member, "a", agreement.Terms{Currency: "EUR", WholesaleDiscountBP: 2000})
	r.partner = member.Partner{Origin: supplier, BusinessKey: r.from.Key()}
	index := search.New()
	b.Cleanup(index.Close)
	arrivals := &catalog.Arrivals{}
	r.indexer = &listing.Indexer{
		Arrivals: arrivals, Self: reseller, Work: store.For[listing.Tx](r.member.Store), Index: index, Now: r.member.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	r.reader = &federation.CatalogReader{
		Self: reseller, Work: store.For[federation.Tx](r.member.Store), Logger: slog.New(slog.DiscardHandler),
		Catalog: &catalog.Reader{
			Arrivals: arrivals, Work: store.For[catalog.Tx](r.member.Store), Schemas: recipe.NewSchemas(0), Now: r.member.Clock.Now, MaxOfferings: 1_000_000,
		},
	}
	if err := r.indexer.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- r.indexer.Run(ctx, r.wake) }()
	r.end = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(r.end)
	return r
}

// pages of a whole catalog, as they travel.
func (r *catalogReseller) pages(b *testing.B, n int, revision int64) (pages [][]byte) {
	const size = federation.PageSize
	for from := 0; from < n; from += size {
		var ids []int
		for i := from; i < min(from+size, n); i++ {
			ids = append(ids, i)
		}
		pages = append(pages, r.page(b, ids, revision, from == 0, from+size >= n))
	}
	return pages
}

func (r *catalogReseller) page(b *testing.B, ids []int, revision int64, begin, end bool) []byte {
	b.Helper()
	page := catalog.Page{SnapshotBegin: begin, SnapshotEnd: end}
	r.seq++
	page.Cursor = binary.BigEndian.AppendUint64(nil, r.seq)
	message := &peerv1.WatchResponse{Cursor: page.Cursor, SnapshotBegin: begin, SnapshotEnd: end}
	for _, i := range ids {
		raw := benchDocument(i, revision)
		sum := sha256.Sum256(raw)
		page.Items = append(page.Items, catalog.Change{OfferingID: benchID(i), Revision: revision, Document: raw, Digest: sum})
		message.Changes = append(message.Changes, &peerv1.CatalogChange{OfferingId: benchID(i), Revision: revision, Document: raw, Digest: sum[:]})
	}
	payload, err := federation.PagePayload(supplier, reseller, page)
	if err != nil {
		b.Fatal(err)
	}
	if message.Signature, err = r.from.Keys.Sign(keys.Business, signed.CatalogPage, payload); err != nil {
		b.Fatal(err)
	}
	raw, err := proto.Marshal(message)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

func (r *catalogReseller) read(b *testing.B, raw []byte) {
	var m peerv1.WatchResponse
	if err := proto.Unmarshal(raw, &m); err != nil {
		b.Fatal(err)
	}
	page := federation.CatalogPage{Signature: m.GetSignature(), Page: catalog.Page{
		Cursor: m.GetCursor(), SnapshotBegin: m.GetSnapshotBegin(), SnapshotEnd: m.GetSnapshotEnd(),
	}}
	for _, ch := range m.GetChanges() {
		item := catalog.Change{OfferingID: ch.GetOfferingId(), Revision: ch.GetRevision(), Document: ch.GetDocument(), Tombstone: ch.GetTombstone()}
		copy(item.Digest[:], ch.GetDigest())
		page.Items = append(page.Items, item)
	}
	if err := r.reader.Read(b.Context(), r.partner, r.cursor, page); err != nil {
		b.Fatal(err)
	}
	r.cursor = page.Cursor
}

// awaits looks until something is so: often enough that the looking is no part of what is measured.
func awaits(so func() bool) {
	for !so() {
		time.Sleep(200 * time.Microsecond)
	}
}

// sync reads the pages while the index follows, and returns how long it took and how much of both processors.
func (r *catalogReseller) sync(b *testing.B, pages [][]byte, n int) (took, used time.Duration) {
	begun, cpu := time.Now(), processCPU(b)
	for _, raw := range pages {
		r.read(b, raw)
	}
	awaits(func() bool { return r.indexer.Index.Len() == n })
	return time.Since(begun), processCPU(b) - cpu
}

// bulkLoad loads the rows of partners' offerings into a new file, with the tables as they are in ours.
func (r *catalogReseller) bulkLoad(b *testing.B, n int) (took, used time.Duration) {
	b.Helper()
	from, err := sqlite.OpenConn(r.member.Path, sqlite.OpenReadOnly)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := sqlite.OpenConn(filepath.Join(b.TempDir(), "bulk.db"), sqlite.OpenReadWrite|sqlite.OpenCreate)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	run := func(query string) {
		if err := sqlitex.ExecuteTransient(to, query, nil); err != nil {
			b.Fatal(query, err)
		}
	}
	run("PRAGMA journal_mode = WAL")
	run("PRAGMA synchronous = FULL")
	err = sqlitex.ExecuteTransient(from, `SELECT sql FROM sqlite_master WHERE tbl_name = 'foreign_offering' AND sql IS NOT NULL ORDER BY type DESC`,
		&sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error { run(s.ColumnText(0)); return nil }})
	if err != nil {
		b.Fatal(err)
	}
	var rows [][]any
	err = sqlitex.ExecuteTransient(from, `SELECT * FROM foreign_offering ORDER BY partner, id`, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		row := make([]any, s.ColumnCount())
		for i := range row {
			switch s.ColumnType(i) {
			case sqlite.TypeInteger:
				row[i] = s.ColumnInt64(i)
			case sqlite.TypeText:
				row[i] = s.ColumnText(i)
			default:
				raw := make([]byte, s.ColumnLen(i))
				s.ColumnBytes(i, raw)
				row[i] = raw
			}
		}
		rows = append(rows, row)
		return nil
	}})
	if err != nil || len(rows) != n {
		b.Fatalf("%d rows, %v", len(rows), err)
	}
	width := len(rows[0])
	begun, cpu := time.Now(), processCPU(b)
	run("BEGIN IMMEDIATE")
	insert, err := to.Prepare("INSERT INTO foreign_offering VALUES (" + strings.Repeat("?, ", width-1) + "?)")
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range rows {
		for i, v := range row {
			switch v := v.(type) {
			case int64:
				insert.BindInt64(i+1, v)
			case string:
				insert.BindText(i+1, v)
			case []byte:
				insert.BindBytes(i+1, v)
			}
		}
		if _, err := insert.Step(); err != nil {
			b.Fatal(err)
		}
		if err := insert.Reset(); err != nil {
			b.Fatal(err)
		}
	}
	run("COMMIT")
	return time.Since(begun), processCPU(b) - cpu
}

// finds reports whether a customer finds the revision.
func (r *catalogReseller) finds(b *testing.B, i int, revision int64) bool {
	found, err := r.indexer.Index.Search(search.Query{Text: benchName(i, revision), PageSize: 1})
	if err != nil {
		b.Fatal(err)
	}
	return found.Total == 1
}

func benchID(i int) string { return fmt.Sprintf("server-%06d", i) }

// benchName is a word that no other offering and no other revision has.
func benchName(i int, revision int64) string { return fmt.Sprintf("n%dr%d", i, revision) }

func benchPrice(i int, revision int64) int64 { return 500 + int64(i%997) + revision }

// benchDocument is an offering as a cloud provider has many: plans by sizes by places, with one form for all of them.
func benchDocument(i int, revision int64) []byte {
	places := []struct{ region, country string }{{"helsinki", "FI"}, {"hamburg", "DE"}, {"paris", "FR"}, {"milano", "IT"}, {"stockholm", "SE"}}
	place := places[i%len(places)]
	cores, memory, disk := 1<<(i/5%6), 2<<(i/30%7), 20*(1+i/210%40)
	doc := catalog.Document{
		ID: benchID(i), Revision: revision, State: catalog.Orderable,
		Name:    fmt.Sprintf("Cloud server %d cores %d GB %s %s", cores, memory, place.region, benchName(i, revision)),
		Summary: fmt.Sprintf("%d dedicated cores, %d GB of memory, %d GB NVMe in %s", cores, memory, disk, place.region),
		Description: "A virtual server on hardware of its own class, with snapshots, a firewall and daily backups kept for a week. " +
			"Traffic within the region is free; a private network and IPv6 come with it.",
		Category: "compute", Family: fmt.Sprintf("cloud-%d", cores), Plan: fmt.Sprintf("%d GB", memory), Region: place.region, Country: place.country,
		Certifications: []string{"ISO 27001", "C5"}, Currency: "EUR",
		Prices: []price.Component{
			{ID: "fee", Name: "Monthly fee", Kind: price.Recurring, Period: "P1M", Amount: fmt.Sprintf("%d.%02d", benchPrice(i, revision)/100, benchPrice(i, revision)%100)},
			{ID: "traffic", Name: "Traffic", Kind: price.Usage, Unit: "GB", Amount: "0.0043"},
		},
		Inputs: json.RawMessage(`{"type":"object","required":["name"],"properties":{"name":{"type":"string","title":"Name","maxLength":63},"ssh_key":{"type":"string","title":"SSH key"}},"additionalProperties":false}`), Outputs: json.RawMessage(`{"type":"object"}`),
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return raw
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
