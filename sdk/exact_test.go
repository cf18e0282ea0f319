package sdk_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sdk"
)

func TestPurchaseChangesNoNumber(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		int64(1) << 53, int64(math.MinInt64), uint64(math.MaxUint64), float64(1 << 53), math.NaN(), math.Inf(-1), float32(math.MaxFloat32),
		json.Number("9007199254740993"), json.Number("1e400"), json.Number("1e-400"), json.Number("1e-999999999"), json.Number("0.12345678901234567890"), 1 << 60, uint(1 << 60),
	} {
		_, err := sdk.Purchase("order-0001", "c", "lst", "", 1, map[string]any{"a": []any{1, map[string]any{"b": v}}})
		if err == nil || !strings.Contains(err.Error(), "inputs.a[1].b") {
			t.Errorf("%v (%T): %v", v, v, err)
		}
	}
	for _, v := range []any{
		0, -1, int64(1)<<53 - 1, uint64(7), 0.1, float32(0.5), json.Number("-9007199254740991"), json.Number("1e2"), json.Number("0.30000000000000004"),
		"9007199254740993", true, nil,
	} {
		if _, err := sdk.Purchase("order-0001", "c", "lst", "", 1, map[string]any{"a": v}); err != nil {
			t.Errorf("%v (%T): %v", v, v, err)
		}
	}
}
