package catalog

import (
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

// room reports whether a change would still be listed.
func (r *Result) room() bool { return len(r.Changes) < maxChanged }

func (r *Result) note(c Changed) {
	if r.room() {
		r.Changes = append(r.Changes, c)
	}
}

var errTooLarge = fault.New(fault.Invalid, "document_limit", "the offering is larger than %d KiB", MaxDocumentBytes>>10)
