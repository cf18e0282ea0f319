package gate

import (
	"encoding/json"
	"strings"
	"testing"
)

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func FuzzCheckJSON(f *testing.F) {
	for _, s := range []string{"", "{}", "[]", `{"a":1,"a":2}`, nested(32), nested(33), `"\ud800"`, "1e999", "{\"a\":{\"b\":[1,{}]}} ", "nul", `{"a" 1}`, "]", "}{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := checkJSON(data)
		depth, deepest := 0, 0
		inString := false
		for i := 0; i < len(data); i++ {
			switch c := data[i]; {
			case inString && c == '\\':
				i++
			case c == '"':
				inString = !inString
			case inString:
			case c == '{' || c == '[':
				depth++
				deepest = max(deepest, depth)
			case c == '}' || c == ']':
				depth--
			}
		}
		if err == nil && !json.Valid(data) {
			t.Fatalf("%q is not JSON, but passed", data)
		}
		if err == nil && deepest > maxJSONDepth {
			t.Fatalf("%d levels passed", deepest)
		}
	})
}
