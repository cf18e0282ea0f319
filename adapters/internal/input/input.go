// Package input checks what a request brings, the same way for every built-in adapter.
package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/hanse-market/hanse/adapters"
)

// Schema is a compiled JSON Schema.
type Schema struct {
	name     string
	compiled *jsonschema.Schema
}

// Compile reads a schema; name stands in error texts for what it describes.
func Compile(name, schema string) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	url := "urn:hanse:adapter:" + strings.ReplaceAll(name, " ", "-")
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", name, err)
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", name, err)
	}
	return &Schema{name: name, compiled: compiled}, nil
}

// Decode checks values against the schema and reads them into target. The error is of class InvalidInput and names places
// and rules, never values: a connection's values are secrets.
func (s *Schema) Decode(values map[string]any, target any) error {
	if values == nil {
		values = map[string]any{}
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return &adapters.Error{Class: adapters.InvalidInput, Message: s.name + " cannot be written as JSON"}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return &adapters.Error{Class: adapters.InvalidInput, Message: s.name + " is not JSON"}
	}
	if err := s.compiled.Validate(doc); err != nil {
		var invalid *jsonschema.ValidationError
		if !errors.As(err, &invalid) {
			return &adapters.Error{Class: adapters.InvalidInput, Message: s.name + " does not fit its schema"}
		}
		var problems []string
		describe(invalid, &problems)
		slices.Sort(problems)
		return &adapters.Error{Class: adapters.InvalidInput, Message: s.name + ": " + strings.Join(slices.Compact(problems), "; ")}
	}
	if err := json.Unmarshal(raw, target); err != nil {
		return &adapters.Error{Class: adapters.InvalidInput, Message: s.name + " does not fit its schema"}
	}
	return nil
}

func describe(e *jsonschema.ValidationError, problems *[]string) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			describe(cause, problems)
		}
		return
	}
	where := "/" + strings.Join(e.InstanceLocation, "/")
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		*problems = append(*problems, fmt.Sprintf("unknown key at %s: %s", where, strings.Join(k.Properties, ", ")))
	case *kind.Required:
		*problems = append(*problems, fmt.Sprintf("missing at %s: %s", where, strings.Join(k.Missing, ", ")))
	case *kind.Type:
		*problems = append(*problems, fmt.Sprintf("%s must be %s", where, strings.Join(k.Want, " or ")))
	default:
		*problems = append(*problems, fmt.Sprintf("%s breaks %s", where, strings.Join(e.ErrorKind.KeywordPath(), "/")))
	}
}

// CheckNames refuses a Tag or Tenant outside the contract's alphabet: both become parts of names and paths.
func CheckNames(req adapters.Request) error {
	if !name(req.Tag) || len(req.Tag) > 40 {
		return &adapters.Error{Class: adapters.InvalidInput, Message: "the tag must be 1 to 40 characters of a-z, 0-9 and -, not starting with -"}
	}
	if !name(req.Tenant) || len(req.Tenant) > 128 {
		return &adapters.Error{Class: adapters.InvalidInput, Message: "the tenant must be 1 to 128 characters of a-z, 0-9 and -, not starting with -"}
	}
	return nil
}

func name(s string) bool {
	if s == "" || s[0] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
