package search_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
)

const (
	millionListings = 1_000_000
	millionUpdates  = 1_000 // a second
)

// BenchmarkSearchAtAMillionUnderUpdates asks the index for words, two facets, the 20 cheapest and the counts of four facets over
// a million listings while 1,000 prices change a second, and in turns the baseline at rest: a static index of bitmaps whose
// document numbers are ranks by price, SQLite's FTS5 and PostgreSQL's GIN. The static index is given its questions parsed. All answers
// are compared before anything is timed, and with a static index of what the updates left after it. Run it with -benchtime 1x.
func BenchmarkSearchAtAMillionUnderUpdates(b *testing.B) {
	against := map[string]func(*testing.B, shelfByPrice) asker{
		"static":     func(_ *testing.B, docs shelfByPrice) asker { return newStatic(docs) },
		"FTS5":       func(b *testing.B, docs shelfByPrice) asker { return newFTS(b, docs) },
		"PostgreSQL": func(b *testing.B, docs shelfByPrice) asker { return newGIN(b, docs) },
	}
	shelf := newBenchShelf(b)
	before := heap()
	index := search.New()
	defer index.Close()
	begun := time.Now()
	shelf.fill(index, millionListings)
	perListing := float64(heap()-before) / millionListings
	b.Logf("%d listings %s, built in %v", millionListings, shelf.origin, time.Since(begun).Round(time.Millisecond))
	u := updater{index: index, shelf: shelf, price: map[int]int64{}}
	for _, name := range []string{"static", "FTS5", "PostgreSQL"} {
		b.Run("against="+name, func(b *testing.B) {
			for b.Loop() {
				atAMillion(b, &u, against[name], name)
			}
			b.ReportMetric(perListing, "B/listing")
		})
	}
}

// asker is a baseline: ready prepares a question, and what it gives answers it.
type asker interface {
	ready(b *testing.B, q search.Query) func() answer
}

// atAMillion measures the index of u against a baseline of what the updates before have left.
func atAMillion(b *testing.B, u *updater, baseline func(*testing.B, shelfByPrice) asker, name string) {
	theirs := baseline(b, newShelfByPrice(u.left(), millionListings))
	queries := benchQuestions(u.shelf, millionListings)
	asked := ready(b, theirs, queries)
	compare(b, u.index, queries, asked)

	const rounds, least = 5, 1500 * time.Millisecond
	var p50, p99, ours50, ours99, cpu50, cpu99 []float64
	applied, wanted := 0, 0.0
	for round := range rounds {
		var live, rest timings
		measure := []func(){
			func() {
				stop := u.start()
				live = timed(least, len(queries), func(i int) { askIndex(b, u.index, queries[i]) })
				n, took := stop()
				applied, wanted = applied+n, wanted+took.Seconds()*millionUpdates
			},
			func() { rest = timed(least, len(queries), func(i int) { asked[i]() }) },
		}
		measure[round%2]()
		measure[1-round%2]()
		p50, p99 = append(p50, ratio(rest.took, live.took, 50)), append(p99, ratio(rest.took, live.took, 99))
		ours50, ours99 = append(ours50, micro(live.took, 50)), append(ours99, micro(live.took, 99))
		if len(live.cpu) > 0 {
			cpu50, cpu99 = append(cpu50, ratio(rest.cpu, live.cpu, 50)), append(cpu99, ratio(rest.cpu, live.cpu, 99))
		}
		b.Logf("round %d: index p50 %.0f p99 %.0f us, CPU %.0f %.0f; baseline p50 %.0f p99 %.0f us, CPU %.0f %.0f; %d and %d questions", round, micro(live.took, 50), micro(live.took, 99),
			micro(live.cpu, 50), micro(live.cpu, 99), micro(rest.took, 50), micro(rest.took, 99), micro(rest.cpu, 50), micro(rest.cpu, 99), len(live.took), len(rest.took))
	}
	if name == "static" {
		compare(b, u.index, queries, ready(b, newStatic(newShelfByPrice(u.left(), millionListings)), queries))
	}
	b.ReportMetric(float64(applied)/wanted*millionUpdates, "updates/s")
	b.ReportMetric(median(p50), "x-faster-p50")
	b.ReportMetric(median(p99), "x-faster-p99")
	if len(cpu50) > 0 && name != "PostgreSQL" { // which works in processes of its own
		b.ReportMetric(median(cpu50), "x-faster-cpu-p50")
		b.ReportMetric(median(cpu99), "x-faster-cpu-p99")
	}
	b.ReportMetric(median(ours50), "p50-us")
	b.ReportMetric(median(ours99), "p99-us")
}

