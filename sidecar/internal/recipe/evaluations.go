package recipe

import "strings"

// maxEvaluations bounds how often a validation holds a subschema against a value: about a second. Two thousand values and two thousand
// subschemas that hold of each are four million.
const maxEvaluations = 500_000

// evaluations counts that, and is never below what there are: patterns and conditions count as if they held.
type evaluations struct {
	defs map[string]any
	left int
}

// evaluations is how many a validation of v against one of the schema's subschemas takes; more than most are not counted further.
func (s *Schema) evaluations(sub, v any, most int) int {
	defs, _ := s.doc["$defs"].(map[string]any)
	e := &evaluations{defs, most}
	e.of(sub, v)
	return most - e.left
}

func (e *evaluations) of(schema, v any) {
	s, ok := schema.(map[string]any)
	if e.left--; e.left < 0 || !ok {
		return
	}
	members, _ := v.(map[string]any)
	items, _ := v.([]any)
	for k, sub := range s {
		if e.left < 0 {
			return
		}
		switch k {
		case "$ref":
			ref, _ := sub.(string)
			e.of(e.defs[strings.TrimPrefix(ref, "#/$defs/")], v)
		case "allOf", "anyOf", "oneOf":
			list, _ := sub.([]any)
			for _, part := range list {
				e.of(part, v)
			}
		case "not", "if", "then", "else":
			e.of(sub, v)
		case "enum":
			list, _ := sub.([]any)
			e.left -= len(list) / 20 // a comparison is that much less
		case "properties", "dependentSchemas", "patternProperties":
			e.members(k, sub, members)
		case "additionalProperties", "unevaluatedProperties", "propertyNames":
			for name, member := range members {
				if k == "propertyNames" {
					member = name
				}
				e.of(sub, member)
			}
		case "prefixItems":
			list, _ := sub.([]any)
			for i := range min(len(list), len(items)) {
				e.of(list[i], items[i])
			}
		case "items", "contains", "unevaluatedItems":
			for _, item := range items {
				e.of(sub, item)
			}
		}
	}
}

func (e *evaluations) members(keyword string, sub any, members map[string]any) {
	subs, _ := sub.(map[string]any)
	for name, member := range members {
		if e.left--; e.left < 0 {
			return
		}
		switch keyword {
		case "properties":
			if part, has := subs[name]; has {
				e.of(part, member)
			}
		case "dependentSchemas":
			if part, has := subs[name]; has {
				e.of(part, members)
			}
		case "patternProperties":
			for _, part := range subs {
				e.of(part, member)
			}
		}
	}
}
