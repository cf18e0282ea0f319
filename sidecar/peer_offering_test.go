package sidecar_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
)

// TestOfferingWireSchema holds docs/offering-wire.schema.json against the documents that we publish and read.
func TestOfferingWireSchema(t *testing.T) {
	raw := read(t, "docs/offering-wire.schema.json")
	var written struct {
		Properties map[string]any `json:"properties"`
		Required   []string       `json:"required"`
		Defs       struct {
			Price struct {
				Properties map[string]json.RawMessage `json:"properties"`
			} `json:"price"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(raw), &written); err != nil {
		t.Fatal(err)
	}
	var tiers struct {
		Items struct {
			Properties map[string]any `json:"properties"`
		} `json:"items"`
	}
	if err := json.Unmarshal(written.Defs.Price.Properties["tiers"], &tiers); err != nil {
		t.Fatal(err)
	}
	names, optional := jsonMembers(t, "sidecar/internal/catalog", "Document")
	same(t, "offering", slices.Collect(maps.Keys(written.Properties)), names)
	same(t, "what an offering must have", written.Required, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return optional[n] }))
	names, _ = jsonMembers(t, "sidecar/internal/price", "Component")
	same(t, "price", slices.Collect(maps.Keys(written.Defs.Price.Properties)), names)
	names, _ = jsonMembers(t, "sidecar/internal/price", "Tier")
	same(t, "tier", slices.Collect(maps.Keys(tiers.Items.Properties)), names)

	schema := compiled(t, raw)
	parsed, wrong := catalog.Parse([]byte(everyMember))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	p := parsed[0].Document
	p.Revision = 1
	document, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value(t, document)); err != nil {
		t.Errorf("we publish what the schema does not allow: %v", err)
	}
	var published map[string]any
	if err := json.Unmarshal(document, &published); err != nil {
		t.Fatal(err)
	}
	same(t, "members of what is published", slices.Collect(maps.Keys(written.Properties)), slices.Collect(maps.Keys(published)))
	var vectors []struct {
		Offering string `json:"offering"`
	}
	if err := json.Unmarshal([]byte(read(t, "docs/vectors/catalog.json")), &vectors); err != nil {
		t.Fatal(err)
	}
	good := vectors[0].Offering
	if err := schema.Validate(value(t, []byte(good))); err != nil {
		t.Error(err)
	}
	if _, err := catalog.DecodeDocument([]byte(good)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string][2]string{
		"no revision":                      {`"revision":1,`, ``},
		"an unknown member":                {`"revision":1,`, `"revision":1,"later":1,`},
		"an unknown member of a price":     {`"amount":"9.90"`, `"amount":"9.90","later":1`},
		"an id in upper case":              {`"postgres-s"`, `"Postgres"`},
		"an unknown state":                 {`"orderable"`, `"sold"`},
		"an amount that is a number":       {`"9.90"`, `9.90`},
		"an amount with an exponent":       {`"9.90"`, `"1e3"`},
		"a recurring price without period": {`"period":"P1M",`, ``},
		"usage without unit":               {`"unit":"GiB",`, ``},
		"neither amount nor tiers":         {`,"amount":"9.90"`, ``},
		"both amount and tiers":            {`"amount":"9.90"`, `"amount":"9.90","tiers":[{"amount":"1"}]`},
		"a currency in lower case":         {`"EUR"`, `"eur"`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if bad == good {
			t.Fatalf("%s changes nothing", name)
		}
		if schema.Validate(value(t, []byte(bad))) == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

func compiled(t *testing.T, raw string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const name = "https://hanse.market/schemas/offering-wire.json"
	if err := c.AddResource(name, value(t, []byte(raw))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func value(t *testing.T, raw []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// everyMember is an offering that leaves nothing out.
const everyMember = `
apiVersion: hanse/v1
kind: Offering
id: vm-s
name: Server S
summary: A small server.
description: |
  Two cores.
category: compute
family: Cloud server
plan: 2 cores
region: Stockholm
country: SE
certifications: [ISO 27001]
currency: EUR
state: announced
orderable_until: 2027-03-31T23:59:59Z
max_quantity: 5
prices:
  - {id: setup, kind: one_off, tiers: [{up_to: 2, amount: "5.00"}, {amount: "4.00"}]}
  - {id: month, kind: recurring, period: P1M, amount: "9.90"}
  - {id: traffic, kind: usage, unit: GiB, amount: "0.0043"}
recipe:
  inputs: {type: object, additionalProperties: false, properties: {image: {type: string, maxLength: 40}}}
  outputs: {type: object, properties: {address: {type: string}}}
  step:
    adapter: process
    with: {image: "${inputs.image}", count: "${quantity}"}
`
