package signed_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

type sample struct {
	Issuer string          `json:"iss"`
	Count  int64           `json:"count"`
	Small  int32           `json:"small,omitempty"`
	Minor  *int64          `json:"minor,omitempty"`
	Places []string        `json:"places"`
	Flag   bool            `json:"flag,omitempty"`
	Inner  inner           `json:"inner"`
	Rows   []inner         `json:"rows,omitempty"`
	Raw    json.RawMessage `json:"raw,omitempty"`
}

type inner struct {
	Name string `json:"name"`
	Note string `json:"note,omitempty"`
}

func TestDecodeReadsWhatTheTypeSays(t *testing.T) {
	t.Parallel()
	payload := ` { "count" : -9007199254740991, "\u0069ss":"a\u00e9😀\n", "small":2147483647, "minor":0, "places":["x","y"], "flag":false,
		"inner":{"name":""}, "rows":[{"name":"1","note":"n"},{"name":"2"}], "raw":{ "b":[1,{"c":null}], "a":1.5e3 } } `
	var got sample
	if err := signed.Decode([]byte(payload), &got); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Issuer: "aé😀\n", Count: -9007199254740991, Small: 2147483647, Minor: new(int64), Places: []string{"x", "y"},
		Rows: []inner{{Name: "1", Note: "n"}, {Name: "2"}}, Raw: json.RawMessage(`{ "b":[1,{"c":null}], "a":1.5e3 }`),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDecodeRefusesWhatTwoReadersCouldTakeDifferently(t *testing.T) {
	t.Parallel()
	const rest = `"count":1,"places":[],"inner":{"name":"n"}}`
	deep := strings.Repeat(`{"a":`, 16) + "1" + strings.Repeat("}", 16)
	for _, c := range []struct {
		name, payload, field, cause string
		open                        bool // taken by DecodeOpen
	}{
		{"nothing", ``, "", "unexpected EOF", false},
		{"half an object", `{`, "", "unexpected EOF", false},
		{"null", `null`, "", "is null where an object belongs", false},
		{"a list", `[]`, "", "is a list where an object belongs", false},
		{"a text", `"a"`, "", "is a text where an object belongs", false},
		{"a member twice", `{"iss":"a","iss":"b",` + rest, "", `name "iss" stands twice`, false},
		{"a member twice, once escaped", `{"iss":"a","\u0069ss":"b",` + rest, "", `name "iss" stands twice`, false},
		{"a member twice below", `{"iss":"a","count":1,"places":[],"inner":{"name":"n","name":"n"}}`, "inner", `name "name" stands twice`, false},
		{"a member twice in raw bytes", `{"iss":"a","raw":{"x":[{"y":1,"y":2}]},` + rest, "raw", `name "y" stands twice`, false},
		{"a member twice in an unknown one", `{"iss":"a","later":{"y":1,"y":2},` + rest, "later", ``, false},
		{"a member in other case", `{"Iss":"a",` + rest, "Iss", "is not known here: write iss", false},
		{"a member in other case beside the right one", `{"iss":"a","Iss":"b",` + rest, "Iss", "write iss", true},
		{"an unknown member", `{"iss":"a","later":[1],` + rest, "later", "is not known in this version", true},
		{"an unknown member below", `{"iss":"a","count":1,"places":[],"inner":{"name":"n","later":1}}`, "inner.later", "is not known in this version", true},
		{"an unknown member in a row", `{"iss":"a","rows":[{"name":"n"},{"name":"n","later":{}}],` + rest, "rows[1].later", "is not known", true},
		{"a missing member", `{` + rest, "iss", "is missing", false},
		{"a missing member below", `{"iss":"a","count":1,"places":[],"inner":{}}`, "inner.name", "is missing", false},
		{"null for a text", `{"iss":null,` + rest, "iss", "is null where a text belongs", false},
		{"null for what may be left out", `{"iss":"a","minor":null,` + rest, "minor", "is null where a number belongs", false},
		{"null for a list", `{"iss":"a","count":1,"places":null,"inner":{"name":"n"}}`, "places", "is null where a list belongs", false},
		{"null for raw bytes", `{"iss":"a","raw":null,` + rest, "raw", "is null where an object belongs", false},
		{"a number for a text", `{"iss":7,` + rest, "iss", "is a number where a text belongs", false},
		{"a text for a number", `{"iss":"a","count":"1","places":[],"inner":{"name":"n"}}`, "count", "is a text where a number belongs", false},
		{"a number for a flag", `{"iss":"a","flag":1,` + rest, "flag", "is a number where true or false belongs", false},
		{"a number in a list of texts", `{"iss":"a","count":1,"places":["x",2],"inner":{"name":"n"}}`, "places[1]", "is a number where a text belongs", false},
		{"a fraction", `{"iss":"a","minor":1.0,` + rest, "minor", "whole number", false},
		{"an exponent", `{"iss":"a","minor":1e3,` + rest, "minor", "whole number", false},
		{"minus zero", `{"iss":"a","minor":-0,` + rest, "minor", "whole number", false},
		{"a leading zero", `{"iss":"a","minor":01,` + rest, "", "not valid JSON", false},
		{"beyond what a double keeps", `{"iss":"a","minor":9007199254740992,` + rest, "minor", "out of range", false},
		{"beyond 64 bits", `{"iss":"a","minor":-9223372036854775809,` + rest, "minor", "out of range", false},
		{"beyond the field's 32 bits", `{"iss":"a","small":2147483648,` + rest, "small", "out of range", false},
		{"half a surrogate pair", `{"iss":"\ud800",` + rest, "", "surrogate", false},
		{"half a surrogate pair in a name", `{"\ud800":"a",` + rest, "", "surrogate", false},
		{"not UTF-8", "{\"iss\":\"\xff\"," + rest, "", "not valid UTF-8", false},
		{"a code point that is no character", `{"iss":"\ufffe",` + rest, "", "no character", false},
		{"a code point that is no character, in raw bytes", `{"iss":"a","raw":{"a":["\ufdd0"]},` + rest, "raw", "no character", false},
		{"a second value", `{"iss":"a",` + rest + `{}`, "", "text after the JSON value", false},
		{"a byte after the value", `{"iss":"a",` + rest + "\x00", "", "text after the JSON value", false},
		{"a byte order mark", "\ufeff" + `{"iss":"a",` + rest, "", "not valid JSON", false},
		{"a comment", `{"iss":"a", /* */ ` + rest, "", "not valid JSON", false},
		{"raw bytes too deep", `{"iss":"a","raw":` + deep + `,` + rest, "raw", "nested deeper than 16", false},
		{"an unknown member too deep", `{"iss":"a","later":` + strings.Repeat("[", 5000), "later", "", false},
		{"too many bytes", `{"iss":"` + strings.Repeat("a", signed.MaxPayloadBytes) + `",` + rest, "", "are more than " + strconv.Itoa(signed.MaxPayloadBytes), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			untouched := sample{Issuer: "before"}
			into := untouched
			err := signed.Decode([]byte(c.payload), &into)
			if !fault.Is(err, fault.Invalid) || fault.ReasonOf(err) != "document_malformed" || !strings.Contains(err.Error(), c.cause) {
				t.Fatalf("error is %v, want %s", err, c.cause)
			}
			var f *fault.Error
			if errors.As(err, &f) && f.Field != c.field {
				t.Errorf("field is %q, want %q", f.Field, c.field)
			}
			if d := cmp.Diff(untouched, into); d != "" {
				t.Errorf("something was read all the same: %s", d)
			}
			if err := signed.DecodeOpen([]byte(c.payload), &into); (err == nil) != c.open || c.open && into.Issuer != "a" {
				t.Errorf("DecodeOpen: %v, read %+v", err, into)
			}
		})
	}
}

