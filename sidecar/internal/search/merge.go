package search

import (
	"cmp"
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
	runs := make([][]place, len(m.from))
	for i, s := range m.from {
		next := make([]uint32, s.len())
		for n := range next {
			next[n] = dead
		}
		m.next = append(m.next, next)
		it := s.live.Iterator()
		for it.HasNext() {
			n := it.Next()
			runs[i] = append(runs[i], place{s.currencyOf(n), s.prices.at(n), i, n})
		}
	}
	order := together(runs, func(a, b place) int {
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
	out.starts = append(out.starts, uint32(len(order)))
	out.byID = together(m.moved(func(s *segment) []uint32 { return s.byID }), out.compareIDs)
	out.byName = together(m.moved(func(s *segment) []uint32 { return s.byName }), out.compareNames)
	out.terms = m.dicts(func(s *segment) *dict { return &s.terms })
	out.nameTerms = m.dicts(func(s *segment) *dict { return &s.nameTerms })
	for f := range out.facets {
		out.facets[f] = m.dicts(func(s *segment) *dict { return &s.facets[f] })
	}
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

// moved are the live listings of each segment in an order of it, by their numbers in the merged one.
func (m *merger) moved(of func(*segment) []uint32) [][]uint32 {
	runs := make([][]uint32, len(m.from))
	for i, s := range m.from {
		for _, n := range of(s.segment) {
			if to := m.next[i][n]; to != dead {
				runs[i] = append(runs[i], to)
			}
		}
	}
	return runs
}

// together makes one ascending list of a few that ascend.
func together[T any](runs [][]T, compare func(a, b T) int) []T {
	n := 0
	for _, run := range runs {
		n += len(run)
	}
	all := make([]T, 0, n)
	for len(all) < n {
		least := -1
		for i, run := range runs {
			if len(run) > 0 && (least < 0 || compare(run[0], runs[least][0]) < 0) {
				least = i
			}
		}
		all = append(all, runs[least][0])
		runs[least] = runs[least][1:]
	}
	return all
}

// dicts merges one dictionary of all segments, word by word in order.
func (m *merger) dicts(of func(*segment) *dict) dict {
	var out dict
	at := make([]int, len(m.from))
	var numbers, spare []uint32
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
			had := len(numbers)
			d.postings[at[i]].each(func(n uint32) { // numbers that ascend are moved to numbers that ascend
				if to := m.next[i][n]; to != dead {
					numbers = append(numbers, to)
				}
			})
			at[i]++
			if had > 0 && had < len(numbers) && numbers[had] < numbers[had-1] {
				spare = merged(spare[:0], numbers[:had], numbers[had:])
				numbers, spare = spare, numbers
			}
		}
		if len(numbers) > 0 {
			out.keys = append(out.keys, word)
			out.postings = append(out.postings, newPosting(numbers))
		}
	}
}

// merged adds two ascending lists to another, in order.
func merged(to, a, b []uint32) []uint32 {
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			to, a = append(to, a[0]), a[1:]
		} else {
			to, b = append(to, b[0]), b[1:]
		}
	}
	return append(append(to, a...), b...)
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
