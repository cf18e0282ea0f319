package recipe

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// node is one subschema of a schema's text.
type node struct {
	doc map[string]any
	// path is where it stands in the text.
	path []string
}

// place is one spot in the values that a schema describes: the subschemas that all hold there, whatever the value is. A $ref and
// allOf belong to the place of the schema that they stand in; anyOf, oneOf and if do not, since they depend on the value.
type place struct {
	nodes []node
	// never is where a schema says false: no value is allowed.
	never []string
}

func (s *Schema) root() place { return s.place(place{}, s.doc, nil) }

// place adds to p what holds where v does.
func (s *Schema) place(p place, v any, path []string) place {
	switch t := v.(type) {
	case bool:
		if !t && p.never == nil {
			p.never = append([]string{}, path...)
		}
	case map[string]any:
		p.nodes = append(p.nodes, node{t, path})
		if ref, has := t["$ref"].(string); has {
			name := strings.TrimPrefix(ref, "#/$defs/")
			defs, _ := s.doc["$defs"].(map[string]any)
			p = s.place(p, defs[name], []string{"$defs", name})
		}
		all, _ := t["allOf"].([]any)
		for i, sub := range all {
			p = s.place(p, sub, below(path, "allOf", strconv.Itoa(i)))
		}
	}
	return p
}

func below(path []string, names ...string) []string { return append(slices.Clone(path), names...) }

// names are the properties that the place speaks of, sorted.
func (p place) names() []string {
	all := map[string]bool{}
	for _, n := range p.nodes {
		props, _ := n.doc["properties"].(map[string]any)
		for name := range props {
			all[name] = true
		}
	}
	return sortedKeys(all)
}

// property is the place of a named property; known says that the schema has it.
func (s *Schema) property(p place, name string) (sub place, known bool) {
	for _, n := range p.nodes {
		props, _ := n.doc["properties"].(map[string]any)
		if v, has := props[name]; has {
			sub, known = s.place(sub, v, below(n.path, "properties", name)), true
		}
	}
	return sub, known
}

// element is the place of a list's item.
func (s *Schema) element(p place, i int) (sub place) {
	for _, n := range p.nodes {
		if first, _ := n.doc["prefixItems"].([]any); i < len(first) {
			sub = s.place(sub, first[i], below(n.path, "prefixItems", strconv.Itoa(i)))
		} else if v, has := n.doc["items"]; has {
			sub = s.place(sub, v, below(n.path, "items"))
		}
	}
	return sub
}

func (p place) requires(name string) bool {
	return slices.ContainsFunc(p.nodes, func(n node) bool { return contains(n.doc["required"], name) })
}

// byDefault is the value that the place has where none is given.
func (p place) byDefault() (v any, has bool) {
	for _, n := range p.nodes {
		if v, has = n.doc["default"]; has {
			return v, true
		}
	}
	return nil, false
}

// types are the JSON types that the place allows; all is every one of them.
func (p place) types() (types []string, all bool) {
	types, all = []string{"string", "number", "boolean", "array", "object", "null"}, true
	for _, n := range p.nodes {
		if _, has := n.doc["type"]; !has {
			continue
		}
		own := typesOf(n.doc)
		whole := slices.Contains(own, "integer") && !slices.Contains(own, "number")
		var left []string
		for _, t := range types {
			switch {
			case slices.Contains(own, t), t == "integer" && slices.Contains(own, "number"):
				left = append(left, t)
			case t == "number" && whole:
				left = append(left, "integer")
			}
		}
		types, all = left, false
	}
	return types, all
}

func typesOf(sub map[string]any) []string {
	switch t := sub["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, e := range t {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// first is the first of the values that the place's subschemas give to a keyword.
func (p place) first(keyword string) any {
	for _, n := range p.nodes {
		if v, has := n.doc[keyword]; has {
			return v
		}
	}
	return nil
}

// at finds the place of a dotted path of properties. given says that a valid order always has a value there: each name on the way
// is required or has a default.
func (s *Schema) at(path []string) (p place, given, known bool) {
	p, given = s.root(), true
	for _, name := range path {
		sub, has := s.property(p, name)
		if !has {
			return place{}, false, false
		}
		_, byDefault := sub.byDefault()
		given = given && (byDefault || p.requires(name))
		p = sub
	}
	return p, given, true
}

func contains(list any, name string) bool {
	items, _ := list.([]any)
	return slices.ContainsFunc(items, func(it any) bool { return it == name })
}

// equal reports whether two values of a schema's text are the same.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }
