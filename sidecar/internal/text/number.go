package text

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// MaxExact is the greatest whole number below which every whole number is one of its own in a double (RFC 8259 section 6, RFC 7493
// section 2.2): browsers, protobuf's Struct and most readers of JSON have no other.
const MaxExact = 1<<53 - 1

// Why a number is refused. Both are safe to show.
var (
	ErrNumberRange  = errors.New("is a number beyond ±9007199254740991, where one cannot be told from the next: write it as a text")
	ErrNumberDigits = errors.New("is a number with more digits than are kept: write at most 15, or write it as a text")
)

// Number is a JSON number in the one form that all its spellings have (1.0, 1e0 and 1; -0 and 0), if a double holds it: what is
// read back has the same digits. Errors: ErrNumberRange, ErrNumberDigits.
func Number(s string) (string, error) {
	if checkNumber(s) != nil {
		return "", ErrNumberRange
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) > MaxExact {
		return "", ErrNumberRange
	}
	if f == 0 {
		f = 0 // less the sign
	}
	b, err := json.Marshal(f)
	if err != nil {
		return "", ErrNumberRange
	}
	if certain := 15; len(s) > certain || strings.ContainsAny(s, "eE") {
		want, ok := new(big.Rat).SetString(s)
		if got, _ := new(big.Rat).SetString(string(b)); !ok || want.Cmp(got) != 0 {
			return "", ErrNumberDigits
		}
	}
	return string(b), nil
}

// Exact is a decoded JSON value with its numbers in the form that Number gives; where one has none, its path and the error.
func Exact(v any) (out any, path []string, err error) {
	switch t := v.(type) {
	case json.Number:
		s, err := Number(t.String())
		return json.Number(s), nil, err
	case []any:
		list := make([]any, len(t))
		for i, e := range t {
			if list[i], path, err = Exact(e); err != nil {
				return nil, append([]string{strconv.Itoa(i)}, path...), err
			}
		}
		return list, nil, nil
	case map[string]any:
		object := make(map[string]any, len(t))
		for _, k := range slices.Sorted(maps.Keys(t)) { // the same complaint each time
			if object[k], path, err = Exact(t[k]); err != nil {
				return nil, append([]string{k}, path...), err
			}
		}
		return object, nil, nil
	}
	return v, nil, nil
}
