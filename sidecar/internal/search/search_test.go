package search

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func shelf() []Doc {
	return []Doc{
		{ID: "a", Name: "PostgreSQL Größe S", Summary: "A small database", Category: "database", Region: "north", Country: "DE", Certifications: []string{"C5", "ISO 27001"}, Currency: "EUR", Price: 990},
		{ID: "b", Name: "PostgreSQL Größe L", Summary: "A large database", Category: "database", Region: "south", Country: "FR", Certifications: []string{"ISO 27001"}, Currency: "EUR", Price: 4990},
		{ID: "c", Name: "Object storage", Summary: "Backups of your PostgreSQL", Category: "storage", Region: "north", Country: "DE", Currency: "EUR", Price: 100},
		{ID: "d", Name: "Virtual server", Description: "Runs anything.", Category: "compute", Region: "west", Country: "US", Currency: "USD", Price: 1500},
		{ID: "e", Name: "オブジェクト保管", Category: "storage", Region: "east", Country: "JP", Currency: "JPY", Price: 500},
	}
}

func indexOf(t testing.TB, docs []Doc) *Index {
	t.Helper()
	x := New()
	t.Cleanup(x.Close)
	for _, d := range docs {
		x.Upsert(d)
	}
	return x
}

func find(t testing.TB, x *Index, q Query) Result {
	t.Helper()
	r, err := x.Search(q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func filter(facet string, values ...string) Filter { return Filter{facet, values} }

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		query Query
		want  string
	}{
		{"nothing asked gives all by name", Query{}, "c b a d e"},
		{"a word, names first", Query{Text: "postgresql"}, "b a c"},
		{"accents and case do not count", Query{Text: "GROSSE"}, "b a"},
		{"all words must occur", Query{Text: "postgresql large"}, "b"},
		{"the last word is a prefix", Query{Text: "postgresql lar"}, "b"},
		{"the first word is not", Query{Text: "postg large"}, ""},
		{"words of the description", Query{Text: "anything"}, "d"},
		{"a script without spaces", Query{Text: "保管"}, "e"},
		{"no words at all", Query{Text: "?!"}, "c b a d e"},
		{"an unknown word", Query{Text: "mainframe"}, ""},
		{"one facet value", Query{Filters: []Filter{filter("category", "storage")}}, "c e"},
		{"either value", Query{Filters: []Filter{filter("country", "FR", "JP")}}, "b e"},
		{"both filters", Query{Filters: []Filter{filter("category", "database"), filter("region", "north")}}, "a"},
		{"both certifications", Query{Filters: []Filter{filter("certification", "C5"), filter("certification", "ISO 27001")}}, "a"},
		{"a value that nothing has", Query{Filters: []Filter{filter("region", "moon")}}, ""},
		{"one currency", Query{Currency: "EUR"}, "c b a"},
		{"cheapest first", Query{Currency: "EUR", Sort: PriceAsc}, "c a b"},
		{"dearest first", Query{Currency: "EUR", Sort: PriceDesc}, "b a c"},
		{"a price range, inclusive", Query{Currency: "EUR", PriceMin: 100, PriceMax: 990, Sort: PriceAsc}, "c a"},
		{"a price range without an end", Query{Currency: "EUR", PriceMin: 991}, "b"},
		{"an empty price range", Query{Currency: "EUR", PriceMin: 5, PriceMax: 4}, ""},
		{"a currency that nothing is sold in", Query{Currency: "SEK", Sort: PriceDesc}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frozen := New()
			defer frozen.Close()
			for _, d := range shelf() {
				frozen.Upsert(d)
			}
			frozen.write.Lock()
			frozen.freeze()
			frozen.write.Unlock()
			for where, x := range map[string]*Index{"delta": indexOf(t, shelf()), "segment": frozen} {
				if got := strings.Join(find(t, x, tc.query).IDs, " "); got != tc.want {
					t.Errorf("in the %s: %q, want %q", where, got, tc.want)
				}
			}
		})
	}
}