func TestSixteenObjectsMayStandInEachOther(t *testing.T) {
	t.Parallel()
	payload := func(below int) []byte {
		return []byte(`{"iss":"a","count":1,"places":[],"inner":{"name":"n"},"raw":` + strings.Repeat(`{"a":`, below) + "1" + strings.Repeat("}", below) + `}`)
	}
	var got sample
	if err := signed.Decode(payload(15), &got); err != nil {
		t.Error(err)
	}
	if err := signed.DecodeDeep(payload(19), &got, 20); err != nil {
		t.Error(err)
	}
	for _, err := range []error{signed.Decode(payload(16), &got), signed.DecodeOpen(payload(16), &got), signed.DecodeDeep(payload(20), &got, 20)} {
		if fault.ReasonOf(err) != "document_malformed" {
			t.Errorf("one more: %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `{"iss":"a","count":1,"places":[],"inner":{"name":"n"},"raw":{"a":1}}`, `{"iss":"\ud800"}`, `{"Iss":1}`, "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var got, want sample
		if signed.Decode(payload, &got) != nil {
			return
		}
		if err := json.Unmarshal(payload, &want); err != nil {
			t.Fatalf("%q is read, but is not JSON: %v", payload, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("two readers of %q: %s", payload, d)
		}
		if err := signed.DecodeOpen(payload, &want); err != nil || !cmp.Equal(want, got) {
			t.Fatalf("open: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	payload := []byte(`{"iss":"https://sidecar.reseller.example","count":9007199254740991,"minor":123456,"places":["DE","FR","NL"],
		"inner":{"name":"` + strings.Repeat("n", 64) + `"},"rows":[` + strings.TrimSuffix(strings.Repeat(`{"name":"`+strings.Repeat("a", 40)+`","note":"`+strings.Repeat("b", 40)+`"},`, 7), ",") + `]}`)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		var s sample
		if err := signed.Decode(payload, &s); err != nil {
			b.Fatal(err)
		}
	}
}
