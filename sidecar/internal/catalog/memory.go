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
}

type revisionKey struct {
	offering string
	revision int64
}

// documentsMost bounds how many are kept.
const documentsMost = 1000

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
	if m.known == nil || len(m.known) >= documentsMost {
		m.known = make(map[revisionKey]Document)
	}
	m.known[key] = doc
	return doc, nil
}
