package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Output is one line of access data.
type Output struct {
	Name  string
	Title string
	Value string
	// Sensitive: do not show unasked.
	Sensitive bool
}

// Outputs maps what the step gave (adapters.Result Outputs and Sensitive together) to the recipe's outputs. Error:
// fault.Unavailable, reason output_missing, where a required one is not there: the platform's fault, not the customer's.
func Outputs(b Binding, outputsSchema []byte, step map[string]string) (map[string]string, error) {
	schema, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	promised := schema.root()
	out := map[string]string{}
	for _, name := range promised.names() {
		text, mapped := b.Outputs[name]
		if !mapped {
			text = "${step." + name + "}"
		}
		value, missing, err := fill(text, step)
		switch {
		case err != nil:
			return nil, fault.New(fault.Invalid, "reference_malformed", "%s", err.Error()).At("outputs." + name)
		case missing == "":
			out[name] = value
		case promised.requires(name):
			return nil, fault.New(fault.Unavailable, "output_missing", "the platform gave no %s", missing).At("outputs." + name)
		}
	}
	return out, nil
}

func fill(text string, step map[string]string) (value, missing string, err error) {
	parts, err := split(text)
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	for _, p := range parts {
		if p.ref == nil {
			b.WriteString(p.literal)
			continue
		}
		if len(p.ref) != 2 || p.ref[0] != "step" {
			return "", "", fmt.Errorf("${%s} is not known", strings.Join(p.ref, "."))
		}
		v, has := step[p.ref[1]]
		if !has {
			return "", p.ref[1], nil
		}
		b.WriteString(v)
	}
	return b.String(), "", nil
}

// Reveal lists values in the order and with the titles of the outputs schema. What the schema marks with "format":
// "password" or "writeOnly" is sensitive, and so is what it does not know.
func Reveal(outputsSchema []byte, values map[string]string) ([]Output, error) {
	schema, err := readSchema(outputsSchema)
	if err != nil {
		return nil, err
	}
	var out []Output
	known := map[string]bool{}
	for _, name := range append(propertyOrder(outputsSchema), schema.root().names()...) {
		if known[name] {
			continue
		}
		known[name] = true
		value, has := values[name]
		if !has {
			continue
		}
		sub, _ := schema.property(schema.root(), name)
		title, _ := sub.first("title").(string)
		if title == "" {
			title = name
		}
		out = append(out, Output{
			Name: name, Title: title, Value: value,
			Sensitive: sub.sensitive(),
		})
	}
	for _, name := range sortedKeys(values) {
		if !known[name] {
			out = append(out, Output{Name: name, Title: name, Value: values[name], Sensitive: true})
		}
	}
	return out, nil
}

func (p place) sensitive() bool {
	return slices.ContainsFunc(p.nodes, func(n node) bool { return n.doc["format"] == "password" || n.doc["writeOnly"] == true })
}

// propertyOrder lists the names of the top "properties" as they stand in the text: the supplier's order is the one that
// people read.
func propertyOrder(schema []byte) []string {
	var top struct {
		Properties json.RawMessage `json:"properties"`
	}
	if json.Unmarshal(schema, &top) != nil || len(top.Properties) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(top.Properties))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	var names []string
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		var skip json.RawMessage
		if err != nil || !ok || dec.Decode(&skip) != nil {
			return names
		}
		names = append(names, name)
	}
	return names
}
