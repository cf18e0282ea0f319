package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// object is a schema with these properties and more keywords.
func object(properties string, more ...string) string {
	return `{"type":"object","properties":{` + properties + `}` + strings.Join(append([]string{""}, more...), ",") + `}`
}

func TestASchemaThatDeniesItselfIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, schema, at, says string }{
		{"a default that is not among the choices", object(`"a":{"enum":["a","b"],"default":"c"}`), "properties.a.default", "one of: a, b"},
		{"a default that is not the constant", object(`"a":{"const":1,"default":2}`), "properties.a.default", "not allowed"},
		{"a default of another type", object(`"a":{"type":"integer","default":"1"}`), "properties.a.default", "must be integer"},
		{"a default of null", object(`"a":{"type":"string","default":null}`), "properties.a.default", "must be string"},
		{"a fraction for a whole number", object(`"a":{"type":"integer","default":1.5}`), "properties.a.default", "must be integer"},
		{"a default below the minimum", object(`"a":{"type":"integer","minimum":3,"default":2}`), "properties.a.default", "minimum"},
		{"a default against the pattern", object(`"a":{"type":"string","pattern":"^[a-z]+$","default":"A"}`), "properties.a.default", "pattern"},
		{"a default that is no mail address", object(`"a":{"type":"string","format":"email","default":"x"}`), "properties.a.default", "email"},
		{"a default too long", object(`"a":{"type":"string","maxLength":2,"default":"abc"}`), "properties.a.default", "longer"},
		{"a default where nothing is allowed", object(`"a":{"not":{},"default":1}`), "properties.a.default", "not allowed"},
		{"a default deep inside", object(`"g":` + object(`"h":`+object(`"a":{"enum":[1],"default":2}`))), "properties.g.properties.h.properties.a.default", "one of: 1"},
		{"a default in a list's item", object(`"l":{"type":"array","items":` + object(`"a":{"enum":[1],"default":2}`) + `}`), "properties.l.items.properties.a.default", "one of: 1"},
		{"a default in a definition", object(`"a":{"$ref":"#/$defs/d"}`, `"$defs":{"d":{"type":"integer","default":"x"}}`), "$defs.d.default", "must be integer"},
		{"a default in a definition that nobody uses", object(``, `"$defs":{"d":{"type":"integer","default":"x"}}`), "$defs.d.default", "must be integer"},
		{"a default beside a reference", object(`"a":{"$ref":"#/$defs/d","default":9}`, `"$defs":{"d":{"type":"integer","maximum":5}}`), "properties.a.default", "maximum"},
		{"a default in one part against another", object(``, `"allOf":[{"properties":{"a":{"default":1}}},{"properties":{"a":{"minimum":5}}}]`), "allOf[0].properties.a.default", "minimum"},
		{"two defaults", object(`"a":{"default":1}`, `"allOf":[{"properties":{"a":{"default":2}}}]`), "allOf[0].properties.a.default", "differs from another default"},
		{"a group's default with a wrong value inside", object(`"g":{"type":"object","default":{"a":7},"properties":{"a":{"maximum":5}}}`), "properties.g.default", "maximum"},
		{"a group's default that lacks what is required", object(`"g":{"type":"object","default":{},"required":["a"],"properties":{"a":{"type":"string"}}}`), "properties.g.default", "a is required"},
		{"a default of the whole", object(`"a":{}`, `"default":{"a":1}`), "default", "never be used"},
		{"a default in a choice", object(`"a":{"anyOf":[{"type":"string","default":"x"},{"type":"integer"}]}`), "properties.a.anyOf[0].default", "never be used"},
		{"a default in a condition", object(`"a":{}`, `"if":{"required":["a"]},"then":{"properties":{"b":{"default":1}}}`), "then.properties.b.default", "never be used"},
		{"a default for a list's items", object(`"l":{"type":"array","items":{"type":"string","default":"x"}}`), "properties.l.items.default", "never be used"},
		{"a default for names that match", object(``, `"patternProperties":{"^x":{"default":1}}`), "patternProperties.^x.default", "never be used"},
		{"a default for any other name", object(``, `"additionalProperties":{"default":1}`), "additionalProperties.default", "never be used"},
		{"a default in a definition that only a choice uses", object(`"a":{"oneOf":[{"$ref":"#/$defs/d"},{"type":"null"}]}`, `"$defs":{"d":{"type":"string","default":"x"}}`), "$defs.d.default", "never be used"},
		{"defaults that exclude each other", object(`"a":{"default":1},"b":{"default":2}`, `"not":{"properties":{"a":{"const":1},"b":{"const":2}}}`), "", "do not go together"},

		{"a number below and above", object(`"a":{"type":"integer","minimum":5,"maximum":4}`, `"required":["a"]`), "properties.a.maximum", "at least 5 and at most 4"},
		{"the same for what is optional", object(`"a":{"type":"number","minimum":5,"maximum":4}`), "properties.a.maximum", "no number"},
		{"an open range of one point", object(`"a":{"type":"number","exclusiveMinimum":4,"maximum":4}`), "properties.a.maximum", "no number"},
		{"no whole number between", object(`"a":{"type":"integer","minimum":1.2,"maximum":1.8}`), "properties.a.maximum", "multiple of 1"},
		{"no multiple between", object(`"a":{"type":"integer","minimum":11,"maximum":19,"multipleOf":10}`), "properties.a.maximum", "multiple of 10"},
		{"a text longer than it may be", object(`"a":{"type":"string","minLength":5,"maxLength":4}`), "properties.a.maxLength", "less than minLength"},
		{"a pattern that needs more than is allowed", object(`"a":{"type":"string","pattern":"^[a-z]{5}(-[0-9]{2})+$","maxLength":7}`), "properties.a.maxLength", "needs 8 characters"},
		{"a list shorter than it must be", object(`"a":{"type":"array","minItems":2,"maxItems":1}`), "properties.a.maxItems", "less than minItems"},
		{"a list of what cannot be", object(`"a":{"type":"array","minItems":1,"items":false}`), "properties.a.items", "allows no value"},
		{"a group smaller than it must be", object(``, `"minProperties":2,"maxProperties":1`), "maxProperties", "less than minProperties"},
		{"more required than fit", object(`"a":{},"b":{}`, `"required":["a","b"],"maxProperties":1`), "maxProperties", "2 properties are required"},
		{"an empty list of choices", object(`"a":{"enum":[]}`), "properties.a.enum", ""},
		{"choices of another type", object(`"a":{"type":"integer","enum":["a","b"]}`), "properties.a.enum", "must be integer"},
		{"a constant out of range", object(`"a":{"const":9,"maximum":5}`), "properties.a.const", "maximum"},
		{"choices that have nothing in common", object(`"a":{"allOf":[{"enum":[1,2]},{"enum":[3]}]}`), "properties.a.allOf[0].enum", "no value"},
		{"types that have nothing in common", object(`"a":{"type":"string","allOf":[{"type":"integer"}]}`), "properties.a", "no type is left"},
		{"another type than the definition's", object(`"a":{"type":"string","$ref":"#/$defs/d"}`, `"$defs":{"d":{"type":"boolean"}}`), "properties.a", "no type is left"},
		{"required, and false", object(`"a":false`, `"required":["a"]`), "properties.a", "allows no value"},
		{"required, and not anything", object(`"a":{"not":{}}`, `"required":["a"]`), "properties.a.not", "allows no value"},
		{"required, and unknown", object(`"b":{}`, `"required":["a"],"additionalProperties":false`), "required[0]", "no property a is allowed"},
		{"required in one part, not allowed in another", object(`"b":{}`, `"allOf":[{"required":["a"]}],"additionalProperties":false`), "allOf[0].required[0]", "no property a"},
		{"required, with a name that is not allowed", object(``, `"required":["a"],"propertyNames":{"minLength":2}`), "required[0]", "propertyNames"},
		{"required by a pattern that is false", object(``, `"required":["xa"],"patternProperties":{"^x":false}`), "patternProperties.^x", "allows no value"},
		{"impossible in an optional group", object(`"g":` + object(`"a":false`, `"required":["a"]`)), "properties.g.properties.a", "allows no value"},
		{"all choices impossible", object(`"a":{"oneOf":[{"type":"string","minLength":2,"maxLength":1},{"enum":[]}]}`), "properties.a", ""},
		{"choices that the rest excludes", object(`"a":{"type":"string","anyOf":[{"type":"integer"},{"const":3}]}`, `"required":["a"]`), "properties.a.anyOf", "no choice that is possible"},
		{"the whole is not an object", object(``, `"allOf":[{"type":"array"}]`), "", "no type is left"},
		{"the whole is nothing", object(``, `"not":true`), "not", "allows no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := CompileSchema([]byte(c.schema))
			var f *Flaw
			if !errors.As(err, &f) {
				t.Fatalf("%v, want a flaw", err)
			}
			if at := text.JoinPath("", f.Path); c.says != "" && (at != c.at || !strings.Contains(f.Cause, c.says)) || !strings.HasPrefix(at, c.at) {
				t.Errorf("%s: %s; want %s: %s", at, f.Cause, c.at, c.says)
			}
		})
	}
}