func TestFacetsAreCountedWithoutTheirOwnFilter(t *testing.T) {
	t.Parallel()
	r := find(t, indexOf(t, shelf()), Query{Filters: []Filter{filter("category", "database")}, Currency: "EUR", PriceMax: 990})
	want := []Facet{
		{"category", []FacetValue{{"database", 1}, {"storage", 1}}},
		{"region", []FacetValue{{"north", 1}}},
		{"country", []FacetValue{{"DE", 1}}},
		{"certification", []FacetValue{{"C5", 1}, {"ISO 27001", 1}}},
		{"availability", nil},
		{"currency", []FacetValue{{"EUR", 2}}},
		{"price", []FacetValue{{"500-999", 1}, {"2000-4999", 1}}},
	}
	if d := gocmp.Diff(want, r.Facets); d != "" {
		t.Error(d)
	}
	r = find(t, indexOf(t, shelf()), Query{Filters: []Filter{filter("region", "moon")}})
	if d := gocmp.Diff(Facet{"region", []FacetValue{{"north", 2}, {"east", 1}, {"south", 1}, {"west", 1}, {"moon", 0}}}, r.Facets[1]); d != "" {
		t.Error(d)
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	x := indexOf(t, shelf())
	first := find(t, x, Query{PageSize: 1})
	for _, tc := range []struct {
		name   string
		query  Query
		reason string
	}{
		{"a price sort without currency", Query{Sort: PriceAsc}, "currency_required"},
		{"a price range without currency", Query{PriceMax: 5}, "currency_required"},
		{"a negative price", Query{Currency: "EUR", PriceMin: -1}, "price_range_invalid"},
		{"an unknown facet", Query{Filters: []Filter{filter("colour", "red")}}, "facet_unknown"},
		{"an unknown sort", Query{Sort: 9}, "sort_unknown"},
		{"a page too large", Query{PageSize: 101}, "page_size_invalid"},
		{"a page token that is none", Query{PageToken: "x"}, "page_token_invalid"},
		{"a page token of another query", Query{Text: "postgresql", PageToken: first.NextPageToken}, "page_token_invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := x.Search(tc.query); fault.ReasonOf(err) != tc.reason || !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v, want %s", err, tc.reason)
			}
		})
	}
}

func pages(t testing.TB, x *Index, q Query, between func()) []string {
	t.Helper()
	var all []string
	for {
		r := find(t, x, q)
		all = append(all, r.IDs...)
		if r.NextPageToken == "" {
			return all
		}
		q.PageToken = r.NextPageToken
		between()
	}
}

func random(n int, rng *rand.Rand) []Doc {
	words := strings.Fields("database storage compute gateway mail cache queue object block secure fast small large managed")
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	docs := make([]Doc, n)
	for i := range docs {
		docs[i] = Doc{
			ID: fmt.Sprintf("lst-%06d", i), Name: pick(words...) + " " + pick(words...), Summary: pick(words...),
			Category: pick("database", "storage", "compute"), Region: pick("north", "south", "east", "west"),
			Country: pick("DE", "FR", "FI"), Currency: pick("EUR", "EUR", "USD"), Price: int64(rng.IntN(300)),
		}
		for _, c := range []string{"C5", "ISO 27001", "SecNumCloud"} {
			if rng.IntN(2) == 0 {
				docs[i].Certifications = append(docs[i].Certifications, c)
			}
		}
		docs[i].Orderable = rng.IntN(3) > 0
		if n := rng.IntN(len(docs)/6 + 4); n > 1 {
			docs[i].Family = fmt.Sprintf("family %d %s", n, docs[i].Currency)
		}
	}
	return docs
}

