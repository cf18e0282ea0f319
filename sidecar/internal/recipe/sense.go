package recipe

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// sense finds what makes a schema useless though it compiles: a default that it does not allow or never uses, and places where
// no value at all is allowed. What it reports is certain; it does not find everything (patterns and conditions are not solved).
type sense struct {
	*Schema
	// compile gives the compiled subschema at a path.
	compile func(path []string) (*jsonschema.Schema, error)
	// steps bounds the work; a schema that takes more is not looked at further.
	steps int
	// used are the places of defaults that fill takes.
	used map[string]bool
	// loads are the steps of the patterns below each path that was asked for.
	loads map[string]int
	// patterns are the compiled ones.
	patterns map[string]countedPattern
}

// What a look may take: maxSenseSteps steps, each worth about as much as patternPerStep steps of patterns held against one byte
// (a tenth of a millisecond), evaluationsPerStep subschemas held against a value, or fillPerStep of a filler's work.
const (
	maxSenseSteps      = 5000
	patternPerStep     = 5000
	evaluationsPerStep = 100
	fillPerStep        = 1000
)

func (x *sense) check() error {
	// The cheap one first: of defaults that no order could hold nothing else is asked.
	filled, err := x.filled()
	if err != nil {
		return err
	}
	if f := x.impossible(x.root()); f != nil {
		return f
	}
	if err := x.places(x.root()); err != nil {
		return err
	}
	if err := x.text(x.doc, nil, map[string]bool{}, true); err != nil {
		return err
	}
	defs, _ := x.doc["$defs"].(map[string]any)
	for _, name := range sortedKeys(defs) {
		if err := x.text(defs[name], []string{"$defs", name}, map[string]bool{}, false); err != nil {
			return err
		}
	}
	return x.together(filled)
}

