package search

import (
	"math/bits"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// groups gather what a grouped query finds of families: each is counted once, wherever how many of its listings are, and
// stands where its representative stands. A family is a number from 1 to most.
type groups struct {
	most int
	// at is by family where it stands in of, plus one.
	at []int32
	of []key
	// facets and prices are the families counted.
	facets [price]map[string]marks
	prices [priceSteps]marks
}

func newGroups(most int) *groups {
	g := &groups{most: most, at: make([]int32, most+1)}
	for f := range g.facets {
		g.facets[f] = map[string]marks{}
	}
	return g
}

// marks are a bit for each family.
type marks []uint64

func (m marks) set(family uint32) { m[family>>6] |= 1 << (family & 63) }

func (m marks) count() (n int64) {
	for _, word := range m {
		n += int64(bits.OnesCount64(word))
	}
	return n
}

func (g *groups) facet(f int, value string) marks {
	m, has := g.facets[f][value]
	if !has {
		m = make(marks, g.most>>6+1)
		g.facets[f][value] = m
	}
	return m
}

func (g *groups) step(step int) marks {
	if g.prices[step] == nil {
		g.prices[step] = make(marks, g.most>>6+1)
	}
	return g.prices[step]
}

// add takes one more listing of a family. Of those in its best tier the cheapest represents the family, and only they are counted as
// its variants: none of them is cheaper.
func (g *groups) add(family uint32, k key) {
	i := g.at[family]
	if i == 0 {
		g.of = append(g.of, k)
		g.at[family] = int32(len(g.of))
		return
	}
	known := &g.of[i-1]
	if k.tier == known.tier {
		k.variants += known.variants
		known.variants = k.variants
	}
	if k.tier < known.tier || k.tier == known.tier && (k.price < known.price || k.price == known.price && strings.Compare(k.id, known.id) < 0) {
		*known = k
	}
}

// group takes a segment's matches of one tier. They come in the order of prices and ids.
func (r *run) group(s piece, set *roaring.Bitmap, tier uint8) {
	eachOf(set, func(number uint32) {
		k := key{tier: tier, price: s.price[number], name: s.names.at(number), id: s.ids.at(number), variants: 1}
		if family := s.family[number]; family != 0 {
			r.groups.add(family, k)
			return
		}
		r.total++
		r.keep(k)
	})
}

// close adds what was found of families to what was found of listings that stand alone.
func (r *run) close() {
	r.total += int64(len(r.groups.of))
	for _, k := range r.groups.of {
		r.keep(k)
	}
	for f, values := range r.groups.facets {
		for v, m := range values {
			r.counts[f][v] += m.count()
		}
	}
	for step, m := range r.groups.prices {
		r.prices[step] += m.count()
	}
}

func (r *run) countOne(f int, value string, family uint32) {
	if r.groups == nil || family == 0 {
		r.counts[f][value]++
		return
	}
	r.groups.facet(f, value).set(family)
}

func (r *run) priceOne(step int, family uint32) {
	if r.groups == nil || family == 0 {
		r.prices[step]++
		return
	}
	r.groups.step(step).set(family)
}

// countPosting is countOne for the listings of a facet's value that are in base.
func (r *run) countPosting(f int, value string, s piece, p posting, base *roaring.Bitmap) {
	var m marks
	alone := int64(0)
	count := func(number uint32) {
		family := s.family[number]
		if family == 0 {
			alone++
			return
		}
		if m == nil {
			m = r.groups.facet(f, value)
		}
		m.set(family)
	}
	if p.many != nil {
		eachOf(roaring.And(p.many, base), count)
	} else {
		for _, number := range p.few {
			if base.Contains(number) {
				count(number)
			}
		}
	}
	if alone > 0 {
		r.counts[f][value] += alone
	}
}

// countCurrencies and countPrices count the listings of base by currency and by price.
func (r *run) countCurrencies(s piece, base *roaring.Bitmap) {
	i := 0
	eachOf(base, func(number uint32) {
		for number >= s.starts[i+1] {
			i++
		}
		r.countOne(currency, s.currencies[i], s.family[number])
	})
}

func (r *run) countPrices(s piece, base *roaring.Bitmap) {
	from, to := s.span(r.Currency)
	eachOf(base, func(number uint32) {
		if number >= from && number < to {
			r.priceOne(priceStep(s.price[number]), s.family[number])
		}
	})
}

// eachOf visits the numbers of a set in their order.
func eachOf(set *roaring.Bitmap, visit func(number uint32)) {
	it := set.ManyIterator()
	var buf [512]uint32
	for n := it.NextMany(buf[:]); n > 0; n = it.NextMany(buf[:]) {
		for _, number := range buf[:n] {
			visit(number)
		}
	}
}