// naive answers a query by looking at every document, with nothing of the index but its words.
func naive(docs map[string]Doc, q Query) (ids []string, total int64) {
	var asked []string
	words(fold(q.Text), func(w string) { asked = append(asked, w) })
	type hit struct {
		Doc
		later, elsewhere bool
	}
	var hits []hit
	for _, d := range docs {
		has := func(parts ...string) bool {
			var terms []string
			words(fold(strings.Join(parts, " ")), func(w string) { terms = append(terms, w) })
			for i, w := range asked {
				if !slices.ContainsFunc(terms, func(s string) bool { return s == w || i == len(asked)-1 && strings.HasPrefix(s, w) }) {
					return false
				}
			}
			return true
		}
		ok := has(d.Name, d.Summary, d.Description, d.Category, d.Region, strings.Join(d.Certifications, " "))
		for _, f := range q.Filters {
			values := map[string][]string{"category": {d.Category}, "region": {d.Region}, "country": {d.Country}, "certification": d.Certifications, "availability": {fmt.Sprint(d.Orderable)}}[f.Facet]
			if f.Facet == FacetAvailability {
				values = slices.DeleteFunc([]string{AvailableNow}, func(string) bool { return !d.Orderable })
			}
			ok = ok && slices.ContainsFunc(values, func(v string) bool { return slices.Contains(f.Values, v) })
		}
		if q.Currency != "" {
			ok = ok && d.Currency == q.Currency && d.Price >= q.PriceMin && (q.PriceMax == 0 || d.Price <= q.PriceMax)
		}
		if ok {
			hits = append(hits, hit{d, !d.Orderable, q.Sort == Relevance && len(asked) > 0 && !has(d.Name)})
		}
	}
	if q.Group {
		byFamily := map[string]hit{}
		for _, h := range hits {
			of := cmp.Or(h.Family, h.ID)
			best, has := byFamily[of]
			if !has {
				byFamily[of] = h
				continue
			}
			if cmp.Or(order(h.later, best.later), order(h.elsewhere, best.elsewhere), cmp.Compare(h.Price, best.Price), cmp.Compare(h.ID, best.ID)) < 0 {
				byFamily[of] = h
			}
		}
		hits = slices.Collect(maps.Values(byFamily))
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if n := order(a.later, b.later); n != 0 {
			return n
		}
		switch q.Sort {
		case PriceAsc:
			return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.ID, b.ID))
		case PriceDesc:
			return cmp.Or(cmp.Compare(b.Price, a.Price), cmp.Compare(b.ID, a.ID))
		}
		return cmp.Or(order(a.elsewhere, b.elsewhere), cmp.Compare(fold(a.Name), fold(b.Name)), cmp.Compare(a.ID, b.ID))
	})
	for _, h := range hits {
		ids = append(ids, h.ID)
	}
	return ids, int64(len(hits))
}

// order puts false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func anyQuery(t *rapid.T) Query {
	q := Query{
		Text:     rapid.SampledFrom([]string{"", "data", "secure", "large stor", "mail mail", "c5", "north fast", "x"}).Draw(t, "text"),
		Sort:     rapid.SampledFrom([]Sort{Relevance, Name, PriceAsc, PriceDesc}).Draw(t, "sort"),
		PageSize: rapid.IntRange(1, 40).Draw(t, "size"),
		Group:    rapid.Bool().Draw(t, "group"),
	}
	for _, f := range []Filter{filter("availability", "orderable"), filter("category", "database", "storage"), filter("region", "north"), filter("country", "FI", "FR"), filter("certification", "C5")} {
		if rapid.IntRange(0, 3).Draw(t, f.Facet) == 0 {
			q.Filters = append(q.Filters, f)
		}
	}
	if q.Sort == PriceAsc || q.Sort == PriceDesc || rapid.Bool().Draw(t, "priced") {
		q.Currency = rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency")
		q.PriceMin, q.PriceMax = rapid.Int64Range(0, 200).Draw(t, "min"), rapid.Int64Range(0, 300).Draw(t, "max")
	}
	return q
}

