package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// catalogs are all that the demo may ever apply, by supplier.
func catalogs() map[string][]offering {
	return map[string][]offering{
		"NordKube":                    nordkube(),
		"OstseeDB":                    ostseedb(true),
		"OstseeDB without PostgreSQL": ostseedb(false),
	}
}

func TestCatalogsHoldAtLeast300Offerings(t *testing.T) {
	if n := len(nordkube()) + len(ostseedb(true)); n < 300 {
		t.Errorf("there are %d offerings", n)
	}
	if with, without := len(ostseedb(true)), len(ostseedb(false)); with != without {
		t.Errorf("%d offerings with PostgreSQL and %d without", with, without)
	}
}

func TestOfferingsSatisfyThePublishedSchema(t *testing.T) {
	published, err := os.Open("../../docs/offering.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = published.Close() }()
	rules, err := jsonschema.UnmarshalJSON(published)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://schema.invalid/offering.json", rules); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://schema.invalid/offering.json")
	if err != nil {
		t.Fatal(err)
	}
	for supplier, all := range catalogs() {
		raw, err := writeYAML(all)
		if err != nil {
			t.Fatal(err)
		}
		documents := yaml.NewDecoder(bytes.NewReader(raw))
		for _, o := range all {
			var document any
			if err := documents.Decode(&document); err != nil {
				t.Fatalf("%s: %s: %v", supplier, o.ID, err)
			}
			asJSON, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %s: %v", supplier, o.ID, err)
			}
		}
	}
}

func TestOfferingIDsAndNamesAreUnique(t *testing.T) {
	for supplier, all := range catalogs() {
		seen := map[string]bool{}
		for _, o := range all {
			if seen[o.ID] || seen[o.Name] {
				t.Errorf("%s sells %s (%s) twice", supplier, o.ID, o.Name)
			}
			seen[o.ID], seen[o.Name] = true, true
		}
	}
}

func TestOnlyWhatAnAdapterDeliversCanBeOrdered(t *testing.T) {
	for supplier, all := range catalogs() {
		for _, o := range all {
			delivered := slices.Contains([]string{"process", "postgres"}, o.Recipe.Step.Adapter)
			if supplier == "OstseeDB without PostgreSQL" {
				delivered = o.Recipe.Step.Adapter == "process"
			}
			if orderable := o.State == "orderable"; orderable != delivered {
				t.Errorf("%s: %s is %s and its adapter is %s", supplier, o.ID, o.State, o.Recipe.Step.Adapter)
			}
		}
	}
}

func TestTextsHaveNoPlaceholderLeft(t *testing.T) {
	for supplier, all := range catalogs() {
		for _, o := range all {
			if strings.ContainsAny(o.Name+o.Summary+o.Description, "{}") {
				t.Errorf("%s: %s has a placeholder left", supplier, o.ID)
			}
		}
	}
}

func TestTheSameCatalogGivesTheSameBytes(t *testing.T) {
	once, twice := catalogs(), catalogs()
	for supplier := range once {
		a, err := writeYAML(once[supplier])
		if err != nil {
			t.Fatal(err)
		}
		b, err := writeYAML(twice[supplier])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two runs differ", supplier)
		}
	}
}

func TestTheBasketIsInTheCatalog(t *testing.T) {
	for name, d := range map[string]*demo{"with PostgreSQL": {postgres: &cluster{}}, "without PostgreSQL": {}} {
		all := append(nordkube(), ostseedb(d.postgres != nil)...)
		for _, p := range d.basket() {
			if !slices.ContainsFunc(all, func(o offering) bool { return o.ID == p.offering && o.Name == p.name && o.State == "orderable" }) {
				t.Errorf("%s: %s (%s) cannot be ordered", name, p.offering, p.name)
			}
		}
	}
}
