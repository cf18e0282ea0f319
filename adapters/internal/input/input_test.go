package input

import (
	"strings"
	"testing"

	"github.com/hanse-market/hanse/adapters"
)

const testSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"additionalProperties": false,
	"required": ["host"],
	"properties": {
		"host": {"type": "string", "pattern": "^[a-z]+$"},
		"port": {"type": "integer", "minimum": 1},
		"password": {"type": "string", "minLength": 30}
	}
}`

func TestDecodeNamesPlacesAndNeverValues(t *testing.T) {
	t.Parallel()
	schema, err := Compile("the connection", testSchema)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		values map[string]any
		want   string
	}{
		"unknown key":       {map[string]any{"host": "a", "pasword": "canary"}, "unknown key at /: pasword"},
		"missing key":       {map[string]any{}, "missing at /: host"},
		"wrong type":        {map[string]any{"host": "a", "port": "canary"}, "/port must be integer"},
		"broken pattern":    {map[string]any{"host": "CANARY canary"}, "/host breaks pattern"},
		"secret too short":  {map[string]any{"host": "a", "password": "canary"}, "/password breaks minLength"},
		"fraction for int":  {map[string]any{"host": "a", "port": 1.5}, "/port must be integer"},
		"not JSON at all":   {map[string]any{"host": func() {}}, "cannot be written as JSON"},
		"nothing whatever":  {nil, "missing at /: host"},
		"several at a time": {map[string]any{"port": 0, "x": 1}, "; "},
	} {
		t.Run(name, func(t *testing.T) {
			var into struct{}
			err := schema.Decode(c.values, &into)
			if adapters.ClassOf(err) != adapters.InvalidInput {
				t.Fatalf("class %s of %v", adapters.ClassOf(err), err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			if strings.Contains(strings.ToLower(err.Error()), "canary") {
				t.Errorf("error %q carries a value", err)
			}
		})
	}
}

func TestDecodeReadsWhatFits(t *testing.T) {
	t.Parallel()
	schema, err := Compile("the connection", testSchema)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	}
	if err := schema.Decode(map[string]any{"host": "a", "port": 5432}, &got); err != nil {
		t.Fatal(err)
	}
	if got.Host != "a" || got.Port != 5432 {
		t.Errorf("got %+v", got)
	}
}

func TestNamesOutsideTheAlphabetAreRefused(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"", "-a", "A", "a/b", "..", "a b", "a\x00", "é", strings.Repeat("a", 41)} {
		if CheckNames(adapters.Request{Tag: tag, Tenant: "t"}) == nil {
			t.Errorf("tag %q passed", tag)
		}
	}
	for _, tenant := range []string{"", "-a", "T", "a/b", strings.Repeat("a", 129)} {
		if CheckNames(adapters.Request{Tag: "a", Tenant: tenant}) == nil {
			t.Errorf("tenant %q passed", tenant)
		}
	}
	if err := CheckNames(adapters.Request{Tag: "h012-3", Tenant: "t-1"}); err != nil {
		t.Error(err)
	}
}
