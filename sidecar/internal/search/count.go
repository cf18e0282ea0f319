package search

import (
	"iter"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

func (r *run) count(s piece, conds []cond, all *roaring.Bitmap) {
	// without are the matches when facet f has no filter: all, where that makes no difference.
	without := func(f int) *roaring.Bitmap {
		if !slices.ContainsFunc(conds, func(c cond) bool { return c.of == f }) {
			return all
		}
		if base := and(s, conds, f); base.GetCardinality() > all.GetCardinality() {
			return base
		}
		return all
	}
	grouped := r.groups != nil && s.cells.families
	count := r.countValues
	if grouped {
		count = r.countFamilies
	}
	var together []int
	for f := range r.counts {
		if base := without(f); base == all {
			together = append(together, f)
		} else {
			count(s, base, f)
		}
	}
	count(s, all, together...)
	if base := without(price); r.Currency != "" {
		if grouped {
			r.countFamilyPrices(s, base)
		} else {
			r.countPrices(s, base)
		}
	}
}

// countValues counts the listings of a set by the values of facets: by looking at each or, where they are most of the segment, at
// each of the others.
func (r *run) countValues(s piece, base *roaring.Bitmap, facets ...int) {
	if base.IsEmpty() || len(facets) == 0 {
		return
	}
	set, most := base, base.GetCardinality()*2 > uint64(s.len())
	if most {
		set = roaring.Flip(base, 0, uint64(s.len()))
	}
	number := make([]uint32, len(s.cells.kinds.ends))
	for some := range manyOf(set) {
		for _, n := range some {
			number[s.cells.kind[s.cells.of[n]]]++
		}
	}
	counts := make([]uint32, len(s.cells.totals))
	s.cells.count(counts, number)
	for _, f := range facets {
		for slot := s.slot(f, 0); slot < s.slot(f+1, 0); slot++ {
			n := counts[slot]
			if most {
				n = s.cells.totals[slot] - n
			}
			if n > 0 {
				_, v := s.valueAt(slot)
				r.counts[f][v] += int64(n)
			}
		}
	}
}

// countPrices counts a set by steps of prices.
func (r *run) countPrices(s piece, base *roaring.Bitmap) {
	for step, to := range r.steps(s) {
		r.prices[step] += inRange(base, to.from, to.to)
	}
}

// numbers are those in [from, to).
type numbers struct{ from, to uint32 }

// steps yields the price steps of the currency in which a segment may have listings, ascending.
func (r *run) steps(s piece) iter.Seq2[int, numbers] {
	return func(yield func(int, numbers) bool) {
		from, to := s.span(r.Currency)
		for step := 0; from < to && step < priceSteps; step++ {
			next := to
			if step < priceSteps-1 {
				next = s.lowest(from, to, stepFrom(step+1))
			}
			if from < next && !yield(step, numbers{from, next}) {
				return
			}
			from = next
		}
	}
}

// inRange counts the numbers in [from, to).
func inRange(b *roaring.Bitmap, from, to uint32) int64 {
	if from >= to {
		return 0
	}
	n := int64(b.Rank(to - 1))
	if from > 0 {
		n -= int64(b.Rank(from - 1))
	}
	return n
}

// Price ranges begin at 0 and then at 1, 2 and 5 times each power of ten of minor units.
const priceSteps = 1 + 3*12

// stepFrom is the first price of a step.
func stepFrom(step int) int64 {
	if step == 0 {
		return 0
	}
	from := [...]int64{1, 2, 5}[(step-1)%3]
	for range (step - 1) / 3 {
		from *= 10
	}
	return from
}

func priceStep(p int64) int {
	return sort.Search(priceSteps-1, func(i int) bool { return stepFrom(i+1) > p })
}
