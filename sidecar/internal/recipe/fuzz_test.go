package recipe

import "testing"

// FuzzCompileSchema: a partner's schema and a customer's inputs neither crash nor hang the sidecar.
func FuzzCompileSchema(f *testing.F) {
	f.Add([]byte(inputsSchema), []byte(`{"plan":"small","disk":{"gib":5}}`))
	f.Add([]byte(outputsSchema), []byte(`{"url":1}`))
	f.Add([]byte(bomb()), []byte(`{}`))
	f.Add([]byte(`{"type":"object","properties":{"a":{"anyOf":[{"const":1},{"not":{"type":"null"}}]}}}`), []byte(`{"a":null}`))
	f.Add([]byte(`{"type":"object","unevaluatedProperties":false,"propertyNames":{"pattern":"^a"}}`), []byte(`{"b":[1,2]}`))
	f.Fuzz(func(t *testing.T, schema, inputs []byte) {
		s, err := CompileSchema(schema)
		if err != nil {
			return
		}
		_ = s.ValidateInputs(inputs)
		_, _ = Reveal(schema, map[string]string{"a": "b"})
		_, _ = Lint(Binding{With: map[string]any{"a": string(inputs)}}, schema, schema)
		_, _ = Resolve(Binding{With: map[string]any{"a": string(inputs)}}, Context{InputsSchema: schema, Inputs: inputs})
	})
}
