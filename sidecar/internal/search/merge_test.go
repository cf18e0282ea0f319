package search

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// marketed are listings that share words, prices, families and all else, and of which each has words of its own.
func marketed(from, to int) (docs []Doc) {
	for i := from; i < to; i++ {
		d := Doc{
			ID: fmt.Sprintf("lst-%05d", i*7919%100_000), Name: fmt.Sprintf("Server %d, Größe %d", i%300, i%7), Category: "compute",
			Region: []string{"hamburg", "paris", "malmö"}[i%3], Country: []string{"DE", "FR", "SE"}[i%3], Currency: []string{"EUR", "SEK"}[i%5/4],
			Summary: fmt.Sprintf("number%d of many", i), Description: "A server of its own, with a server's care.",
			Price: int64(i*31%97) << (i % 2 * 30), Orderable: i%4 > 0,
		}
		if i%6 > 0 {
			d.Family = fmt.Sprint("family", i%41)
		}
		if i%2 > 0 {
			d.Certifications = []string{"C5", "ISO 27001", "C5"}
		}
		docs = append(docs, d)
	}
	return docs
}

func segmentOf(docs []Doc, families *families) *segment {
	entries := make([]*entry, len(docs))
	for i, d := range docs {
		entries[i] = heading(d)
		entries[i].family = families.take(d.Family)
	}
	return buildSegment(entries, func(at int, all, name *gather) { docs[at].words(all, name) })
}

// contents are all that a segment says, cells by what is in them: their numbers say nothing.
func contents(s *segment) map[string]any {
	said := map[string]any{"currencies": s.currencies, "starts": s.starts, "byID": s.byID, "byName": s.byName}
	var listings []string
	for n := range uint32(s.len()) {
		line := fmt.Sprint(s.ids.at(n), " ", s.names.at(n), " ", s.prices.at(n), " ", s.currencyOf(n), " family ", s.familyOf(n))
		var slot uint32
		for kind := s.cells.kinds.at(s.cells.kind[s.cells.of[n]]); kind != ""; {
			slot, kind = nextSlot(kind)
			_, value := s.valueAt(slot)
			line += " " + value
		}
		listings = append(listings, line)
	}
	said["listings"], said["totals"] = listings, s.cells.totals
	dicts := []*dict{&s.terms, &s.nameTerms}
	for f := range s.facets {
		dicts = append(dicts, &s.facets[f])
	}
	for i, d := range dicts {
		of := []string{}
		for at, key := range d.keys {
			var numbers []uint32
			d.postings[at].each(func(n uint32) { numbers = append(numbers, n) })
			of = append(of, fmt.Sprint(key, numbers))
		}
		said[fmt.Sprint("words ", i)] = of
	}
	return said
}

// TestAMergedSegmentIsAsTheOneThatIsBuilt of the same listings.
func TestAMergedSegmentIsAsTheOneThatIsBuilt(t *testing.T) {
	t.Parallel()
	docs := marketed(0, 1000)
	gone := func(i int) bool { return i%5 == 2 || i >= 300 && i < 400 } // all of a segment's
	for name, ends := range map[string][]int{
		"one": {1000}, "one in which some died": {1000}, "four": {250, 500, 750, 1000}, "unequal ones in which some died": {10, 300, 400, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var numbers families
			m, from, left := &merger{}, 0, []Doc(nil)
			for _, end := range ends {
				part := docs[from:end]
				o := own(segmentOf(part, &numbers))
				for i, d := range part {
					if name == "one" || name == "four" || !gone(from+i) {
						left = append(left, d)
						continue
					}
					n, _ := o.find(d.ID)
					o.remove(n)
				}
				m.from = append(m.from, o.shown())
				from = end
			}
			if diff := cmp.Diff(contents(segmentOf(left, &numbers)), contents(m.merge())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAListingHasSoManyWords: what is beyond is passed over, the first ones are not, wherever it is gathered.
func TestAListingHasSoManyWords(t *testing.T) {
	t.Parallel()
	d := Doc{ID: "a", Name: "Zebra"}
	for i := range 2 * maxTerms {
		d.Description += fmt.Sprintf(" word%05d word%05d", i, i/2)
	}
	many := WordsOf(d)
	if len(many) != maxTerms || !slices.IsSorted(many) || !slices.Contains(many, "zebra") || slices.Contains(many, fmt.Sprintf("word%05d", maxTerms)) {
		t.Errorf("%d words: %v", len(many), many)
	}
	if s := segmentOf([]Doc{d}, &families{}); !slices.Equal(s.terms.keys, many) || !slices.Equal(s.nameTerms.keys, []string{"zebra"}) {
		t.Errorf("%d words in a segment, %v of the name", len(s.terms.keys), s.nameTerms.keys)
	}
}

// TestAllocationsOfAListing that comes with many others, and of its way through a merge, bound what a catalog that comes in costs the index.
func TestAllocationsOfAListing(t *testing.T) {
	const n = 1000
	var numbers families
	docs := marketed(0, n)
	seg := own(segmentOf(docs, &numbers)).shown()
	for _, tc := range []struct {
		what string
		most float64
		do   func()
	}{
		{"coming", 30, func() { segmentOf(docs, &numbers) }},
		{"merged", 10, func() { (&merger{from: []piece{seg}}).merge() }},
	} {
		if got := testing.AllocsPerRun(2, tc.do) / n; got > tc.most {
			t.Errorf("%s: %.1f allocations a listing, want at most %g", tc.what, got, tc.most)
		} else {
			t.Logf("%s: %.1f", tc.what, got)
		}
	}
}
