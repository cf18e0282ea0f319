package search

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"
)

const (
	// deltaSize is how many listings are looked at one by one; of as many that come together UpsertAll makes a segment of its own.
	deltaSize = 128
	// fanIn is how many segments of about one size are merged into one, each size being fanIn times the one before.
	fanIn = 4
	// inlineMerge is up to how many listings the writer merges itself.
	inlineMerge = 8192
)

// Index is a live index of listings. Writers take turns; readers see what was last shown and wait for nobody.
type Index struct {
	shown atomic.Pointer[shown]

	// write serialises writers, and guards all that follows.
	write    sync.Mutex
	delta    []*entry
	inDelta  map[string]int
	segs     []*owned
	families families
	// merging are the segments of the merge in the background; nil where none runs.
	merging []*owned
	// inline is inlineMerge; tests make it small to see merges in the background.
	inline int
	closed bool
	done   sync.WaitGroup
}

// shown is what readers see at one moment. It never changes.
type shown struct {
	delta []*entry
	segs  []piece
	// families is the greatest number of one that its listings have.
	families int
}

// piece is a segment with those of its listings that are there.
type piece struct {
	*segment
	live *roaring.Bitmap
}

// owned is a segment as writers see it. A piece that was shown shares what has not changed since with live, which is copied
// before it is written.
type owned struct {
	piece
	// last was shown; nil where live has changed since.
	last *roaring.Bitmap
}

func own(s *segment) *owned {
	o := &owned{piece: piece{segment: s, live: roaring.New()}}
	o.live.SetCopyOnWrite(true)
	o.live.AddRange(0, uint64(s.len()))
	return o
}

// remove takes a live listing out.
func (o *owned) remove(number uint32) {
	o.live.Remove(number)
	o.last = nil
}

// shown is the piece as it is now.
func (o *owned) shown() piece {
	if o.last == nil {
		o.last = o.live.Clone()
	}
	return piece{segment: o.segment, live: o.last}
}

// New makes an empty index. Close it when it is no longer used.
func New() *Index {
	x := &Index{inDelta: map[string]int{}, inline: inlineMerge}
	x.show()
	return x
}

// show lets readers see what was written. The writers' lock is held.
func (x *Index) show() {
	s := &shown{delta: slices.Clone(x.delta), segs: make([]piece, 0, len(x.segs)), families: x.families.most()}
	for _, o := range x.segs {
		s.segs = append(s.segs, o.shown())
	}
	x.shown.Store(s)
}

// Close waits for a merge in the background; afterwards none begins. The index stays usable.
func (x *Index) Close() {
	x.write.Lock()
	x.closed = true
	x.write.Unlock()
	x.done.Wait()
}

// Upsert adds a listing or takes the place of the one with its id.
func (x *Index) Upsert(d Doc) { x.UpsertAll([]Doc{d}) }

// UpsertAll is Upsert for many, cheaper than one by one; of two with one id the last one stays.
func (x *Index) UpsertAll(docs []Doc) {
	if len(docs) >= deltaSize {
		x.bulk(docs)
		return
	}
	entries := make([]*entry, len(docs))
	for i, d := range docs {
		entries[i] = newEntry(d)
	}
	x.write.Lock()
	defer x.write.Unlock()
	for i, e := range entries {
		e.family = x.families.take(docs[i].Family)
		x.remove(e.id)
		x.inDelta[e.id] = len(x.delta)
		x.delta = append(x.delta, e)
		if len(x.delta) >= deltaSize {
			x.freeze()
		}
	}
	x.show()
}

// bulk makes a segment of many.
func (x *Index) bulk(docs []Doc) {
	last := make(map[string]int, len(docs))
	entries, from := make([]*entry, 0, len(docs)), make([]int, 0, len(docs))
	for at, d := range docs {
		e := heading(d)
		e.family = x.families.take(d.Family)
		if i, twice := last[d.ID]; twice {
			x.families.give(entries[i].family)
			entries[i], from[i] = e, at
			continue
		}
		last[d.ID] = len(entries)
		entries, from = append(entries, e), append(from, at)
	}
	seg := buildSegment(entries, func(at int, all, name *gather) { docs[from[at]].words(all, name) })
	x.write.Lock()
	defer x.write.Unlock()
	for id := range last {
		x.remove(id)
	}
	x.segs = append(x.segs, own(seg))
	x.compact()
	x.show()
}

// Delete removes a listing and reports whether there was one.
func (x *Index) Delete(id string) bool {
	x.write.Lock()
	defer x.write.Unlock()
	there := x.remove(id)
	if there {
		x.show()
	}
	return there
}

