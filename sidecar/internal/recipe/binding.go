package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Binding is the supplier's private half of a recipe: one step.
type Binding struct {
	// Adapter is the adapter's type, Connection the named platform it drives.
	Adapter    string `json:"adapter"`
	Connection string `json:"connection,omitempty"`
	// With are the step's parameters; texts in it may hold references.
	With map[string]any `json:"with,omitempty"`
	// Outputs maps the recipe's outputs to the step's ("${step.url}"); one that is not mapped is the step's of that name.
	Outputs map[string]string `json:"outputs,omitempty"`
}

// Context is what references of With see.
type Context struct {
	// Inputs are JSON and satisfy InputsSchema once its defaults are filled in.
	Inputs         []byte
	InputsSchema   []byte
	SubscriptionID string
	Quantity       int64
}

// Problem is a reference that could not be resolved; Path is within the binding.
type Problem struct {
	Path   []string
	Reason string
	Cause  string
}

const (
	maxBindingBytes  = 64 << 10
	maxBindingDepth  = 20
	maxBindingValues = 2000
	// maxResolved bounds a text after its references are filled in.
	maxResolved = 256 << 10
)

// ParseBinding reads what Marshal wrote.
func ParseBinding(raw []byte) (Binding, error) {
	v, err := text.DecodeJSON(raw, text.Limits{Bytes: maxBindingBytes, Depth: maxBindingDepth, Values: maxBindingValues})
	if err == nil {
		v, _, err = text.Exact(v)
	}
	if err != nil {
		return Binding{}, fmt.Errorf("recipe binding: %w", err)
	}
	var b Binding
	if err := json.Unmarshal(raw, &b); err != nil {
		return Binding{}, fmt.Errorf("recipe binding: %w", err)
	}
	if m, ok := v.(map[string]any); ok {
		b.With, _ = m["with"].(map[string]any)
	}
	return b, nil
}

// Marshal writes the binding for the store.
func (b Binding) Marshal() ([]byte, error) { return json.Marshal(b) }

// part is a piece of a text: literal or, where ref is set, a reference.
type part struct {
	literal string
	ref     []string
}

// split cuts a text into literals and references; "$${" stands for a literal "${".
func split(s string) ([]part, error) {
	var parts []part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, part{literal: lit.String()})
			lit.Reset()
		}
	}
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			lit.WriteString(s)
			flush()
			return parts, nil
		}
		if i > 0 && s[i-1] == '$' {
			lit.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		lit.WriteString(s[:i])
		flush()
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return nil, errors.New(`"${" without "}"`)
		}
		name := s[i+2 : i+end]
		if !reference.MatchString(name) {
			return nil, fmt.Errorf("%q is not a reference: names separated by dots, nothing else", text.Shorten(name))
		}
		parts = append(parts, part{ref: strings.Split(name, ".")})
		s = s[i+end+1:]
	}
}

