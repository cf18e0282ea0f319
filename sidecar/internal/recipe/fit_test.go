package recipe

import (
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const programs = `{
	"type": "object", "additionalProperties": false, "required": ["program"],
	"properties": {
		"program": {"enum": ["notes", "wiki"]},
		"memory_mib": {"type": "integer", "minimum": 0, "maximum": 1024},
		"settings": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^[a-z]+$"}},
		"tags": {"type": "array", "items": {"enum": ["a", "b"]}},
		"either": {"anyOf": [{"type": "integer"}, {"enum": ["off"]}]}
	}
}`

func TestFit(t *testing.T) {
	t.Parallel()
	const none = `{"type":"object"}`
	inputs := func(properties string, required ...string) string {
		out := `{"type":"object","properties":{` + properties + `}`
		if len(required) > 0 {
			out += `,"required":["` + strings.Join(required, `","`) + `"]`
		}
		return out + "}"
	}
	for _, c := range []struct {
		name, with, inputs string
		// at and says are the path and a part of the cause of the one problem; "" for none.
		at, says string
	}{
		{"what the platform knows", `{"program":"notes","memory_mib":64}`, none, "", ""},
		{"a value that is not there", `{"program":"nosuch"}`, none, "with.program", "one of: notes, wiki"},
		{"a key that is not known", `{"program":"notes","colour":"red"}`, none, "with.colour", "there are: either, memory_mib, program, settings, tags"},
		{"a key that is missing", `{"memory_mib":64}`, none, "with.program", "is required"},
		{"nothing at all", ``, none, "with.program", "is required"},
		{"a wrong type", `{"program":"notes","memory_mib":"64"}`, none, "with.memory_mib", "must be integer"},
		{"a value deep inside", `{"program":"notes","tags":["a","c"]}`, none, "with.tags.1", "one of: a, b"},
		{"an escaped reference is a text", `{"program":"$${inputs.p}"}`, none, "with.program", "one of"},

		{"an enum of what is there", `{"program":"${inputs.p}"}`, inputs(`"p":{"enum":["notes","wiki"]}`, "p"), "", ""},
		{"an enum with one too many", `{"program":"${inputs.p}"}`, inputs(`"p":{"enum":["notes","nosuch"]}`, "p"), "with.program", `may be "nosuch"`},
		{"a default that is not there", `{"program":"${inputs.p}"}`, inputs(`"p":{"enum":["notes"],"default":"nosuch"}`), "with.program", `may be "nosuch"`},
		{"free text where words are listed", `{"program":"${inputs.p}"}`, inputs(`"p":{"type":"string"}`, "p"), "with.program", "any text"},
		{"text made of an input where words are listed", `{"program":"n-${inputs.p}"}`, inputs(`"p":{"type":"string"}`, "p"), "with.program", "any text"},
		{"required, and may be left out", `{"program":"${inputs.p}"}`, inputs(`"p":{"const":"notes"}`), "with.program", "left out"},
		{"in a group that may be left out", `{"program":"${inputs.g.p}"}`, inputs(`"g":{"type":"object","properties":{"p":{"const":"notes","default":"notes"}}}`), "with.program", "left out"},
		{"in a group with a default", `{"program":"${inputs.g.p}"}`, inputs(`"g":{"type":"object","default":{},"properties":{"p":{"const":"notes","default":"notes"}}}`), "", ""},
		{"an enum in two parts", `{"program":"${inputs.p}"}`, inputs(`"p":{"enum":["notes","nosuch"],"allOf":[{"enum":["wiki","notes"]}]}`, "p"), "", ""},
		{"a range in two parts", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"maximum":2000,"allOf":[{"maximum":1000}]}`, "m"), "", ""},
		{"optional, and may be left out", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"maximum":9}`), "", ""},
		{"a wider range", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"maximum":2000}`, "m"), "with.memory_mib", "may be 2000"},
		{"no range", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1}`, "m"), "with.memory_mib", "may be 9007199254740991"},
		{"another type", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"string"}`, "m"), "with.memory_mib", "must be integer"},
		{"a fraction for a whole number", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"number","minimum":1,"maximum":9}`, "m"), "with.memory_mib", "may be 1.5"},
		{"the quantity", `{"program":"notes","memory_mib":"${quantity}"}`, none, "", ""},
		{"the quantity where a word is wanted", `{"program":"${quantity}"}`, none, "with.program", "one of"},
		{"text beyond what is tried", `{"program":"notes","settings":{"title":"${inputs.t}"}}`, inputs(`"t":{"type":"string"}`, "t"), "", ""},
		{"an input in a list", `{"program":"notes","tags":["${inputs.t}"]}`, inputs(`"t":{"enum":["a","z"]}`, "t"), "with.tags.0", `may be "z"`},
		{"one branch of two fits", `{"program":"notes","either":"${inputs.e}"}`, inputs(`"e":{"enum":["off"]}`, "e"), "", ""},
		{"no branch fits", `{"program":"notes","either":"${inputs.e}"}`, inputs(`"e":{"enum":["on"]}`, "e"), "with.either", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := `{"adapter":"x","with":` + c.with + `}`
			if c.with == "" {
				raw = `{"adapter":"x"}`
			}
			b, err := ParseBinding([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			found, err := Fit(b, []byte(c.inputs), []byte(none), 1000, Platform{With: []byte(programs)})
			if err != nil {
				t.Fatal(err)
			}
			if c.at == "" {
				if len(found) > 0 {
					t.Errorf("%+v", found)
				}
				return
			}
			if len(found) != 1 || text.JoinPath("", found[0].Path) != c.at && strings.Join(found[0].Path, ".") != c.at || !strings.Contains(found[0].Cause, c.says) {
				t.Errorf("%+v, want %s: %s", found, c.at, c.says)
			}
		})
	}
}

