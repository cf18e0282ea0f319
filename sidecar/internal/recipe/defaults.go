package recipe

import (
	"bytes"
	"encoding/json"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// filler fills in defaults and keeps count: a list of two thousand items, each with a default of 60 KiB, is not made.
type filler struct {
	schema *Schema
	// left is how many bytes of names, texts and values may still be made, and names and subschemas looked at.
	left int
}

// slot is a place with what filling in asks of it. A place is looked at once, however many values stand there: the work of two
// thousand empty items must not grow with the properties that none of them has.
type slot struct {
	place
	// known are the properties that the place speaks of; open are those with a default or a group that may have one inside.
	known map[string]*slot
	open  []string
	// elements are those of a list, by their index; those behind the last of prefixItems are one.
	elements map[int]*slot
	firsts   int
}

// fill is inputs with the schema's defaults where nothing is given: a property takes its own default first, and what that leaves
// open takes the defaults inside it. A group that is required and not given begins empty, if a default stands in it. What is
// optional, has no default and is not given stays away with all that is in it. Filling in again changes nothing.
func (s *Schema) fill(inputs any) (any, error) {
	f := s.filler()
	out := f.value(inputs, f.slot(s.root()))
	if f.left < 0 {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "with their defaults the inputs are larger than %d KiB, or too many rules of the offering apply to them",
			MaxInputsBytes>>10).At(inputsField)
	}
	return out, nil
}

func (s *Schema) filler() *filler { return &filler{schema: s, left: MaxInputsBytes} }

func (f *filler) slot(p place) *slot {
	f.left -= len(p.nodes)
	s := &slot{place: p}
	for _, n := range p.nodes {
		first, _ := n.doc["prefixItems"].([]any)
		s.firsts = max(s.firsts, len(first))
	}
	return s
}

// look finds the properties of a slot, and which of them are filled in where they are not given.
func (f *filler) look(s *slot) {
	if s.known != nil {
		return
	}
	s.known = map[string]*slot{}
	for _, name := range s.names() {
		if f.left--; f.left < 0 {
			return
		}
		p, _ := f.schema.property(s.place, name)
		sub := f.slot(p)
		s.known[name] = sub
		if _, has := p.byDefault(); has {
			s.open = append(s.open, name)
		} else if p.isGroup() && s.requires(name) {
			if f.look(sub); len(sub.open) > 0 {
				s.open = append(s.open, name)
			}
		}
	}
}

func (f *filler) property(s *slot, name string) *slot {
	if sub, known := s.known[name]; known {
		return sub
	}
	return &slot{}
}

func (f *filler) element(s *slot, i int) *slot {
	i = min(i, s.firsts)
	sub, known := s.elements[i]
	if !known {
		sub = f.slot(f.schema.element(s.place, i))
		if s.elements == nil {
			s.elements = map[int]*slot{}
		}
		s.elements[i] = sub
	}
	return sub
}

func (f *filler) value(v any, s *slot) any {
	f.left--
	switch t := v.(type) {
	case string:
		f.left -= len(t)
	case map[string]any:
		return f.object(t, s)
	case []any:
		out := make([]any, 0, len(t))
		for i, e := range t {
			if f.left < 0 {
				break
			}
			out = append(out, f.value(e, f.element(s, i)))
		}
		return out
	}
	return v
}

func (f *filler) object(given map[string]any, s *slot) map[string]any {
	f.look(s)
	out := make(map[string]any, len(given))
	put := func(name string, v any) {
		if f.left -= len(name); f.left >= 0 {
			out[name] = f.value(v, f.property(s, name))
		}
	}
	for _, name := range sortedKeys(given) {
		put(name, given[name])
	}
	for _, name := range s.open {
		if _, has := given[name]; has {
			continue
		}
		v, has := s.known[name].byDefault()
		if !has {
			v = map[string]any{} // a group that is required
		}
		put(name, v)
	}
	return out
}

// isGroup reports whether the place takes objects only.
func (p place) isGroup() bool {
	types, _ := p.types()
	return len(types) == 1 && types[0] == "object"
}

// encode writes inputs in one way, names sorted: the same inputs are the same bytes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
