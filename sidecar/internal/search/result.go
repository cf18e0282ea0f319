package search

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

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
