package recipe

import (
	"bytes"
	"encoding/json"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// filler fills in defaults and keeps count: a list of two thousand items, each with a default of 60 KiB, is not made.
type filler struct {
	schema *Schema
	// left is how many bytes of names, texts and values may still be made.
	left int
}

// fill is inputs with the schema's defaults where nothing is given: a property takes its own default first, and what that leaves
// open takes the defaults inside it. A group that is required and not given begins empty, if a default stands in it. What is
// optional, has no default and is not given stays away with all that is in it. Filling in again changes nothing.
func (s *Schema) fill(inputs any) (any, error) {
	f := s.filler()
	out := f.value(inputs, s.root())
	if f.left < 0 {
		return nil, fault.New(fault.Invalid, "inputs_invalid", "with their defaults the inputs are larger than %d KiB", MaxInputsBytes>>10).At(inputsField)
	}
	return out, nil
}

func (s *Schema) filler() *filler { return &filler{schema: s, left: MaxInputsBytes} }

func (f *filler) value(v any, p place) any {
	f.left--
	switch t := v.(type) {
	case string:
		f.left -= len(t)
	case map[string]any:
		return f.object(t, p)
	case []any:
		out := make([]any, 0, len(t))
		for i, e := range t {
			if f.left < 0 {
				break
			}
			out = append(out, f.value(e, f.schema.element(p, i)))
		}
		return out
	}
	return v
}

func (f *filler) object(given map[string]any, p place) map[string]any {
	out := make(map[string]any, len(given))
	put := func(name string, v any, sub place) {
		if f.left -= len(name); f.left >= 0 {
			out[name] = f.value(v, sub)
		}
	}
	for _, name := range sortedKeys(given) {
		sub, _ := f.schema.property(p, name)
		put(name, given[name], sub)
	}
	for _, name := range p.names() {
		if _, has := given[name]; has {
			continue
		}
		sub, _ := f.schema.property(p, name)
		if v, has := sub.byDefault(); has {
			put(name, v, sub)
		} else if p.requires(name) && sub.isGroup() {
			if group := f.object(nil, sub); len(group) > 0 {
				out[name] = group
			}
		}
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
