package search_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/hanse-market/hanse/sidecar/internal/search"
)

const (
	benchListings = 100_000
	benchQueries  = 200
	benchRounds   = 5
	benchPage     = 20
)

// BenchmarkAgainstSQLite asks the index and SQLite's FTS5 the same questions (words, two facets, cheapest first, the first
// 20, with counts of four facets) over the same listings, in turns, and reports the median over the rounds of SQLite's
// time through ours. Run it with -benchtime 1x. HANSE_BENCH_DATA names a cloud-servers.ndjson.gz.
func BenchmarkAgainstSQLite(b *testing.B) {
	for b.Loop() {
		shelf := newBenchShelf(b)
		docs := shelf.first(benchListings)
		before := heap()
		index := search.New()
		defer index.Close()
		start := time.Now()
		for chunk := range slices.Chunk(docs, 4000) {
			index.UpsertAll(chunk)
		}
		index.Close()
		built := time.Since(start)
		perListing := float64(heap()-before) / float64(len(docs))
		fts := newFTS(b, newShelfByPrice(shelf, benchListings))
		queries := benchQuestions(shelf, benchListings)
		hits := 0
		for _, q := range queries {
			ours, theirs := askIndex(b, index, q), fts.ask(b, q)
			if d := cmp.Diff(theirs, ours); d != "" {
				b.Fatalf("the engines disagree on %+v (SQLite -, index +):\n%s", q, d)
			}
			hits += int(ours.Total)
		}
		engines := []func(search.Query){
			func(q search.Query) { askIndex(b, index, q) },
			func(q search.Query) { fts.ask(b, q) },
		}
		var p50, p99, ours []float64
		for round := range benchRounds {
			var took [2][]time.Duration
			for turn := range engines {
				e := (turn + round) % len(engines)
				for _, q := range queries {
					begun := time.Now()
					engines[e](q)
					took[e] = append(took[e], time.Since(begun))
				}
			}
			p50 = append(p50, ratio(took[1], took[0], 50))
			p99 = append(p99, ratio(took[1], took[0], 99))
			ours = append(ours, float64(quantile(took[0], 50)), float64(quantile(took[0], 99)))
		}
		live50, live99 := underUpdates(b, index, docs, queries)
		b.ReportMetric(median(p50), "x-FTS5-p50")
		b.ReportMetric(median(p99), "x-FTS5-p99")
		b.ReportMetric(perListing, "B/listing")
		b.Logf("%d listings %s; %d queries, %.0f results each; cross-checked", len(docs), shelf.origin, len(queries), float64(hits)/float64(len(queries)))
		b.Logf("built in %v, %.0f B of heap a listing", built.Round(time.Millisecond), perListing)
		b.Logf("SQLite FTS5 / index, median of %d paired rounds: p50 %.1fx, p99 %.1fx (index: p50 %v, p99 %v)", benchRounds,
			median(p50), median(p99), time.Duration(ours[0]), time.Duration(ours[1]))
		b.Logf("index under 1,000 updates/s / index at rest: p50 %.2fx, p99 %.2fx", live50, live99)
	}
}

type answer struct {
	IDs    []string
	Total  int64
	Counts map[string]int64
}

func askIndex(b *testing.B, index *search.Index, q search.Query) answer {
	r, err := index.Search(q)
	if err != nil {
		b.Fatal(err)
	}
	a := answer{IDs: r.IDs, Total: r.Total, Counts: map[string]int64{}}
	for _, f := range r.Facets {
		switch f.Name {
		case search.FacetCurrency, search.FacetPrice, search.FacetAvailability:
			continue
		}
		for _, v := range f.Values {
			if v.Count > 0 {
				a.Counts[f.Name+" "+v.Value] = v.Count
			}
		}
	}
	return a
}

// fts is the fastest arrangement of FTS5 that we know for this: facet values are tokens of the text, the row number is the
// rank by price, and counts join a narrow table by row number.
type fts struct {
	db     *sql.DB
	page   *sql.Stmt
	total  *sql.Stmt
	counts map[string]*sql.Stmt
}

