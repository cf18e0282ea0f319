package recipe

import (
	"bytes"
	"testing"
)

// FuzzCompileSchema: a partner's schema and a customer's inputs neither crash nor hang the sidecar.
func FuzzCompileSchema(f *testing.F) {
	f.Add([]byte(inputsSchema), []byte(`{"plan":"small","disk":{"gib":5}}`))
	f.Add([]byte(outputsSchema), []byte(`{"url":1}`))
	f.Add([]byte(bomb()), []byte(`{}`))
	f.Add([]byte(`{"type":"object","properties":{"a":{"anyOf":[{"const":1},{"not":{"type":"null"}}]}}}`), []byte(`{"a":null}`))
	f.Add([]byte(`{"type":"object","unevaluatedProperties":false,"propertyNames":{"pattern":"^a"}}`), []byte(`{"b":[1,2]}`))
	f.Add([]byte(object(`"a":{"type":"integer","minimum":1.2,"multipleOf":2,"anyOf":[{"maximum":5},{"enum":[6,8]}]}`, `"required":["a"]`)), []byte(`{"a":4}`))
	f.Add([]byte(object(`"g":{"default":{"a":[1]},"type":"object","properties":{"b":{"default":"x"}}}`, `"minProperties":1,"maxProperties":2`)), []byte(`{"g":{}}`))
	f.Fuzz(func(t *testing.T, schema, inputs []byte) {
		x, err := compile(schema)
		if err != nil {
			return
		}
		v, err := decodeInputs(inputs)
		if err == nil && x.compiled.Validate(v) == nil {
			if f := x.impossible(x.root()); f != nil {
				t.Fatalf("allowed, and said to be impossible: %v", f)
			}
		}
		if x.check() != nil {
			return
		}
		if once, err := x.Complete(inputs); err == nil {
			if twice, err := x.Complete(once); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("completed to %s, and again to %s (%v)", once, twice, err)
			}
		}
		_, _ = Reveal(schema, map[string]string{"a": "b"})
		_, _ = Lint(Binding{With: map[string]any{"a": string(inputs)}}, schema, schema)
		_, _ = NewSchemas(0).Resolve(Binding{With: map[string]any{"a": string(inputs)}}, Context{InputsSchema: schema, Inputs: inputs})
	})
}
