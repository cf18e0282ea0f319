package recipe

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const programs = `{
	"type": "object", "additionalProperties": false, "required": ["program"],
	"properties": {
		"program": {"enum": ["notes", "wiki"]},
		"memory_mib": {"type": "integer", "minimum": 0, "maximum": 1024},
		"above": {"type": "integer", "minimum": 1},
		"number": {"type": "number", "minimum": 2, "maximum": 8},
		"even": {"type": "integer", "minimum": 2},
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
		{"a key that is not known", `{"program":"notes","colour":"red"}`, none, "with.colour", "there are: above, either, even, memory_mib, number, program, settings, tags"},
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

		{"above an open end", `{"program":"notes","above":"${inputs.m}"}`, inputs(`"m":{"type":"integer","exclusiveMinimum":0}`, "m"), "", ""},
		{"above an open end in another part", `{"program":"notes","above":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":-5,"allOf":[{"exclusiveMinimum":0}]}`, "m"), "", ""},
		{"above an open end, and not enough", `{"program":"notes","above":"${inputs.m}"}`, inputs(`"m":{"type":"integer","exclusiveMinimum":-1}`, "m"), "with.above", "may be 0"},
		{"below an open end", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":0,"exclusiveMaximum":1025}`, "m"), "", ""},
		{"below an open end, and too much", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":0,"exclusiveMaximum":1026}`, "m"), "with.memory_mib", "may be 1025"},
		{"fractions of a range", `{"program":"notes","number":"${inputs.m}"}`, inputs(`"m":{"type":"number","minimum":2,"maximum":8}`, "m"), "", ""},
		{"fractions of an open range", `{"program":"notes","number":"${inputs.m}"}`, inputs(`"m":{"type":"number","exclusiveMinimum":2,"exclusiveMaximum":8}`, "m"), "", ""},
		{"fractions of too wide a range", `{"program":"notes","number":"${inputs.m}"}`, inputs(`"m":{"type":"number","minimum":2,"maximum":8.5}`, "m"), "with.number", "may be 8.5"},
		{"multiples", `{"program":"notes","even":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"multipleOf":2}`, "m"), "", ""},
		{"multiples up to an end", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"maximum":1030,"multipleOf":64}`, "m"), "", ""},
		{"multiples up to too far an end", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"integer","minimum":1,"maximum":1100,"multipleOf":64}`, "m"), "with.memory_mib", "may be 1088"},
		{"whole numbers by their step", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"number","minimum":1,"maximum":9,"multipleOf":1}`, "m"), "", ""},
		{"a number that one choice allows", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":["integer","string"],"anyOf":[{"type":"integer","minimum":1,"maximum":9}]}`, "m"), "", ""},
		{"a number without its type", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"anyOf":[{"type":"integer","minimum":1,"maximum":9}]}`, "m"), "", ""},
		{"texts that only a pattern lists", `{"program":"${inputs.p}"}`, inputs(`"p":{"type":"string","pattern":"^(notes|wiki)$"}`, "p"), "", ""},
		{"texts that a pattern lists, and others", `{"program":"${inputs.p}"}`, inputs(`"p":{"type":"string","pattern":"^[a-z][0-9]{2}$"}`, "p"), "with.program", `may be "x00"`},
		{"texts of a pattern for a number", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"string","pattern":"^[0-9]+$"}`, "m"), "with.memory_mib", "must be integer"},
		{"texts of a format for a number", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"string","format":"email"}`, "m"), "with.memory_mib", "must be integer"},
		{"texts of a length for a number", `{"program":"notes","memory_mib":"${inputs.m}"}`, inputs(`"m":{"type":"string","minLength":3}`, "m"), "with.memory_mib", "must be integer"},
		{"a group for a number", `{"program":"notes","memory_mib":"${inputs.g}"}`, inputs(`"g":{"type":"object","required":["a","b"],"properties":{"a":{"enum":["y"]},"b":{"default":1}}}`, "g"), "with.memory_mib", "must be integer, not object"},
		{"a list for a number", `{"program":"notes","memory_mib":"${inputs.l}"}`, inputs(`"l":{"type":"array","minItems":2,"items":{"type":"integer","minimum":4}}`, "l"), "with.memory_mib", "must be integer, not array"},
		{"choices that the rest forbids", `{"program":"${inputs.p}"}`, inputs(`"p":{"enum":["notes","no"],"minLength":3}`, "p"), "", ""},
		{"no value that was found", `{"program":"${inputs.p}"}`, inputs(`"p":{"type":"string","not":{"maxLength":9},"minLength":1}`, "p"), "", ""},
		{"no value that was found, and optional", `{"program":"notes","memory_mib":"${inputs.p}"}`, inputs(`"p":{"type":"string","not":{"maxLength":9},"minLength":1}`), "", ""},
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

func TestFitFindsNothingBetweenASchemaAndItself(t *testing.T) {
	t.Parallel()
	m := maker{rand.New(rand.NewPCG(3, 1))}
	tried := 0
	for range 200 {
		schema := `{"type":"object","required":["v"],"properties":{"v":` + m.schema(3) + `},"$defs":{"d":` + strings.ReplaceAll(m.schema(1), "#/$defs/d", "#/$defs/e") + `,"e":{}}}`
		found, err := Fit(Binding{With: map[string]any{"v": "${inputs.v}"}}, []byte(schema), []byte(`{"type":"object"}`), 1, Platform{With: []byte(schema)})
		if err != nil || len(found) > 0 {
			t.Fatalf("%+v, %v\n%s", found, err, schema)
		}
		x, err := compile([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		if p, _, _ := x.at([]string{"v"}); len(x.samples(p)) > 0 {
			tried++
		}
	}
	if tried < 60 {
		t.Errorf("%d schemas had a sample: too few to tell anything", tried)
	}
}

func TestSamplesOfListsInListsComeToAnEnd(t *testing.T) {
	t.Parallel()
	schema := `{"type":"string"}`
	for range 6 {
		schema = `{"type":"array","minItems":20,"items":` + schema + `}`
	}
	x, err := compile([]byte(object(`"l":`+schema, `"required":["l"]`)))
	if err != nil {
		t.Fatal(err)
	}
	p, _, _ := x.at([]string{"l"})
	x.samples(p)
	if x.steps < -1000 {
		t.Errorf("%d more steps than there were", -x.steps)
	}
}
