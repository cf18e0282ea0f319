package catalog

import (
	"fmt"
	"sync"
)

// Documents reads the documents of our offerings' revisions. A revision never changes, so what was read once is kept, up to a
// bound.
type Documents struct {
	mu    sync.Mutex
	known map[revisionKey]Document
	// size is of the texts that the kept ones were read from.
	size int
}

type revisionKey struct {
	offering string
	revision int64
}

// documentsMost bounds what is kept, in bytes of their texts.
const documentsMost = 4 << 20

// Of is the document of a revision, which read gives where it is not kept. It is shared: nobody changes it.
func (m *Documents) Of(offering string, revision int64, read func() (Offering, error)) (Document, error) {
	key := revisionKey{offering, revision}
	m.mu.Lock()
	doc, known := m.known[key]
	m.mu.Unlock()
	if known {
		return doc, nil
	}
	o, err := read()
	if err != nil {
		return Document{}, err
	}
	if doc, err = Known(o.Document); err != nil {
		return Document{}, fmt.Errorf("offering %s revision %d: %w", offering, revision, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || m.size+len(o.Document) > documentsMost {
		m.known, m.size = make(map[revisionKey]Document), 0
	}
	m.known[key] = doc
	m.size += len(o.Document)
	return doc, nil
}
