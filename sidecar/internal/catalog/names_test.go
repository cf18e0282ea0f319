package catalog

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
)

// Every text of an offering that people know something by. The sidecar that applies a document and the partner that is sent
// one, perhaps by a sidecar that does not check, refuse it alike.
func TestATextThatNobodySeesIsNoName(t *testing.T) {
	t.Parallel()
	parsed, wrong := Parse([]byte(postgres))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for field, set := range map[string]func(d *Document, s string){
		"name":              func(d *Document, s string) { d.Name = s },
		"summary":           func(d *Document, s string) { d.Summary = s },
		"description":       func(d *Document, s string) { d.Description = s },
		"category":          func(d *Document, s string) { d.Category = s },
		"region":            func(d *Document, s string) { d.Region = s },
		"certifications[1]": func(d *Document, s string) { d.Certifications = []string{"C5", s} },
		"prices[0].name":    func(d *Document, s string) { d.Prices[0].Name = s },
		"prices[1].unit":    func(d *Document, s string) { d.Prices[1].Unit = s },
	} {
		for _, s := range []string{" ", "\u00a0\u2003", "\u200b", "\u2060\u200d", "\u3164", "\u2800", "\u00ad", "\u0301", "\ufe0f"} {
			doc := parsed[0].Document
			doc.Prices = append([]price.Component{}, doc.Prices...)
			set(&doc, s)
			found := doc.check("", recipe.NewSchemas(0))
			if len(found) != 1 || found[0].reason != "text_invalid" || found[0].cause != unseen {
				t.Errorf("%s %+q: %v", field, s, found)
			}
			raw := withRevision(t, doc, 1)
			if _, err := decodeForeign(raw, "https://partner.localhost", recipe.NewSchemas(0)); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("a partner's %s %+q: %v", field, s, err)
			}
		}
	}
}

func TestANameOfBlanksIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal("\u200b\u3164")
	if err != nil {
		t.Fatal(err)
	}
	_, wrong := Parse([]byte(strings.Replace(postgres, "name: Monthly fee", "name: "+string(quoted), 1)))
	if !slices.ContainsFunc(wrong, func(w ApplyError) bool {
		return w.Line == 18 && w.Field == "prices[0].name" && w.Reason == "text_invalid" && w.Cause == unseen
	}) {
		t.Errorf("%v", wrong)
	}
}
