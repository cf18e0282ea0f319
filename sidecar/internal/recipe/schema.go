package recipe

import (
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Limits of a schema.
const (
	MaxSchemaBytes = 64 << 10
	MaxSchemaDepth = 16
	// maxSchemaValues bounds the values in the text, maxSchemaWork the subschemas after every $ref is written out: forty
	// definitions that each use the next one twice are small to send and endless to check.
	maxSchemaValues = 8000
	maxSchemaWork   = 2000
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a checked and compiled JSON Schema of an object. It is safe for concurrent use.
type Schema struct {
	// compiled is nil where the schema was only read.
	compiled *jsonschema.Schema
	doc      map[string]any
	// bytes is what it takes when compiled, estimated; steps are those of its patterns, with references followed.
	bytes, steps int
}

// CompileSchema checks a schema against the limits and compiles it: one object, dialect 2020-12, references only to its
// own $defs and none that lead back to themselves, patterns in RE2 and not too large, defaults that it allows and uses, no place where nothing is
// allowed. It takes about a millisecond; Schemas remembers. Error: fault.Invalid, reason schema_invalid, wrapping a *Flaw.
func CompileSchema(raw []byte) (*Schema, error) {
	x, err := compile(raw)
	if err != nil {
		return nil, err
	}
	if err := x.check(); err != nil {
		return nil, invalidSchema(err)
	}
	return x.Schema, nil
}

// compile is CompileSchema without a look at what the schema comes to.
func compile(raw []byte) (*sense, error) {
	s, err := readSchema(raw)
	if err != nil {
		return nil, err
	}
	// The name is never fetched: the loader refuses all, and no keyword that could name another one is let through.
	const name = "https://schema.invalid/recipe.json"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(newPattern)
	if err := c.AddResource(name, s.doc); err != nil {
		return nil, invalidSchema(schemaError(err))
	}
	if s.compiled, err = c.Compile(name); err != nil {
		return nil, invalidSchema(schemaError(err))
	}
	return &sense{
		Schema: s, steps: maxSenseSteps, used: map[string]bool{}, loads: map[string]int{}, patterns: map[string]countedPattern{},
		compile: func(path []string) (*jsonschema.Schema, error) { return c.Compile(name + "#" + pointer(path)) },
	}, nil
}

// pointer is a path as a fragment (RFC 6901 section 6).
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/" + url.PathEscape(escape.Replace(name)))
	}
	return b.String()
}

// readSchema checks a schema against the limits, which is enough to look things up in it.
func readSchema(raw []byte) (*Schema, error) {
	v, err := text.DecodeJSON(raw, text.Limits{Bytes: MaxSchemaBytes, Depth: MaxSchemaDepth, Values: maxSchemaValues})
	if err != nil {
		return nil, invalidSchema(err)
	}
	// A form and we must see the same numbers.
	v, path, err := text.Exact(v)
	if err != nil {
		return nil, invalidSchema(flawed(path, "%s", err.Error()))
	}
	doc, ok := v.(map[string]any)
	if !ok || doc["type"] != "object" {
		return nil, invalidSchema(errors.New(`a recipe's schema is an object with "type": "object"`))
	}
	if s, has := doc["$schema"]; has && s != dialect {
		return nil, invalidSchema(flawed([]string{"$schema"}, "must be %s", dialect))
	}
	total, written, err := checkSchema(doc)
	if err != nil {
		return nil, invalidSchema(err)
	}
	return &Schema{
		doc: doc, steps: total.steps, bytes: len(raw)*bytesPerByte + total.subschemas*bytesPerSubschema + written*bytesPerStep,
	}, nil
}

// schemaError says the first thing that is wrong with a schema by the rules for schemas.
func schemaError(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var verr *jsonschema.ValidationError
	if !errors.As(err, &invalid) || !errors.As(invalid.Err, &verr) {
		return errors.New("it does not compile")
	}
	first := explainFirst(verr)
	return flawed(first.Path, "%s", first.Cause)
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is not part of the schema", text.Shorten(url))
}

// refusedKeyword could make a schema mean something other than what its text shows, or lead out of it.
func refusedKeyword(k string) bool {
	switch k {
	case "$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary",
		"definitions", "dependencies", "additionalItems", "contentSchema":
		return true
	}
	return false
}

// work walks a schema as a schema (a property may well be called "$ref") and counts its subschemas.
type work struct {
	defs map[string]any
	// cost of a definition; below 0 while it is being counted.
	cost map[string]load
	// steps of all patterns so far.
	steps int
}

// load is what a part of a schema comes to with references followed: subschemas, and steps of patterns.
type load struct{ subschemas, steps int }

