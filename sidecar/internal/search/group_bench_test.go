package search_test

import (
	"hash/fnv"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/search"
)

// BenchmarkGroupedSearch asks for families and, as the baseline in the same run, for single listings, over 100,000 listings: a
// server type with its regions and terms is a family, certified as a whole. A broad question matches every listing, a narrow one few of them. Totals
// and counts are compared with a count of all listings before anything is timed.
func BenchmarkGroupedSearch(b *testing.B) {
	shelf := newBenchShelf(b)
	docs := shelf.first(benchListings)
	for i := range docs {
		of := shelf.servers[i%len(shelf.servers)]
		docs[i].Family = of.Supplier.Name + " " + of.Name
		certified := fnv.New32a()
		_, _ = certified.Write([]byte(docs[i].Family))
		docs[i].Certifications = nil
		for c := range benchCertifications {
			if certified.Sum32()>>c&1 == 1 {
				docs[i].Certifications = append(docs[i].Certifications, benchCertifications[c])
			}
		}
	}
	names := map[string]bool{}
	for _, d := range docs {
		names[d.Family] = true
	}
	before := heap()
	index := search.New()
	for chunk := range slices.Chunk(docs, 4000) {
		index.UpsertAll(chunk)
	}
	index.Close()
	perListing := float64(heap()-before) / float64(len(docs))
	b.Logf("%d listings of %d families %s, %.0f B a listing", len(docs), len(names), shelf.origin, perListing)
	questions := []struct {
		name string
		q    search.Query
		has  func(search.Doc) bool
	}{
		{"all", search.Query{Currency: "EUR", Sort: search.PriceAsc}, func(search.Doc) bool { return true }},
		{"broad", search.Query{Text: "vcpu", Currency: "EUR", Sort: search.Relevance}, func(search.Doc) bool { return true }},
		{
			"narrow",
			search.Query{Text: "vcpu", Currency: "EUR", Sort: search.PriceAsc, Filters: []search.Filter{{Facet: search.FacetCountry, Values: []string{"FI"}}}},
			func(d search.Doc) bool { return d.Country == "FI" },
		},
	}
	for _, tc := range questions {
		b.Run(tc.name, func(b *testing.B) {
			families, regions := map[string]bool{}, map[string]map[string]bool{}
			for _, d := range docs {
				if !tc.has(d) {
					continue
				}
				families[d.Family] = true
				if regions[d.Region] == nil {
					regions[d.Region] = map[string]bool{}
				}
				regions[d.Region][d.Family] = true
			}
			grouped := tc.q
			grouped.Group = true
			r, err := index.Search(grouped)
			if err != nil || r.Total != int64(len(families)) {
				b.Fatalf("%d families, want %d (%v)", r.Total, len(families), err)
			}
			counted := map[string]int64{}
			for _, v := range r.Facets[1].Values {
				counted[v.Value] = int64(len(regions[v.Value]))
			}
			for _, v := range r.Facets[1].Values {
				if d := gocmp.Diff(counted[v.Value], v.Count); d != "" {
					b.Fatalf("families of region %s: %s", v.Value, d)
				}
			}
			ask := func(q search.Query) []time.Duration {
				t := timed(100*time.Millisecond, 5, func(int) { askIndex(b, index, q) })
				if len(t.cpu) > 0 {
					return t.cpu
				}
				return t.took
			}
			var ratios, with, without []float64
			for b.Loop() {
				for range 5 {
					g, s := ask(grouped), ask(tc.q)
					ratios = append(ratios, ratio(g, s, 50))
					with, without = append(with, micro(g, 50)), append(without, micro(s, 50))
				}
			}
			b.ReportMetric(median(ratios), "of-ungrouped-cpu")
			b.ReportMetric(median(with), "cpu-us")
			b.ReportMetric(median(without), "ungrouped-cpu-us")
		})
	}
}
