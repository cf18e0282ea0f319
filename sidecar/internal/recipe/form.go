package recipe

import (
	"encoding/json"
	"errors"
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
	maxFormSteps  = 20000
	maxFormNested = 64
)

// Form finds where a portal's order form could not ask for the inputs of a schema. Paths are within the schema. Reasons:
// form_type, form_keyword, form_choices, form_closed, form_readonly, form_name, form_empty and form_limit; a cause says what to
// write instead.
func Form(inputsSchema []byte) ([]Problem, error) {
	s, err := readSchema(inputsSchema)
	if err != nil {
		return nil, err
	}
	m := &formMaker{fields: maxFormFields, steps: maxFormSteps}
	m.defs, _ = s.doc["$defs"].(map[string]any)
	root := formPlace{parts: m.parts(s.doc, nil, 0), required: true, label: "-"}
	if f := m.field(root); f != nil && f.kind != "group" && f.kind != "variant" {
		m.refuse(root, "type", "is not an object")
	}
	if errors.Is(m.stop, errFormLimit) {
		return []Problem{{Reason: "form_limit", Cause: fmt.Sprintf("ask for more than %d inputs, or lead through too many references", maxFormFields)}}, nil
	}
	return m.found, nil
}

// Titles finds titles of outputs that nobody can see. Paths are within the schema.
func Titles(outputsSchema []byte) ([]Problem, error) {
	s, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	var found []Problem
	props, _ := s.doc["properties"].(map[string]any)
	for _, name := range sortedKeys(props) {
		sub, _, _ := s.at([]string{name})
		title, has := sub["title"].(string)
		if has && !text.Visible(title) || !has && !text.Visible(name) {
			found = append(found, Problem{[]string{"properties", name}, "form_name", "has no title that people can see: give it one"})
		}
	}
	return found, nil
}

// formPart is one of the schemas that all hold at a place: one, what its $ref names, and its allOf.
type formPart struct {
	doc map[string]any
	// path is where it stands in the schema's text.
	path []string
	// never is a schema that allows nothing.
	never bool
}

type formPlace struct {
	parts []formPart
	name  string
	// path is where the schema of the place stands in the text.
	path     []string
	required bool
	depth    int
	// label stands where the schema has no title.
	label string
	// below is false for the form itself.
	below bool
}

// formField is what is made at a place, as far as its surroundings need it.
type formField struct {
	kind     string
	nullable bool
	choices  []any
}

var errFormLimit = errors.New("the form is too large")

type formMaker struct {
	defs          map[string]any
	fields, steps int
	stop          error
	found         []Problem
}

// refuse notes why no form is made, and gives no field.
func (m *formMaker) refuse(p formPlace, reason, cause string, args ...any) *formField {
	m.found = append(m.found, Problem{slices.Clone(p.path), "form_" + reason, fmt.Sprintf(cause, args...)})
	return nil
}

func (m *formMaker) parts(v any, path []string, nested int) []formPart {
	if m.steps--; m.steps < 0 || nested > maxFormNested {
		m.stop = errFormLimit
		return nil
	}
	s, ok := v.(map[string]any)
	if !ok {
		if v == false {
			return []formPart{{path: path, never: true}}
		}
		return nil
	}
	out := []formPart{{doc: s, path: path}}
	if ref, has := s["$ref"].(string); has {
		name := strings.TrimPrefix(ref, "#/$defs/")
		out = append(out, m.parts(m.defs[name], []string{"$defs", name}, nested+1)...)
	}
	all, _ := s["allOf"].([]any)
	for i, sub := range all {
		out = append(out, m.parts(sub, under(path, "allOf", strconv.Itoa(i)), nested+1)...)
	}
	return out
}

func under(path []string, names ...string) []string { return append(slices.Clone(path), names...) }

// field is what is asked for at a place; nil where nothing is.
func (m *formMaker) field(p formPlace) *formField {
	if m.fields--; m.fields < 0 {
		m.stop = errFormLimit
	}
	if m.stop != nil {
		return nil
	}
	_, preset := firstOf(p.parts, "default")
	if p.below && slices.ContainsFunc(p.parts, func(s formPart) bool { return s.doc["readOnly"] == true }) {
		if !preset && p.required {
			return m.refuse(p, "readonly", "is read-only and required, so nobody could give it: give it a default, or remove readOnly")
		}
		if !preset {
			return nil
		}
		if !m.titled(p) {
			return nil
		}
		return &formField{kind: "fixed"}
	}
	for _, s := range p.parts {
		if k := unmakeable(s.doc); k != "" {
			return m.refuse(p, "keyword", "uses %s, for which no form can be made: write %s", k, insteadOf(k))
		}
	}
	if !m.titled(p) {
		return nil
	}
	if f, is := m.choice(p); is {
		return f
	}
	if f, is := m.variant(p, preset); is {
		return f
	}
	return m.typed(p)
}