// DeleteAll is Delete for many, who cost no more than one to those who search meanwhile.
func (x *Index) DeleteAll(ids []string) {
	x.write.Lock()
	defer x.write.Unlock()
	removed := false
	for _, id := range ids {
		removed = x.remove(id) || removed
	}
	if removed {
		x.show()
	}
}

// Clear removes all.
func (x *Index) Clear() {
	x.write.Lock()
	defer x.write.Unlock()
	for _, e := range x.delta {
		x.families.give(e.family)
	}
	for _, s := range x.segs {
		it := s.live.Iterator()
		for it.HasNext() {
			x.families.give(s.familyOf(it.Next()))
		}
	}
	x.delta, x.inDelta, x.segs = nil, map[string]int{}, nil
	x.show()
}

// Len is the number of listings.
func (x *Index) Len() int {
	now := x.shown.Load()
	n := len(now.delta)
	for _, s := range now.segs {
		n += int(s.live.GetCardinality())
	}
	return n
}

// IDs calls yield with each listing's id, in no order, until it returns false. What is written meanwhile is not among them.
func (x *Index) IDs(yield func(id string) bool) {
	now := x.shown.Load()
	for _, e := range now.delta {
		if !yield(e.id) {
			return
		}
	}
	for _, s := range now.segs {
		it := s.live.Iterator()
		for it.HasNext() {
			if !yield(s.ids.at(it.Next())) {
				return
			}
		}
	}
}

// remove takes a listing out. The writers' lock is held.
func (x *Index) remove(id string) bool {
	if i, ok := x.inDelta[id]; ok {
		x.families.give(x.delta[i].family)
		last := len(x.delta) - 1
		x.delta[i] = x.delta[last]
		x.inDelta[x.delta[i].id] = i
		x.delta[last] = nil
		x.delta = x.delta[:last]
		delete(x.inDelta, id)
		return true
	}
	for _, s := range x.segs {
		if n, ok := s.find(id); ok {
			x.families.give(s.familyOf(n))
			s.remove(n)
			return true
		}
	}
	return false
}

// freeze makes a segment of the delta. The writers' lock is held.
func (x *Index) freeze() {
	x.segs = append(x.segs, own(buildSegment(x.delta, func(at int, all, name *gather) {
		for _, w := range x.delta[at].terms {
			all.add(w)
		}
		for _, w := range x.delta[at].nameTerms {
			name.add(w)
		}
	})))
	x.delta, x.inDelta = nil, map[string]int{}
	x.compact()
}

// compact merges until no size has fanIn segments and none is mostly dead. The writers' lock is held.
func (x *Index) compact() {
	for {
		group := x.candidates()
		if group == nil {
			return
		}
		total := 0
		for _, s := range group {
			total += s.len()
		}
		m := &merger{}
		for _, s := range group {
			m.from = append(m.from, s.shown())
		}
		if total <= x.inline {
			x.exchange(group, m, m.merge())
			continue
		}
		if x.closed {
			return
		}
		x.merging = group
		x.done.Go(func() {
			out := m.merge()
			x.write.Lock()
			defer x.write.Unlock()
			x.merging = nil
			x.exchange(group, m, out)
			x.compact()
			x.show()
		})
	}
}

// candidates are segments worth merging now, nil where there are none.
func (x *Index) candidates() []*owned {
	sizes := map[int][]*owned{}
	for _, s := range x.segs {
		if slices.Contains(x.merging, s) {
			continue
		}
		large := s.len()*fanIn > x.inline
		if large && x.merging != nil {
			continue
		}
		if n := s.len(); n > 0 && int(s.live.GetCardinality())*2 < n {
			return []*owned{s}
		}
		size := 0
		for n := s.len(); n > deltaSize; n /= fanIn {
			size++
		}
		if sizes[size] = append(sizes[size], s); len(sizes[size]) == fanIn {
			return sizes[size]
		}
	}
	return nil
}

// exchange puts a merged segment in place of those it was made of. The writers' lock is held.
func (x *Index) exchange(group []*owned, m *merger, merged *segment) {
	kept := make([]*owned, 0, len(x.segs))
	for _, s := range x.segs {
		if !slices.Contains(group, s) {
			kept = append(kept, s)
		}
	}
	if len(x.segs)-len(kept) < len(group) {
		return // the index was cleared meanwhile
	}
	out := own(merged)
	m.catchUp(group, out)
	if !out.live.IsEmpty() {
		kept = append(kept, out)
	}
	x.segs = kept
}
