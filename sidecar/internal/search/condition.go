package search

import (
	"cmp"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// cond is one condition: a set of numbers or, where set is nil, a range.
type cond struct {
	of       int
	set      *roaring.Bitmap
	from, to uint32
}

// conditions of the query as sets of the segment; possible is false where the text rules out everything.
func (r *run) conditions(s piece) (conds []cond, possible bool) {
	if len(r.words) > 0 {
		t := r.in(s.source(false), r.upTo)
		if t == nil || !t.Intersects(s.live) {
			return nil, false
		}
		r.matched = true
		conds = append(conds, cond{of: text, set: t})
	}
	for f, groups := range r.filters {
		for _, values := range groups {
			var sets []*roaring.Bitmap
			for _, v := range values {
				if p, ok := s.facets[f].find(v); ok {
					sets = append(sets, p.bitmap())
				}
			}
			set := roaring.New()
			switch len(sets) {
			case 0:
			case 1:
				set = sets[0]
			default:
				set = roaring.FastOr(sets...)
			}
			conds = append(conds, cond{of: f, set: set})
		}
	}
	if r.Currency != "" {
		from, to := s.span(r.Currency)
		conds = append(conds, cond{of: currency, from: from, to: to})
		if r.PriceMin > 0 || r.PriceMax > 0 {
			low, high := s.lowest(from, to, r.PriceMin), to
			if r.PriceMax > 0 && r.PriceMax < math.MaxInt64 {
				high = s.lowest(from, to, r.PriceMax+1)
			}
			conds = append(conds, cond{of: price, from: low, to: max(low, high)})
		}
	}
	return conds, true
}

// and intersects the live listings with all conditions but those of one facet; -1 leaves none out. Without the currency
// there is no price range either. The answer must not be changed.
func and(s piece, conds []cond, without int) *roaring.Bitmap {
	sets := []*roaring.Bitmap{s.live}
	from, to := uint32(0), uint32(s.len())
	for _, c := range conds {
		switch {
		case c.of == without, without == currency && c.of == price:
		case c.set != nil:
			sets = append(sets, c.set)
		default:
			from, to = max(from, c.from), min(to, c.to)
		}
	}
	if from > 0 || to < uint32(s.len()) {
		r := roaring.New()
		if from < to {
			r.AddRange(uint64(from), uint64(to))
		}
		sets = append(sets, r)
	}
	return intersect(sets)
}

// intersect never changes its operands, but may answer one of them.
func intersect(sets []*roaring.Bitmap) *roaring.Bitmap {
	if len(sets) == 1 {
		return sets[0]
	}
	slices.SortFunc(sets, func(a, b *roaring.Bitmap) int { return cmp.Compare(a.GetCardinality(), b.GetCardinality()) })
	out := roaring.And(sets[0], sets[1])
	for _, s := range sets[2:] {
		out.And(s)
	}
	return out
}

// part splits all by a set; a nil set holds nothing. The answers must not be changed, and nil is an empty one.
func part(set, all *roaring.Bitmap) (in, out *roaring.Bitmap) {
	if all.IsEmpty() {
		return nil, nil
	}
	if set == nil {
		return nil, all
	}
	in = roaring.And(set, all)
	switch in.GetCardinality() {
	case 0:
		return nil, all
	case all.GetCardinality():
		return all, nil
	}
	return in, roaring.AndNot(all, in)
}

func cardinality(set *roaring.Bitmap) int64 {
	if set == nil {
		return 0
	}
	return int64(set.GetCardinality())
}
