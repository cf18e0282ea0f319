package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Platform is what carries out a step, as far as a recipe can be held against it before anybody orders.
type Platform struct {
	// With is the JSON Schema of the step's parameters; nothing allows all.
	With []byte
	// Outputs are the names of what the step gives.
	Outputs []string
}

// Fit finds what the platform would refuse of a step for inputs that the offering allows, and outputs that the offering promises
// and the step does not give. A reference stands for every value that its input is declared to take, of which samples that the input
// allows are tried: each of an enum, both ends of a range, being left out; ${quantity} for 1 and for most. What a schema says of texts beyond enum and type is not tried. Paths are
// within the binding.
func Fit(b Binding, inputsSchema, outputsSchema []byte, most int64, p Platform) ([]Problem, error) {
	inputs, err := compile(inputsSchema)
	if err != nil {
		return nil, err
	}
	outputs, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	schema, err := compilePlatform(p.With)
	if err != nil {
		return nil, err
	}
	f := fitting{inputs: inputs, schema: schema, most: most}
	if err := f.with(b.With); err != nil {
		return nil, err
	}
	f.outputs(b, outputs, p.Outputs)
	return f.found, nil
}

// compilePlatform reads a schema of our own adapters: no limits hold for it.
func compilePlatform(raw []byte) (*Schema, error) {
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	if err != nil {
		return nil, fmt.Errorf("schema of the adapter: %w", err)
	}
	const name = "https://schema.invalid/adapter.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	if err := c.AddResource(name, doc); err != nil {
		return nil, fmt.Errorf("schema of the adapter: %w", err)
	}
	s := &Schema{}
	s.doc, _ = doc.(map[string]any)
	if s.compiled, err = c.Compile(name); err != nil {
		return nil, fmt.Errorf("schema of the adapter: %w", err)
	}
	return s, nil
}

// left is the trial value of an input that is not given.
type left struct{}

// unknown is a place whose value the customer gives.
type unknown struct {
	path []string
	// ref is what stands there, for people.
	ref string
	// tries are values that it may have, none where none is known; exact says that there are no others.
	tries []any
	exact bool
}

// standIn is the value of the place while others are tried; nothing found at it counts then.
func (u unknown) standIn() any {
	for _, v := range u.tries {
		if _, gone := v.(left); !gone {
			return v
		}
	}
	return "x"
}

type fitting struct {
	inputs *sense
	schema *Schema
	most   int64
	places []unknown
	found  []Problem
}

// maxTries bounds the trials of one step.
const maxTries = 500

func (f *fitting) with(with map[string]any) error {
	if with == nil {
		with = map[string]any{}
	}
	base, _, err := walk(with, nil, func(path []string, s string) (any, bool, error) {
		parts, err := split(s)
		if err != nil {
			return s, true, nil // Lint's
		}
		switch {
		case len(parts) == 0:
			return s, true, nil
		case len(parts) == 1 && parts[0].ref == nil:
			return parts[0].literal, true, nil
		}
		u := unknown{path: slices.Clone(path), ref: s, tries: []any{"x"}}
		if len(parts) == 1 {
			u.tries, u.exact = f.values(parts[0].ref)
		}
		f.places = append(f.places, u)
		return u.standIn(), true, nil
	})
	if err != nil {
		return err
	}
	tries := 0
	for i := -1; i < len(f.places); i++ {
		if i < 0 {
			f.try(base, -1, nil)
			continue
		}
		for _, v := range f.places[i].tries {
			if tries++; tries > maxTries {
				return nil
			}
			f.try(base, i, v)
		}
	}
	return nil
}

// values are what an input may be: all of them where exact, else some of each type.
func (f *fitting) values(ref []string) (tries []any, exact bool) {
	switch strings.Join(ref, ".") {
	case "subscription.id":
		return []any{"x"}, false
	case "quantity":
		return []any{json.Number("1"), json.Number(strconv.FormatInt(f.most, 10))}, false
	}
	if ref[0] != "inputs" {
		return []any{"x"}, false
	}
	p, given, ok := f.inputs.at(ref[1:])
	if !ok {
		return []any{"x"}, false // Lint's
	}
	_, exact = p.listed()
	tries = f.inputs.samples(p)
	if def, has := p.byDefault(); has {
		tries = append(tries, def)
	}
	if !given {
		tries = append(tries, left{})
	}
	return tries, exact
}

// listed are the values that the place lists, where it does.
func (p place) listed() (values []any, does bool) {
	for _, n := range p.nodes {
		list, has := n.doc["enum"].([]any)
		if v, is := n.doc["const"]; is {
			list, has = []any{v}, true
		}
		switch {
		case !has:
		case !does:
			values, does = slices.Clone(list), true
		default:
			values = slices.DeleteFunc(values, func(v any) bool {
				return !slices.ContainsFunc(list, func(other any) bool { return equal(v, other) })
			})
		}
	}
	return values, does && len(values) > 0
}

