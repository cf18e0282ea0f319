package search

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/RoaringBitmap/roaring/v2"
)

// cells are what listings of a segment have in common: those of one family, or of none, that have the same values of all facets
// share a cell. So values are counted cell by cell, with one look at each listing.
type cells struct {
	// of is by number, family and kind are by cell.
	of     []uint32
	family []uint32
	kind   []uint32
	// kinds are sets of facet values, each written as its slot.
	kinds blob
	// totals are by slot how many listings of the segment have the value, dead ones too.
	totals []uint32
	// families: some listing has one. Then alone are the numbers of those that have none; nil where all have.
	families bool
	alone    *roaring.Bitmap
}

// nextSlot reads the first slot of a kind, which is not empty. It is small, so that it costs no call.
func nextSlot(kind string) (slot uint32, rest string) {
	if kind[0] < 0x80 {
		return uint32(kind[0]), kind[1:]
	}
	return longSlot(kind)
}

func longSlot(kind string) (slot uint32, rest string) {
	for i := 0; ; i++ {
		slot |= uint32(kind[i]&0x7F) << (7 * i)
		if kind[i] < 0x80 {
			return slot, kind[i+1:]
		}
	}
}

// count adds to the counts of all slots what number says of some kinds.
func (c *cells) count(slots []uint32, number []uint32) {
	var slot uint32
	for kind, n := range number {
		if n == 0 {
			continue
		}
		for text := c.kinds.at(uint32(kind)); text != ""; {
			slot, text = nextSlot(text)
			slots[slot] += n
		}
	}
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
	// texts are the kinds, in the order of their numbers.
	texts []string
	key   []byte
}

func newCellMaker(s *segment) *cellMaker {
	s.cells.of = make([]uint32, s.len())
	return &cellMaker{s: s, cells: map[[2]uint32]uint32{}, kinds: map[string]uint32{}}
}

// cell finds or makes one; slots are sorted and may be used again by the caller.
func (m *cellMaker) cell(family uint32, slots []uint32) uint32 {
	c := &m.s.cells
	m.key = m.key[:0]
	for _, slot := range slots {
		m.key = binary.AppendUvarint(m.key, uint64(slot))
	}
	kind, has := m.kinds[string(m.key)]
	if !has {
		text := string(m.key)
		kind = uint32(len(m.texts))
		m.texts, m.kinds[text] = append(m.texts, text), kind
	}
	at := [2]uint32{family, kind}
	cell, has := m.cells[at]
	if !has {
		c.family, c.kind = append(c.family, family), append(c.kind, kind)
		cell = uint32(len(c.family) - 1)
		m.cells[at] = cell
		c.families = c.families || family > 0
	}
	return cell
}

// ofEntries puts the listings that a segment is built of into cells.
func (m *cellMaker) ofEntries(entries []*entry) {
	var slots []uint32
	for number, e := range entries {
		slots = slots[:0]
		for f := range e.facets {
			for _, v := range e.facets[f] {
				at, _ := slices.BinarySearch(m.s.facets[f].keys, v)
				slots = append(slots, m.s.slot(f, at))
			}
		}
		slots = append(slots, m.s.slot(currency, m.s.currencyAt(uint32(number))))
		m.s.cells.of[number] = m.cell(e.family, slots)
	}
	m.finish()
}

// moved is the cell of the new segment for a cell of an old one.
func (m *cellMaker) moved(from *segment, cell uint32) uint32 {
	var slots []uint32
	var was uint32
	for kind := from.cells.kinds.at(from.cells.kind[cell]); kind != ""; {
		was, kind = nextSlot(kind)
		f, v := from.valueAt(was)
		keys := m.s.currencies
		if f < stored {
			keys = m.s.facets[f].keys
		}
		at, _ := slices.BinarySearch(keys, v)
		slots = append(slots, m.s.slot(f, at))
	}
	return m.cell(from.cells.family[cell], slots)
}

func (m *cellMaker) finish() {
	c := &m.s.cells
	c.family, c.kind = slices.Clone(c.family), slices.Clone(c.kind) // without room to grow
	c.kinds = newBlob(len(m.texts), func(i int) string { return m.texts[i] })
	number := make([]uint32, len(m.texts))
	for _, cell := range c.of {
		number[c.kind[cell]]++
	}
	c.totals = make([]uint32, m.s.slot(currency, len(m.s.currencies)))
	c.count(c.totals, number)
	if !c.families {
		return
	}
	alone := roaring.New()
	for number, cell := range c.of {
		if c.family[cell] == 0 {
			alone.Add(uint32(number))
		}
	}
	if !alone.IsEmpty() {
		alone.RunOptimize()
		c.alone = alone
	}
}

// familyOf is the family of a listing, 0 for none.
func (s *segment) familyOf(number uint32) uint32 { return s.cells.family[s.cells.of[number]] }

// currencyAt is the place of a listing's currency among the segment's.
func (s *segment) currencyAt(number uint32) int {
	return sort.Search(len(s.currencies), func(i int) bool { return s.starts[i+1] > number })
}
