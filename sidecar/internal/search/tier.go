package search

import (
	"github.com/RoaringBitmap/roaring/v2"
)

// later is the highest bit of key.tier, of what cannot be ordered now; the others are how near to the text a listing is.
const later = 1 << 7

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
