package search

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

// cells say which listings of a segment are of which family. Listings of one family that have the same values of all facets share a
// cell, so that families are counted cell by cell and not listing by listing. Cell 0 is of the listings that stand alone.
type cells struct {
	// of is by number, family and kind are by cell.
	of     []uint32
	family []uint32
	kind   []uint32
	// A kind is a set of facet values, each written as its slot: those of kind i end at ends[i] in slots.
	slots []uint32
	ends  []uint32
	// alone are the numbers of cell 0; nil where there is none.
	alone *roaring.Bitmap
}

func (c *cells) slotsOf(kind uint32) []uint32 {
	from := uint32(0)
	if kind > 0 {
		from = c.ends[kind-1]
	}
	return c.slots[from:c.ends[kind]]
}

// slot numbers the values of all facets of a segment, facet after facet, the currencies last.
func (s *segment) slot(f, value int) uint32 {
	at := value
	for before := range f {
		if before == currency {
			at += len(s.currencies)
		} else {
			at += len(s.facets[before].keys)
		}
	}
	return uint32(at)
}

// valueAt is what slot numbers.
func (s *segment) valueAt(slot uint32) (f int, value string) {
	at := int(slot)
	for f := range s.facets {
		if keys := s.facets[f].keys; at < len(keys) {
			return f, keys[at]
		} else {
			at -= len(keys)
		}
	}
	return currency, s.currencies[at]
}

// cellMaker makes the cells of a segment whose facets and currencies are there already.
type cellMaker struct {
	s     *segment
	cells map[[2]uint32]uint32
	kinds map[string]uint32
}

func newCellMaker(s *segment) *cellMaker {
	return &cellMaker{s: s, cells: map[[2]uint32]uint32{}, kinds: map[string]uint32{}}
}

// cell finds or makes one; slots are sorted by facets and may be used again by the caller.
func (m *cellMaker) cell(family uint32, slots []uint32) uint32 {
	if m.s.cells == nil {
		m.s.cells = &cells{of: make([]uint32, m.s.len()), family: []uint32{0}, kind: []uint32{0}, ends: []uint32{0}}
	}
	c := m.s.cells
	var key []byte
	for _, slot := range slots {
		key = binary.AppendUvarint(key, uint64(slot))
	}
	kind, has := m.kinds[string(key)]
	if !has {
		c.slots = append(c.slots, slots...)
		c.ends = append(c.ends, uint32(len(c.slots)))
		kind = uint32(len(c.ends) - 1)
		m.kinds[string(key)] = kind
	}
	at := [2]uint32{family, kind}
	cell, has := m.cells[at]
	if !has {
		c.family, c.kind = append(c.family, family), append(c.kind, kind)
		cell = uint32(len(c.family) - 1)
		m.cells[at] = cell
	}
	return cell
}

// ofEntries puts the listings that a segment is built of into cells.
func (m *cellMaker) ofEntries(entries []*entry) {
	var slots []uint32
	for number, e := range entries {
		if e.family == 0 {
			continue
		}
		slots = slots[:0]
		for f := range e.facets {
			for _, v := range e.facets[f] {
				at, _ := slices.BinarySearch(m.s.facets[f].keys, v)
				slots = append(slots, m.s.slot(f, at))
			}
		}
		slots = append(slots, m.s.slot(currency, m.s.currencyAt(uint32(number))))
		cell := m.cell(e.family, slots)
		m.s.cells.of[number] = cell
	}
	m.finish()
}

// taken puts a listing into the cell of the new segment that is its cell in an old one; known are those found before.
func (m *cellMaker) taken(number int, from *segment, cell uint32, known []uint32) {
	if known[cell] == 0 {
		var slots []uint32
		for _, slot := range from.cells.slotsOf(from.cells.kind[cell]) {
			f, v := from.valueAt(slot)
			keys := m.s.currencies
			if f < stored {
				keys = m.s.facets[f].keys
			}
			at, _ := slices.BinarySearch(keys, v)
			slots = append(slots, m.s.slot(f, at))
		}
		known[cell] = m.cell(from.cells.family[cell], slots)
	}
	m.s.cells.of[number] = known[cell]
}

func (m *cellMaker) finish() {
	c := m.s.cells
	if c == nil {
		return
	}
	alone := roaring.New()
	for number, cell := range c.of {
		if cell == 0 {
			alone.Add(uint32(number))
		}
	}
	if !alone.IsEmpty() {
		alone.RunOptimize()
		c.alone = alone
	}
	c.family, c.kind, c.slots, c.ends = slices.Clip(c.family), slices.Clip(c.kind), slices.Clip(c.slots), slices.Clip(c.ends)
}

// familyOf is the family of a listing, 0 for none.
func (s *segment) familyOf(number uint32) uint32 {
	if s.cells == nil {
		return 0
	}
	return s.cells.family[s.cells.of[number]]
}

// currencyAt is the place of a listing's currency among the segment's.
func (s *segment) currencyAt(number uint32) int {
	return sort.Search(len(s.currencies), func(i int) bool { return s.starts[i+1] > number })
}
