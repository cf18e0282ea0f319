package recipe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// keywords are those of JSON Schema 2020-12 that a recipe's schema may use.
func keywords() []string {
	return strings.Fields(`$comment $defs $ref $schema additionalProperties allOf anyOf const contains contentEncoding contentMediaType default
		dependentRequired dependentSchemas deprecated description else enum examples exclusiveMaximum exclusiveMinimum format if items maxContains
		maxItems maxLength maxProperties maximum minContains minItems minLength minProperties minimum multipleOf not oneOf pattern
		patternProperties prefixItems properties propertyNames readOnly required then title type unevaluatedItems unevaluatedProperties
		uniqueItems writeOnly`)
}

// Misspelt finds words in a schema that are no keywords but look like one: JSON Schema passes over what it does not know, and
// "minimun: 3" bounds nothing. Paths are within the schema. Error: as CompileSchema's.
func Misspelt(schema []byte) ([]Problem, error) {
	s, err := readSchema(schema)
	if err != nil {
		return nil, err
	}
	var found []Problem
	misspelt(s.doc, nil, keywords(), &found)
	return found, nil
}

func misspelt(v any, path []string, known []string, found *[]Problem) {
	s, _ := v.(map[string]any)
	for _, k := range sortedKeys(s) {
		at := below(path, k)
		switch k {
		case "properties", "patternProperties", "dependentSchemas", "$defs":
			m, _ := s[k].(map[string]any)
			for _, name := range sortedKeys(m) {
				misspelt(m[name], below(at, name), known, found)
			}
		case "allOf", "anyOf", "oneOf", "prefixItems":
			list, _ := s[k].([]any)
			for i, sub := range list {
				misspelt(sub, below(at, strconv.Itoa(i)), known, found)
			}
		case "not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties":
			misspelt(s[k], at, known, found)
		default:
			if slices.Contains(known, k) || strings.HasPrefix(k, "x-") {
				continue
			}
			if near := text.Near(k, known); near != "" {
				*found = append(*found, Problem{
					Path: at, Reason: "keyword_unknown",
					Cause: "is not a keyword of JSON Schema; did you mean " + near + "? A word of your own begins with x-",
				})
			}
		}
	}
}
