package search

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// One supplier chooses families and values, and another one's customers must not pay for it: what a query takes grows with the
// listings, and not with listings times values.
func TestAQueryTakesNoMoreThanItsListings(t *testing.T) {
	const most = 1500 // bytes a listing, of all facets together
	for _, shape := range []struct {
		name string
		doc  func(i int) Doc
	}{
		{"every listing a family and a value of its own", func(i int) Doc {
			own := fmt.Sprint("v", i)
			return Doc{Family: own, Category: own, Region: own, Country: own, Certifications: []string{own, "b" + own}}
		}},
		{"families of two in values of twenty", func(i int) Doc {
			of := fmt.Sprint("v", i/20)
			return Doc{Family: fmt.Sprint(i / 2), Category: of, Region: fmt.Sprint("v", i%1000), Country: of, Certifications: []string{of}}
		}},
		{"one family in as many values as there are listings", func(i int) Doc {
			own := fmt.Sprint("v", i)
			return Doc{Family: "one", Category: own, Region: own, Certifications: []string{own}}
		}},
	} {
		for _, n := range []int{2_000, 10_000} {
			docs := make([]Doc, n)
			for i := range docs {
				d := shape.doc(i)
				d.ID, d.Name, d.Currency, d.Price, d.Orderable = fmt.Sprintf("l%06d", i), fmt.Sprint("Listing ", i), "EUR", int64(i%977), i%3 > 0
				docs[i] = d
			}
			x := New()
			t.Cleanup(x.Close)
			x.UpsertAll(docs)
			for sort := Relevance; sort <= PriceDesc; sort++ {
				for _, group := range []bool{false, true} {
					q := Query{Currency: "EUR", Sort: sort, Group: group, Filters: []Filter{filter(FacetAvailability, AvailableNow)}}
					took := uint64(math.MaxUint64)
					for range 3 { // segments may be merged beside
						var before, after runtime.MemStats
						runtime.ReadMemStats(&before)
						find(t, x, q)
						runtime.ReadMemStats(&after)
						took = min(took, (after.TotalAlloc-before.TotalAlloc)/uint64(n))
					}
					if took > most {
						t.Errorf("%s, %d listings, sort %d, grouped %t: %d bytes a listing, more than %d", shape.name, n, sort, group, took, most)
					}
				}
			}
		}
	}
}

func TestASetOfFamiliesCountsEachOnce(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 15, 16, 17, 63, 64, 65, 5_000} {
		for _, of := range []int{1, 8, 16, 17, 100, most} {
			var s familySet
			want := map[uint32]bool{}
			for range 3 * of {
				f := 1 + rand.Uint32N(uint32(min(of, most)))
				s.add(f, most)
				want[f] = true
			}
			if got := s.count(); got != int64(len(want)) || got != s.count() {
				t.Errorf("most %d: %d of %d", most, got, len(want))
			}
		}
	}
}
