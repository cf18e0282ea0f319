package search

import (
	"slices"
	"sync"
)

const (
	// deltaSize is how many listings are looked at one by one.
	deltaSize = 128
	// bulkSize is from how many listings UpsertAll makes a segment of its own.
	bulkSize = 1024
	// fanIn is how many segments of about one size are merged into one, each size being fanIn times the one before.
	fanIn = 4
	// inlineMerge is up to how many listings the writer merges itself.
	inlineMerge = 8192
)

// Index is a live index of listings.
type Index struct {
	// write serialises writers; mu guards what readers see and is held for moments only.
	write sync.Mutex
	mu    sync.RWMutex

	delta    []*entry
	inDelta  map[string]int
	segs     []*segment
	families families
	// merging are the segments of the merge in the background; nil where none runs.
	merging []*segment
	// inline is inlineMerge; tests make it small to see merges in the background.
	inline int
	closed bool
	done   sync.WaitGroup
}

// New makes an empty index. Close it when it is no longer used.
func New() *Index { return &Index{inDelta: map[string]int{}, inline: inlineMerge} }

// Close waits for a merge in the background; afterwards none begins. The index stays usable.
func (x *Index) Close() {
	x.write.Lock()
	x.closed = true
	x.write.Unlock()
	x.done.Wait()
}

// Upsert adds a listing or takes the place of the one with its id.
func (x *Index) Upsert(d Doc) {
	e := newEntry(d)
	x.write.Lock()
	defer x.write.Unlock()
	e.family = x.families.take(d.Family)
	x.mu.Lock()
	x.remove(e.id)
	x.inDelta[e.id] = len(x.delta)
	x.delta = append(x.delta, e)
	full := len(x.delta) >= deltaSize
	x.mu.Unlock()
	if full {
		x.freeze()
	}
}

// UpsertAll is Upsert for many, cheaper than one by one; of two with one id the last one stays.
func (x *Index) UpsertAll(docs []Doc) {
	if len(docs) < bulkSize {
		for _, d := range docs {
			x.Upsert(d)
		}
		return
	}
	x.bulk(docs)
}

// bulk makes a segment of many.
func (x *Index) bulk(docs []Doc) {
	last := make(map[string]int, len(docs))
	entries := make([]*entry, 0, len(docs))
	for _, d := range docs {
		e := newEntry(d)
		e.family = x.families.take(d.Family)
		if i, twice := last[d.ID]; twice {
			x.families.give(entries[i].family)
			entries[i] = e
			continue
		}
		last[d.ID] = len(entries)
		entries = append(entries, e)
	}
	seg := buildSegment(entries)
	x.write.Lock()
	defer x.write.Unlock()
	x.mu.Lock()
	if x.size() > 0 {
		for id := range last {
			x.remove(id)
		}
	}
	x.segs = append(x.segs, seg)
	x.mu.Unlock()
	x.compact()
}

// Delete removes a listing and reports whether there was one.
func (x *Index) Delete(id string) bool {
	x.write.Lock()
	defer x.write.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.remove(id)
}

// Clear removes all.
func (x *Index) Clear() {
	x.write.Lock()
	defer x.write.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
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
}

// Len is the number of listings.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.size()
}

func (x *Index) size() int {
	n := len(x.delta)
	for _, s := range x.segs {
		n += int(s.live.GetCardinality())
	}
	return n
}

// IDs calls yield with each listing's id, in no order, until it returns false.
func (x *Index) IDs(yield func(id string) bool) {
	x.mu.RLock()
	var ids []string
	for _, e := range x.delta {
		ids = append(ids, e.id)
	}
	for _, s := range x.segs {
		it := s.live.Iterator()
		for it.HasNext() {
			ids = append(ids, s.ids.at(it.Next()))
		}
	}
	x.mu.RUnlock()
	for _, id := range ids {
		if !yield(id) {
			return
		}
	}
}

// remove takes a listing out; both locks are held.
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
			s.live.Remove(n)
			return true
		}
	}
	return false
}

// freeze makes a segment of the delta. Only the exchange is under readers' lock; the writer's lock is held.
func (x *Index) freeze() {
	seg := buildSegment(slices.Clone(x.delta))
	x.mu.Lock()
	x.segs = append(x.segs, seg)
	x.delta, x.inDelta = nil, map[string]int{}
	x.mu.Unlock()
	x.compact()
}

// compact merges until no size has fanIn segments and none is mostly dead. The writer's lock is held.
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
		m := x.begin(group)
		if total <= x.inline {
			x.exchange(m, m.merge())
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
			x.exchange(m, out)
			x.compact()
		})
	}
}

// candidates are segments worth merging now, nil where there are none.
func (x *Index) candidates() []*segment {
	sizes := map[int][]*segment{}
	for _, s := range x.segs {
		if slices.Contains(x.merging, s) {
			continue
		}
		large := s.len()*fanIn > x.inline
		if large && x.merging != nil {
			continue
		}
		if n := s.len(); n > 0 && int(s.live.GetCardinality())*2 < n {
			return []*segment{s}
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

func (x *Index) begin(group []*segment) *merger {
	m := &merger{from: group}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, s := range group {
		m.live = append(m.live, s.live.Clone())
	}
	return m
}

// exchange puts a merged segment in place of those it was made of. The writer's lock is held.
func (x *Index) exchange(m *merger, out *segment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m.catchUp(out)
	kept := make([]*segment, 0, len(x.segs))
	found := 0
	for _, s := range x.segs {
		if slices.Contains(m.from, s) {
			found++
			continue
		}
		kept = append(kept, s)
	}
	if found < len(m.from) {
		return // the index was cleared meanwhile
	}
	if out.live.GetCardinality() > 0 {
		kept = append(kept, out)
	}
	x.segs = kept
}
