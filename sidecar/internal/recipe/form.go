package recipe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Which schemas a form can be made of is decided twice: here, before an offering is sold, and in sdk/web/src/schema.ts, where
// the form is made. sdk/web/testdata/forms.json holds both to the same.

// Bounds of a form.
const (
	maxFormFields = 200
	maxFormDepth  = 6
	maxFormRows   = 100
)

// Form finds where a portal's order form could not ask for the inputs of a schema. Paths are within the schema. Reasons:
// form_type, form_keyword, form_choices, form_closed, form_readonly, form_name, form_empty and form_limit; a cause says what to
// write instead.
func Form(inputsSchema []byte) ([]Problem, error) {
	s, err := readSchema(inputsSchema)
	if err != nil {
		return nil, err
	}
	m := &formMaker{schema: s, left: maxFormFields}
	kind := m.field(formPlace{place: s.root(), must: true, label: "-"})
	switch {
	case m.left < 0:
		return []Problem{{Reason: "form_limit", Cause: fmt.Sprintf("ask for more than %d inputs", maxFormFields)}}, nil
	case kind != formGroup && kind != formVariant && len(m.found) == 0:
		return []Problem{{Reason: "form_type", Cause: "are not an object of properties"}}, nil
	}
	return m.found, nil
}

// Titles finds titles of outputs that nobody can see. Paths are within the schema.
func Titles(outputsSchema []byte) ([]Problem, error) {
	s, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	m := &formMaker{schema: s}
	for _, name := range s.root().names() {
		sub, _ := s.property(s.root(), name)
		m.titled(formPlace{place: sub, name: name, path: []string{"properties", name}})
	}
	return m.found, nil
}

// formPlace is a place as a form sees it.
type formPlace struct {
	place
	name string
	// path is where problems of it are shown in the schema's text.
	path []string
	// must: the schema asks for a value.
	must  bool
	depth int
	// label stands where the schema has no title.
	label string
}

// formKind is what is made at a place.
type formKind int

const (
	// formRefused: nothing, and why is noted.
	formRefused formKind = iota
	// formUnasked: nothing, and nothing is sent.
	formUnasked
	formValue
	formGroup
	formVariant
)

type formMaker struct {
	schema *Schema
	// left is how many fields may still be made.
	left  int
	found []Problem
}

func (m *formMaker) refuse(p formPlace, reason, cause string, args ...any) formKind {
	m.found = append(m.found, Problem{slices.Clone(p.path), "form_" + reason, fmt.Sprintf(cause, args...)})
	return formRefused
}

func (m *formMaker) field(p formPlace) formKind {
	if m.left--; m.left < 0 {
		return formRefused
	}
	_, preset := p.byDefault()
	if p.depth > 0 && p.says("readOnly", true) {
		switch {
		case !preset && p.must:
			return m.refuse(p, "readonly", "is read-only and required, so nobody could give it: give it a default, or remove readOnly")
		case !preset:
			return formUnasked
		case !m.titled(p):
			return formRefused
		}
		return formValue
	}
	for _, n := range p.nodes {
		if k := unmakeable(n.doc); k != "" {
			return m.refuse(p, "keyword", "uses %s, for which no form can be made: write %s", k, insteadOf(k))
		}
	}
	if !m.titled(p) {
		return formRefused
	}
	choices, bound := p.choices()
	forks := p.forks()
	switch {
	case bound && len(forks) > 0, len(forks) > 1:
		return m.refuse(p, "choices", "has more than one anyOf, oneOf or enum: write one that lists what can be chosen")
	case len(forks) == 1:
		return m.variant(p, forks[0], preset)
	case bound:
		if types, every := p.types(); !every {
			choices = slices.DeleteFunc(choices, func(v any) bool { return !isOneOf(v, types) })
		}
		if len(choices) == 0 {
			return m.refuse(p, "empty", "allows no value at all")
		}
		return formValue
	}
	return m.typed(p)
}

