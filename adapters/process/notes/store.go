package notes

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// store keeps all notes in memory and in one file that is replaced whole at each change.
type store struct {
	path string
	now  func() time.Time
	id   func() string

	mu    sync.RWMutex
	notes map[string]Note
	total int
}

// document is the file, and an export.
type document struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Notes   []Note `json:"notes"`
}

const format = "hanse-notes"

func openStore(path string, now func() time.Time, id func() string) (*store, error) {
	s := &store{path: path, now: now, id: id, notes: map[string]Note{}}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Format != format {
		return nil, fmt.Errorf("%s is not a notebook: %w", path, err)
	}
	for _, n := range doc.Notes {
		s.notes[n.ID] = n
		s.total += size(n)
	}
	return s, nil
}

func size(n Note) int { return len(n.Title) + len(n.Body) + 200 }

// list gives the notes with all words of the query, pinned first, then the latest change.
func (s *store) list(query string) []Note {
	words := strings.Fields(strings.ToLower(query))
	s.mu.RLock()
	defer s.mu.RUnlock()
	found := []Note{}
	for _, n := range s.notes {
		if n.matches(words) {
			found = append(found, n)
		}
	}
	slices.SortFunc(found, func(a, b Note) int {
		if a.Pinned != b.Pinned {
			if a.Pinned {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Updated.Compare(a.Updated), cmp.Compare(a.ID, b.ID))
	})
	return found
}

func (s *store) get(id string) (Note, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.notes[id]
	if !ok {
		return n, errNotFound
	}
	return n, nil
}

func (s *store) create(n Note) (Note, error) {
	if err := tidy(&n); err != nil {
		return n, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.ID, n.Revision = s.id(), 1
	n.Created = s.now().UTC().Truncate(time.Millisecond)
	n.Updated = n.Created
	return n, s.commit(map[string]*Note{n.ID: &n})
}

// change applies fn to a note; revision 0 accepts whatever is there, another only itself.
func (s *store) change(id string, revision int64, fn func(*Note) error) (Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.notes[id]
	if !ok {
		return n, errNotFound
	}
	if revision != 0 && revision != n.Revision {
		return n, errChanged
	}
	next := n
	if err := fn(&next); err != nil {
		return n, err
	}
	if err := tidy(&next); err != nil {
		return n, err
	}
	next.ID, next.Created, next.Revision = n.ID, n.Created, n.Revision+1
	next.Updated = s.now().UTC().Truncate(time.Millisecond)
	return next, s.commit(map[string]*Note{id: &next})
}

func (s *store) remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.notes[id]; !ok {
		return errNotFound
	}
	return s.commit(map[string]*Note{id: nil})
}

func (s *store) export() document {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.document(s.notes)
}

// load takes an export in: all of it or nothing. A note that is there already stays, unless the export's is newer.
func (s *store) load(r io.Reader) (added int, err error) {
	var doc document
	if err := json.NewDecoder(r).Decode(&doc); err != nil || doc.Format != format {
		return 0, invalidError("That is not an export of this notebook.")
	}
	if doc.Version > 1 {
		return 0, invalidError("That export is of a newer version.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UTC().Truncate(time.Millisecond)
	changes := map[string]*Note{}
	for _, n := range doc.Notes {
		if err := tidy(&n); err != nil {
			return 0, err
		}
		if !validID(n.ID) {
			n.ID = s.id()
		}
		if old, ok := s.notes[n.ID]; ok && (!n.Updated.After(old.Updated) || n.Title == old.Title && n.Body == old.Body && n.Pinned == old.Pinned) {
			continue
		}
		n.Revision = s.notes[n.ID].Revision + 1
		if n.Created.IsZero() || n.Created.After(now) {
			n.Created = now
		}
		if n.Updated.IsZero() || n.Updated.After(now) {
			n.Updated = now
		}
		changes[n.ID] = &n
	}
	return len(changes), s.commit(changes)
}

// commit writes the file with the changes, nil being a removal, and then makes them visible.
func (s *store) commit(changes map[string]*Note) error {
	next, total := maps.Clone(s.notes), s.total
	for id, n := range changes {
		if old, ok := next[id]; ok {
			total -= size(old)
			delete(next, id)
		}
		if n != nil {
			total += size(*n)
			next[id] = *n
		}
	}
	if total > s.total && (len(next) > maxNotes || total > maxTotal) {
		return errFull
	}
	raw, err := json.Marshal(s.document(next))
	if err != nil {
		return err
	}
	if err := replaceFile(s.path, raw); err != nil {
		return err
	}
	s.notes, s.total = next, total
	return nil
}

func (s *store) document(notes map[string]Note) document {
	doc := document{Format: format, Version: 1, Notes: slices.Collect(maps.Values(notes))}
	slices.SortFunc(doc.Notes, func(a, b Note) int { return cmp.Compare(a.ID, b.ID) })
	return doc
}

func validID(id string) bool {
	if len(id) < 8 || len(id) > 40 {
		return false
	}
	for _, c := range id {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// replaceFile leaves the old file or the new one after a power cut, never a part.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