func newFTS(b *testing.B, docs shelfByPrice) *fts {
	b.Helper()
	db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "fts.db")+"?_pragma=journal_mode(wal)&_pragma=cache_size(-200000)&_pragma=mmap_size(1000000000)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	must := func(statement string, args ...any) {
		if _, err := db.ExecContext(b.Context(), statement, args...); err != nil {
			b.Fatal(err)
		}
	}
	must(`CREATE TABLE listing (rank INTEGER PRIMARY KEY, id TEXT, category TEXT, region TEXT, country TEXT)`)
	must(`CREATE TABLE certified (rank INTEGER, certification TEXT, PRIMARY KEY (rank, certification)) WITHOUT ROWID`)
	must(`CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, prefix='2 3 4')`)
	must(`BEGIN`)
	for rank, d := range docs.each {
		must(`INSERT INTO listing VALUES (?, ?, ?, ?, ?)`, rank+1, d.ID, d.Category, d.Region, d.Country)
		text := []string{d.Name, d.Category, d.Region, d.Summary, d.Description, strings.Join(d.Certifications, " ")}
		text = append(text, token("category", d.Category), token("country", d.Country))
		for _, c := range d.Certifications {
			must(`INSERT INTO certified VALUES (?, ?)`, rank+1, c)
		}
		must(`INSERT INTO words (rowid, text) VALUES (?, ?)`, rank+1, strings.Join(text, " "))
	}
	must(`COMMIT`)
	must(`INSERT INTO words (words) VALUES ('optimize')`)
	must(`ANALYZE`)
	prepare := func(statement string) *sql.Stmt {
		s, err := db.PrepareContext(b.Context(), statement)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	f := &fts{
		db:     db,
		page:   prepare(`SELECT listing.id FROM words JOIN listing ON listing.rank = words.rowid WHERE words MATCH ? ORDER BY words.rowid LIMIT ?`),
		total:  prepare(`SELECT count(*) FROM words WHERE words MATCH ?`),
		counts: map[string]*sql.Stmt{},
	}
	for _, facet := range []string{"category", "region", "country"} {
		f.counts[facet] = prepare(`SELECT ` + facet + `, count(*) FROM words JOIN listing ON listing.rank = words.rowid WHERE words MATCH ? GROUP BY 1`)
	}
	f.counts["certification"] = prepare(`SELECT certification, count(*) FROM words JOIN certified ON certified.rank = words.rowid WHERE words MATCH ? GROUP BY 1`)
	return f
}

// token writes a facet value as one word that no text holds.
func token(facet, value string) string {
	var sb strings.Builder
	sb.WriteString("xq" + facet)
	for _, r := range value {
		fmt.Fprintf(&sb, "%x", r)
	}
	return sb.String()
}

func ftsWord(word string, goesOn bool) string {
	if goesOn {
		word += "*"
	}
	return word
}

func (f *fts) ask(b *testing.B, q search.Query) answer {
	match := func(without string) string {
		parts := []string{search.Expression(q.Text, ftsWord, func(code string) string { return token("country", code) })}
		for _, fl := range q.Filters {
			if fl.Facet != without {
				parts = append(parts, token(fl.Facet, fl.Values[0]))
			}
		}
		return strings.Join(parts, " AND ")
	}
	a := answer{Counts: map[string]int64{}}
	err := each(b.Context(), f.page, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		a.IDs = append(a.IDs, id)
		return err
	}, match(""), benchPage)
	if err == nil {
		err = f.total.QueryRowContext(b.Context(), match("")).Scan(&a.Total)
	}
	for facet, s := range f.counts {
		err = errors.Join(err, each(b.Context(), s, func(scan func(...any) error) error {
			var value string
			var n int64
			err := scan(&value, &n)
			a.Counts[facet+" "+value] = n
			return err
		}, match(facet)))
	}
	if err != nil {
		b.Fatal(err)
	}
	return a
}

func each(ctx context.Context, s *sql.Stmt, row func(scan func(...any) error) error, args ...any) error {
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// underUpdates compares the index with itself while prices change at 1,000 a second.
func underUpdates(b *testing.B, index *search.Index, docs []search.Doc, queries []search.Query) (p50, p99 float64) {
	measure := func(update bool) []time.Duration {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			rng := rand.New(rand.NewPCG(5, 5))
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				for i := 0; update && i < 10; i++ {
					d := docs[rng.IntN(len(docs))]
					d.Price += int64(rng.IntN(100))
					index.Upsert(d)
				}
			}
		}()
		var took []time.Duration
		for begun := time.Now(); time.Since(begun) < 2*time.Second; {
			for _, q := range queries {
				start := time.Now()
				askIndex(b, index, q)
				took = append(took, time.Since(start))
			}
		}
		close(stop)
		<-stopped
		return took
	}
	rest := measure(false)
	live := measure(true)
	return ratio(live, rest, 50), ratio(live, rest, 99)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func quantile(d []time.Duration, percent int) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(len(s)*percent/100, len(s)-1)]
}

func ratio(a, b []time.Duration, percent int) float64 {
	return float64(quantile(a, percent)) / float64(quantile(b, percent))
}

func median(f []float64) float64 { return slices.Sorted(slices.Values(f))[len(f)/2] }

// server is one line of the data: a real server type in one region, without a price.
type server struct {
	Supplier struct {
		Name    string `json:"name"`
		Country string `json:"country"`
	} `json:"supplier"`
	Name     string `json:"name"`
	Family   string `json:"family"`
	VCPUs    int64  `json:"vcpus"`
	Memory   int64  `json:"memory_mib"`
	Storage  int64  `json:"storage_gb"`
	GPUs     int64  `json:"gpu_count"`
	GPU      string `json:"gpu_model"`
	Arch     string `json:"architecture"`
	CPU      string `json:"cpu_model"`
	Location struct {
		ID      string `json:"id"`
		City    string `json:"city"`
		Country string `json:"country"`
	} `json:"region"`
}