// says reports whether one of the place's schemas gives a value to a keyword.
func (p place) says(keyword string, v any) bool {
	return slices.ContainsFunc(p.nodes, func(n node) bool { return n.doc[keyword] == v })
}

func (m *formMaker) titled(p formPlace) bool {
	title, given := p.first("title").(string)
	if !given && p.label != "" {
		title = p.label
	} else if !given {
		title = p.name
	}
	if !text.Visible(title) {
		m.refuse(p, "name", "has no title that people can see: give it one")
		return false
	}
	return true
}

func (m *formMaker) variant(p formPlace, f fork, preset bool) formKind {
	rest := place{nodes: slices.Clone(p.nodes)}
	n := &rest.nodes[f.node]
	n.doc = maps.Clone(n.doc)
	delete(n.doc, f.keyword)
	var branches []formPlace
	for i, sub := range f.list {
		if isNull(sub) {
			continue
		}
		b := p
		b.path = below(n.path, f.keyword, strconv.Itoa(i))
		b.place = m.schema.place(place{nodes: slices.Clone(rest.nodes)}, sub, b.path)
		branches = append(branches, b)
	}
	switch {
	case len(branches) == 0:
		return m.refuse(p, "empty", "allows no value at all")
	case f.keyword == "oneOf" && nullTwice(f.list, branches):
		return m.refuse(p, "choices", "is a oneOf of which two allow null: allow it in one of them")
	case len(branches) == 1:
		return m.field(branches[0])
	case preset:
		return m.refuse(p, "choices", "has a default beside %s, and no form could tell which of them it is: remove the default", f.keyword)
	case f.keyword == "oneOf" && !m.apart(branches):
		return m.refuse(p, "choices", "is a oneOf of which two could hold for one value: write anyOf, or let each require a property with its own const")
	}
	for _, b := range branches {
		own := place{nodes: b.nodes[len(rest.nodes):]}
		if title, _ := own.first("title").(string); !text.Visible(title) {
			return m.refuse(b, "choices", "has no title by which people choose it: give each schema of %s one", f.keyword)
		}
		b.must = true
		if m.field(b) == formUnasked {
			return m.refuse(b, "readonly", "is a choice that is read-only")
		}
	}
	return formVariant
}

// nullTwice reports whether null stands beside schemas that allow it too.
func nullTwice(list []any, branches []formPlace) bool {
	nulls := len(list) - len(branches)
	return nulls > 1 || nulls == 1 && slices.ContainsFunc(branches, func(b formPlace) bool {
		types, _ := b.types()
		choices, bound := b.choices()
		return slices.Contains(types, "null") && (!bound || slices.Contains(choices, nil))
	})
}

// apart reports whether no value that a form sends fits two of the places.
func (m *formMaker) apart(branches []formPlace) bool {
	for i, a := range branches {
		for _, b := range branches[i+1:] {
			if !m.twoApart(a.place, b.place) {
				return false
			}
		}
	}
	return true
}

func (m *formMaker) twoApart(a, b place) bool {
	s, every := a.types()
	t, also := b.types()
	overlap := func(x string) bool {
		return slices.Contains(t, x) || x == "integer" && slices.Contains(t, "number") || x == "number" && slices.Contains(t, "integer")
	}
	if !every && !also && !slices.ContainsFunc(s, overlap) {
		return true
	}
	lacks := func(needs, other place) bool {
		return slices.ContainsFunc(needs.required(), func(name string) bool { return !slices.Contains(other.names(), name) })
	}
	if lacks(a, b) && lacks(b, a) {
		return true
	}
	return slices.ContainsFunc(a.required(), func(name string) bool {
		x, _ := m.schema.property(a, name)
		y, _ := m.schema.property(b, name)
		own, bound := x.choices()
		others, boundToo := y.choices()
		return b.requires(name) && bound && boundToo && len(common(own, others)) == 0
	})
}