func TestASchemaThatMakesSenseIsTaken(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"nothing":                           `{"type":"object","additionalProperties":false}`,
		"a default among the choices":       object(`"a":{"enum":["a","b"],"default":"b"}`),
		"a default of null":                 object(`"a":{"type":["string","null"],"default":null}`),
		"a whole number written as decimal": object(`"a":{"type":"integer","default":2.0}`),
		"a group completed from inside":     object(`"g":{"type":"object","default":{},"required":["a"],"properties":{"a":{"type":"string","default":"x"}}}`),
		"the same default twice":            object(`"a":{"default":1}`, `"allOf":[{"properties":{"a":{"default":1}}}]`),
		"a property that is forbidden":      object(`"a":false,"b":{"not":{}}`),
		"a property that a case forbids":    object(`"m":{"enum":["a","b"]},"x":{}`, `"if":{"properties":{"m":{"const":"a"}}},"then":{"properties":{"x":false}}`),
		"required with a default":           object(`"a":{"type":"string","default":"x"}`, `"required":["a"],"additionalProperties":false`),
		"one choice impossible by the rest": object(`"a":{"type":"string","anyOf":[{"type":"integer"},{"maxLength":3}]}`, `"required":["a"]`),
		"an optional list of nothing":       object(`"a":{"type":"array","items":false}`),
		"required by another name":          object(``, `"required":["xa"],"patternProperties":{"^x":{"type":"string"}},"additionalProperties":false`),
		"a range of one point":              object(`"a":{"type":"integer","minimum":4,"maximum":4}`),
		"a pattern as long as it may be":    object(`"a":{"type":"string","pattern":"^(ab|c?d)x*$","maxLength":1,"default":"d"}`),
		"a definition used in two ways":     object(`"a":{"$ref":"#/$defs/d"},"b":{"anyOf":[{"$ref":"#/$defs/d"}]}`, `"$defs":{"d":{"type":"string","default":"x"}}`),
		"an odd name":                       object(`"a/b~c %":{"enum":[1],"default":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := CompileSchema([]byte(schema)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDefaultsAreFilledInOnce(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../sdk/web/testdata/defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	var shared struct {
		Cases []struct {
			Name                     string
			Schema, Inputs, Complete json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &shared); err != nil || len(shared.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(shared.Cases), err)
	}
	for _, c := range shared.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s, err := CompileSchema(c.Schema)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Complete(c.Inputs)
			if err != nil || string(got) != string(c.Complete) {
				t.Fatalf("%s (%v), want %s", got, err, c.Complete)
			}
			if again, err := s.Complete(got); err != nil || string(again) != string(c.Complete) {
				t.Errorf("again: %s (%v)", again, err)
			}
		})
	}
}

func TestDefaultsDoNotOutgrowAnOrder(t *testing.T) {
	t.Parallel()
	huge := object(`"l":{"type":"array","items":` + object(`"a":{"type":"string","default":"`+strings.Repeat("x", 40<<10)+`"}`) + `}`)
	s, err := CompileSchema([]byte(huge))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Complete([]byte(`{"l":[` + strings.Repeat("{},", 1000) + `{}]}`)); err == nil || !strings.Contains(err.Error(), "larger than 64 KiB") {
		t.Errorf("a thousand large defaults: %v", err)
	}
}

// maker makes small random schemas and values that often meet each other.
type maker struct{ *rand.Rand }

func (m maker) pick(from ...string) string { return from[m.IntN(len(from))] }

func (m maker) value(depth int) string {
	if depth == 0 || m.IntN(3) > 0 {
		return m.pick("0", "1", "1.5", "2", "4", `""`, `"x"`, `"ab"`, "true", "null", "[]", "{}")
	}
	if m.IntN(2) == 0 {
		return "[" + m.value(depth-1) + "," + m.value(depth-1) + "]"
	}
	return `{"a":` + m.value(depth-1) + `,"b":` + m.value(depth-1) + "}"
}

func (m maker) schema(depth int) string {
	if m.IntN(12) == 0 {
		return m.pick("true", "false")
	}
	var words []string
	for range 1 + m.IntN(4) {
		if depth == 0 || m.IntN(2) == 0 {
			words = append(words, m.pick(
				`"type":"`+m.pick("integer", "number", "string", "object", "array", "null")+`"`, `"type":["integer","string","object"]`,
				`"minimum":`+m.pick("0", "1", "1.5", "2"), `"maximum":`+m.pick("0", "1", "1.5", "2"), `"exclusiveMaximum":`+m.pick("1", "2"),
				`"multipleOf":`+m.pick("1", "2", "0.5"), `"minLength":`+m.pick("0", "1", "2"), `"maxLength":`+m.pick("0", "1"), `"pattern":"`+m.pick("^x", "b$", "..", "a|x")+`"`,
				`"minItems":`+m.pick("0", "1", "2"), `"maxItems":`+m.pick("0", "1"), `"required":[`+m.pick(`"a"`, `"a","b"`, ``)+`]`,
				`"minProperties":`+m.pick("1", "2"), `"maxProperties":`+m.pick("0", "1", "2"), `"enum":[`+m.value(1)+`,`+m.value(1)+`]`, `"const":`+m.value(1)))
			continue
		}
		sub, other := m.schema(depth-1), m.schema(depth-1)
		words = append(words, m.pick(`"properties":{"a":`+sub+`,"b":`+other+`}`, `"items":`+sub, `"prefixItems":[`+sub+`]`, `"additionalProperties":`+sub,
			`"patternProperties":{"^a":`+sub+`}`, `"propertyNames":{"pattern":"a"}`, `"allOf":[`+sub+`,`+other+`]`, `"anyOf":[`+sub+`,`+other+`]`,
			`"oneOf":[`+sub+`,`+other+`]`, `"not":`+sub, `"if":`+sub+`,"then":`+other, `"$ref":"#/$defs/d"`))
	}
	seen := map[string]bool{}
	words = slices.DeleteFunc(words, func(w string) bool {
		k, _, _ := strings.Cut(w, ":")
		again := seen[k]
		seen[k] = true
		return again
	})
	return "{" + strings.Join(words, ",") + "}"
}

func TestNothingPossibleIsCalledImpossible(t *testing.T) {
	t.Parallel()
	m := maker{rand.New(rand.NewPCG(6, 1))}
	impossible, allowed := 0, 0
	for range 300 {
		schema := `{"type":"object","required":["v"],"properties":{"v":` + m.schema(3) + `},"$defs":{"d":` + strings.ReplaceAll(m.schema(1), "#/$defs/d", "#/$defs/e") + `,"e":{}}}`
		x, err := compile([]byte(schema))
		if err != nil {
			t.Fatal(err, schema)
		}
		f := x.impossible(x.root())
		if f != nil {
			impossible++
		}
		for range 20 {
			value := `{"v":` + m.value(2) + "}"
			v, err := decodeInputs([]byte(value))
			if err != nil {
				t.Fatal(err)
			}
			if x.compiled.Validate(v) == nil {
				if allowed++; f != nil {
					t.Fatalf("%v\n%s\nallows %s", f, schema, value)
				}
			}
		}
	}
	if impossible < 15 || allowed < 300 {
		t.Errorf("%d impossible schemas, %d allowed values: too few to tell anything", impossible, allowed)
	}
}

// repeated is a schema of n properties that are all the same definition.
func repeated(n int, definition string) string {
	props := make([]string, n)
	for i := range props {
		props[i] = fmt.Sprintf(`"p%d":{"$ref":"#/$defs/d"}`, i)
	}
	return object(strings.Join(props, ","), `"$defs":{"d":`+definition+`}`)
}

// costly is a pattern of 8,000 steps.
const costly = `"pattern":"^.{0,999}.{0,999}.{0,999}.{0,999}$"`

func TestALookAtASchemaPaysForItsPatterns(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for name, schema := range map[string]string{
		"constants": repeated(30, `{"const":"`+long+`",`+costly+`}`),
		"choices":   repeated(30, `{"enum":["`+long+`","`+long+`x"],`+costly+`}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := compile([]byte(schema))
			if err != nil {
				t.Fatal(err)
			}
			validated := 0
			at := x.compile
			x.compile = func(path []string) (*jsonschema.Schema, error) { validated++; return at(path) }
			_ = x.check()
			if x.steps >= 0 || validated > 2 {
				t.Errorf("%d validations, and %d steps are left", validated, x.steps)
			}
		})
	}
	// What no order could hold is refused before anything is held against a pattern.
	for name, schema := range map[string]string{
		"more than inputs may have":               repeated(30, `{"default":"`+strings.Repeat("x", 40<<10)+`",`+costly+`}`),
		"more than inputs with such patterns may": object(`"a":{"default":"` + strings.Repeat("x", 40<<10) + `",` + costly + `}`),
	} {
		x, err := compile([]byte(schema))
		if err != nil {
			t.Fatal(name, err)
		}
		x.compile = func([]string) (*jsonschema.Schema, error) {
			t.Error(name, "is validated")
			return nil, errors.New("not now")
		}
		if err := x.check(); err == nil || !strings.Contains(err.Error(), "an order's inputs may h") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Not parallel: it counts what filling in asks for, which is what it does for each value.
func TestFillingInGrowsWithTheInputsAndNotWithWhatTheyLeaveOut(t *testing.T) {
	optional := func(n int) string {
		props := make([]string, n)
		for i := range props {
			props[i] = fmt.Sprintf(`"p%d":{}`, i)
		}
		return strings.Join(props, ",")
	}
	group := object(optional(300))
	for name, item := range map[string]string{
		"many properties":          object(optional(1500)),
		"groups that give nothing": object(`"g":`+object(`"h":`+group, `"required":["h"]`), `"required":["g"]`),
		"rules in many parts":      `{"allOf":[` + strings.Repeat(`{"minProperties":0},`, 150) + object(`"a":{}`) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := CompileSchema([]byte(object(`"l":{"type":"array","items":` + item + `}`)))
			if err != nil {
				t.Fatal(err)
			}
			work := func(items int) float64 {
				list := make([]any, items)
				for i := range list {
					list[i] = map[string]any{}
				}
				return testing.AllocsPerRun(1, func() {
					if _, err := s.fill(map[string]any{"l": list}); err != nil {
						t.Error(err)
					}
				})
			}
			if each := (work(901) - work(1)) / 900; each > 8 {
				t.Errorf("each more empty item takes %v pieces of memory", each)
			}
		})
	}
}