func (m *formMaker) titled(p formPlace) bool {
	title, ok := func() (string, bool) { v, _ := firstOf(p.parts, "title"); s, ok := v.(string); return s, ok }()
	if !ok {
		title = p.label
		if title == "" {
			title = p.name
		}
	}
	if !text.Visible(title) {
		m.refuse(p, "name", "has no title that people can see: give it one")
		return false
	}
	return true
}

// choice is one value, or one of a few.
func (m *formMaker) choice(p formPlace) (*formField, bool) {
	var choices []any
	some, fixed := false, false
	for _, s := range p.parts {
		list, has := formChoices(s)
		if !has {
			continue
		}
		_, constant := s.doc["const"]
		fixed = fixed || constant
		if choices = common(choices, list); !some {
			choices = list
		}
		some = true
	}
	if !some {
		return nil, false
	}
	if types, known := formTypes(p.parts); known {
		choices = slices.DeleteFunc(slices.Clone(choices), func(v any) bool { return !isOneOf(v, types) })
	}
	nullable := slices.Contains(choices, nil)
	switch {
	case len(choices) == 0:
		return m.refuse(p, "empty", "allows no value at all"), true
	case len(choices) == 1 && (fixed || nullable):
		return &formField{kind: "fixed"}, true
	}
	return &formField{kind: "choice", nullable: nullable, choices: choices}, true
}

// fork is an anyOf or oneOf that is more than a list of constants.
type fork struct {
	part    int
	keyword string
	list    []any
}

// variant is one of several schemas, which is chosen first.
func (m *formMaker) variant(p formPlace, preset bool) (*formField, bool) {
	var forks []fork
	for i, s := range p.parts {
		for _, k := range []string{"anyOf", "oneOf"} {
			if list, _ := s.doc[k].([]any); list != nil && !all(list, isConstant) {
				forks = append(forks, fork{i, k, list})
			}
		}
	}
	if len(forks) == 0 {
		return nil, false
	}
	if len(forks) > 1 {
		return m.refuse(p, "choices", "has more than one anyOf or oneOf: write one that lists what can be chosen"), true
	}
	fk := forks[0]
	rest := slices.Clone(p.parts)
	doc := maps.Clone(rest[fk.part].doc)
	delete(doc, fk.keyword)
	rest[fk.part].doc = doc
	var merged [][]formPart
	var titles []any
	for i, b := range fk.list {
		if isNull(b) {
			continue
		}
		branch := m.parts(b, under(p.parts[fk.part].path, fk.keyword, strconv.Itoa(i)), 0)
		title, _ := firstOf(branch, "title")
		merged, titles = append(merged, slices.Concat(rest, branch)), append(titles, title)
	}
	types, known := formTypes(rest)
	nullable := len(merged) < len(fk.list) && (!known || slices.Contains(types, "null"))
	switch {
	case len(merged) == 0:
		return m.refuse(p, "empty", "allows no value at all"), true
	case len(merged) == 1:
		only := p
		only.parts = merged[0]
		f := m.field(only)
		if f != nil {
			f.nullable = f.nullable || nullable
		}
		return f, true
	case preset:
		return m.refuse(p, "choices", "has a default beside %s, and no form could tell which of them it is: remove the default", fk.keyword), true
	case fk.keyword == "oneOf" && !m.apart(merged):
		return m.refuse(p, "choices", "is a oneOf of which two could hold for one value: write anyOf, or let each require a property with its own const"), true
	}
	for i, parts := range merged {
		if title, ok := titles[i].(string); !ok || !text.Visible(title) {
			return m.refuse(p, "choices", "has a choice of schemas without titles: give each schema of %s a title by which people choose it", fk.keyword), true
		}
		one := p
		one.parts, one.required, one.path = parts, true, under(p.parts[fk.part].path, fk.keyword, strconv.Itoa(branchIndex(fk.list, i)))
		found := len(m.found)
		if f := m.field(one); f == nil && len(m.found) == found {
			return m.refuse(p, "readonly", "has a choice that is read-only"), true
		}
	}
	return &formField{kind: "variant", nullable: nullable}, true
}

