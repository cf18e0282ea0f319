package recipe

import (
	"strings"
	"testing"
)

func TestRulesTimesValuesAreBounded(t *testing.T) {
	t.Parallel()
	list := func(items string) string { return object(`"l":{"type":"array","items":` + items + `}`) }
	parts := func(n int, part string) string { return strings.TrimSuffix(strings.Repeat(part+",", n), ",") }
	many := `{"l":[` + parts(1900, "{}") + `]}`
	for name, c := range map[string]struct {
		schema, inputs string
		ok             bool
	}{
		"a usual list":                      {list(object(`"a":{"type":"string"}`)), many, true},
		"many rules and few values":         {list(`{"allOf":[` + parts(1800, `{"minProperties":0}`) + `]}`), `{"l":[{},{},{}]}`, true},
		"many values and some rules":        {list(`{"allOf":[` + parts(100, `{"minProperties":0}`) + `]}`), many, true},
		"many values and many rules":        {list(`{"allOf":[` + parts(1800, `{"minProperties":0}`) + `]}`), many, false},
		"many wrong values and many rules":  {list(`{"allOf":[` + parts(1800, `{"minProperties":1}`) + `]}`), many, false},
		"rules by reference":                {strings.TrimSuffix(list(`{"anyOf":[`+parts(600, `{"$ref":"#/$defs/d"}`)+`]}`), "}") + `,"$defs":{"d":{"minProperties":0}}}`, many, false},
		"rules for any member":              {object(`"l":{"allOf":[` + parts(900, `{"additionalProperties":true,"type":"array"}`) + `]}`), `{"l":[]}`, true},
		"lists of choices that are no rule": {list(`{"enum":[{},` + parts(1000, `"xy"`) + `]}`), many, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := CompileSchema([]byte(c.schema))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Complete([]byte(c.inputs)); (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "too many rules") {
				t.Error(err)
			}
		})
	}
}