func ready(b *testing.B, a asker, queries []search.Query) []func() answer {
	asked := make([]func() answer, len(queries))
	for i, q := range queries {
		asked[i] = a.ready(b, q)
	}
	return asked
}

func compare(b *testing.B, index *search.Index, queries []search.Query, asked []func() answer) {
	b.Helper()
	for i, q := range queries {
		if d := gocmp.Diff(asked[i](), askIndex(b, index, q)); d != "" {
			b.Fatalf("the engines disagree on %+v (baseline -, index +):\n%s", q, d)
		}
	}
}

// timings are of questions, by the clock and by the CPU time of the thread that asked; where that is not known, cpu is empty.
type timings struct{ took, cpu []time.Duration }

// timed asks all questions again and again, at least once each, for a while.
func timed(least time.Duration, questions int, ask func(i int)) (t timings) {
	done := pinThread()
	defer done()
	for begun, all := time.Now(), 0; all == 0 || time.Since(begun) < least; all++ {
		for i := range questions {
			spent, start := threadCPU(), time.Now()
			ask(i)
			t.took = append(t.took, time.Since(start))
			if used := threadCPU(); used > 0 {
				t.cpu = append(t.cpu, used-spent)
			}
		}
	}
	return t
}

func micro(d []time.Duration, percent int) float64 {
	if len(d) == 0 {
		return 0
	}
	return float64(quantile(d, percent).Nanoseconds()) / 1000
}

// updater changes prices at a pace: what one moment missed, the next one catches up with.
type updater struct {
	index *search.Index
	shelf benchShelf
	price map[int]int64
}

