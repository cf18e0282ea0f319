package catalog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/recipe"
)

func TestAnOfferingNamesItsFamilyAndPlan(t *testing.T) {
	t.Parallel()
	with := func(lines string) []byte {
		return []byte(strings.Replace(postgres, "region: north", lines+"region: north", 1))
	}
	parsed, wrong := Parse(with("family: PostgreSQL\nplan: S\n"))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	doc := parsed[0].Document
	if doc.Family != "PostgreSQL" || doc.Plan != "S" {
		t.Errorf("family %q, plan %q", doc.Family, doc.Plan)
	}
	if _, err := decodeForeign(withRevision(t, doc, 1), "https://partner.localhost", recipe.NewSchemas(0)); err != nil {
		t.Errorf("a partner refuses what we publish: %v", err)
	}
	doc.Family = strings.Repeat("x", 101)
	if _, err := decodeForeign(withRevision(t, doc, 1), "https://partner.localhost", recipe.NewSchemas(0)); err == nil {
		t.Error("a partner's family of any length is taken")
	}
	doc.Family, doc.Plan = "", ""
	if raw, err := json.Marshal(doc); err != nil || bytes.Contains(raw, []byte("family")) {
		t.Errorf("what stands alone is published as before: %s %v", raw, err)
	}
	for _, tc := range []struct{ lines, field, reason string }{
		{"plan: S\n", "family", "field_missing"},
		{"family: ''\n", "family", "field_limit"},
		{"family: 7\n", "family", "field_type"},
		{"family: " + strings.Repeat("x", 101) + "\n", "family", "field_limit"},
		{"family: \"a\\nb\"\n", "family", "text_invalid"},
		{"family: \"a \"\n", "family", "text_invalid"},
		{"family: a\nplan: \" b\"\n", "plan", "text_invalid"},
		{"family: a\nplan: \"b\\u202E\"\n", "plan", "text_invalid"},
	} {
		if _, wrong := Parse(with(tc.lines)); len(wrong) != 1 || wrong[0].Field != tc.field || wrong[0].Reason != tc.reason {
			t.Errorf("%q: %v, want %s at %s", tc.lines, wrong, tc.reason, tc.field)
		}
	}
}
