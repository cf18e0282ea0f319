package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var lim = Limits{Bytes: 1 << 10, Depth: 4, Values: 20}

func TestJSONThatReadersCouldTakeDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, raw, cause string
		is               error
	}{
		{"nothing", "", "not valid JSON near byte 0: unexpected EOF", nil},
		{"spaces", " \n", "not valid JSON", nil},
		{"half a value", `{"a":`, "not valid JSON near byte 5: unexpected EOF", nil},
		{"a comma too many", `[1,]`, "not valid JSON near byte 2", nil},
		{"brackets that do not match", `[1}`, "not valid JSON", nil},
		{"no colon", `{"a" 1}`, "not valid JSON", nil},
		{"two values", `{} {}`, "text after the JSON value at byte 2", nil},
		{"a bracket after the value", `{}]`, "text after the JSON value", nil},
		{"half a surrogate pair", `{"a":"\ud800"}`, "surrogate", nil},
		{"half a surrogate pair in a name", `{"\udc00":1}`, "surrogate", nil},
		{"what is no character", `["\uffff"]`, "no character", nil},
		{"what is no character, unescaped, in a name", "{\"\ufdd0\":1}", "no character", nil},
		{"not UTF-8", "\"\xff\"", "not valid UTF-8", nil},
		{"a name twice", `{"a":1,"b":2,"a":3}`, `name "a" stands twice in one object`, ErrTwice},
		{"a name twice, once escaped", `[{"a":1,"\u0061":3}]`, `name "a" stands twice in one object`, ErrTwice},
		{"a long name twice", `{"` + strings.Repeat("n", 99) + `":1,"` + strings.Repeat("n", 99) + `":1}`, `n…" stands twice`, ErrTwice},
		{"a level too many", `[{"a":[{"b":[]}]}]`, "nested deeper than 4", ErrTooDeep},
		{"levels without an end", strings.Repeat("[", 1000), "nested deeper than 4", ErrTooDeep},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := DecodeJSON([]byte(tc.raw), lim)
			for reader, err := range map[string]error{"DecodeJSON": err, "CheckJSON": CheckJSON([]byte(tc.raw), lim.Depth)} {
				if err == nil || !strings.Contains(err.Error(), tc.cause) || tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("%s: %v, want %s", reader, err, tc.cause)
				}
			}
		})
	}
}

func TestDecodeJSONKeepsItsLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, raw, cause string }{
		{"bytes", `"` + strings.Repeat("a", 1<<10) + `"`, "1026 bytes are more than 1024"},
		{"values", `[` + strings.Repeat("1,", 20) + `1]`, "more than 20 values"},
		{"an exponent", `1e401`, "number 1e401 is too large or too exact"},
		{"a small exponent", `1E-401`, "too large or too exact"},
		{"an exponent beyond 64 bits", `1e99999999999999999999`, "too large or too exact"},
		{"digits", strings.Repeat("1", 65), "too large or too exact"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := DecodeJSON([]byte(tc.raw), lim); err == nil || !strings.Contains(err.Error(), tc.cause) {
				t.Errorf("got %v, want %s", err, tc.cause)
			}
			if err := CheckJSON([]byte(tc.raw), lim.Depth); err != nil {
				t.Errorf("CheckJSON looks at more than the form: %v", err)
			}
		})
	}
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	got, err := DecodeJSON([]byte(` {"a":[1.50,"x",null,true,{}],"b":{"a":[]}} `), lim)
	want := map[string]any{
		"a": []any{json.Number("1.50"), "x", nil, true, map[string]any{}}, "b": map[string]any{"a": []any{}},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"", "{}", "[]", `{"a":1,"a":2}`, `[[[[]]]]`, `[[[[[]]]]]`, `"\ud800"`, "1e999", "{\"a\":{\"b\":[1,{}]}} ", "nul", `{"a" 1}`, "]", "}{",
		`{"\ud800":1,"\ud801":2}`, "[1,]", "-0", "{\"a\":1}\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := CheckJSON(raw, lim.Depth)
		if err == nil && !json.Valid(raw) {
			t.Fatalf("%q is not JSON, but passed", raw)
		}
		if deepest := deepest(raw); err == nil && deepest > lim.Depth {
			t.Fatalf("%d levels passed", deepest)
		}
		got, decodeErr := DecodeJSON(raw, lim)
		if decodeErr != nil {
			return
		}
		if err != nil {
			t.Fatalf("DecodeJSON takes what CheckJSON refuses: %v", err)
		}
		var want any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func deepest(raw []byte) int {
	depth, most, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

func TestJoinPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		prefix, want string
		path         []string
	}{
		{"", "", nil},
		{"", "prices[0].amount", []string{"prices", "0", "amount"}},
		{"items[0].inputs", "items[0].inputs.plan", []string{"plan"}},
		{"", "a?" + strings.Repeat("b", 62) + "…", []string{"a\x00" + strings.Repeat("b", 99)}},
	} {
		if got := JoinPath(tc.prefix, tc.path); got != tc.want {
			t.Errorf("JoinPath(%q, %q) = %q, want %q", tc.prefix, tc.path, got, tc.want)
		}
	}
}
