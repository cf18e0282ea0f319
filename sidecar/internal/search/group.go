package search

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// groups gather what a grouped query finds of families: each is counted once, wherever how many of its listings are, and
// stands where its representative stands. Of the listings in its best tier the cheapest represents it, and only they are counted as
// its variants: none of them is cheaper. A family is a number from 1 to most.
type groups struct {
	most int
	// of is by family.
	of    []standing
	found int64
	// passes are the looks at sets of listings, the first one of the delta.
	passes []pass
	// facets and prices are the families counted.
	facets [price]map[string]*familySet
	prices [priceSteps]marks
}

// standing is what is known of a family.
type standing struct {
	// pass, tier and number are its representative's, last is the last pass that had a listing of it; passes count from 1.
	pass, last int32
	number     uint32
	variants   int32
	tier       uint8
}

// pass is a look at listings of one tier.
type pass struct {
	in   piece
	tier uint8
	// numbers are those that represented their family at the time.
	numbers []uint32
	// entries are of the delta.
	entries []key
}

func newGroups(most int) *groups {
	g := &groups{most: most, of: make([]standing, most+1), passes: make([]pass, 1)}
	for f := range g.facets {
		g.facets[f] = map[string]*familySet{}
	}
	return g
}

// variants of a family that was found; what stands alone is one.
func (g *groups) variants(family uint32) int {
	if family == 0 {
		return 1
	}
	return int(g.of[family].variants)
}

// marks are a bit for each family.
type marks []uint64

func (m marks) set(family uint32) { m[family>>6] |= 1 << (family & 63) }

func (m marks) has(family uint32) bool { return m[family>>6]&(1<<(family&63)) != 0 }

func (m marks) count() (n int64) {
	for _, word := range m {
		n += int64(bits.OnesCount64(word))
	}
	return n
}

// familySet is a set of families: a list while they are few, which may have one twice, and a mark for each once they are many. So all
// sets of a query take a few bytes for each value of each listing, whatever values partners choose.
type familySet struct {
	few  []uint32
	many marks
}

// add takes a family of at most so many.
func (s *familySet) add(family uint32, most int) {
	if s.many != nil {
		s.many.set(family)
		return
	}
	n := len(s.few)
	if n > 0 && s.few[n-1] == family {
		return
	}
	// As marks they would take as much as a list of twice as many.
	if limit := max(most>>6, 16); n >= limit && s.once() > limit/2 {
		s.many = make(marks, most>>6+1)
		for _, f := range s.few {
			s.many.set(f)
		}
		s.few = nil
		s.many.set(family)
		return
	}
	s.few = append(s.few, family)
}

// once leaves each in the list once, and returns how many they are.
func (s *familySet) once() int {
	slices.Sort(s.few)
	s.few = slices.Compact(s.few)
	return len(s.few)
}

func (s *familySet) count() int64 {
	if s.many != nil {
		return s.many.count()
	}
	return int64(s.once())
}

func (g *groups) facet(f int, value string) *familySet {
	of := g.facets[f][value]
	if of == nil {
		of = &familySet{}
		g.facets[f][value] = of
	}
	return of
}

func (g *groups) step(step int) marks {
	if g.prices[step] == nil {
		g.prices[step] = make(marks, g.most>>6+1)
	}
	return g.prices[step]
}

// at are the price and the id of a listing of a pass.
func (g *groups) at(pass int32, number uint32) (price int64, id string) {
	p := &g.passes[pass-1]
	if p.entries != nil {
		k := &p.entries[number]
		return k.price, k.id
	}
	return p.in.prices.at(number), p.in.ids.at(number)
}

// add takes the first listing of a family in a pass, and reports whether it represents the family now.
func (g *groups) add(family uint32, pass int32, tier uint8, number uint32) bool {
	of := &g.of[family]
	new := of.last == 0
	of.last = pass
	switch {
	case new:
		g.found++
		of.variants = 1
	case tier > of.tier:
		return false
	case tier < of.tier:
		of.variants = 1
	default:
		of.variants++
		price, id := g.at(pass, number)
		than, known := g.at(of.pass, of.number)
		if cmp.Or(cmp.Compare(price, than), strings.Compare(id, known)) > 0 {
			return false
		}
	}
	of.pass, of.number, of.tier = pass, number, tier
	return true
}

// addEntry takes a listing of the delta.
func (g *groups) addEntry(e *entry, k key) {
	p := &g.passes[0]
	p.entries = append(p.entries, k)
	g.add(e.family, 1, k.tier, uint32(len(p.entries)-1))
}

