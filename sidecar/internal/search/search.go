package search

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// Search returns one page. Errors: fault.Invalid with reason page_token_invalid, page_size_invalid, sort_unknown,
// currency_required, price_range_invalid or facet_unknown.
func (x *Index) Search(q Query) (Result, error) {
	c, err := compile(q)
	if err != nil {
		return Result{}, err
	}
	now := x.shown.Load()
	r := now.look(c)
	for !r.matched && c.widen() {
		r = now.look(c)
	}
	return r.result(), nil
}

// look asks delta and segments.
func (now *shown) look(c *compiled) *run {
	r := &run{compiled: c}
	for f := range r.counts {
		r.counts[f] = map[string]int64{}
	}
	if r.Group {
		r.groups = newGroups(now.families)
	}
	for _, e := range now.delta {
		r.entry(e)
	}
	for _, s := range now.segs {
		r.segment(s)
	}
	return r
}

// run gathers the result of one query over delta and segments.
type run struct {
	*compiled
	// matched: some listing has the text, whatever the filters say of it.
	matched bool
	total   int64
	// found are at most size+1 listings of each segment, and of the delta all.
	found []key
	// groups gather a grouped query; nil in any other.
	groups *groups
	counts [price]map[string]int64
	prices [priceSteps]int64
}

func (r *run) entry(e *entry) {
	var fails [conditions]bool
	failed := 0
	fail := func(c int) {
		fails[c] = true
		failed++
	}
	if !r.holds(e.terms, e.facets[country], r.upTo) {
		return
	}
	r.matched = true
	for f, groups := range r.filters {
		for _, values := range groups {
			if !slices.ContainsFunc(e.facets[f], func(v string) bool { return slices.Contains(values, v) }) {
				fail(f)
				break
			}
		}
	}
	if r.Currency != "" && e.currency != r.Currency {
		fail(currency)
	}
	if r.Currency != "" && !r.inPrice(e.price) {
		fail(price)
	}
	counts := func(f int) bool { return failed == 0 || failed == 1 && fails[f] }
	for f := range e.facets {
		if counts(f) {
			for _, v := range e.facets[f] {
				r.countOne(f, v, e.family)
			}
		}
	}
	// A price range means nothing in another currency, so that this facet is counted without it too.
	if !slices.Contains(fails[:currency], true) {
		r.countOne(currency, e.currency, e.family)
	}
	if r.Currency != "" && counts(price) {
		r.priceOne(priceStep(e.price), e.family)
	}
	if failed > 0 {
		return
	}
	k := key{price: e.price, name: e.key, id: e.id, family: e.family}
	if r.Sort == Relevance {
		k.tier = r.tierOf(e)
	}
	if len(e.facets[availability]) == 0 {
		k.tier |= later
	}
	if e.family != 0 && r.groups != nil {
		r.groups.addEntry(e, k)
		return
	}
	r.total++
	r.keep(k)
}

// later is the highest bit of key.tier, of what cannot be ordered now; the others are how near to the text a listing is.
const later = 1 << 7

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

// tier is how near to the text a listing is, the nearest first: by its name, then by its other texts.
func (p *pattern) tier(of level, inName bool) uint8 {
	switch {
	case of > alike && inName:
		return 2 * uint8(of)
	case of > alike:
		return 2*uint8(of) + 1
	case inName:
		return uint8(of)
	}
	return uint8(spare) + uint8(of)
}

// levels are those that a listing is looked for at, the nearest first.
func (p *pattern) levels() []level {
	if p.upTo > alike {
		return []level{p.upTo}
	}
	return []level{exact, begun, alike}
}

func (r *run) tierOf(e *entry) uint8 {
	for _, inName := range []bool{true, false} {
		terms := e.terms
		if inName {
			terms = e.nameTerms
		}
		for _, of := range r.levels() {
			if r.holds(terms, e.facets[country], of) {
				return r.tier(of, inName)
			}
		}
	}
	return r.tier(r.upTo, false)
}

