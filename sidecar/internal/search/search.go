package search

import (
	"slices"

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
