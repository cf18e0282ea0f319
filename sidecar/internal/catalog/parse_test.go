package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const postgres = `# A comment before the document.
apiVersion: hanse/v1
kind: Offering
id: postgres-s
name: PostgreSQL S
summary: A small database
description: |
  One database.

  Backed up daily.
category: database
region: north
country: "NO"
certifications: [ISO 27001, C5]
currency: EUR
prices:
  - id: base
    name: Monthly fee
    kind: recurring
    period: P1M
    amount: 9.90
  - id: storage
    kind: usage
    unit: GiB-h
    tiers:
      - {up_to: 100, amount: "0.0043"}
      - amount: 0.0040
recipe:
  inputs:
    type: object
    required: [plan]
    properties:
      zone: {type: string, default: a}
      plan: {enum: [small, large]}
      count: {type: integer, minimum: 1}
  outputs:
    type: object
    properties:
      url: {type: string}
      password: {type: string, format: password}
  step:
    adapter: postgres
    connection: main
    with: {plan: "${inputs.plan}", name: "db-${subscription.id}", limit: 5}
    outputs: {url: "postgres://${step.host}/"}
`

func TestParse(t *testing.T) {
	t.Parallel()
	parsed, wrong := Parse([]byte(postgres + "---\n# nothing here\n---\n" + strings.Replace(postgres, "postgres-s", "postgres-m", 1)))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	if len(parsed) != 2 || parsed[1].Document.ID != "postgres-m" {
		t.Fatalf("%d documents", len(parsed))
	}
	doc := parsed[0].Document
	if doc.Prices[0].Amount != "9.90" || doc.Prices[1].Tiers[1].Amount != "0.0040" {
		t.Errorf("amounts are not as written: %+v", doc.Prices)
	}
	if doc.Country != "NO" || doc.State != Orderable || doc.Prices[1].Name != "storage" || doc.Description != "One database.\n\nBacked up daily.\n" {
		t.Errorf("%+v", doc)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte("adapter")) || bytes.Contains(raw, []byte("main")) {
		t.Errorf("the step is published: %s", raw)
	}
	if z, p, c := bytes.Index(raw, []byte(`"zone":{`)), bytes.Index(raw, []byte(`"plan":{`)), bytes.Index(raw, []byte(`"count":{`)); z < 0 || z > p || p > c {
		t.Errorf("the inputs are not in the file's order: %s", raw)
	}
	want := recipe.Binding{
		Adapter: "postgres", Connection: "main",
		With:    map[string]any{"plan": "${inputs.plan}", "name": "db-${subscription.id}", "limit": 5.0},
		Outputs: map[string]string{"url": "postgres://${step.host}/"},
	}
	if d := cmp.Diff(want, parsed[0].Binding); d != "" {
		t.Error(d)
	}
	if _, err := decodeForeign(withRevision(t, doc, 1), "https://partner.localhost", recipe.NewSchemas(0)); err != nil {
		t.Errorf("a partner refuses what we publish: %v", err)
	}
}