func TestAnswersAreThoseOfALookAtEveryListing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		docs := random(rapid.IntRange(0, 900).Draw(t, "docs"), rng)
		x := New()
		defer x.Close()
		x.inline = rapid.SampledFrom([]int{0, 300, inlineMerge}).Draw(t, "inline")
		truth := map[string]Doc{}
		half := rapid.IntRange(0, len(docs)).Draw(t, "bulk")
		x.bulk(docs[:half])
		for _, d := range docs[half:] {
			x.Upsert(d)
		}
		for _, d := range docs {
			truth[d.ID] = d
		}
		for range rapid.IntRange(0, 400).Draw(t, "changes") {
			if len(docs) == 0 {
				break
			}
			d := docs[rng.IntN(len(docs))]
			if rng.IntN(3) == 0 {
				if _, there := truth[d.ID]; x.Delete(d.ID) != there {
					t.Fatal("Delete does not tell whether there was one")
				}
				delete(truth, d.ID)
				continue
			}
			d.Price, d.Region = int64(rng.IntN(300)), "north"
			x.Upsert(d)
			truth[d.ID] = d
		}
		if x.Len() != len(truth) {
			t.Fatalf("%d listings, want %d", x.Len(), len(truth))
		}
		for range 2 {
			q := anyQuery(t)
			want, total := naive(truth, q)
			r, err := x.Search(q)
			if err != nil {
				t.Fatal(err)
			}
			if r.Total != total {
				t.Fatalf("%+v: total %d, want %d", q, r.Total, total)
			}
			for i, f := range r.Facets {
				free := q
				if i < stored {
					free.Filters = slices.DeleteFunc(slices.Clone(q.Filters), func(g Filter) bool { return g.Facet == f.Name })
				}
				for _, v := range f.Values {
					one := free
					switch f.Name {
					case FacetPrice:
						if _, err := fmt.Sscanf(v.Value, "%d-%d", &one.PriceMin, &one.PriceMax); err != nil {
							t.Fatal(err)
						}
						if v.Value == "0-0" {
							continue // 0 is no bound in a query
						}
					case FacetCurrency:
						one.Currency, one.PriceMin, one.PriceMax = v.Value, 0, 0
					default:
						one.Filters = append(slices.Clone(free.Filters), filter(f.Name, v.Value))
					}
					if _, n := naive(truth, one); n != v.Count {
						t.Fatalf("%+v: facet %s value %s counts %d, want %d", q, f.Name, v.Value, v.Count, n)
					}
				}
			}
			if got := pages2(x, q); gocmp.Diff(want, got) != "" {
				t.Fatalf("%+v:\n%s", q, gocmp.Diff(want, got))
			}
		}
	})
}

func pages2(x *Index, q Query) (all []string) {
	for {
		r, err := x.Search(q)
		if err != nil {
			return []string{err.Error()}
		}
		all = append(all, r.IDs...)
		if q.PageToken = r.NextPageToken; q.PageToken == "" {
			return all
		}
	}
}

func TestPagesNeitherRepeatNorSkipWhatDoesNotChange(t *testing.T) {
	t.Parallel()
	for _, sort := range []Sort{Relevance, Name, PriceAsc, PriceDesc} {
		rng := rand.New(rand.NewPCG(7, uint64(sort)))
		docs := random(3000, rng)
		x := New()
		t.Cleanup(x.Close)
		x.UpsertAll(docs)
		// Even ones stay as they are, odd ones change between pages.
		change := func() {
			for range 50 {
				d := docs[rng.IntN(len(docs)/2)*2+1]
				d.Price, d.Name = int64(rng.IntN(300)), "changed "+d.Name
				x.Upsert(d)
			}
		}
		got := pages(t, x, Query{Currency: "EUR", Sort: sort, PageSize: 30}, change)
		seen := map[string]int{}
		for _, id := range got {
			seen[id]++
		}
		for i := 0; i < len(docs); i += 2 {
			want := 0
			if docs[i].Currency == "EUR" {
				want = 1
			}
			if seen[docs[i].ID] != want {
				t.Fatalf("sort %d: %s is seen %d times, want %d", sort, docs[i].ID, seen[docs[i].ID], want)
			}
		}
	}
}