var reference = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*){0,8}$`)

// walk visits every text in v and rebuilds v from what visit returns; keep false leaves the member out.
func walk(v any, path []string, visit func(path []string, s string) (out any, keep bool, err error)) (any, bool, error) {
	switch t := v.(type) {
	case string:
		return visit(path, t)
	case []any:
		out := make([]any, 0, len(t))
		for i, e := range t {
			r, keep, err := walk(e, append(path[:len(path):len(path)], strconv.Itoa(i)), visit)
			if err != nil {
				return nil, false, err
			}
			if keep {
				out = append(out, r)
			}
		}
		return out, true, nil
	case map[string]any:
		out := make(map[string]any, len(t))
		for _, k := range sortedKeys(t) {
			r, keep, err := walk(t[k], append(path[:len(path):len(path)], k), visit)
			if err != nil {
				return nil, false, err
			}
			if keep {
				out[k] = r
			}
		}
		return out, true, nil
	}
	return v, true, nil
}

// Uses lists the paths within the binding at which a reference stands in With.
func (b Binding) Uses(name string) (paths [][]string) {
	_, _, _ = walk(map[string]any{"with": b.With}, nil, func(path []string, s string) (any, bool, error) {
		parts, _ := split(s) // Lint says what is malformed
		if slices.ContainsFunc(parts, func(p part) bool { return strings.Join(p.ref, ".") == name }) {
			paths = append(paths, slices.Clone(path))
		}
		return s, true, nil
	})
	return paths
}

// Lint finds references that no order could resolve, so that they are refused when the offering is applied.
func Lint(b Binding, inputsSchema, outputsSchema []byte) ([]Problem, error) {
	inputs, err := readSchema(inputsSchema)
	if err != nil {
		return nil, err
	}
	outputs, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	var found []Problem
	note := func(path []string, reason, cause string) {
		found = append(found, Problem{Path: slices.Clone(path), Reason: reason, Cause: cause})
	}
	_, _, err = walk(map[string]any{"with": b.With}, nil, func(path []string, s string) (any, bool, error) {
		parts, err := split(s)
		if err != nil {
			note(path, "reference_malformed", err.Error())
		}
		for _, p := range parts {
			if cause := inputs.lintReference(p.ref, len(parts) > 1); p.ref != nil && cause != "" {
				note(path, "reference_unknown", fmt.Sprintf("${%s} %s", strings.Join(p.ref, "."), cause))
			}
		}
		return s, true, nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(b.Outputs) {
		path := []string{"outputs", name}
		if _, known := outputs.property(outputs.root(), name); !known {
			note(path, "output_unknown", "is not a property of recipe.outputs"+outputs.hint([]string{name}))
		}
		parts, err := split(b.Outputs[name])
		if err != nil {
			note(path, "reference_malformed", err.Error())
		}
		for _, p := range parts {
			if p.ref != nil && (len(p.ref) != 2 || p.ref[0] != "step") {
				note(path, "reference_unknown", fmt.Sprintf("${%s}: outputs refer to ${step.NAME}", strings.Join(p.ref, ".")))
			}
		}
	}
	return found, nil
}

func (s *Schema) lintReference(ref []string, inText bool) string {
	if ref == nil {
		return ""
	}
	switch strings.Join(ref, ".") {
	case "subscription.id", "quantity":
		return ""
	}
	if ref[0] != "inputs" || len(ref) < 2 {
		return "is not known: there are ${inputs.NAME}, ${subscription.id} and ${quantity}" +
			text.DidYouMean(strings.Join(ref, "."), []string{"subscription.id", "quantity", "inputs." + ref[len(ref)-1]})
	}
	p, given, ok := s.at(ref[1:])
	if !ok {
		for i := range ref[1:] {
			if _, _, known := s.at(ref[1 : i+2]); !known {
				return "does not name a property of recipe.inputs" + s.hint(ref[1:i+2])
			}
		}
	}
	types, _ := p.types()
	plain := slices.DeleteFunc(types, func(t string) bool { return t == "object" || t == "array" })
	switch {
	case inText && !given:
		return "stands inside a text, so the input and each group that it is in must be required or have a default"
	case inText && len(plain) == 0:
		return "stands inside a text, so the input must be a plain value"
	}
	return ""
}

// Resolve fills the references in With. A text that is one reference keeps the type of what it refers to, and is left out
// where an optional input is not given. Values are as encoding/json decodes them. Errors: fault.Invalid, reason
// reference_unknown; inputs_invalid; schema_invalid. The schema, one of ours, is remembered.
func (c *Schemas) Resolve(b Binding, x Context) (map[string]any, error) {
	inputs, err := decodeInputs(x.Inputs)
	if err != nil {
		return nil, err
	}
	schema := &Schema{}
	if len(x.InputsSchema) > 0 {
		if schema, err = c.get("", x.InputsSchema, false); err != nil {
			return nil, err
		}
		if inputs, err = schema.fill(inputs); err != nil {
			return nil, err
		}
	}
	r := resolver{schema: schema, inputs: inputs, c: x}
	out, _, err := walk(map[string]any(b.With), []string{"with"}, r.text)
	if err != nil {
		return nil, err
	}
	with, _ := plain(out).(map[string]any)
	if with == nil {
		with = map[string]any{}
	}
	return with, nil
}

type resolver struct {
	schema *Schema
	inputs any
	c      Context
}

func (r resolver) text(path []string, s string) (any, bool, error) {
	field := text.JoinPath("", path)
	parts, err := split(s)
	if err != nil {
		return nil, false, fault.New(fault.Invalid, "reference_malformed", "%s", err.Error()).At(field)
	}
	if len(parts) == 1 && parts[0].ref != nil {
		v, given, err := r.value(parts[0].ref)
		if err != nil {
			return nil, false, err.At(field)
		}
		return v, given, nil
	}
	var b strings.Builder
	for _, p := range parts {
		if p.ref == nil {
			b.WriteString(p.literal)
			continue
		}
		v, given, err := r.value(p.ref)
		if err != nil {
			return nil, false, err.At(field)
		}
		switch v.(type) {
		case map[string]any, []any, nil:
			given = false
		}
		if !given {
			return nil, false, fault.New(fault.Invalid, "reference_unknown", "${%s} is no plain value that could stand in a text",
				strings.Join(p.ref, ".")).At(field)
		}
		fmt.Fprint(&b, v)
		if b.Len() > maxResolved {
			return nil, false, fault.New(fault.Invalid, "inputs_invalid", "the resolved text is too long").At(field)
		}
	}
	return b.String(), true, nil
}

func (r resolver) value(ref []string) (v any, given bool, _ *fault.Error) {
	switch strings.Join(ref, ".") {
	case "subscription.id":
		return r.c.SubscriptionID, true, nil
	case "quantity":
		return json.Number(strconv.FormatInt(r.c.Quantity, 10)), true, nil
	}
	if ref[0] != "inputs" || len(ref) < 2 {
		return nil, false, fault.New(fault.Invalid, "reference_unknown", "${%s} is not known", strings.Join(ref, "."))
	}
	v = r.inputs
	for _, name := range ref[1:] {
		m, _ := v.(map[string]any)
		next, has := m[name]
		if !has {
			if _, _, known := r.schema.at(ref[1:]); r.schema.doc != nil && !known {
				return nil, false, fault.New(fault.Invalid, "reference_unknown", "${%s} is not known", strings.Join(ref, "."))
			}
			return nil, false, nil
		}
		v = next
	}
	return v, true, nil
}

// plain turns json.Number into float64, so that the value is what encoding/json gives by default; all numbers here are exact.
func plain(v any) any {
	switch t := v.(type) {
	case json.Number:
		f, err := t.Float64()
		if err != nil {
			return t.String()
		}
		return f
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = plain(t[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(t))
		for k := range t {
			out[k] = plain(t[k])
		}
		return out
	}
	return v
}
