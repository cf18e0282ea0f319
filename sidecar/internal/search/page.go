package search

import (
	"cmp"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

// keep notes a listing that comes after the page before. Of very many only the first are of use.
func (r *run) keep(k key) {
	if !r.isAfter(k) {
		return
	}
	r.found = append(r.found, k)
	if most := 4 * (r.size + deltaSize); len(r.found) > most {
		slices.SortFunc(r.found, r.compare)
		r.found = r.found[:r.size+1]
	}
}

// page takes the first listings of a set that come after the page before.
func (r *run) page(s piece, set *roaring.Bitmap, tier uint8) {
	if r.Sort == PriceAsc || r.Sort == PriceDesc {
		r.byPrice(s, set, tier)
		return
	}
	r.byName(s, set, tier)
}

// byPrice takes the first listings after the page before: numbers are in the order of prices.
func (r *run) byPrice(s piece, all *roaring.Bitmap, tier uint8) {
	if r.after != nil && r.after.tier > tier {
		return
	}
	from, to := s.span(r.Currency)
	add := func(n uint32) {
		r.found = append(r.found, key{tier: tier, price: s.prices.at(n), id: s.ids.at(n), family: s.familyOf(n)})
	}
	at := from
	within := r.after != nil && r.after.tier == tier
	if within {
		// The first number that stands after the last listing in ascending order, or at it in descending.
		at = from + uint32(sort.Search(int(to-from), func(i int) bool {
			n := from + uint32(i)
			c := cmp.Compare(s.prices.at(n), r.after.price)
			if c == 0 {
				c = cmp.Compare(s.ids.at(n), r.after.id)
			}
			if r.Sort == PriceAsc {
				return c > 0
			}
			return c >= 0
		}))
	}
	if r.Sort == PriceAsc {
		it := all.Iterator()
		it.AdvanceIfNeeded(at)
		for k := 0; k <= r.size && it.HasNext(); k++ {
			add(it.Next())
		}
		return
	}
	end := to
	if within {
		end = at
	}
	if end == 0 {
		return
	}
	before := int64(all.Rank(end - 1))
	for k := int64(1); k <= before && k <= int64(r.size)+1; k++ {
		n, err := all.Select(uint32(before - k))
		if err != nil {
			return
		}
		add(n)
	}
}

// byName takes the first listings by name: by walking the names where many match, by looking at each match where few do.
func (r *run) byName(s piece, all *roaring.Bitmap, tier uint8) {
	n := all.GetCardinality()
	if n == 0 || r.after != nil && r.after.tier > tier {
		return
	}
	at := func(number uint32) key {
		return key{tier: tier, name: s.names.at(number), id: s.ids.at(number), family: s.familyOf(number)}
	}
	const few = 256
	if n <= uint64(s.len()/few) {
		r.found = append(r.found, r.least(all, at)...)
		return
	}
	first := 0
	if r.after != nil && r.after.tier == tier {
		first = sort.Search(len(s.byName), func(i int) bool { return r.isAfter(at(s.byName[i])) })
	}
	for k, i := 0, first; i < len(s.byName) && k <= r.size; i++ {
		if all.Contains(s.byName[i]) {
			r.found = append(r.found, at(s.byName[i]))
			k++
		}
	}
}

// least are the first listings of a set that come after the page before.
func (r *run) least(all *roaring.Bitmap, at func(number uint32) key) (found []key) {
	most, full := r.size+1, false
	cut := func() {
		slices.SortFunc(found, r.compare)
		found = found[:min(most, len(found))]
	}
	for some := range manyOf(all) {
		for _, number := range some {
			k := at(number)
			if !r.isAfter(k) || full && r.compare(k, found[most-1]) > 0 {
				continue
			}
			if found = append(found, k); len(found) == 4*most {
				cut()
				full = true
			}
		}
	}
	cut()
	return found
}
