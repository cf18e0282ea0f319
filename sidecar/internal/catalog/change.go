package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Verb is what an Apply does to an offering.
type Verb string

const (
	Created Verb = "created"
	Updated Verb = "updated"
	// Missing is on sale or announced and in no document of the file: nothing happens to it.
	Missing Verb = "missing"
	// Withdrawn was missing, and is put on hold: what runs goes on, nobody orders more, and a file that has it again sells it again.
	Withdrawn Verb = "withdrawn"
)

// Changed is one offering that an Apply changes or misses.
type Changed struct {
	ID   string
	Name string
	Verb Verb
	// Fields are what differs, by path as in the file; none for Created and Missing.
	Fields []FieldChange
}

// FieldChange is one value that differs; Before and After are JSON, "" where nothing is, cut off at some length.
type FieldChange struct{ Path, Before, After string }

// Bounds on what one answer says; the counts are always complete.
const (
	maxChanged      = 1000
	maxFieldChanges = 100
)

// differences between two revisions, by path as in the file.
func differences(before Offering, document, binding []byte) ([]FieldChange, error) {
	old, err := leaves(before.Document, before.Binding)
	if err != nil {
		return nil, fmt.Errorf("offering %s revision %d: %w", before.ID, before.Revision, err)
	}
	now, err := leaves(document, binding)
	if err != nil {
		return nil, err
	}
	var out []FieldChange
	both := maps.Clone(old)
	maps.Copy(both, now)
	for _, path := range slices.Sorted(maps.Keys(both)) {
		if old[path] != now[path] && len(out) < maxFieldChanges {
			out = append(out, FieldChange{path, text.Shorten(old[path]), text.Shorten(now[path])})
		}
	}
	return out, nil
}

// leaves are the plain values of an offering by path as in the file.
func leaves(document, binding []byte) (map[string]string, error) {
	var doc, step map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(binding, &step); err != nil {
		return nil, err
	}
	delete(doc, "revision")
	recipe := map[string]any{"inputs": doc["inputs"], "outputs": doc["outputs"], "step": step}
	delete(doc, "inputs")
	delete(doc, "outputs")
	doc["recipe"] = recipe
	out := map[string]string{}
	return out, collectLeaves(doc, nil, out)
}

func collectLeaves(v any, path []string, out map[string]string) error {
	switch t := v.(type) {
	case map[string]any:
		for name, e := range t {
			if err := collectLeaves(e, append(path[:len(path):len(path)], name), out); err != nil {
				return err
			}
		}
		if len(t) > 0 {
			return nil
		}
	case []any:
		for i, e := range t {
			if err := collectLeaves(e, append(path[:len(path):len(path)], strconv.Itoa(i)), out); err != nil {
				return err
			}
		}
		if len(t) > 0 {
			return nil
		}
	}
	raw, err := json.Marshal(v)
	out[text.JoinPath("", path)] = string(raw)
	return err
}

// absentees are the ids of what is on sale or announced and not in the file.
func (s *Service) absentees(ctx context.Context, steps []next) (ids []string, err error) {
	named := make(map[string]bool, len(steps))
	for _, n := range steps {
		named[n.Document.ID] = true
	}
	err = s.Work.View(ctx, func(tx Tx) error {
		ids = nil
		for after := ""; ; {
			page, err := tx.Catalog().List(after, publishPage)
			if err != nil {
				return err
			}
			for _, o := range page {
				if after = o.ID; !named[o.ID] && o.State.onOffer() {
					ids = append(ids, o.ID)
				}
			}
			if len(page) < publishPage {
				return nil
			}
		}
	})
	return ids, err
}

// withdraw puts what the file does not have on hold, or says only that it is missing.
func (s *Service) withdraw(tx Tx, gone []string, prune bool, audience []viewer, result *Result) error {
	for _, id := range gone {
		before, err := tx.Catalog().Current(id) // as it is now, not as it was listed
		if err != nil {
			return err
		}
		if !before.State.onOffer() {
			continue
		}
		if !prune {
			result.Missing++
			result.note(Changed{ID: id, Name: before.Name, Verb: Missing})
			continue
		}
		doc, err := DecodeDocument(before.Document)
		if err != nil {
			return fmt.Errorf("withdraw offering %s revision %d: %w", id, before.Revision, err)
		}
		doc.State = OnHold
		// No file says so: one that has the offering again changes it.
		if _, err := s.put(tx, before, doc, before.Binding, [32]byte{}, audience); err != nil {
			return fmt.Errorf("withdraw offering %s: %w", id, err)
		}
		result.Withdrawn++
		result.note(Changed{ID: id, Name: before.Name, Verb: Withdrawn, Fields: []FieldChange{
			{"state", strconv.Quote(string(before.State)), strconv.Quote(string(OnHold))},
		}})
	}
	return nil
}

func (r *Result) note(c Changed) {
	if len(r.Changes) < maxChanged {
		r.Changes = append(r.Changes, c)
	}
}

var errTooLarge = fault.New(fault.Invalid, "document_limit", "the offering is larger than %d KiB", MaxDocumentBytes>>10)
