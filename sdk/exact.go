package sdk

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxExact is the greatest whole number below which every whole number is one of its own in a double.
const maxExact = 1<<53 - 1

// exact refuses numbers that a google.protobuf.Struct would change in silence: it keeps each as a double.
func exact(v any, path string) error {
	ok := true
	switch t := v.(type) {
	case map[string]any:
		for name, e := range t {
			if err := exact(e, path+"."+name); err != nil {
				return err
			}
		}
	case []any:
		for i, e := range t {
			if err := exact(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case int:
		ok = int64(t) >= -maxExact && int64(t) <= maxExact
	case int64:
		ok = t >= -maxExact && t <= maxExact
	case uint:
		ok = uint64(t) <= maxExact
	case uint64:
		ok = t <= maxExact
	case float32:
		ok = math.Abs(float64(t)) <= maxExact
	case float64:
		ok = math.Abs(t) <= maxExact
	case json.Number:
		ok = exactText(t.String())
	}
	if !ok {
		return fmt.Errorf("%s: %v is not a number that a double holds exactly: send it as a text", path, v)
	}
	return nil
}

func exactText(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || len(s) > 64 || math.IsNaN(f) || math.Abs(f) > maxExact {
		return false
	}
	if f == 0 { // its exponent may have any size
		mantissa, _, _ := strings.Cut(strings.ToLower(s), "e")
		return !strings.ContainsAny(mantissa, "123456789")
	}
	want, ok := new(big.Rat).SetString(s)
	got, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	return ok && want.Cmp(got) == 0
}