func TestReadersAndWritersTogether(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	docs := random(3000, rng)
	x := New()
	t.Cleanup(x.Close)
	x.inline = 256
	x.UpsertAll(docs[:2500])
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := x.Search(Query{Text: "data", Currency: "EUR", Sort: PriceAsc, Filters: []Filter{filter("region", "north")}})
				if err != nil || int(r.Total) > len(docs) {
					t.Errorf("%d results (%v)", r.Total, err)
					return
				}
			}
		})
	}
	for i := range 2500 {
		d := docs[rng.IntN(len(docs))]
		if i%5 == 0 {
			x.Delete(d.ID)
			continue
		}
		x.Upsert(d)
	}
	close(stop)
	readers.Wait()
	x.Close()
	if len(x.segs) > 30 {
		t.Errorf("%d segments: nothing was merged", len(x.segs))
	}
	if x.Len() > len(docs) {
		t.Errorf("%d listings of %d", x.Len(), len(docs))
	}
	count := 0
	x.IDs(func(string) bool { count++; return true })
	if count != x.Len() {
		t.Errorf("%d ids of %d listings", count, x.Len())
	}
	x.Clear()
	if x.Len() != 0 || find(t, x, Query{}).Total != 0 {
		t.Error("something is left after Clear")
	}
}

func FuzzQuery(f *testing.F) {
	x := indexOf(f, append(shelf(), random(300, rand.New(rand.NewPCG(1, 1)))...))
	first := find(f, x, Query{PageSize: 1}).NextPageToken
	f.Add("postgresql gr", "category", "database", "EUR", int64(0), int64(5000), uint8(2), 10, first)
	f.Add("ß\u0301保管 \xff", "region", "", "", int64(-1), int64(1<<62), uint8(9), -1, "AAAA")
	f.Fuzz(func(t *testing.T, text, facet, value, currency string, low, high int64, sort uint8, size int, token string) {
		q := Query{
			Text: text, Filters: []Filter{filter(facet, value)}, Currency: currency, PriceMin: low, PriceMax: high,
			Sort: Sort(sort), PageSize: size, PageToken: token,
		}
		r, err := x.Search(q)
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if len(r.IDs) > MaxPageSize || int64(len(r.IDs)) > r.Total {
			t.Fatalf("%d of %d", len(r.IDs), r.Total)
		}
		x.Upsert(Doc{ID: "z", Name: text, Category: value, Currency: currency, Price: low})
		x.Delete("z")
	})
}

func TestWhatWasShownNeverChanges(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 9))
	docs := random(6000, rng)
	x := New()
	t.Cleanup(x.Close)
	x.inline = 256
	x.UpsertAll(docs[:5000])
	for _, d := range docs[5000:5200] {
		x.Upsert(d)
	}
	queries := []Query{
		{Text: "data", Currency: "EUR", Sort: PriceAsc, PageSize: 40}, {Filters: []Filter{filter("region", "north")}}, {Group: true}, {},
	}
	ask := func(now *shown) (all []Result) {
		for _, q := range queries {
			c, err := compile(q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, now.look(c).result())
		}
		return all
	}
	now := x.shown.Load()
	want := ask(now)
	for i := range 4000 {
		d := docs[rng.IntN(len(docs))]
		if i%4 == 0 {
			x.Delete(d.ID)
			continue
		}
		d.Price = int64(rng.IntN(300))
		x.Upsert(d)
	}
	x.Close()
	if d := gocmp.Diff(want, ask(now)); d != "" {
		t.Error(d)
	}
	if gocmp.Diff(want, ask(x.shown.Load())) == "" {
		t.Error("nothing of what was written is shown")
	}
}