// start begins; stop ends it, once all is done that was due then, and returns how many updates were done in which time.
func (u *updater) start() (stop func() (int, time.Duration)) {
	var ended atomic.Bool
	stopped := make(chan struct{})
	done, begun := 0, time.Now()
	rng := rand.New(rand.NewPCG(5, uint64(len(u.price))))
	go func() {
		defer close(stopped)
		for last := false; !last; {
			last = ended.Load()
			due := int(time.Since(begun).Seconds() * millionUpdates)
			for ; done < due; done++ {
				n := rng.IntN(millionListings)
				d := u.shelf.at(n)
				d.Price += int64(rng.IntN(100))
				u.price[n] = d.Price
				u.index.Upsert(d)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() (int, time.Duration) {
		ended.Store(true)
		<-stopped
		return done, time.Since(begun)
	}
}

// left are the listings as the updates left them.
func (u *updater) left() pricedShelf { return pricedShelf{u.shelf, u.price} }

type pricedShelf struct {
	benchShelf
	price map[int]int64
}

func (s pricedShelf) at(number int) search.Doc {
	d := s.benchShelf.at(number)
	if p, changed := s.price[number]; changed {
		d.Price = p
	}
	return d
}

// shelfByPrice has the listings in the order of prices and ids.
type shelfByPrice struct {
	at    func(number int) search.Doc
	order []int32
}

func newShelfByPrice(shelf interface{ at(int) search.Doc }, n int) shelfByPrice {
	s := shelfByPrice{at: shelf.at, order: make([]int32, n)}
	prices, ids := make([]int64, n), make([]string, n)
	for i := range n {
		d := shelf.at(i)
		s.order[i], prices[i], ids[i] = int32(i), d.Price, d.ID
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(prices[a], prices[b]), strings.Compare(ids[a], ids[b]))
	})
	return s
}

func (s shelfByPrice) each(yield func(rank int, d search.Doc) bool) {
	for rank, number := range s.order {
		if !yield(rank, s.at(int(number))) {
			return
		}
	}
}

// static is the fastest index that we know of what never changes.
type static struct {
	order  []int32
	terms  bitmaps
	facets map[string]*bitmaps
}

type bitmaps struct {
	keys []string
	of   map[string]*roaring.Bitmap
}

func newStatic(docs shelfByPrice) *static {
	s := &static{order: docs.order, facets: map[string]*bitmaps{}}
	gathered := map[string]map[string][]uint32{"": {}, "category": {}, "region": {}, "country": {}, "certification": {}}
	for rank, d := range docs.each {
		for _, w := range search.WordsOf(d) {
			gathered[""][w] = append(gathered[""][w], uint32(rank))
		}
		one := func(facet, value string) { gathered[facet][value] = append(gathered[facet][value], uint32(rank)) }
		one("category", d.Category)
		one("region", d.Region)
		one("country", d.Country)
		for _, c := range d.Certifications {
			one("certification", c)
		}
	}
	for facet, values := range gathered {
		m := &bitmaps{of: map[string]*roaring.Bitmap{}}
		for v, numbers := range values {
			m.keys = append(m.keys, v)
			bitmap := roaring.BitmapOf(numbers...)
			bitmap.RunOptimize()
			m.of[v] = bitmap
		}
		slices.Sort(m.keys)
		if facet == "" {
			s.terms = *m
		} else {
			s.facets[facet] = m
		}
	}
	return s
}

// ready implements asker. The expression is parsed into functions that give sets.
func (s *static) ready(_ *testing.B, q search.Query) func() answer {
	text := search.Expression(q.Text, ftsWord, func(code string) string { return "country:" + code })
	words := s.parse(&text)
	return func() answer {
		found := words()
		filter := func(without string) *roaring.Bitmap {
			sets := []*roaring.Bitmap{found}
			for _, f := range q.Filters {
				if f.Facet != without {
					sets = append(sets, s.facets[f.Facet].of[f.Values[0]])
				}
			}
			return roaring.FastAnd(sets...)
		}
		all := filter("")
		a := answer{Total: int64(all.GetCardinality()), Counts: map[string]int64{}}
		for it := all.Iterator(); len(a.IDs) < benchPage && it.HasNext(); {
			a.IDs = append(a.IDs, fmt.Sprintf("lst-%020d", s.order[it.Next()]))
		}
		for facet, values := range s.facets {
			base := all
			if slices.ContainsFunc(q.Filters, func(f search.Filter) bool { return f.Facet == facet }) {
				base = filter(facet)
			}
			for _, v := range values.keys {
				if n := values.of[v].AndCardinality(base); n > 0 {
					a.Counts[facet+" "+v] = int64(n)
				}
			}
		}
		return a
	}
}

// parse reads one expression: a word, or several of them in brackets with one kind of operator between them.
func (s *static) parse(text *string) func() *roaring.Bitmap {
	if !strings.HasPrefix(*text, "(") {
		end := strings.IndexAny(*text+")", " )")
		word := (*text)[:end]
		*text = (*text)[end:]
		return s.word(word)
	}
	*text = (*text)[1:]
	sets := []func() *roaring.Bitmap{s.parse(text)}
	both := false
	for !strings.HasPrefix(*text, ")") {
		operator, rest, _ := strings.Cut(strings.TrimPrefix(*text, " "), " ")
		both, *text = operator == "AND", rest
		sets = append(sets, s.parse(text))
	}
	*text = (*text)[1:]
	if len(sets) == 1 {
		return sets[0]
	}
	return func() *roaring.Bitmap {
		of := make([]*roaring.Bitmap, len(sets))
		for i, set := range sets {
			of[i] = set()
		}
		if both {
			return roaring.FastAnd(of...)
		}
		return roaring.FastOr(of...)
	}
}

func (s *static) word(word string) func() *roaring.Bitmap {
	from, in := word, s.terms
	if code, is := strings.CutPrefix(word, "country:"); is {
		from, in = code, *s.facets["country"]
	}
	prefix, goesOn := strings.CutSuffix(from, "*")
	if !goesOn {
		set, has := in.of[from]
		if !has {
			set = roaring.New()
		}
		return func() *roaring.Bitmap { return set }
	}
	return func() *roaring.Bitmap {
		at := sort.SearchStrings(in.keys, prefix)
		var sets []*roaring.Bitmap
		for ; at < len(in.keys) && strings.HasPrefix(in.keys[at], prefix); at++ {
			sets = append(sets, in.of[in.keys[at]])
		}
		if len(sets) == 1 {
			return sets[0]
		}
		return roaring.FastOr(sets...)
	}
}

// gin is PostgreSQL with words and facet values in one vector, and counts from columns.
type gin struct{ conn *pgx.Conn }

func newGIN(b *testing.B, docs shelfByPrice) *gin {
	b.Helper()
	server, err := testserver.StartPostgres()
	if err != nil {
		b.Skip(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	conn, err := pgx.Connect(b.Context(), server.Database(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	must := func(statement string) {
		if _, err := conn.Exec(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	must(`CREATE TABLE listing (rank int PRIMARY KEY, id text, category text, region text, country text, certifications text[], lexemes text[])`)
	rows := make([]int, len(docs.order))
	for i := range rows {
		rows[i] = i
	}
	_, err = conn.CopyFrom(b.Context(), pgx.Identifier{"listing"}, []string{"rank", "id", "category", "region", "country", "certifications", "lexemes"},
		pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
			d := docs.at(int(docs.order[i]))
			lexemes := append(search.WordsOf(d), token("category", d.Category), token("country", d.Country))
			certifications := d.Certifications
			if certifications == nil {
				certifications = []string{}
			}
			return []any{i, d.ID, d.Category, d.Region, d.Country, certifications, lexemes}, nil
		}))
	if err != nil {
		b.Fatal(err)
	}
	must(`SET maintenance_work_mem = '512MB'`)
	must(`SET work_mem = '256MB'`)
	must(`CREATE TABLE words AS SELECT rank, id, category, region, country, certifications, array_to_tsvector(lexemes) AS text FROM listing ORDER BY rank`)
	must(`DROP TABLE listing`)
	must(`CREATE INDEX ON words USING gin (text)`)
	must(`CREATE UNIQUE INDEX ON words (rank)`)
	must(`VACUUM ANALYZE words`)
	return &gin{conn}
}

// ready implements asker.
func (g *gin) ready(b *testing.B, q search.Query) func() answer {
	match := func(without string) string {
		word := func(w string, goesOn bool) string {
			if goesOn {
				return "'" + w + "':*"
			}
			return "'" + w + "'"
		}
		parts := []string{search.Expression(q.Text, word, func(code string) string { return token("country", code) })}
		for _, fl := range q.Filters {
			if fl.Facet != without {
				parts = append(parts, token(fl.Facet, fl.Values[0]))
			}
		}
		return strings.NewReplacer(" AND ", " & ", " OR ", " | ").Replace(strings.Join(parts, " AND "))
	}
	return func() answer {
		a := answer{Counts: map[string]int64{}}
		ask := func(statement string, row func(scan func(...any) error) error, args ...any) {
			rows, err := g.conn.Query(b.Context(), statement, args...)
			for err == nil && rows.Next() {
				err = row(rows.Scan)
			}
			if err == nil {
				err = rows.Err()
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		ask(`SELECT id FROM words WHERE text @@ $1::tsquery ORDER BY rank LIMIT $2`, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			a.IDs = append(a.IDs, id)
			return err
		}, match(""), benchPage)
		ask(`SELECT count(*) FROM words WHERE text @@ $1::tsquery`, func(scan func(...any) error) error { return scan(&a.Total) }, match(""))
		for facet, column := range map[string]string{"category": "category", "region": "region", "country": "country", "certification": "unnest(certifications)"} {
			ask(`SELECT `+column+`, count(*) FROM words WHERE text @@ $1::tsquery GROUP BY 1`, func(scan func(...any) error) error {
				var value string
				var n int64
				err := scan(&value, &n)
				a.Counts[facet+" "+value] = n
				return err
			}, match(facet))
		}
		return a
	}
}

// ready implements asker.
func (f *fts) ready(b *testing.B, q search.Query) func() answer {
	return func() answer { return f.ask(b, q) }
}
