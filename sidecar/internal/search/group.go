package search

import (
	"cmp"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// groups gather what a grouped query finds of families: each is counted once, wherever how many of its listings are, and
// stands where its representative stands.
type groups struct {
	at map[uint32]int
	of []key
	// facets and prices hold the families counted, as bits.
	facets [price]map[string]*roaring.Bitmap
	prices [priceSteps]*roaring.Bitmap
	// scratch is used again and again.
	scratch []uint32
}

func newGroups() *groups {
	g := &groups{at: map[uint32]int{}}
	for f := range g.facets {
		g.facets[f] = map[string]*roaring.Bitmap{}
	}
	return g
}

// add takes one more listing of a family. Of those in its best tier the cheapest represents the family, and only they are counted as
// its variants: none of them is cheaper.
func (g *groups) add(family uint32, k key) {
	i, has := g.at[family]
	if !has {
		g.at[family] = len(g.of)
		g.of = append(g.of, k)
		return
	}
	known := &g.of[i]
	if k.tier == known.tier {
		k.variants += known.variants
		known.variants = k.variants
	}
	if cmp.Or(cmp.Compare(k.tier, known.tier), cmp.Compare(k.price, known.price), strings.Compare(k.id, known.id)) < 0 {
		*known = k
	}
}

// group takes a segment's matches of one tier.
func (r *run) group(s *segment, set *roaring.Bitmap, tier uint8) {
	it := set.ManyIterator()
	var buf [512]uint32
	for n := it.NextMany(buf[:]); n > 0; n = it.NextMany(buf[:]) {
		for _, number := range buf[:n] {
			k := key{tier: tier, price: s.price[number], name: s.names.at(number), id: s.ids.at(number), variants: 1}
			if family := s.family[number]; family != 0 {
				r.groups.add(family, k)
				continue
			}
			r.total++
			r.keep(k)
		}
	}
}

// close adds what was found of families to what was found of listings that stand alone.
func (r *run) close() {
	r.total += int64(len(r.groups.of))
	for _, k := range r.groups.of {
		r.keep(k)
	}
	for f, values := range r.groups.facets {
		for v, set := range values {
			r.counts[f][v] += int64(set.GetCardinality())
		}
	}
	for step, set := range r.groups.prices {
		if set != nil {
			r.prices[step] += int64(set.GetCardinality())
		}
	}
}

func (r *run) countOne(f int, value string, family uint32) {
	if r.groups == nil || family == 0 {
		r.counts[f][value]++
		return
	}
	r.groups.set(f, value).Add(family)
}

func (r *run) priceOne(step int, family uint32) {
	if r.groups == nil || family == 0 {
		r.prices[step]++
		return
	}
	r.groups.step(step).Add(family)
}

// countAll is countOne for all listings of a set.
func (r *run) countAll(f int, value string, s *segment, set *roaring.Bitmap) {
	if set.IsEmpty() {
		return
	}
	alone := r.groups.families(s, set)
	r.groups.set(f, value).AddMany(r.groups.scratch)
	r.counts[f][value] += alone
}

func (r *run) priceAll(step int, s *segment, set *roaring.Bitmap) {
	if set.IsEmpty() {
		return
	}
	alone := r.groups.families(s, set)
	r.groups.step(step).AddMany(r.groups.scratch)
	r.prices[step] += alone
}

// families leaves the families of a set in scratch and counts those that stand alone.
func (g *groups) families(s *segment, set *roaring.Bitmap) (alone int64) {
	g.scratch = g.scratch[:0]
	it := set.ManyIterator()
	var buf [512]uint32
	for n := it.NextMany(buf[:]); n > 0; n = it.NextMany(buf[:]) {
		for _, number := range buf[:n] {
			if family := s.family[number]; family != 0 {
				g.scratch = append(g.scratch, family)
			} else {
				alone++
			}
		}
	}
	return alone
}

func (g *groups) set(f int, value string) *roaring.Bitmap {
	set, has := g.facets[f][value]
	if !has {
		set = roaring.New()
		g.facets[f][value] = set
	}
	return set
}

func (g *groups) step(step int) *roaring.Bitmap {
	if g.prices[step] == nil {
		g.prices[step] = roaring.New()
	}
	return g.prices[step]
}

// cutRange is the part of a set in [from, to).
func cutRange(b *roaring.Bitmap, from, to uint32) *roaring.Bitmap {
	r := roaring.New()
	if from < to {
		r.AddRange(uint64(from), uint64(to))
	}
	return roaring.And(r, b)
}