func TestADefaultThatFillsInMoreThanAnOrderHoldsIsRefused(t *testing.T) {
	t.Parallel()
	schema := object(`"g":` + object(`"l":{"type":"array","default":[`+strings.Repeat(`{},`, 2000)+`{}],"items":`+object(`"a":{"default":"`+strings.Repeat("x", 100)+`"}`)+`}`))
	_, err := CompileSchema([]byte(schema))
	if err == nil || !strings.Contains(err.Error(), "properties.g.properties.l.default") || !strings.Contains(err.Error(), "more than an order's inputs may hold") {
		t.Error(err)
	}
}

func TestAnOrderIsHeldAgainstTheSchemaThatWasStored(t *testing.T) {
	t.Parallel()
	stored := []byte(object(`"a":{"enum":["a","b"],"default":"c"},"b":{"type":"integer"}`))
	c := NewSchemas(0)
	for range 2 { // the second time it is remembered
		if got, err := c.Complete("", stored, []byte(`{"a":"a"}`)); err != nil || string(got) != `{"a":"a"}` {
			t.Errorf("%s, %v", got, err)
		}
		if _, err := c.Complete("", stored, []byte(`{"a":"x"}`)); fault.ReasonOf(err) != "inputs_invalid" {
			t.Errorf("a wrong choice: %v", err)
		}
		if _, err := c.Compile("", stored); fault.ReasonOf(err) != "schema_invalid" {
			t.Errorf("it may be offered anew: %v", err)
		}
	}
	if _, err := c.Complete("", []byte(object(`"b":{"maximum":9007199254740993}`)), nil); fault.ReasonOf(err) != "schema_invalid" {
		t.Errorf("a schema that does not compile: %v", err)
	}
	sound := []byte(object(`"a":{"enum":["a","b"],"default":"b"}`))
	if _, err := c.Complete("", sound, nil); err != nil {
		t.Fatal(err)
	}
	one, err := c.Compile("", sound)
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := c.Compile("", sound); one != two || len(c.order) != len(c.byID) || !c.sensible[c.order[len(c.order)-1]] {
		t.Error("what was looked at is not remembered as looked at")
	}
}
