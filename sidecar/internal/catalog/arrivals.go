package catalog

import "sync"

// Arrivals keep what the feeds have just brought, as it was read and checked before it was stored, until the index has taken it over: it
// need neither be read back nor be decoded again. They are kept up to a bound: what finds no room, or came by another process, is read
// from the store. Nil keeps nothing.
type Arrivals struct {
	mu sync.Mutex
	// known is by the number of the change, which says exactly what was written.
	known map[int64]Arrival
	// size is of the texts that the kept ones were read from.
	size int
}

// Arrival is an offering that was new, and what its document says; the Document of Foreign itself is not kept. It is shared: nobody changes it.
type Arrival struct {
	Foreign
	Says Document
	// bytes are those of the document.
	bytes int
}

// arrivalsMost bounds what is kept, in bytes of the texts.
const arrivalsMost = 4 << 20

// add takes what was committed.
func (a *Arrivals) add(all []Arrival) {
	if a == nil || len(all) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range all {
		one.bytes, one.Document = len(one.Document), nil
		if a.size += one.bytes; a.size > arrivalsMost {
			a.size -= one.bytes
			return
		}
		if a.known == nil {
			a.known = make(map[int64]Arrival)
		}
		a.known[one.Change] = one
	}
}

// Of are the arrivals of changes in their order, up to the first that is not kept.
func (a *Arrivals) Of(changes []int64) (known []Arrival) {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, change := range changes {
		one, kept := a.known[change]
		if !kept {
			break
		}
		known = append(known, one)
	}
	return known
}

// Bytes is how much text is kept.
func (a *Arrivals) Bytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// Forget drops what is kept up to a change.
func (a *Arrivals) Forget(through int64) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for change, one := range a.known {
		if change <= through {
			a.size -= one.bytes
			delete(a.known, change)
		}
	}
	if len(a.known) == 0 {
		a.known = nil
	}
}