// branchIndex is where the n-th schema that is not null stands in a list.
func branchIndex(list []any, n int) int {
	for i, b := range list {
		if isNull(b) {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	return 0
}

// apart reports whether no value that a form sends fits two of the schemas.
func (m *formMaker) apart(merged [][]formPart) bool {
	for i, a := range merged {
		for _, b := range merged[i+1:] {
			if !m.twoApart(a, b) {
				return false
			}
		}
	}
	return true
}

func (m *formMaker) twoApart(a, b []formPart) bool {
	s, known := formTypes(a)
	t, also := formTypes(b)
	overlap := func(x string) bool {
		return slices.Contains(t, x) || x == "integer" && slices.Contains(t, "number") || x == "number" && slices.Contains(t, "integer")
	}
	if known && also && !slices.ContainsFunc(s, overlap) {
		return true
	}
	needsA, needsB := requiredBy(a), requiredBy(b)
	open := func(needs []string, other []formPart) bool {
		return slices.ContainsFunc(needs, func(name string) bool { return !slices.Contains(propertyNames(other), name) })
	}
	if open(needsA, b) && open(needsB, a) {
		return true
	}
	return slices.ContainsFunc(needsA, func(name string) bool {
		if !slices.Contains(needsB, name) {
			return false
		}
		x, has := m.constants(a, name)
		y, both := m.constants(b, name)
		return has && both && len(common(x, y)) == 0
	})
}

// constants are the first values that a property is bound to.
func (m *formMaker) constants(parts []formPart, name string) (values []any, has bool) {
	for _, s := range m.property(parts, name) {
		if list, ok := formChoices(s); ok && !has {
			values, has = list, true
		}
	}
	return values, has
}

func (m *formMaker) typed(p formPlace) *formField {
	all, _ := formTypes(p.parts)
	types := slices.DeleteFunc(slices.Clone(all), func(t string) bool { return t == "null" })
	nullable := len(types) < len(all)
	if nullable && len(types) == 0 {
		return &formField{kind: "fixed"}
	}
	if len(types) != 1 {
		return m.refuse(p, "type", "has no type, or several: write one, such as type: string, or anyOf with a title for each")
	}
	f := &formField{kind: types[0], nullable: nullable}
	switch types[0] {
	case "array":
		return m.list(p, f)
	case "object":
		return m.group(p, f)
	case "string", "integer", "number", "boolean":
		return f
	}
	return m.refuse(p, "type", "has an unknown type")
}

func (m *formMaker) list(p formPlace, f *formField) *formField {
	least := 0.0
	for _, s := range p.parts {
		least = max(least, number(s.doc["minItems"]))
	}
	if p.depth >= maxFormDepth || least > maxFormRows {
		return m.refuse(p, "limit", "is nested deeper than %d levels, or asks for more than %d items", maxFormDepth, maxFormRows)
	}
	item := formPlace{path: p.path, required: true, depth: p.depth + 1, label: "-", below: true}
	for _, s := range p.parts {
		if sub, has := s.doc["items"]; has {
			item.parts = append(item.parts, m.parts(sub, under(s.path, "items"), 0)...)
			item.path = under(s.path, "items")
		}
	}
	found := len(m.found)
	if m.field(item) == nil && len(m.found) == found && m.stop == nil {
		return m.refuse(item, "readonly", "is read-only: nobody could give an item")
	}
	return f
}

func (m *formMaker) group(p formPlace, f *formField) *formField {
	if p.depth >= maxFormDepth {
		return m.refuse(p, "limit", "is nested deeper than %d levels", maxFormDepth)
	}
	f.kind = "group"
	required := requiredBy(p.parts)
	has := map[string]bool{}
	for _, name := range propertyNames(p.parts) {
		sub := formPlace{parts: m.property(p.parts, name), name: name, required: slices.Contains(required, name), depth: p.depth + 1, below: true}
		if !sub.required && slices.ContainsFunc(sub.parts, func(s formPart) bool { return s.never }) {
			continue
		}
		sub.path = propertyPath(p.parts, name)
		if strings.ContainsRune(name, '\uFFFD') {
			m.refuse(sub, "name", "has a name that is not text")
			continue
		}
		found := len(m.found)
		asked := m.field(sub) != nil
		if has[name] = asked || len(m.found) > found; !asked {
			continue
		}
		for i, s := range p.parts {
			if props, _ := s.doc["properties"].(map[string]any); closesPart(s.doc, i) {
				if _, own := props[name]; !own {
					m.refuse(sub, "closed", "is not allowed by the additionalProperties or unevaluatedProperties of another schema that holds "+
						"for the same object: list the property there, or remove that keyword")
					break
				}
			}
		}
	}
	m.needed(p, required, has)
	return f
}

// needed finds names that must be given and that nothing asks for.
func (m *formMaker) needed(p formPlace, required []string, has map[string]bool) {
	missing := map[string]bool{}
	for _, name := range required {
		missing[name] = !has[name]
	}
	for _, s := range p.parts {
		deps, _ := s.doc["dependentRequired"].(map[string]any)
		for name, others := range deps {
			list, _ := others.([]any)
			for _, o := range list {
				if other, ok := o.(string); ok && has[name] {
					missing[other] = !has[other]
				}
			}
		}
	}
	for _, name := range sortedKeys(missing) {
		if missing[name] {
			m.refuse(p, "type", "requires %s, which no schema in properties asks for: add it there", text.Shorten(name))
		}
	}
}

func (m *formMaker) property(parts []formPart, name string) (out []formPart) {
	for _, s := range parts {
		props, _ := s.doc["properties"].(map[string]any)
		if sub, has := props[name]; has {
			out = append(out, m.parts(sub, under(s.path, "properties", name), 0)...)
		}
	}
	return out
}

func propertyPath(parts []formPart, name string) []string {
	for _, s := range parts {
		props, _ := s.doc["properties"].(map[string]any)
		if _, has := props[name]; has {
			return under(s.path, "properties", name)
		}
	}
	return nil
}

func propertyNames(parts []formPart) []string {
	names := map[string]bool{}
	for _, s := range parts {
		props, _ := s.doc["properties"].(map[string]any)
		for name := range props {
			names[name] = true
		}
	}
	return sortedKeys(names)
}

func requiredBy(parts []formPart) []string {
	names := map[string]bool{}
	for _, s := range parts {
		list, _ := s.doc["required"].([]any)
		for _, v := range list {
			if name, ok := v.(string); ok {
				names[name] = true
			}
		}
	}
	return sortedKeys(names)
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
	if number(s["minProperties"]) > 0 {
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

// closesPart reports whether a schema allows only its own properties. The first one of a place sees those of its allOf and $ref
// too.
func closesPart(s map[string]any, i int) bool {
	return s["additionalProperties"] == false || s["unevaluatedProperties"] == false && i > 0
}

// formChoices are the values that a schema is bound to by const, enum, or a oneOf or anyOf of constants.
func formChoices(s formPart) (choices []any, has bool) {
	if s.never {
		return nil, true
	}
	add := func(list []any) {
		if choices = common(choices, list); !has {
			choices = list
		}
		has = true
	}
	if v, is := s.doc["const"]; is {
		add([]any{v})
	}
	if list, is := s.doc["enum"].([]any); is {
		add(list)
	}
	for _, k := range []string{"oneOf", "anyOf"} {
		list, is := s.doc[k].([]any)
		if !is || !all(list, isConstant) {
			continue
		}
		values := make([]any, len(list))
		for i, o := range list {
			values[i] = o.(map[string]any)["const"]
		}
		add(values)
	}
	return choices, has
}

func all(list []any, is func(any) bool) bool {
	return !slices.ContainsFunc(list, func(v any) bool { return !is(v) })
}

func isConstant(v any) bool {
	s, _ := v.(map[string]any)
	_, constant := s["const"]
	_, ref := s["$ref"]
	return constant && !ref || isNull(v)
}

func isNull(v any) bool {
	s, _ := v.(map[string]any)
	constant, has := s["const"]
	return s["type"] == "null" || has && constant == nil
}

// common are the values of a that are in b too.
func common(a, b []any) (out []any) {
	for _, v := range a {
		if slices.ContainsFunc(b, func(w any) bool { return sameJSON(v, w) }) {
			out = append(out, v)
		}
	}
	return out
}

func sameJSON(a, b any) bool {
	x, err := json.Marshal(plain(a))
	y, also := json.Marshal(plain(b))
	return err == nil && also == nil && string(x) == string(y)
}

// formTypes are the types that all parts allow; known is false where none says.
func formTypes(parts []formPart) (types []string, known bool) {
	for _, s := range parts {
		if _, says := s.doc["type"]; !says {
			continue
		}
		own := typesOf(s.doc)
		number := slices.Contains(own, "number")
		if number {
			own = slices.DeleteFunc(own, func(t string) bool { return t == "integer" })
		}
		if !known {
			types, known = own, true
			continue
		}
		var left []string
		for _, t := range types {
			switch {
			case slices.Contains(own, t), t == "integer" && number:
				left = append(left, t)
			case t == "number" && slices.Contains(own, "integer"):
				left = append(left, "integer")
			}
		}
		types = left
	}
	return types, known
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
		f := number(t)
		return slices.Contains(types, "number") || f == float64(int64(f)) && slices.Contains(types, "integer")
	}
	return slices.Contains(types, name)
}

func number(v any) float64 {
	n, _ := v.(json.Number)
	f, err := n.Float64()
	if err != nil {
		return 0
	}
	return f
}

func firstOf(parts []formPart, keyword string) (v any, has bool) {
	for _, s := range parts {
		if v, has = s.doc[keyword]; has {
			return v, true
		}
	}
	return nil, false
}