func (l load) plus(more load) load {
	const most = 1 << 40 // far below where an int ends, far above what is let through
	return load{min(l.subschemas+more.subschemas, maxSchemaWork+1), min(l.steps+more.steps, most)}
}

// checkSchema returns what the whole comes to, and how many steps of patterns are written in it.
func checkSchema(doc map[string]any) (total load, written int, err error) {
	w := &work{cost: map[string]load{}}
	w.defs, _ = doc["$defs"].(map[string]any)
	total, err = w.of(doc, true)
	if err != nil {
		return load{}, 0, err
	}
	for _, name := range sortedKeys(w.defs) {
		n, err := w.definition(name)
		if err != nil {
			return load{}, 0, err
		}
		total.subschemas = max(total.subschemas, n.subschemas)
	}
	if total.subschemas > maxSchemaWork {
		return load{}, 0, fmt.Errorf("more than %d subschemas after references are followed", maxSchemaWork)
	}
	return total, w.steps, nil
}

var errSchemaShape = errors.New("must be a schema: an object or true or false")

func (w *work) of(v any, root bool) (load, error) {
	if _, ok := v.(bool); ok {
		return load{subschemas: 1}, nil
	}
	s, ok := v.(map[string]any)
	if !ok {
		return load{}, errSchemaShape
	}
	total := load{subschemas: 1}
	for _, k := range sortedKeys(s) {
		n, err := w.keyword(k, s[k], root)
		if err != nil {
			return load{}, within(err, k)
		}
		if total = total.plus(n); total.subschemas > maxSchemaWork {
			return total, nil
		}
	}
	return total, nil
}

func (w *work) keyword(k string, sub any, root bool) (load, error) {
	switch k {
	case "$ref":
		ref, _ := sub.(string)
		name, ok := strings.CutPrefix(ref, "#/$defs/")
		if _, has := w.defs[name]; !ok || !has {
			return load{}, fmt.Errorf("%q does not name one of the schema's own $defs", text.Shorten(fmt.Sprint(sub)))
		}
		return w.definition(name)
	case "$defs":
		if !root {
			return load{}, errors.New("stand at the top of a schema only")
		}
		if _, ok := sub.(map[string]any); !ok {
			return load{}, errors.New("must be an object of schemas")
		}
		return load{}, nil
	case "$schema":
		if !root {
			return load{}, errors.New("stands at the top of a schema only")
		}
		return load{}, nil
	case "properties", "patternProperties", "dependentSchemas":
		return w.all(sub, k == "patternProperties")
	case "allOf", "anyOf", "oneOf", "prefixItems":
		list, ok := sub.([]any)
		if !ok {
			return load{}, errors.New("must be a list of schemas")
		}
		total := load{}
		for i, s := range list {
			n, err := w.of(s, false)
			if err != nil {
				return load{}, within(err, strconv.Itoa(i))
			}
			total = total.plus(n)
		}
		return total, nil
	case "not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems",
		"unevaluatedProperties":
		return w.of(sub, false)
	case "pattern":
		p, _ := sub.(string)
		return w.pattern(p)
	}
	if refusedKeyword(k) {
		return load{}, errors.New("is a keyword that is not allowed in a recipe's schema")
	}
	return load{}, nil
}

func (w *work) all(sub any, patterns bool) (load, error) {
	m, ok := sub.(map[string]any)
	if !ok {
		return load{}, errors.New("must be an object of schemas")
	}
	total := load{}
	for _, name := range sortedKeys(m) {
		if patterns {
			n, err := w.pattern(name)
			if err != nil {
				return load{}, within(err, name)
			}
			total = total.plus(n)
		}
		n, err := w.of(m[name], false)
		if err != nil {
			return load{}, within(err, name)
		}
		total = total.plus(n)
	}
	return total, nil
}

func (w *work) definition(name string) (load, error) {
	if n, seen := w.cost[name]; seen {
		if n.subschemas < 0 {
			return load{}, fmt.Errorf("definition %q leads back to itself", text.Shorten(name))
		}
		return n, nil
	}
	w.cost[name] = load{subschemas: -1}
	n, err := w.of(w.defs[name], false)
	if err != nil {
		return load{}, settle(err, "$defs", name)
	}
	w.cost[name] = n
	return n, nil
}

// pattern counts what a pattern comes to, and refuses one with which the schema's come to too much.
func (w *work) pattern(p string) (load, error) {
	n, err := patternSteps(p)
	if err != nil {
		return load{}, err
	}
	if w.steps += n; w.steps > maxPatternSteps {
		return load{}, fmt.Errorf("brings the schema's patterns above %d steps (a repetition counts as often as it repeats, .{0,999} 2,000 steps): "+
			"bound the length with maxLength instead", maxPatternSteps)
	}
	return load{steps: n}, nil
}

// sortedKeys is here because a map's order must never reach an answer.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
