package recipe

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// formCase is a schema, and either what a form sends or why there is none: sdk/web/test/unit.test.mjs runs the same file.
type formCase struct {
	Name   string
	Schema json.RawMessage
	Fills  []struct {
		Sent  json.RawMessage
		Wrong []string
	}
	Refused string
	At      []string
}

func formCases(t *testing.T) []formCase {
	t.Helper()
	raw, err := os.ReadFile("../../../sdk/web/testdata/forms.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Forms []formCase }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Forms) < 80 {
		t.Fatalf("%d forms", len(file.Forms))
	}
	return file.Forms
}

func TestAFormIsMadeOfASchemaOrItIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range formCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			found, err := Form(c.Schema)
			if err != nil {
				t.Fatal(err)
			}
			if c.Refused != "" {
				for _, p := range found {
					if p.Reason != "form_"+c.Refused || p.Cause == "" {
						t.Errorf("%+v, want form_%s", p, c.Refused)
					}
				}
				if len(found) != 1 {
					t.Errorf("%d problems, want one: %+v", len(found), found)
				}
				return
			}
			if len(found) > 0 {
				t.Errorf("refused: %+v", found)
			}
			schema, err := CompileSchema(c.Schema)
			if err != nil {
				t.Fatal(err)
			}
			for _, fill := range c.Fills {
				if len(fill.Sent) == 0 {
					continue
				}
				// What the customer reviewed is all that is ordered: no default comes to it.
				got, err := schema.Complete(fill.Sent)
				if err != nil || !equal(decoded(t, got), decoded(t, fill.Sent)) {
					t.Errorf("the form sends %s, ordered is %s (%v)", fill.Sent, got, err)
				}
			}
		})
	}
}

func decoded(t *testing.T, raw []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Error(err)
	}
	return v
}

func TestAFormIsRefusedAtThePlaceInTheSchema(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ schema, path string }{
		{`{"type":"object","properties":{"a":{"title":"A"}}}`, "properties a"},
		{`{"type":"object","properties":{"a":{"$ref":"#/$defs/d"}},"$defs":{"d":{"type":"object","properties":{"x.y":{"not":{}}}}}}`, "$defs d properties x.y"},
		{`{"type":"object","allOf":[{"properties":{"a":{"type":"array","items":{}}}}]}`, "allOf 0 properties a items"},
		{`{"type":"object","properties":{"a":{"anyOf":[{"type":"null"},{"type":"array","items":true}]}}}`, "properties a anyOf 1 items"},
		{`{"type":"object","not":{}}`, ""},
	} {
		found, err := Form([]byte(tc.schema))
		if err != nil || len(found) != 1 || strings.Join(found[0].Path, " ") != tc.path {
			t.Errorf("%s: %+v (%v), want the path %q", tc.schema, found, err, tc.path)
		}
	}
	two, err := Form([]byte(`{"type":"object","properties":{"b":{"not":{}},"a":{}}}`))
	if err != nil || len(two) != 2 || !slices.Equal(two[0].Path, []string{"properties", "a"}) {
		t.Errorf("%+v (%v), want both", two, err)
	}
}

func TestTitlesOfOutputsAreSeen(t *testing.T) {
	t.Parallel()
	for schema, want := range map[string]int{
		`{"type":"object","properties":{"url":{"title":"Address"},"password":{}}}`: 0,
		`{"type":"object","properties":{"url":{"title":" \u200b"}}}`:               1,
		`{"type":"object","properties":{"\u3164":{},"":{}}}`:                       2,
		`{"type":"object","properties":{"\u3164":{"title":"Address"}}}`:            0,
	} {
		if found, err := Titles([]byte(schema)); err != nil || len(found) != want {
			t.Errorf("%s: %+v (%v), want %d", schema, found, err, want)
		}
	}
}

// Whatever a schema is, looking at its form ends, and soon.
func FuzzForm(f *testing.F) {
	raw, err := os.ReadFile("../../../sdk/web/testdata/forms.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct{ Forms []formCase }
	if err := json.Unmarshal(raw, &file); err != nil {
		f.Fatal(err)
	}
	for _, c := range file.Forms {
		f.Add([]byte(c.Schema))
	}
	f.Fuzz(func(t *testing.T, schema []byte) {
		if _, err := CompileSchema(schema); err != nil {
			return
		}
		found, err := Form(schema)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			if p.Reason == "" || p.Cause == "" {
				t.Fatalf("%+v", p)
			}
		}
	})
}