// try validates the parameters with one place set to one value (none for -1).
func (f *fitting) try(base any, place int, value any) {
	doc := base
	if place >= 0 {
		doc = set(base, f.places[place].path, value)
	}
	var verr *jsonschema.ValidationError
	if err := f.schema.compiled.Validate(doc); !errors.As(err, &verr) || !f.certain(verr, place) {
		return
	}
	for _, v := range Explain(f.only(verr, place)) {
		p := Problem{Path: append([]string{"with"}, v.Path...), Reason: "with_invalid", Cause: v.Cause}
		if v.Keyword == "additionalProperties" {
			p.Cause += f.known(v.Path[:len(v.Path)-1]) + f.schema.hint(v.Path)
		}
		if place >= 0 && slices.Equal(v.Path, f.places[place].path) {
			p.Cause = fmt.Sprintf("%s; %s may be %s", v.Cause, text.Shorten(f.places[place].ref), f.places[place].say(value))
		}
		if !slices.ContainsFunc(f.found, func(have Problem) bool { return slices.Equal(have.Path, p.Path) }) {
			f.found = append(f.found, p)
		}
	}
}

func (u unknown) say(v any) string {
	switch _, isLeft := v.(left); {
	case isLeft:
		return "left out"
	case v == any("x") && !u.exact:
		return "any text"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "something else"
	}
	return text.Shorten(string(raw))
}

// known lists the parameters that there are.
func (f *fitting) known(path []string) string {
	p, _, ok := f.schema.at(path)
	names := p.names()
	if !ok || len(names) == 0 {
		return ""
	}
	return "; there are: " + strings.Join(names, ", ")
}

// certain reports whether a finding holds whatever the customer gives at the places that are not being tried.
func (f *fitting) certain(e *jsonschema.ValidationError, trying int) bool {
	if len(e.Causes) == 0 {
		return f.decided(e, trying)
	}
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		for _, c := range e.Causes {
			if !f.certain(c, trying) {
				return false
			}
		}
		return true
	}
	return slices.ContainsFunc(e.Causes, func(c *jsonschema.ValidationError) bool { return f.certain(c, trying) })
}

func (f *fitting) decided(e *jsonschema.ValidationError, trying int) bool {
	for i, u := range f.places {
		if len(e.InstanceLocation) < len(u.path) || !slices.Equal(e.InstanceLocation[:len(u.path)], u.path) {
			continue
		}
		if u.exact && i == trying {
			return true
		}
		// What is tried is allowed by the input, and these hold of the value alone.
		switch e.ErrorKind.(type) {
		case *kind.Type, *kind.Enum, *kind.Const, *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum:
			return i == trying
		}
		return false
	}
	switch e.ErrorKind.(type) {
	case *kind.Not, *kind.Contains, *kind.MinContains, *kind.MaxContains, *kind.UniqueItems:
		return len(f.places) == 0
	}
	return true
}

// only is the finding without what is not certain.
func (f *fitting) only(e *jsonschema.ValidationError, trying int) *jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return e
	}
	out := *e
	out.Causes = nil
	for _, c := range e.Causes {
		if f.certain(c, trying) {
			out.Causes = append(out.Causes, f.only(c, trying))
		}
	}
	return &out
}

// set is v with the value at a path, without changing v.
func set(v any, path []string, value any) any {
	if len(path) == 0 {
		return value
	}
	switch t := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, e := range t {
			if k != path[0] {
				out[k] = e
				continue
			}
			if _, gone := value.(left); gone && len(path) == 1 {
				continue
			}
			out[k] = set(e, path[1:], value)
		}
		return out
	case []any:
		out := make([]any, 0, len(t))
		for i, e := range t {
			if fmt.Sprint(i) != path[0] {
				out = append(out, e)
				continue
			}
			if _, gone := value.(left); gone && len(path) == 1 {
				continue
			}
			out = append(out, set(e, path[1:], value))
		}
		return out
	}
	return v
}

// outputs finds what is promised and not given.
func (f *fitting) outputs(b Binding, promised *Schema, gives []string) {
	top := promised.root()
	for _, name := range top.names() {
		mapping, mapped := b.Outputs[name]
		if !mapped {
			if top.requires(name) && !slices.Contains(gives, name) {
				f.found = append(f.found, Problem{Path: []string{"outputs"}, Reason: "output_missing", Cause: fmt.Sprintf(
					"the required output %s is not given by the step; map it to one of: %s", text.Shorten(name), listed(gives))})
			}
			continue
		}
		parts, err := split(mapping)
		if err != nil {
			continue // Lint's
		}
		for _, p := range parts {
			if len(p.ref) == 2 && p.ref[0] == "step" && !slices.Contains(gives, p.ref[1]) {
				f.found = append(f.found, Problem{Path: []string{"outputs", name}, Reason: "output_missing", Cause: fmt.Sprintf(
					"${%s} is not given by the step; it gives: %s", strings.Join(p.ref, "."), listed(gives))})
			}
		}
	}
}

func listed(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return "${step." + strings.Join(names, "}, ${step.") + "}"
}