func (r *run) segment(s piece) {
	conds, possible := r.conditions(s)
	if !possible {
		return
	}
	all := and(s, conds, -1)
	r.count(s, conds, all)
	grouped := r.groups != nil && s.cells.families
	take := func(set *roaring.Bitmap, tier uint8) { r.page(s, set, tier) }
	if grouped {
		alone, _ := part(s.cells.alone, all)
		r.total += cardinality(alone)
		take = func(set *roaring.Bitmap, tier uint8) { r.group(s, set, tier) }
	} else {
		r.total += int64(all.GetCardinality())
	}
	now, rest := part(s.facets[availability].bitmap(AvailableNow), all)
	before := len(r.found)
	r.inTiers(s, now, 0, take)
	if grouped || len(r.found)-before <= r.size {
		r.inTiers(s, rest, later, take)
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

func cardinality(set *roaring.Bitmap) int64 {
	if set == nil {
		return 0
	}
	return int64(set.GetCardinality())
}

// inTiers takes the matches that are nearest to the text first; where the page is full and all need not be seen, no more.
func (r *run) inTiers(s piece, all *roaring.Bitmap, base uint8, take func(set *roaring.Bitmap, tier uint8)) {
	if all == nil {
		return
	}
	if r.Sort != Relevance {
		take(all, base)
		return
	}
	before := len(r.found)
	for _, inName := range []bool{true, false} {
		from := s.source(inName)
		for _, of := range r.levels() {
			tier := r.tier(of, inName)
			if tier == r.tier(r.upTo, false) {
				take(all, base|tier)
				return
			}
			in, out := part(r.in(from, of), all)
			if in == nil {
				continue
			}
			take(in, base|tier)
			if out == nil || r.groups == nil && len(r.found)-before > r.size {
				return
			}
			all = out
		}
	}
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

func (r *run) result() Result {
	if r.groups != nil {
		r.close()
	}
	slices.SortFunc(r.found, r.compare)
	out := Result{Total: r.total}
	page := r.found
	if len(page) > r.size {
		page = page[:r.size]
		out.NextPageToken = page[r.size-1].token(r.hash)
	}
	for _, k := range page {
		// A part of a segment's text: cloned, so that an answer does not keep a segment alive.
		out.IDs = append(out.IDs, strings.Clone(k.id))
		if r.groups != nil {
			out.Variants = append(out.Variants, r.groups.variants(k.family))
		}
	}
	for f := range r.counts {
		out.Facets = append(out.Facets, r.facet(f))
	}
	if r.Currency != "" {
		out.Facets = append(out.Facets, Facet{Name: FacetPrice, Values: r.priceRanges()})
	}
	return out
}

// maxValues bounds the values of one facet in an answer.
const maxValues = 200

func (r *run) facet(f int) Facet {
	out := Facet{Name: facetName(f)}
	chosen := map[string]bool{}
	if f < stored {
		for _, values := range r.filters[f] {
			for _, v := range values {
				chosen[v] = true
			}
		}
	} else if r.Currency != "" {
		chosen[r.Currency] = true
	}
	// A chosen value stays in sight when nothing has it, so that it can be taken back.
	for v := range chosen {
		r.counts[f][v] += 0
	}
	for v, n := range r.counts[f] {
		out.Values = append(out.Values, FacetValue{v, n})
	}
	slices.SortFunc(out.Values, func(a, b FacetValue) int {
		if c := cmp.Compare(b.Count, a.Count); c != 0 {
			return c
		}
		return cmp.Compare(a.Value, b.Value)
	})
	if len(out.Values) > maxValues {
		rest := out.Values[maxValues:]
		out.Values = out.Values[:maxValues]
		for _, v := range rest {
			if chosen[v.Value] {
				out.Values = append(out.Values, v)
			}
		}
	}
	return out
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

func (r *run) priceRanges() []FacetValue {
	var out []FacetValue
	for step, n := range r.prices {
		if n == 0 {
			continue
		}
		value := strconv.FormatInt(stepFrom(step), 10) + "-"
		if step < priceSteps-1 {
			value += strconv.FormatInt(stepFrom(step+1)-1, 10)
		}
		out = append(out, FacetValue{value, n})
	}
	return out
}