// group takes a segment's matches of one tier. Of a family the first one is the cheapest: they come in the order of prices and ids.
func (r *run) group(s piece, set *roaring.Bitmap, tier uint8) {
	alone, of := part(s.cells.alone, set)
	if alone != nil {
		r.page(s, alone, tier)
	}
	if of == nil {
		return
	}
	g := r.groups
	g.passes = append(g.passes, pass{in: s, tier: tier})
	this := int32(len(g.passes))
	var first []uint32
	for some := range manyOf(of) {
		for _, number := range some {
			family := s.cells.family[s.cells.of[number]]
			if known := &g.of[family]; known.last == this {
				if known.tier == tier {
					known.variants++
				}
			} else if g.add(family, this, tier, number) {
				first = append(first, number)
			}
		}
	}
	g.passes[this-1].numbers = first
}

// close adds what was found of families to what was found of listings that stand alone.
func (r *run) close() {
	g := r.groups
	r.total += g.found
	for i, p := range g.passes {
		stands := func(family, number uint32) bool {
			return g.of[family].pass == int32(i+1) && g.of[family].number == number
		}
		for number, k := range p.entries {
			if stands(k.family, uint32(number)) {
				r.keep(k)
			}
		}
		first := slices.DeleteFunc(p.numbers, func(number uint32) bool { return !stands(p.in.familyOf(number), number) })
		if len(first) > 0 {
			r.page(p.in, roaring.BitmapOf(first...), p.tier)
		}
	}
	for f, values := range g.facets {
		for v, m := range values {
			r.counts[f][v] += m.count()
		}
	}
	for step, m := range g.prices {
		r.prices[step] += m.count()
	}
}

func (r *run) countOne(f int, value string, family uint32) {
	if r.groups == nil || family == 0 {
		r.counts[f][value]++
		return
	}
	r.groups.facet(f, value).add(family, r.groups.most)
}

func (r *run) priceOne(step int, family uint32) {
	if r.groups == nil || family == 0 {
		r.prices[step]++
		return
	}
	r.groups.step(step).set(family)
}

// countFamilies counts the families of a set by the values of facets, and what stands alone for itself.
func (r *run) countFamilies(s piece, base *roaring.Bitmap, facets ...int) {
	alone, of := part(s.cells.alone, base)
	if alone != nil {
		r.countValues(s, alone, facets...)
	}
	if of == nil || len(facets) == 0 {
		return
	}
	// seen are cells; values are the families of each slot that is asked for, made when the first family comes.
	seen := make(marks, len(s.cells.family)>>6+1)
	values, asked := make([]*familySet, len(s.cells.totals)), make([]bool, len(s.cells.totals))
	for _, f := range facets {
		for slot := s.slot(f, 0); slot < s.slot(f+1, 0); slot++ {
			asked[slot] = true
		}
	}
	var slot uint32
	for some := range manyOf(of) {
		for _, number := range some {
			cell := s.cells.of[number]
			if seen.has(cell) {
				continue
			}
			seen.set(cell)
			family := s.cells.family[cell]
			for kind := s.cells.kinds.at(s.cells.kind[cell]); kind != ""; {
				slot, kind = nextSlot(kind)
				if !asked[slot] {
					continue
				}
				if values[slot] == nil {
					values[slot] = r.groups.facet(s.valueAt(slot))
				}
				values[slot].add(family, r.groups.most)
			}
		}
	}
}

// countFamilyPrices is countPrices for families.
func (r *run) countFamilyPrices(s piece, base *roaring.Bitmap) {
	alone, of := part(s.cells.alone, base)
	if alone != nil {
		r.countPrices(s, alone)
	}
	if of == nil {
		return
	}
	next, stop := iter.Pull2(r.steps(s))
	defer stop()
	var m marks
	var in numbers
	for some := range manyOf(of) {
		for _, number := range some {
			for number >= in.to {
				step, to, more := next()
				if !more {
					return
				}
				in, m = to, nil
				if number < in.to {
					m = r.groups.step(step)
				}
			}
			if m != nil && number >= in.from {
				m.set(s.cells.family[s.cells.of[number]])
			}
		}
	}
}

// manyOf yields the numbers of a set in their order, many at a time; what it yields is overwritten by the next.
func manyOf(set *roaring.Bitmap) iter.Seq[[]uint32] {
	return func(yield func([]uint32) bool) {
		it := set.ManyIterator()
		buf := make([]uint32, 512)
		for n := it.NextMany(buf); n > 0; n = it.NextMany(buf) {
			if !yield(buf[:n]) {
				return
			}
		}
	}
}