// places checks each default against all that holds where it stands.
func (x *sense) places(p place) error {
	if x.steps--; x.steps < 0 {
		return nil
	}
	for _, name := range p.names() {
		sub, _ := x.property(p, name)
		if err := x.defaults(sub); err != nil {
			return err
		}
		if err := x.places(sub); err != nil {
			return err
		}
	}
	for _, n := range p.nodes {
		first, _ := n.doc["prefixItems"].([]any)
		for i := range first {
			if err := x.places(x.element(p, i)); err != nil {
				return err
			}
		}
		if _, has := n.doc["items"]; has {
			if err := x.places(x.element(p, len(first))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *sense) defaults(p place) error {
	v, has := p.byDefault()
	if !has {
		return nil
	}
	first := true
	for _, n := range p.nodes {
		other, has := n.doc["default"]
		if !has {
			continue
		}
		at := below(n.path, "default")
		x.used[strings.Join(at, "\x00")] = true
		if !first && !equal(v, other) {
			return flawed(at, "differs from another default of the same property")
		}
		if first {
			if cause := x.refused(v, p); cause != "" {
				return flawed(at, "is not allowed by the schema itself: %s", cause)
			}
		}
		first = false
	}
	return nil
}

// refused says why a value, with the defaults inside it, is not allowed at a place; "" where it is.
func (x *sense) refused(v any, p place) string {
	if p.never != nil {
		return "no value is"
	}
	f := x.filler()
	v = f.value(v, f.slot(p))
	if x.steps -= (MaxInputsBytes - f.left) / fillPerStep; x.steps < 0 {
		return ""
	}
	if f.left < 0 {
		return "with what it fills in it is more than an order's inputs may hold"
	}
	for _, n := range p.nodes {
		if cause := x.invalid(v, n.path); cause != "" {
			return cause
		}
	}
	return ""
}

// invalid says why the subschema at a path refuses a value; "" where it does not, or where looking would take too much.
func (x *sense) invalid(v any, path []string) string {
	sub := x.sub(path)
	if x.pay(v, sub, x.load(sub, path)); x.steps < 0 {
		return ""
	}
	compiled, err := x.compile(path)
	if err != nil {
		return ""
	}
	var verr *jsonschema.ValidationError
	if err := compiled.Validate(v); !errors.As(err, &verr) {
		return ""
	}
	first := explainFirst(verr)
	return strings.TrimSpace(text.JoinPath("", first.Path) + " " + first.Cause)
}

// pay takes what a validation may cost: these steps of patterns, all held against all of a value, and each subschema that is held
// against a part of it.
func (x *sense) pay(v, sub any, steps int) {
	x.steps -= 1 + steps*size(v)/patternPerStep + x.evaluations(sub, v, maxEvaluations)/evaluationsPerStep
}

// sub is the subschema at a path.
func (x *sense) sub(path []string) any {
	var sub any = x.doc
	for _, name := range path {
		switch t := sub.(type) {
		case map[string]any:
			sub = t[name]
		case []any:
			i, _ := strconv.Atoi(name) // it leads to a subschema
			sub = t[i]
		}
	}
	return sub
}

// load is how many steps the patterns of the subschema at a path come to.
func (x *sense) load(sub any, path []string) int {
	key := strings.Join(path, "\x00")
	steps, known := x.loads[key]
	if known {
		return steps
	}
	w := &work{cost: map[string]load{}}
	w.defs, _ = x.doc["$defs"].(map[string]any)
	steps = x.Schema.steps
	if l, err := w.of(sub, len(path) == 0); err == nil {
		steps = l.steps
	}
	x.loads[key] = steps
	return steps
}

// size is about how many bytes a value is when written.
func size(v any) int {
	n := 1
	switch t := v.(type) {
	case string:
		n += len(t)
	case []any:
		for _, e := range t {
			n += size(e)
		}
	case map[string]any:
		for name, e := range t {
			n += len(name) + size(e)
		}
	}
	return n
}

// text goes through the schema as it is written: each default must be allowed where it stands alone, and one that can be reached
// must be one that is used; each subschema must allow something.
func (x *sense) text(v any, path []string, seen map[string]bool, reached bool) error {
	s, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	if x.steps--; x.steps < 0 {
		return nil
	}
	if def, has := s["default"]; has {
		at := below(path, "default")
		if cause := x.refused(def, x.place(place{}, s, path)); cause != "" {
			return flawed(at, "is not allowed by the schema itself: %s", cause)
		}
		if reached && !x.used[strings.Join(at, "\x00")] {
			return flawed(at, "would never be used: a default counts at a property that is always looked at, not on the whole, "+
				"in a condition, a choice of schemas or for a list's items")
		}
	}
	for _, sub := range x.subschemas(s, path, reached, seen) {
		if sub.mustAllow {
			if f := x.impossible(x.place(place{}, sub.doc, sub.path)); f != nil {
				return f
			}
		}
		if err := x.text(sub.doc, sub.path, seen, reached); err != nil {
			return err
		}
	}
	return nil
}

type subschema struct {
	node
	// mustAllow: there is no reason to write one that allows nothing.
	mustAllow bool
}

// subschemas are the objects right below s; a definition once, where it is first referred to.
func (x *sense) subschemas(s map[string]any, path []string, follow bool, seen map[string]bool) (out []subschema) {
	add := func(v any, must bool, names ...string) {
		if doc, ok := v.(map[string]any); ok {
			out = append(out, subschema{node{doc, below(path, names...)}, must && !forbids(doc)})
		}
	}
	for _, k := range sortedKeys(s) {
		switch k {
		case "$ref":
			ref, _ := s[k].(string)
			if name := strings.TrimPrefix(ref, "#/$defs/"); follow && !seen[name] {
				seen[name] = true
				defs, _ := x.doc["$defs"].(map[string]any)
				if doc, ok := defs[name].(map[string]any); ok {
					out = append(out, subschema{node{doc, []string{"$defs", name}}, !forbids(doc)})
				}
			}
		case "properties", "patternProperties", "dependentSchemas":
			m, _ := s[k].(map[string]any)
			for _, name := range sortedKeys(m) {
				add(m[name], k != "dependentSchemas", k, name)
			}
		case "allOf", "anyOf", "oneOf", "prefixItems":
			list, _ := s[k].([]any)
			for i, sub := range list {
				add(sub, true, k, strconv.Itoa(i))
			}
		case "items", "additionalProperties":
			add(s[k], true, k)
		case "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties":
			add(s[k], false, k)
		}
	}
	return out
}

// forbids reports whether a schema is another way to write false.
func forbids(s map[string]any) bool {
	return len(s) == 1 && everything(s["not"])
}

func everything(v any) bool {
	m, isMap := v.(map[string]any)
	return v == true || isMap && len(m) == 0
}

// filled is an order without inputs, with the defaults; an error where no order could hold them.
func (x *sense) filled() (map[string]any, error) {
	v, err := x.fill(map[string]any{})
	if err != nil {
		return nil, flawed(nil, "its defaults are more than an order's inputs may hold")
	}
	out, err := encode(v)
	if err != nil {
		return nil, err
	}
	if longest := x.longest(); len(out) > longest {
		return nil, flawed(nil, "its defaults are %d bytes, and with its patterns an order's inputs may have %d", len(out), longest)
	}
	filled, _ := v.(map[string]any)
	return filled, nil
}

// together finds defaults that do not go with each other: where each property has one, an order without inputs must be possible.
func (x *sense) together(filled map[string]any) error {
	names := x.root().names()
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { _, has := filled[name]; return !has }) {
		return nil
	}
	if x.pay(filled, x.doc, x.Schema.steps); x.steps < 0 {
		return nil
	}
	var verr *jsonschema.ValidationError
	if err := x.compiled.Validate(filled); !errors.As(err, &verr) {
		return nil
	}
	first := explainFirst(verr)
	if first.Missing {
		return nil
	}
	return flawed(nil, "its defaults do not go together: %s", strings.TrimSpace(text.JoinPath("", first.Path)+" "+first.Cause))
}
