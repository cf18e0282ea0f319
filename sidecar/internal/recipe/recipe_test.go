package recipe

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

const inputsSchema = `{
  "type": "object", "additionalProperties": false, "required": ["plan", "disk"],
  "$defs": {"size": {"type": "integer", "minimum": 1, "maximum": 100}},
  "properties": {
    "plan": {"enum": ["small", "large"]},
    "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
    "region": {"type": "string", "default": "north"},
    "disk": {"type": "object", "required": ["gib"], "properties": {"gib": {"$ref": "#/$defs/size"}}},
    "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
    "opt": {"type": "object", "properties": {"z": {"type": "string", "default": "a"}}},
    "mail": {"type": "string", "format": "email"}
  }}`

const outputsSchema = `{"type":"object","required":["url"],"properties":{
  "url":{"type":"string","title":"Address"},
  "password":{"type":"string","title":"Password","format":"password"},
  "admin":{"type":"string"}}}`

func TestCompleteRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, inputs, field, cause string }{
		{"all that is required", `{"plan":"small","disk":{"gib":5}}`, "", ""},
		{"a required field is missing", `{"disk":{"gib":5}}`, "inputs.plan", "is required"},
		{"nothing at all", ``, "inputs.disk", "is required"},
		{"not one of the choices", `{"plan":"huge","disk":{"gib":5}}`, "inputs.plan", "must be one of: small, large"},
		{"a nested number over its bound", `{"plan":"small","disk":{"gib":500}}`, "inputs.disk.gib", "maximum"},
		{"a text for a number", `{"plan":"small","disk":{"gib":"5"}}`, "inputs.disk.gib", "must be integer, not string"},
		{"an unknown field", `{"plan":"small","disk":{"gib":5},"x":1}`, "inputs.x", "not a known field"},
		{"a wrong list item", `{"plan":"small","disk":{"gib":5},"tags":["a",1]}`, "inputs.tags[1]", "must be string"},
		{"a pattern", `{"plan":"small","disk":{"gib":5},"name":"Q"}`, "inputs.name", "pattern"},
		{"a format", `{"plan":"small","disk":{"gib":5},"mail":"q"}`, "inputs.mail", "valid email"},
		{"not an object", `[]`, "inputs", "must be object"},
		{"broken JSON", `{"plan":`, "inputs", "not valid JSON"},
		{"two values", `{} {}`, "inputs", "text after"},
		{"one name twice", `{"plan":"small","plan":"large"}`, "inputs", "twice"},
		{"a number that would take all memory", `{"disk":{"gib":1e999999999}}`, "inputs", "too large"},
		{"a number that a double does not hold", `{"plan":"small","disk":{"gib":9007199254740993}}`, "inputs.disk.gib", "beyond"},
		{"the same, where the schema says nothing", `{"plan":"small","disk":{"gib":5,"x":[{"y":-9007199254740993}]}}`, "inputs.disk.x[0].y", "beyond"},
		{"more digits than a double has", `{"plan":"small","disk":{"gib":5,"x":0.12345678901234567890}}`, "inputs.disk.x", "digits"},
		{"a number that is none to a double", `{"plan":"small","disk":{"gib":5,"x":1e400}}`, "inputs.disk.x", "beyond"},
		{"too deep", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "inputs", "deeper"},
		{"too many values", `{"tags":[` + strings.Repeat(`1,`, 3000) + `1]}`, "inputs", "more than"},
		{"too many bytes", `{"name":"` + strings.Repeat("a", MaxInputsBytes) + `"}`, "inputs", "bytes"},
		{"not UTF-8", "{\"name\":\"\xff\"}", "inputs", "UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewSchemas(0).Complete("", []byte(inputsSchema), []byte(tc.inputs))
			if tc.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Reason != "inputs_invalid" {
				t.Fatalf("got %v, want fault.Invalid inputs_invalid", err)
			}
			if f.Field != tc.field || !strings.Contains(f.Cause, tc.cause) {
				t.Errorf("field %q cause %q, want %q %q", f.Field, f.Cause, tc.field, tc.cause)
			}
		})
	}
}

// bomb is forty definitions that each use the next one twice.
func bomb() string {
	var b strings.Builder
	b.WriteString(`{"type":"object","$ref":"#/$defs/a0","$defs":{`)
	for i := range 40 {
		fmt.Fprintf(&b, `"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]},`, i, i+1, i+1)
	}
	b.WriteString(`"a40":true}}`)
	return b.String()
}

func TestCompileSchemaRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, schema, cause string }{
		{"not JSON", `{`, "not valid JSON"},
		{"not an object schema", `{"type":"string"}`, `"type": "object"`},
		{"true", `true`, `"type": "object"`},
		{"another dialect", `{"type":"object","$schema":"http://json-schema.org/draft-04/schema#"}`, "$schema must be"},
		{"an external reference", `{"type":"object","properties":{"a":{"$ref":"https://example.com/s"}}}`, "$ref"},
		{"a reference to a file", `{"type":"object","properties":{"a":{"$ref":"file:///etc/passwd"}}}`, "$ref"},
		{"a reference to nothing", `{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}}}`, "$ref"},
		{"a reference that is no text", `{"type":"object","properties":{"a":{"$ref":7}}}`, "$ref"},
		{"a recursion", `{"type":"object","$defs":{"a":{"items":{"$ref":"#/$defs/a"}}}}`, "leads back"},
		{"a base", `{"type":"object","$id":"https://example.com/s"}`, "$id"},
		{"a dynamic reference", `{"type":"object","items":{"$dynamicRef":"#a"}}`, "$dynamicRef"},
		{"an exponential one", bomb(), "subschemas"},
		{"a pattern that is not RE2", `{"type":"object","properties":{"a":{"pattern":"(?=a)b"}}}`, "not RE2"},
		{"a pattern property that is not RE2", `{"type":"object","patternProperties":{"(a)\\1":true}}`, "not RE2"},
		{"too deep", `{"type":"object","a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, "deeper"},
		{"too long", `{"type":"object","title":"` + strings.Repeat("a", MaxSchemaBytes) + `"}`, "bytes"},
		{"a wrong keyword value", `{"type":"object","properties":{"a":{"minLength":"x"}}}`, ""},
		{"a bound that a double does not hold", `{"type":"object","properties":{"a":{"maximum":18446744073709551615}}}`, "properties.a.maximum is a number beyond"},
		{"a choice that a double does not hold", `{"type":"object","properties":{"a":{"enum":[1,9007199254740993]}}}`, "properties.a.enum[1] is a number beyond"},
		{"a huge bound", `{"type":"object","properties":{"a":{"multipleOf":1e-999999999}}}`, "too large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := CompileSchema([]byte(tc.schema))
			if fault.ReasonOf(err) != "schema_invalid" || !strings.Contains(err.Error(), tc.cause) {
				t.Errorf("got %v, want schema_invalid with %q", err, tc.cause)
			}
		})
	}
	if _, err := CompileSchema([]byte(`{"type":"object","properties":{"$ref":{"type":"string"},"$id":true}}`)); err != nil {
		t.Errorf("properties that are called like keywords: %v", err)
	}
}

func binding(t *testing.T, with string, outputs map[string]string) Binding {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(with), &m); err != nil {
		t.Fatal(err)
	}
	raw, err := Binding{Adapter: "process", Connection: "local", With: m, Outputs: outputs}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBinding(raw)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, with, inputs, want string }{
		{
			"a whole reference keeps its type", `{"gib":"${inputs.disk.gib}","n":"${quantity}","disk":"${inputs.disk}"}`,
			`{"plan":"small","disk":{"gib":5}}`, `{"gib":5,"n":3,"disk":{"gib":5}}`,
		},
		{
			"references inside a text", `{"a":["db-${inputs.plan}-${inputs.disk.gib}",1,true,null]}`,
			`{"plan":"small","disk":{"gib":5}}`, `{"a":["db-small-5",1,true,null]}`,
		},
		{"a number in its one form", `{"n":"${inputs.disk.gib}","t":"${inputs.disk.gib} GiB"}`, `{"disk":{"gib":1e2}}`, `{"n":100,"t":"100 GiB"}`},
		{"a fraction in its one form", `{"n":"${inputs.disk.gib}","t":"=${inputs.disk.gib}"}`, `{"disk":{"gib":0.50}}`, `{"n":0.5,"t":"=0.5"}`},
		{"less than nothing is nothing", `{"t":"=${inputs.disk.gib}"}`, `{"disk":{"gib":-0.0}}`, `{"t":"=0"}`},
		{"the greatest whole number", `{"n":"${inputs.disk.gib}","t":"=${inputs.disk.gib}"}`, `{"disk":{"gib":9007199254740991}}`, `{"n":9007199254740991,"t":"=9007199254740991"}`},
		{"the subscription", `{"id":"${subscription.id}"}`, `{}`, `{"id":"sub-1"}`},
		{"a default fills in", `{"r":"${inputs.region}","t":"in ${inputs.region}"}`, `{}`, `{"r":"north","t":"in north"}`},
		{"a default in a group that is not given stays away with it", `{"z":"${inputs.opt.z}","k":1}`, `{}`, `{"k":1}`},
		{"a default in a group that is given", `{"z":"${inputs.opt.z}"}`, `{"opt":{}}`, `{"z":"a"}`},
		{"an optional input that is not given is left out", `{"n":"${inputs.name}","k":1}`, `{}`, `{"k":1}`},
		{"what comes in is not read again", `{"n":"${inputs.name}"}`, `{"name":"${subscription.id}"}`, `{"n":"${subscription.id}"}`},
		{"a literal", `{"n":"$${inputs.name} costs $5"}`, `{}`, `{"n":"${inputs.name} costs $5"}`},
		{"no parameters", `{}`, `{}`, `{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := NewSchemas(0).Resolve(binding(t, tc.with, nil), Context{
				Inputs: []byte(tc.inputs), InputsSchema: []byte(inputsSchema), SubscriptionID: "sub-1", Quantity: 3,
			})
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for with, reason := range map[string]string{
		`{"a":"${secrets.x}"}`:              "reference_unknown",
		`{"a":"${inputs.nope}"}`:            "reference_unknown",
		`{"a":"${inputs}"}`:                 "reference_unknown",
		`{"a":"x ${inputs.disk}"}`:          "reference_unknown",
		`{"a":"x ${inputs.name}"}`:          "reference_unknown",
		`{"a":"${inputs.plan"}`:             "reference_malformed",
		`{"a":"${ inputs.plan }"}`:          "reference_malformed",
		`{"a":"${inputs.plan | upper}"}`:    "reference_malformed",
		`{"a":"${inputs[0]}"}`:              "reference_malformed",
		`{"a":"${inputs.${inputs.plan}.x}"`: "",
	} {
		if reason == "" {
			continue
		}
		_, err := NewSchemas(0).Resolve(binding(t, with, nil), Context{Inputs: []byte(`{"disk":{"gib":1}}`), InputsSchema: []byte(inputsSchema)})
		if fault.ReasonOf(err) != reason {
			t.Errorf("%s: %v, want %s", with, err, reason)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	b := binding(t, `{"ok":"${inputs.plan}","deep":["${inputs.disk.gib}"],"bad":{"x":["a","${inputs.nope}"]},"text":"a ${inputs.name}",
		"obj":"a ${inputs.disk}","broken":"${","def":"in ${inputs.region}","env":"${env.HOME}"}`,
		map[string]string{"url": "https://${step.host}/", "nope": "${step.x}", "admin": "${inputs.plan}"})
	got, err := Lint(b, []byte(inputsSchema), []byte(outputsSchema))
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, p := range got {
		fields = append(fields, text.JoinPath("", p.Path)+" "+p.Reason)
	}
	want := []string{
		"with.bad.x[1] reference_unknown", "with.broken reference_malformed", "with.env reference_unknown",
		"with.obj reference_unknown", "with.text reference_unknown", "outputs.admin reference_unknown",
		"outputs.nope output_unknown",
	}
	if d := cmp.Diff(want, fields); d != "" {
		t.Error(d)
	}
}

func TestOutputsAndReveal(t *testing.T) {
	t.Parallel()
	b := binding(t, `{}`, map[string]string{"url": "https://${step.host}:${step.port}/"})
	got, err := Outputs(b, []byte(outputsSchema), map[string]string{"host": "h", "port": "8", "password": "p", "other": "o"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"url": "https://h:8/", "password": "p"}, got); d != "" {
		t.Error(d)
	}
	if _, err := Outputs(b, []byte(outputsSchema), map[string]string{"host": "h"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a required output is missing: %v, want fault.Unavailable", err)
	}
	shown, err := Reveal([]byte(outputsSchema), map[string]string{"password": "p", "url": "u", "zzz": "?"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Output{
		{"url", "Address", "u", false},
		{"password", "Password", "p", true},
		{"zzz", "zzz", "?", true},
	}
	if d := cmp.Diff(want, shown); d != "" {
		t.Error(d)
	}
}
