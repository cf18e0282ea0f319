package search

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"sync"
)

// families give families small numbers from 1 on. A family that has no listing any more gives its number back: listings that
// still carry it are dead. A new one takes the smallest number that is free, so that the greatest comes down again after many have gone:
// a grouped query takes room for all up to it.
type families struct {
	mu     sync.Mutex
	number map[string]uint32
	// name and used are by number less one.
	name []string
	used []int
	free freed
}

// freed are a heap of numbers, the smallest on top.
type freed []uint32

func (n freed) Len() int           { return len(n) }
func (n freed) Less(i, j int) bool { return n[i] < n[j] }
func (n freed) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *freed) Push(one any)      { *n = append(*n, one.(uint32)) }
func (n *freed) Pop() any {
	last := len(*n) - 1
	one := (*n)[last]
	*n = (*n)[:last]
	return one
}

// most is the greatest number that some listing has.
func (f *families) most() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.name)
}

// take is the number of a family that has one listing more; "" has 0.
func (f *families) take(name string) uint32 {
	if name == "" {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, has := f.number[name]
	switch {
	case has:
	case len(f.free) > 0 && int(f.free[0]) <= len(f.name):
		n = heap.Pop(&f.free).(uint32)
	default:
		f.free = nil // those that are left lie beyond the greatest, which has come down
		f.name, f.used = append(f.name, ""), append(f.used, 0)
		n = uint32(len(f.name))
	}
	if f.number == nil {
		f.number = map[string]uint32{}
	}
	f.number[name], f.name[n-1] = n, name
	f.used[n-1]++
	return n
}

// give takes one listing from a family.
func (f *families) give(n uint32) {
	if n == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.used[n-1]--; f.used[n-1] == 0 {
		delete(f.number, f.name[n-1])
		f.name[n-1] = ""
		heap.Push(&f.free, n)
		most := len(f.used)
		for most > 0 && f.used[most-1] == 0 {
			most--
		}
		f.name, f.used = f.name[:most], f.used[:most]
	}
}

// Family gives the ids of the listings of a listing's family by currency, price and id; one that stands alone or is not there has
// none. It is itself among them: of more than the most, 1 or more, the first are given, and it in place of the last where it comes
// later.
func (x *Index) Family(id string, most int) []string {
	now := x.shown.Load()
	family := now.familyOf(id)
	if family == 0 {
		return nil
	}
	var found []place
	for _, e := range now.delta {
		if e.family == family {
			found = append(found, place{e.currency, e.price, e.id})
		}
	}
	for _, s := range now.segs {
		if !s.cells.families {
			continue
		}
		for n, cell := range s.cells.of {
			if s.cells.family[cell] == family && s.live.Contains(uint32(n)) {
				found = append(found, place{s.currencyOf(uint32(n)), s.prices.at(uint32(n)), s.ids.at(uint32(n))})
			}
		}
	}
	slices.SortFunc(found, place.compare)
	if self := slices.IndexFunc(found, func(p place) bool { return p.id == id }); self >= most {
		found[most-1] = found[self]
	}
	var ids []string
	for _, p := range found[:min(most, len(found))] {
		ids = append(ids, strings.Clone(p.id))
	}
	return ids
}

func (now *shown) familyOf(id string) uint32 {
	for _, e := range now.delta {
		if e.id == id {
			return e.family
		}
	}
	for _, s := range now.segs {
		if n, ok := s.find(id); ok {
			return s.familyOf(n)
		}
	}
	return 0
}

// place is where a listing stands in a segment's order.
type place struct {
	currency string
	price    int64
	id       string
}

func (p place) compare(q place) int {
	return cmp.Or(strings.Compare(p.currency, q.currency), cmp.Compare(p.price, q.price), strings.Compare(p.id, q.id))
}