func TestFit_HoldsOutputsAgainstWhatTheStepGives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, outputs string
		mapped        map[string]string
		at            string
	}{
		{"given by its name", `{"type":"object","properties":{"url":{}},"required":["url"]}`, nil, ""},
		{"given by another name", `{"type":"object","properties":{"address":{}},"required":["address"]}`, map[string]string{"address": "${step.url}"}, ""},
		{"required and given by nothing", `{"type":"object","properties":{"address":{}},"required":["address"]}`, nil, "outputs"},
		{"optional and given by nothing", `{"type":"object","properties":{"address":{}}}`, nil, ""},
		{"mapped to what is not given", `{"type":"object","properties":{"address":{}}}`, map[string]string{"address": "at ${step.urll}"}, "outputs.address"},
		{"a text of our own", `{"type":"object","properties":{"hint":{}},"required":["hint"]}`, map[string]string{"hint": "see the manual"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := Fit(Binding{Outputs: c.mapped}, []byte(`{"type":"object"}`), []byte(c.outputs), 1, Platform{
				With: []byte(`{"type":"object"}`), Outputs: []string{"url", "password"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.at == "" != (len(found) == 0) || c.at != "" && strings.Join(found[0].Path, ".") != c.at {
				t.Errorf("%+v, want %q", found, c.at)
			}
		})
	}
}

func TestFitTriesAsManyPiecesAsOneOrderMayHave(t *testing.T) {
	t.Parallel()
	b := Binding{With: map[string]any{"program": "notes", "memory_mib": "${quantity}"}}
	for most, problems := range map[int64]int{1: 0, 1024: 0, 1025: 1} {
		found, err := Fit(b, []byte(`{"type":"object"}`), []byte(`{"type":"object"}`), most, Platform{With: []byte(programs)})
		if err != nil || len(found) != problems {
			t.Errorf("up to %d: %v, %v", most, found, err)
		}
	}
}
