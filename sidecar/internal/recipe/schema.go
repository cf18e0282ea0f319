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
	// bytes is what it takes when compiled, estimated.
	bytes int
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
		Schema: s, steps: maxSenseSteps, used: map[string]bool{}, patterns: map[string]countedPattern{},
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
	subschemas, steps, err := checkSchema(doc)
	if err != nil {
		return nil, invalidSchema(err)
	}
	return &Schema{doc: doc, bytes: len(raw)*bytesPerByte + subschemas*bytesPerSubschema + steps*bytesPerStep}, nil
}

// schemaError says the first thing that is wrong with a schema by the rules for schemas.
func schemaError(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var verr *jsonschema.ValidationError
	if !errors.As(err, &invalid) || !errors.As(invalid.Err, &verr) {
		return errors.New("it does not compile")
	}
	first := Explain(verr)[0]
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
	// cost of a definition; -1 while it is being counted.
	cost map[string]int
	// steps of all patterns so far.
	steps int
}

// checkSchema returns how many subschemas there are with references followed, and how many steps of patterns.
func checkSchema(doc map[string]any) (total, steps int, err error) {
	w := &work{cost: map[string]int{}}
	w.defs, _ = doc["$defs"].(map[string]any)
	total, err = w.of(doc, true)
	if err != nil {
		return 0, 0, err
	}
	for _, name := range sortedKeys(w.defs) {
		n, err := w.definition(name)
		if err != nil {
			return 0, 0, err
		}
		total = max(total, n)
	}
	if total > maxSchemaWork {
		return 0, 0, fmt.Errorf("more than %d subschemas after references are followed", maxSchemaWork)
	}
	return total, w.steps, nil
}

var errSchemaShape = errors.New("must be a schema: an object or true or false")

func (w *work) of(v any, root bool) (int, error) {
	if _, ok := v.(bool); ok {
		return 1, nil
	}
	s, ok := v.(map[string]any)
	if !ok {
		return 0, errSchemaShape
	}
	total := 1
	for _, k := range sortedKeys(s) {
		n, err := w.keyword(k, s[k], root)
		if err != nil {
			return 0, within(err, k)
		}
		if total += n; total > maxSchemaWork {
			return maxSchemaWork + 1, nil
		}
	}
	return total, nil
}

func (w *work) keyword(k string, sub any, root bool) (int, error) {
	switch k {
	case "$ref":
		ref, _ := sub.(string)
		name, ok := strings.CutPrefix(ref, "#/$defs/")
		if _, has := w.defs[name]; !ok || !has {
			return 0, fmt.Errorf("%q does not name one of the schema's own $defs", text.Shorten(fmt.Sprint(sub)))
		}
		return w.definition(name)
	case "$defs":
		if !root {
			return 0, errors.New("stand at the top of a schema only")
		}
		if _, ok := sub.(map[string]any); !ok {
			return 0, errors.New("must be an object of schemas")
		}
		return 0, nil
	case "$schema":
		if !root {
			return 0, errors.New("stands at the top of a schema only")
		}
		return 0, nil
	case "properties", "patternProperties", "dependentSchemas":
		return w.all(sub, k == "patternProperties")
	case "allOf", "anyOf", "oneOf", "prefixItems":
		list, ok := sub.([]any)
		if !ok {
			return 0, errors.New("must be a list of schemas")
		}
		total := 0
		for i, s := range list {
			n, err := w.of(s, false)
			if err != nil {
				return 0, within(err, strconv.Itoa(i))
			}
			total = min(total+n, maxSchemaWork+1)
		}
		return total, nil
	case "not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems",
		"unevaluatedProperties":
		return w.of(sub, false)
	case "pattern":
		p, _ := sub.(string)
		return 0, w.pattern(p)
	}
	if refusedKeyword(k) {
		return 0, errors.New("is a keyword that is not allowed in a recipe's schema")
	}
	return 0, nil
}

func (w *work) all(sub any, patterns bool) (int, error) {
	m, ok := sub.(map[string]any)
	if !ok {
		return 0, errors.New("must be an object of schemas")
	}
	total := 0
	for _, name := range sortedKeys(m) {
		if patterns {
			if err := w.pattern(name); err != nil {
				return 0, within(err, name)
			}
		}
		n, err := w.of(m[name], false)
		if err != nil {
			return 0, within(err, name)
		}
		total = min(total+n, maxSchemaWork+1)
	}
	return total, nil
}

func (w *work) definition(name string) (int, error) {
	if n, seen := w.cost[name]; seen {
		if n < 0 {
			return 0, fmt.Errorf("definition %q leads back to itself", text.Shorten(name))
		}
		return n, nil
	}
	w.cost[name] = -1
	n, err := w.of(w.defs[name], false)
	if err != nil {
		return 0, settle(err, "$defs", name)
	}
	w.cost[name] = n
	return n, nil
}

// pattern counts what a pattern comes to, and refuses one with which the schema's come to too much.
func (w *work) pattern(p string) error {
	n, err := patternSteps(p)
	if err != nil {
		return err
	}
	if w.steps += n; w.steps > maxPatternSteps {
		return fmt.Errorf("brings the schema's patterns above %d steps (a repetition counts as often as it repeats, .{0,999} 2,000 steps): "+
			"bound the length with maxLength instead", maxPatternSteps)
	}
	return nil
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
