package text

import (
	"errors"
	"testing"
)

// numbers are spellings with the one form that they have, or "" where a double cannot hold them.
func numbers() map[string]string {
	return map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0e5": "0", "1": "1", "1.0": "1", "1e0": "1", "10E-1": "1", "100": "100", "1e2": "100", "-1.50": "-1.5",
		"0.1": "0.1", "0.30000000000000004": "0.30000000000000004", "123456789.123": "123456789.123", "1e-7": "1e-7", "0.0000001": "1e-7",
		"9007199254740991": "9007199254740991", "-9007199254740991": "-9007199254740991", "9007199254740991.0": "9007199254740991", "5e-324": "5e-324",
		"9007199254740992": "", "9007199254740993": "", "-9007199254740993": "", "9.007199254740993e15": "", "18446744073709551615": "",
		"1e16": "", "1e21": "", "1e308": "", "1e400": "", "-1e400": "", "1e-400": "", "1e999999999": "", "9007199254740990.5": "",
		"0.1000000000000000055511151231257827": "", "3.14159265358979323846": "", "4503599627370495.55": "", "2e-324": "",
	}
}

func TestANumberIsExactOrRefused(t *testing.T) {
	t.Parallel()
	for s, want := range numbers() {
		got, err := Number(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q (%v), want %q", s, got, err, want)
		}
		if err != nil && !errors.Is(err, ErrNumberRange) && !errors.Is(err, ErrNumberDigits) {
			t.Errorf("%s: %v", s, err)
		}
		if again, err := Number(got); want != "" && (again != want || err != nil) {
			t.Errorf("%s is %q the second time (%v)", s, again, err)
		}
	}
}

func TestAnInexactNumberIsFoundAtAnyDepth(t *testing.T) {
	t.Parallel()
	lim := Limits{Bytes: 1000, Depth: 20, Values: 100}
	v, err := DecodeJSON([]byte(`{"a":[1,{"b":{"c":[true,"9007199254740993",9007199254740993]}}]}`), lim)
	if err != nil {
		t.Fatal(err)
	}
	if _, path, err := Exact(v); !errors.Is(err, ErrNumberRange) || JoinPath("", path) != "a[1].b.c[2]" {
		t.Errorf("%v at %v", err, path)
	}
}