func (m *formMaker) typed(p formPlace) formKind {
	types, every := p.types()
	some := slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "null" })
	switch {
	case every || len(some) > 1 || len(types) == 0:
		return m.refuse(p, "type", "has no type, or several: write one, such as type: string, or anyOf with a title for each")
	case len(some) == 0:
		return formValue
	case some[0] == "array":
		return m.list(p)
	case some[0] == "object":
		return m.group(p)
	}
	return formValue
}

func (m *formMaker) list(p formPlace) formKind {
	item := formPlace{path: p.path, must: true, depth: p.depth + 1, label: "-"}
	least := 0.0
	for _, n := range p.nodes {
		least = max(least, floatOf(n.doc["minItems"]))
		if sub, has := n.doc["items"]; has {
			item.path = below(n.path, "items")
			item.place = m.schema.place(item.place, sub, item.path)
		}
	}
	if p.depth >= maxFormDepth || least > maxFormRows {
		return m.refuse(p, "limit", "is nested deeper than %d levels, or asks for more than %d items", maxFormDepth, maxFormRows)
	}
	m.field(item)
	return formValue
}

func (m *formMaker) group(p formPlace) formKind {
	if p.depth >= maxFormDepth {
		return m.refuse(p, "limit", "is nested deeper than %d levels", maxFormDepth)
	}
	has := map[string]bool{}
	for _, name := range p.names() {
		place, _ := m.schema.property(p.place, name)
		sub := formPlace{place: place, name: name, path: p.definition(name), must: p.requires(name), depth: p.depth + 1}
		if sub.never != nil && !sub.must {
			continue
		}
		if strings.ContainsRune(name, '\uFFFD') {
			m.refuse(sub, "name", "has a name that is not text")
			continue
		}
		kind := m.field(sub)
		has[name] = kind != formUnasked
		if has[name] && kind != formRefused && p.closedTo(name) {
			m.refuse(sub, "closed", "is not allowed by the additionalProperties or unevaluatedProperties of another schema that holds for "+
				"the same object: list the property there, or remove that keyword")
		}
	}
	m.needed(p, has)
	return formGroup
}

// needed finds names that must be given and that nothing asks for.
func (m *formMaker) needed(p formPlace, has map[string]bool) {
	needs := map[string]bool{}
	for _, name := range p.required() {
		needs[name] = true
	}
	for _, n := range p.nodes {
		deps, _ := n.doc["dependentRequired"].(map[string]any)
		for name, others := range deps {
			list, _ := others.([]any)
			for _, o := range list {
				if other, ok := o.(string); ok && has[name] {
					needs[other] = true
				}
			}
		}
	}
	for _, name := range sortedKeys(needs) {
		if !has[name] {
			m.refuse(p, "type", "requires %s, which no schema in properties asks for: add it there", text.Shorten(name))
		}
	}
}

// definition is where a property's first schema stands in the text.
func (p place) definition(name string) []string {
	for _, n := range p.nodes {
		props, _ := n.doc["properties"].(map[string]any)
		if _, has := props[name]; has {
			return below(n.path, "properties", name)
		}
	}
	return nil
}

// closedTo reports whether one of the place's schemas allows only its own properties, without this one. The first schema sees
// the properties of its allOf and $ref too, as far as unevaluatedProperties goes.
func (p place) closedTo(name string) bool {
	for i, n := range p.nodes {
		props, _ := n.doc["properties"].(map[string]any)
		_, own := props[name]
		if !own && (n.doc["additionalProperties"] == false || n.doc["unevaluatedProperties"] == false && i > 0) {
			return true
		}
	}
	return false
}

// required are the names that the place requires, sorted.
func (p place) required() []string {
	all := map[string]bool{}
	for _, n := range p.nodes {
		list, _ := n.doc["required"].([]any)
		for _, v := range list {
			if name, ok := v.(string); ok {
				all[name] = true
			}
		}
	}
	return sortedKeys(all)
}

