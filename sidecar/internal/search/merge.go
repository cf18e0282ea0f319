package search

import (
	"cmp"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// dead marks a number that has no successor in a merged segment.
const dead = ^uint32(0)

// merger makes one segment of the live listings of several.
type merger struct {
	// from is as the merge began: what dies meanwhile is taken out by catchUp.
	from []piece
	// next maps a number to the one in the merged segment.
	next [][]uint32
}

func (m *merger) merge() *segment {
	type place struct {
		currency string
		price    int64
		seg      int
		number   uint32
	}
	var order []place
	for i, s := range m.from {
		next := make([]uint32, s.len())
		for n := range next {
			next[n] = dead
		}
		m.next = append(m.next, next)
		it := s.live.Iterator()
		for it.HasNext() {
			n := it.Next()
			order = append(order, place{s.currencyOf(n), s.prices.at(n), i, n})
		}
	}
	slices.SortFunc(order, func(a, b place) int {
		if c := strings.Compare(a.currency, b.currency); c != 0 {
			return c
		}
		if c := cmp.Compare(a.price, b.price); c != 0 {
			return c
		}
		return strings.Compare(m.from[a.seg].ids.at(a.number), m.from[b.seg].ids.at(b.number))
	})
	out := &segment{
		ids:    newBlob(len(order), func(i int) string { return m.from[order[i].seg].ids.at(order[i].number) }),
		names:  newBlob(len(order), func(i int) string { return m.from[order[i].seg].names.at(order[i].number) }),
		prices: newPrices(len(order)),
	}
	for i, p := range order {
		m.next[p.seg][p.number] = uint32(i)
		out.prices.add(p.price)
		out.addCurrency(p.currency, uint32(i))
	}
	out.terms = m.dicts(func(s *segment) *dict { return &s.terms })
	out.nameTerms = m.dicts(func(s *segment) *dict { return &s.nameTerms })
	for f := range out.facets {
		out.facets[f] = m.dicts(func(s *segment) *dict { return &s.facets[f] })
	}
	out.finish()
	maker, known := newCellMaker(out), make([][]uint32, len(m.from))
	for i, s := range m.from {
		known[i] = make([]uint32, len(s.cells.family))
	}
	for number, p := range order {
		s := m.from[p.seg]
		cell := s.cells.of[p.number]
		if known[p.seg][cell] == 0 {
			known[p.seg][cell] = maker.moved(s.segment, cell) + 1
		}
		out.cells.of[number] = known[p.seg][cell] - 1
	}
	maker.finish()
	return out
}

// dicts merges one dictionary of all segments, word by word in order.
func (m *merger) dicts(of func(*segment) *dict) dict {
	var out dict
	at := make([]int, len(m.from))
	var numbers []uint32
	for {
		word, any := "", false
		for i, s := range m.from {
			if d := of(s.segment); at[i] < len(d.keys) && (!any || d.keys[at[i]] < word) {
				word, any = d.keys[at[i]], true
			}
		}
		if !any {
			return out
		}
		numbers = numbers[:0]
		for i, s := range m.from {
			d := of(s.segment)
			if at[i] == len(d.keys) || d.keys[at[i]] != word {
				continue
			}
			d.postings[at[i]].each(func(n uint32) {
				if to := m.next[i][n]; to != dead {
					numbers = append(numbers, to)
				}
			})
			at[i]++
		}
		if len(numbers) > 0 {
			slices.Sort(numbers)
			out.keys = append(out.keys, word)
			out.postings = append(out.postings, newPosting(slices.Clone(numbers)))
		}
	}
}

// catchUp takes out of the merged segment what died while it was made. The writers' lock is held.
func (m *merger) catchUp(group []*owned, out *owned) {
	for i, s := range group {
		it := roaring.AndNot(m.from[i].live, s.live).Iterator()
		for it.HasNext() {
			out.remove(m.next[i][it.Next()])
		}
	}
}