func withRevision(t testing.TB, doc Document, revision int64) []byte {
	t.Helper()
	doc.Revision = revision
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParseRefusesWithThePlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, old, new string
		line, column   int
		field, reason  string
	}{
		{"an unknown field", "summary: A", "sumary: A", 6, 1, "sumary", "field_unknown"},
		{"an unknown field deep inside", "    unit: GiB-h", "    units: GiB-h", 22, 5, "prices[1].unit", "field_missing"},
		{"a missing field", "category: database\n", "", 2, 1, "category", "field_missing"},
		{"another format", "hanse/v1", "hanse/v2", 2, 13, "apiVersion", "field_value"},
		{"a bad id", "id: postgres-s", "id: Postgres S", 4, 5, "id", "field_format"},
		{"a number for a name", "name: PostgreSQL S", "name: 7", 5, 7, "name", "field_type"},
		{"a name too long", "PostgreSQL S", strings.Repeat("x", 201), 5, 7, "name", "field_limit"},
		{"a state that is none", "currency: EUR", "state: sold\ncurrency: EUR", 15, 8, "state", "field_value"},
		{"a date that is none", "currency: EUR", "orderable_until: soon\ncurrency: EUR", 15, 18, "orderable_until", "field_format"},
		{"a currency that is none", "currency: EUR", "currency: XXX", 15, 11, "currency", "currency_unknown"},
		{"a foreign-currency price", "    amount: 9.90", "    amount: 9.90\n    currency: USD", 22, 15, "prices[0].currency", "price_currency"},
		{"a negative price", "9.90", "-9.90", 21, 13, "prices[0].amount", "price_negative"},
		{"a negative price, quoted", "9.90", `"-9.90"`, 21, 13, "prices[0].amount", "price_negative"},
		{"an overflowing price", "9.90", "9999999999999999999", 21, 13, "prices[0].amount", "price_overflow"},
		{"a price that overflows with the quantity", "9.90", "999999999999999999", 17, 3, "prices", "price_overflow"},
		{"a price with an exponent", "9.90", "1e3", 21, 13, "prices[0].amount", "price_malformed"},
		{"a price with a currency", "9.90", "9.90 EUR", 21, 13, "prices[0].amount", "price_malformed"},
		{"a price in hexadecimal", "9.90", "0x10", 21, 13, "prices[0].amount", "price_malformed"},
		{"a price that is no number", "9.90", ".nan", 21, 13, "prices[0].amount", "price_malformed"},
		{"amount and tiers", "    unit: GiB-h", "    unit: GiB-h\n    amount: 1", 25, 13, "prices[1].amount", "field_invalid"},
		{"no amount", "    amount: 9.90\n", "", 17, 5, "prices[0].amount", "field_missing"},
		{"tiers that do not ascend", "      - amount: 0.0040", "      - {up_to: 100, amount: 1}\n      - amount: 0.0040", 27, 17, "prices[1].tiers[1].up_to", "price_tiers"},
		{"tiers that end", "- amount: 0.0040", "- {up_to: 200, amount: 1}", 27, 17, "prices[1].tiers[1].up_to", "price_tiers"},
		{"a period that is no date period", "P1M", "PT1H", 20, 13, "prices[0].period", "field_format"},
		{"a recurring price without period", "    period: P1M\n", "", 17, 5, "prices[0].period", "field_missing"},
		{"one price id twice", "id: storage", "id: base", 22, 9, "prices[1].id", "price_duplicate"},
		{"an unknown reference", "${inputs.plan}", "${inputs.plam}", 44, 18, "recipe.step.with.plan", "reference_unknown"},
		{"a schema that is none", "{type: string, default: a}", "{type: strin}", 33, 20, "recipe.inputs.properties.zone.type", "schema_invalid"},
		{"a schema that leads out", "{type: string, default: a}", "{$ref: 'https://example.com/'}", 33, 20, "recipe.inputs.properties.zone.$ref", "schema_invalid"},
		{"a default that is no choice", "enum: [small, large]", "enum: [small, large], default: huge", 34, 45, "recipe.inputs.properties.plan.default", "schema_invalid"},
		{"a default of another type", "default: a", "default: 1", 33, 37, "recipe.inputs.properties.zone.default", "schema_invalid"},
		{"a default below the minimum", "minimum: 1", "minimum: 1, default: 0", 35, 51, "recipe.inputs.properties.count.default", "schema_invalid"},
		{"a default that is never used", "    type: object\n    required", "    default: {zone: b}\n    type: object\n    required", 30, 14, "recipe.inputs.default", "schema_invalid"},
		{"a range of nothing", "minimum: 1", "minimum: 1, maximum: 0", 35, 51, "recipe.inputs.properties.count.maximum", "schema_invalid"},
		{"required and unknown", "required: [plan]", "required: [plan, plam]\n    additionalProperties: false", 31, 22, "recipe.inputs.required[1]", "schema_invalid"},
		{"no value at all", "enum: [small, large]", "enum: []", 34, 20, "recipe.inputs.properties.plan.enum", "schema_invalid"},
		{"an integer that a double does not hold", "limit: 5", "limit: 9007199254740993", 44, 74, "recipe.step.with.limit", "number_inexact"},
		{"the same, negative, in a list", "limit: 5", "limit: [1, -9007199254740993]", 44, 78, "recipe.step.with.limit[1]", "number_inexact"},
		{"the same, in a schema", "minimum: 1", "maximum: 18446744073709551615", 35, 39, "recipe.inputs.properties.count.maximum", "number_inexact"},
		{"too many digits", "limit: 5", "limit: 0.12345678901234567890", 44, 74, "recipe.step.with.limit", "number_inexact"},
		{"a number beyond all", "limit: 5", "limit: 1e400", 44, 74, "recipe.step.with.limit", "number_inexact"},
		{"more pieces than the step makes", "currency: EUR", "max_quantity: 2\ncurrency: EUR", 15, 15, "max_quantity", "quantity_unused"},
		{"a number of pieces that is always one", "limit: 5", "limit: {x: ['n${quantity}']}", 44, 79, "recipe.step.with.limit.x[0]", "quantity_single"},
		{"no piece at all", "currency: EUR", "max_quantity: 0\ncurrency: EUR", 15, 15, "max_quantity", "field_limit"},
		{"more pieces than an order holds", "currency: EUR", "max_quantity: 10001\ncurrency: EUR", 15, 15, "max_quantity", "field_limit"},
		{"half a piece", "currency: EUR", "max_quantity: 1.5\ncurrency: EUR", 15, 15, "max_quantity", "field_type"},
		{"an input that no form asks for", "{type: string, default: a}", "{type: object, additionalProperties: {type: string}}", 33, 13, "recipe.inputs.properties.zone", "form_keyword"},
		{"an input without a type", "count: {type: integer, minimum: 1}", "count: {}", 35, 14, "recipe.inputs.properties.count", "form_type"},
		{"an input whose title nobody sees", "count: {type: integer, minimum: 1}", `count: {type: integer, title: "\u3164"}`, 35, 14, "recipe.inputs.properties.count", "form_name"},
		{"an output whose title nobody sees", "url: {type: string}", `url: {type: string, title: " "}`, 39, 12, "recipe.outputs.properties.url", "form_name"},
		{"an input that is required and nowhere asked for", "required: [plan]", "required: [plan, size]", 30, 5, "recipe.inputs", "form_type"},
		{"no step", "    adapter: postgres\n", "", 42, 5, "recipe.step.adapter", "field_missing"},
		{"one field twice", "summary: A", "name: B\nsummary: A", 6, 1, "name", "field_duplicate"},
		{"an alias", "region: north", "region: &r north", 12, 9, "region", "yaml_alias"},
		{"a merge key", "region: north", "<<: {region: north}", 12, 1, "", "yaml_alias"},
		{"a tag of its own", "region: north", "region: !thing north", 12, 9, "region", "yaml_tag"},
		{"a binary", "region: north", "region: !!binary bm9ydGg=", 12, 9, "region", "yaml_tag"},
		{"a bidi control", "region: north", `region: "nor\u202Eth"`, 12, 9, "region", "text_invalid"},
		{"a control character", "region: north", `region: "nor\x07th"`, 12, 9, "region", "text_invalid"},
		{"a line break in a line", "region: north", `region: "nor\nth"`, 12, 9, "region", "text_invalid"},
		{"broken YAML", "region: north", "region: [north", 12, 1, "", "yaml_syntax"},
		{"a list for a document", "apiVersion: hanse/v1", "- x", 2, 1, "", "yaml_syntax"},
		{"a key that is a list", "region: north", "? [a]\n: b", 12, 3, "", "yaml_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(postgres, tc.old) {
				t.Fatalf("%q is not in the document", tc.old)
			}
			_, wrong := Parse([]byte(strings.Replace(postgres, tc.old, tc.new, 1)))
			if len(wrong) == 0 {
				t.Fatal("accepted")
			}
			for _, w := range wrong {
				if w.Line == tc.line && w.Column == tc.column && w.Field == tc.field && w.Reason == tc.reason {
					if w.Document != 1 || w.Cause == "" {
						t.Errorf("%+v", w)
					}
					return
				}
			}
			t.Errorf("want line %d column %d %q %s, got %+v", tc.line, tc.column, tc.field, tc.reason, wrong)
		})
	}
}