// benchShelf makes listings by number, so that a million of them need not be kept beside the index that is measured.
type benchShelf struct {
	servers []server
	origin  string
}

func newBenchShelf(b *testing.B) benchShelf {
	servers, err := readServers()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return benchShelf{madeUpServers(), "GENERATED, the real data is not here"}
	case err != nil:
		b.Fatal(err)
	}
	return benchShelf{servers, fmt.Sprintf("of %d real server offers in several terms", len(servers))}
}

var (
	benchTerms          = [...]string{"hourly", "monthly", "yearly", "three years", "dedicated", "spot", "managed", "reserved"}
	benchCertifications = [...]string{"ISO 27001", "C5", "SecNumCloud", "SOC 2", "CISPE"}
)

func (s benchShelf) at(number int) search.Doc {
	t, i := number/len(s.servers), number%len(s.servers)
	of := s.servers[i]
	d := search.Doc{
		ID: fmt.Sprintf("lst-%020d", number), Name: of.Name + " " + benchTerms[t%len(benchTerms)],
		Summary:     fmt.Sprintf("%d vCPU, %d GiB of memory by %s", of.VCPUs, of.Memory/1024, of.Supplier.Name),
		Description: strings.Join([]string{of.Family, of.CPU, of.GPU, of.Arch, of.Location.City, of.Supplier.Country}, " "),
		Category:    "compute", Region: of.Location.ID, Country: of.Location.Country, Currency: "EUR", Orderable: true,
		Price: of.VCPUs*731 + of.Memory/7 + of.Storage*3 + of.GPUs*50_000 + int64(t)*97 + int64(i%89),
	}
	switch {
	case of.GPUs > 0:
		d.Category = "accelerated"
	case of.Memory > 8192*of.VCPUs:
		d.Category = "memory"
	case of.Storage > 0:
		d.Category = "storage"
	}
	for c := range benchCertifications {
		if (i+t)>>c&1 == 1 {
			d.Certifications = append(d.Certifications, benchCertifications[c])
		}
	}
	return d
}

func (s benchShelf) first(n int) []search.Doc {
	docs := make([]search.Doc, n)
	for i := range docs {
		docs[i] = s.at(i)
	}
	return docs
}

// fill indexes the first n as the indexer does.
func (s benchShelf) fill(index *search.Index, n int) {
	const page = 4000
	for from := 0; from < n; from += page {
		docs := make([]search.Doc, 0, page)
		for i := from; i < min(from+page, n); i++ {
			docs = append(docs, s.at(i))
		}
		index.UpsertAll(docs)
	}
}

func readServers() (servers []server, err error) {
	path := os.Getenv("HANSE_BENCH_DATA")
	if path == "" {
		path = filepath.Join("..", "..", "..", "..", "shared", "data", "cloud-servers.ndjson.gz")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s server
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, lines.Err()
}

func madeUpServers() []server {
	rng := rand.New(rand.NewPCG(11, 12))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	servers := make([]server, 17_000)
	for i := range servers {
		s := &servers[i]
		s.VCPUs = 1 << rng.IntN(8)
		s.Memory = s.VCPUs * 1024 << rng.IntN(4)
		s.Storage = int64(rng.IntN(2) * rng.IntN(2000))
		s.Family = pick("c", "m", "r", "t", "g") + fmt.Sprint(rng.IntN(9))
		s.Name = s.Family + "." + pick("small", "medium", "large", "xlarge", "metal") + fmt.Sprint(rng.IntN(40))
		s.Supplier.Name, s.Supplier.Country = pick("Northcloud", "Southcloud", "Eastcloud"), pick("DE", "FR", "FI")
		s.Arch, s.CPU = pick("x86_64", "arm64"), pick("Epyc", "Xeon", "Ampere")
		s.Location.Country = pick("DE", "FR", "FI", "SE", "US", "SG")
		s.Location.ID = strings.ToLower(s.Location.Country) + fmt.Sprintf("-%d", rng.IntN(6))
		s.Location.City = "City" + s.Location.ID
		if rng.IntN(10) == 0 {
			s.GPUs, s.GPU = 1, pick("A100", "H100", "L4")
		}
	}
	return servers
}

// benchQuestions take their words and facet values from the listings, so that most have results.
func benchQuestions(shelf benchShelf, n int) []search.Query {
	rng := rand.New(rand.NewPCG(1, 2))
	var queries []search.Query
	for len(queries) < benchQueries {
		d := shelf.at(rng.IntN(n))
		text := strings.FieldsFunc(strings.ToLower(d.Name+" "+d.Description), func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9')
		})
		word := text[rng.IntN(len(text))]
		if rng.IntN(3) == 0 {
			word += " " + text[rng.IntN(len(text))]
		}
		queries = append(queries, search.Query{
			Text: word, Currency: "EUR", Sort: search.PriceAsc, PageSize: benchPage,
			Filters: []search.Filter{
				{Facet: search.FacetCategory, Values: []string{d.Category}}, {Facet: search.FacetCountry, Values: []string{d.Country}},
			},
		})
	}
	return queries
}
