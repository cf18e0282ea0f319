package search

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestPricesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	all := []int64{math.MinInt64, -1, 0, 1, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, 5, 7, 1 << 40, 1<<40 + 1}
	p := newPrices(len(all))
	for _, price := range all {
		p.add(price)
	}
	for i, want := range all {
		if got := p.at(uint32(i)); got != want {
			t.Errorf("%d: %d, want %d", i, got, want)
		}
	}
}

func TestFewOfManyByName(t *testing.T) {
	t.Parallel()
	var docs []Doc
	var want []string
	for i := range 6000 {
		d := Doc{ID: fmt.Sprintf("id%04d", i), Name: fmt.Sprintf("Server %04d", i*7919%6000)}
		if i%300 == 0 {
			d.Summary = "rare"
			want = append(want, d.Name)
		}
		docs = append(docs, d)
	}
	slices.Sort(want)
	x := New()
	t.Cleanup(x.Close)
	x.UpsertAll(docs)
	for size := 1; size < len(want)+2; size++ {
		var got []string
		for _, id := range pages(t, x, Query{Text: "rare", PageSize: size}, func() {}) {
			i := slices.IndexFunc(docs, func(d Doc) bool { return d.ID == id })
			got = append(got, docs[i].Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %s, want %s", size, strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
}