func TestRefusalsAreInWordsAndKnowWhatWasMeant(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, old, new string
		field, says    string
	}{
		{"a key in the singular", "certifications: [", "certification: [", "certification", "did you mean certifications?"},
		{"a key of another style", "currency: EUR", "orderableUntil: 2030-01-01\ncurrency: EUR", "orderableUntil", "did you mean orderable_until?"},
		{"a key of a price", "    kind: usage", "    kidn: usage", "prices[1].kidn", "did you mean kind?"},
		{"a key of a tier", "{up_to: 100,", "{upto: 100,", "prices[1].tiers[0].upto", "did you mean up_to?"},
		{"a key of the step", "    connection: main", "    conection: main", "recipe.step.conection", "did you mean connection?"},
		{"a key that means nothing", "currency: EUR", "colour: red\ncurrency: EUR", "colour", "is not a known field"},
		{"a kind of price", "kind: recurring", "kind: recuring", "prices[0].kind", "did you mean recurring?"},
		{"a state", "currency: EUR", "state: on-hold\ncurrency: EUR", "state", "did you mean onHold?"},
		{"a country by its name", `country: "NO"`, "country: Norway", "country", "two capital letters, as in DE; did you mean NO?"},
		{"a country in small letters", `country: "NO"`, "country: de", "country", "did you mean DE (Germany)?"},
		{"a country by the code it is known by", `country: "NO"`, "country: UK", "country", "did you mean GB (United Kingdom)?"},
		{"a country by three letters", `country: "NO"`, "country: DEU", "country", "did you mean DE (Germany)?"},
		{"a country misspelt", `country: "NO"`, "country: Germny", "country", "did you mean DE (Germany)?"},
		{"no country", `country: "NO"`, "country: XX", "country", "is not the code of a country"},
		{"a union of countries", `country: "NO"`, "country: EU", "country", "is not the code of a country"},
		{"a currency in small letters", "currency: EUR", "currency: eur", "currency", "three capital letters, as in EUR; did you mean EUR?"},
		{"an id with capitals", "id: postgres-s", "id: Postgres S", "id", "small letters"},
		{"the same", "id: postgres-s", "id: Postgres S", "id", "did you mean postgres-s?"},
		{"a period in words", "period: P1M", "period: monthly", "prices[0].period", "as in P1M for a month"},
		{"a day without a time", "currency: EUR", "orderable_until: 2030-01-01\ncurrency: EUR", "orderable_until", "as in 2027-03-31T23:59:59Z"},
		{"a tab", "region: north", "region:\n\tnorth: 1", "", "spaces and not with tabs"},
		{"a colon in a text", "summary: A small database", "summary: A small: database", "", "put a text with a colon in quotes"},
		{"a line that is indented otherwise", "region: north", "  region: north", "", "colon after a value"},
		{"a bracket that is not closed", "certifications: [ISO 27001, C5]", "certifications: [ISO 27001, C5", "", "is not closed"},
		{"a quote that is not closed", "country: \"NO\"", "country: \"NO", "", ""},
		{"no colon", "region: north", "region north", "", "a colon and a space"},
		{"a number for a text", "name: PostgreSQL S", "name: 7", "name", "put it in quotes"},
		{"a type of a schema", "{type: string, default: a}", "{type: strin}", "recipe.inputs.properties.zone.type", "did you mean string?"},
		{"a keyword of a schema", "minimum: 1", "minimun: 1", "recipe.inputs.properties.count.minimun", "did you mean minimum?"},
		{"the same in outputs", "{type: string, format: password}", "{type: string, fromat: password}", "recipe.outputs.properties.password.fromat", "did you mean format?"},
		{"an input that is referred to", "${inputs.plan}", "${inputs.plam}", "recipe.step.with.plan", "did you mean plan?"},
		{"what every order has", "db-${subscription.id}", "db-${subscripton.id}", "recipe.step.with.name", "did you mean subscription.id?"},
		{"an output", "outputs: {url: \"postgres", "outputs: {ulr: \"postgres", "recipe.step.outputs.ulr", "did you mean url?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !strings.Contains(postgres, tc.old) {
				t.Fatalf("%q is not in the document", tc.old)
			}
			_, wrong := Parse([]byte(strings.Replace(postgres, tc.old, tc.new, 1)))
			for _, w := range wrong {
				if w.Field == tc.field && strings.Contains(w.Cause, tc.says) {
					if strings.Contains(w.Cause, "^") || w.Line < 2 || w.Column < 1 {
						t.Errorf("%+v", w)
					}
					return
				}
			}
			t.Errorf("want %s: %s, got %v", tc.field, tc.says, wrong)
		})
	}
}