// choices are the values that the place is bound to by const, enum, false, or an anyOf or oneOf of constants.
func (p place) choices() (values []any, bound bool) {
	add := func(list []any) {
		if !bound {
			values, bound = slices.Clone(list), true
			return
		}
		values = common(values, list)
	}
	if p.never != nil {
		add(nil)
	}
	for _, n := range p.nodes {
		if v, is := n.doc["const"]; is {
			add([]any{v})
		}
		if list, is := n.doc["enum"].([]any); is {
			add(list)
		}
		for _, k := range []string{"oneOf", "anyOf"} {
			list, is := n.doc[k].([]any)
			if !is || !constants(list) {
				continue
			}
			var values []any
			for _, sub := range list {
				values = append(values, sub.(map[string]any)["const"])
			}
			if k == "oneOf" {
				values = once(values)
			}
			add(values)
		}
	}
	return values, bound
}

// once are the values that stand in a list once: what two of a oneOf allow is not allowed.
func once(values []any) (out []any) {
	for i, v := range values {
		if len(common(values[:i], []any{v}))+len(common(values[i+1:], []any{v})) == 0 {
			out = append(out, v)
		}
	}
	return out
}

// fork is an anyOf or oneOf that is more than a list of constants.
type fork struct {
	// node is the number of the place's schema that it stands in.
	node    int
	keyword string
	list    []any
}

func (p place) forks() (forks []fork) {
	for i, n := range p.nodes {
		for _, k := range []string{"anyOf", "oneOf"} {
			if list, is := n.doc[k].([]any); is && !constants(list) {
				forks = append(forks, fork{i, k, list})
			}
		}
	}
	return forks
}

// constants reports whether all schemas of a list are constants.
func constants(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		s, _ := v.(map[string]any)
		_, constant := s["const"]
		_, ref := s["$ref"]
		return (!constant || ref) && !isNull(v)
	})
}

func isNull(v any) bool {
	s, _ := v.(map[string]any)
	constant, has := s["const"]
	return s["type"] == "null" || has && constant == nil
}

// common are the values of a that are in b too.
func common(a, b []any) (out []any) {
	for _, v := range a {
		if slices.ContainsFunc(b, func(w any) bool { return equal(v, w) || floatOf(v) == floatOf(w) && bothNumbers(v, w) }) {
			out = append(out, v)
		}
	}
	return out
}

func bothNumbers(a, b any) bool {
	_, is := a.(json.Number)
	_, too := b.(json.Number)
	return is && too
}

func isOneOf(v any, types []string) bool {
	name := ""
	switch t := v.(type) {
	case nil:
		name = "null"
	case bool:
		name = "boolean"
	case string:
		name = "string"
	case []any:
		name = "array"
	case map[string]any:
		name = "object"
	case json.Number:
		f := floatOf(t)
		return slices.Contains(types, "number") || f == float64(int64(f)) && slices.Contains(types, "integer")
	}
	return slices.Contains(types, name)
}

func floatOf(v any) float64 {
	n, _ := v.(json.Number)
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return f
}

// unmakeable is a keyword of a schema whose meaning no form shows; "" where there is none.
func unmakeable(s map[string]any) string {
	for _, k := range []string{"not", "if", "propertyNames", "prefixItems", "contains", "maxProperties"} {
		if _, has := s[k]; has {
			return k
		}
	}
	for _, k := range []string{"patternProperties", "dependentSchemas", "additionalProperties", "unevaluatedProperties", "unevaluatedItems"} {
		if sub, _ := s[k].(map[string]any); len(sub) > 0 {
			return k
		}
	}
	if floatOf(s["minProperties"]) > 0 {
		return "minProperties"
	}
	return ""
}

// insteadOf says what does the work of a keyword in a form.
func insteadOf(keyword string) string {
	switch keyword {
	case "if", "dependentSchemas", "not":
		return "anyOf, each schema with a title and what it asks for"
	case "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties":
		return "the names as properties, or a list of objects with a name and a value each"
	case "minProperties":
		return "the names into required"
	}
	return "a list whose items are all of one schema"
}