func TestEveryPatternOfTheFormatHasWords(t *testing.T) {
	t.Parallel()
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch s := v.(type) {
		case map[string]any:
			for _, keyword := range []string{"pattern", "format"} {
				if p, is := s[keyword].(string); is && words(p) == "" && !strings.HasSuffix(path, "/amount") {
					t.Errorf("%s: no words for %s", path, p)
				}
			}
			for k, e := range s {
				walk(e, path+"/"+k)
			}
		case []any:
			for i, e := range s {
				walk(e, fmt.Sprint(path, "/", i))
			}
		}
	}
	walk(writtenFormat(), "")
}

func TestCountriesAreThoseOfISO(t *testing.T) {
	t.Parallel()
	if n := len(countries()); n != 250 {
		t.Errorf("%d countries, want the 249 of ISO 3166-1 and XK", n)
	}
	for _, no := range []string{"XX", "ZZ", "EU", "UN", "UK", "SU", "DD", "AN", "de", "D", ""} {
		if text.IsCountry(no) {
			t.Errorf("%q is a country", no)
		}
	}
}

func TestParseFindsErrorsInEveryDocument(t *testing.T) {
	t.Parallel()
	bad := strings.Replace(postgres, "9.90", "-1", 1)
	_, wrong := Parse([]byte(bad + "---\nname: [\n---\n" + postgres + "--- # once more\n" + postgres))
	var got []string
	for _, w := range wrong {
		got = append(got, fmt.Sprintf("%d:%d %s", w.Document, w.Line, w.Reason))
	}
	lines := strings.Count(postgres, "\n")
	want := []string{
		"1:21 price_negative", fmt.Sprintf("2:%d yaml_syntax", lines+3), fmt.Sprintf("4:%d offering_duplicate", 2*lines+4+4),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%v", d, wrong)
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for _, tc := range []struct{ name, yaml, reason string }{
		{"nothing", "", "file_empty"},
		{"only comments", "# a\n---\n# b\n", "file_empty"},
		{"a file too large", strings.Repeat("#", MaxFileBytes+1), "file_limit"},
		{"more errors than are listed", strings.Repeat("---\nx: 1\n", 200), "field_unknown"},
		{"a document too large", "a: " + strings.Repeat("x", maxYAMLDocument), "document_limit"},
		{"too many values", "a: [" + strings.Repeat("1,", maxYAMLNodes) + "1]", "document_limit"},
		{"too deep", "a: " + deep, "document_limit"},
		{"much too deep", "a: " + strings.Repeat("[", 20000), "yaml_syntax"},
		{"billions of laughs", "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "yaml_alias"},
		{"an alias of itself", "a: &a [*a]\n", "yaml_alias"},
		{"an unknown alias", "a: *b\n", "yaml_syntax"},
		{"no UTF-8", "a: \xff\xfe\n", "yaml_syntax"},
		{"two documents without a marker line", "a: 1\n...\nb: 2\n", "yaml_syntax"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, wrong := Parse([]byte(tc.yaml))
			for _, w := range wrong {
				if w.Reason == tc.reason {
					return
				}
			}
			t.Errorf("want %s, got %v", tc.reason, wrong)
		})
	}
	if _, wrong := Parse([]byte(strings.Repeat("---\nid: a\n", MaxFileDocuments+1))); len(wrong) != 1 || wrong[0].Reason != "file_limit" {
		t.Errorf("10,001 documents: %v", wrong[:min(3, len(wrong))])
	}
}

func TestTextIsNormalised(t *testing.T) {
	t.Parallel()
	parsed, wrong := Parse([]byte(strings.Replace(postgres, "PostgreSQL S", "Gro\u0308\u00dfe", 1)))
	if len(wrong) > 0 || parsed[0].Document.Name != "Gr\u00f6\u00dfe" {
		t.Errorf("%v %v", parsed, wrong)
	}
}

func TestPublishedSchemaIsTheOneUsed(t *testing.T) {
	t.Parallel()
	published, err := os.ReadFile("../../../docs/offering.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(published, offeringSchema) {
		t.Error("docs/offering.schema.json differs from sidecar/internal/catalog/offering.schema.json: copy it")
	}
}

func TestDecodeForeignRefuses(t *testing.T) {
	t.Parallel()
	parsed, wrong := Parse([]byte(postgres))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	good := string(withRevision(t, parsed[0].Document, 3))
	for _, tc := range []struct{ name, old, new string }{
		{"more pieces than an order holds", `"currency":"EUR"`, `"max_quantity":10001,"currency":"EUR"`},
		{"less than no piece", `"currency":"EUR"`, `"max_quantity":-1,"currency":"EUR"`},
		{"a default that is not allowed", `"default":"a"`, `"default":1`},
		{"no revision", `"revision":3`, `"revision":0`},
		{"an unknown state", `"state":"orderable"`, `"state":"?"`},
		{"a negative price", `"9.90"`, `"-9.90"`},
		{"a price that is a number", `"9.90"`, `9.90`},
		{"an unknown currency", `"currency":"EUR"`, `"currency":"EU"`},
		{"no name", `"name":"PostgreSQL S"`, `"name":""`},
		{"a huge name", `"name":"PostgreSQL S"`, `"name":"` + strings.Repeat("x", 201) + `"`},
		{"a schema that leads out", `"default":"a"`, `"$ref":"http://10.0.0.1/"`},
		{"a period that is none", `"P1M"`, `"1 month"`},
		{"two values", `{"id"`, `{} {"id"`},
		{"one field twice", `{"id":`, `{"id":"x","id":`},
		{"one field twice, in a price", `"amount":"9.90"`, `"amount":"9.90","amount":"9.90"`},
		{"a field in other case", `"name":"PostgreSQL S"`, `"Name":"PostgreSQL S"`},
		{"a field in other case beside the right one", `"name":"PostgreSQL S"`, `"name":"PostgreSQL S","NAME":"x"`},
		{"a field that is not known", `{"id"`, `{"added_later":{"a":[1]},"id"`},
		{"a field that is not known, in a price", `"amount":"9.90"`, `"amount":"9.90","vat":"1"`},
		{"a field that is missing", `"name":"PostgreSQL S",`, ``},
		{"a field that is null", `"currency":"EUR"`, `"max_quantity":null,"currency":"EUR"`},
		{"a revision with a point", `"revision":3`, `"revision":3.0`},
		{"a revision beyond what a double keeps", `"revision":3`, `"revision":9007199254740993`},
		{"half a surrogate pair", `"name":"PostgreSQL S"`, `"name":"\ud800"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bad := strings.Replace(good, tc.old, tc.new, 1)
			if bad == good {
				t.Fatalf("%q is not in %s", tc.old, good)
			}
			if doc, err := decodeForeign([]byte(bad), "https://partner.localhost", recipe.NewSchemas(0)); err == nil {
				t.Errorf("accepted: %+v", doc)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(postgres))
	f.Add([]byte("a: &a [*a]\n---\n? [x]\n: y\n--- !t\n<<: {}\n"))
	f.Add([]byte("%YAML 1.2\n---\n\"\\x00\": 0x1p-2\n...\n"))
	f.Fuzz(func(t *testing.T, yaml []byte) {
		parsed, wrong := Parse(yaml)
		if len(wrong) == 0 && len(parsed) == 0 {
			t.Fatal("neither offerings nor errors")
		}
		for _, w := range wrong {
			if w.Document < 1 || w.Line < 1 || w.Column < 1 || w.Reason == "" || w.Cause == "" || w.Reason == "internal" {
				t.Fatalf("%+v", w)
			}
		}
		for _, p := range parsed {
			if len(wrong) > 0 {
				t.Fatal("offerings beside errors")
			}
			raw := withRevision(t, p.Document, 1)
			if _, err := decodeForeign(raw, "https://partner.localhost", recipe.NewSchemas(0)); err != nil {
				t.Fatalf("a partner refuses what we publish: %v\n%s", err, raw)
			}
			if _, err := p.Document.PriceList().Headline(price.Terms{DiscountBP: 2000, MarkupBP: 1500}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	parsed, wrong := Parse([]byte(postgres))
	if len(wrong) > 0 {
		f.Fatal(wrong)
	}
	f.Add(withRevision(f, parsed[0].Document, 1))
	f.Add([]byte(`{"id":"a","prices":[{"tiers":[{"up_to":-1}]}],"inputs":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := decodeForeign(raw, "https://partner.localhost", recipe.NewSchemas(0))
		if err != nil {
			return
		}
		if _, err := doc.PriceList().Line(doc.Most(), price.Terms{DiscountBP: 10000}); err != nil {
			t.Fatalf("accepted, but without a price: %v", err)
		}
		if _, err := doc.PriceList().Retail(price.Terms{}); err != nil {
			t.Fatal(err)
		}
	})
}
