package clock

import (
	"net/http"
	"testing"
	"time"
)

func TestStampAndRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 123_456_789, time.UTC)
	h := http.Header{}
	Stamp(h, now)
	if got := h.Get("Hanse-Time"); got != "1795262400123" {
		t.Errorf("Hanse-Time: %q", got)
	}
	if got := h.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %q", got)
	}
	if at, ok := Read(h); !ok || !at.Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("%v %v", at, ok)
	}
}

func TestReadLearnsNothingFromOddHeaders(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"missing":               nil,
		"empty":                 {""},
		"given twice":           {"1795262400123", "1795262400123"},
		"a list":                {"1795262400123, 1795262400123"},
		"a date":                {"Sat, 21 Nov 2026 12:00:00 GMT"},
		"a sign":                {"+1795262400123"},
		"before 1970":           {"-1795262400123"},
		"zero":                  {"0"},
		"a leading zero":        {"01795262400123"},
		"a fraction":            {"1795262400123.5"},
		"an exponent":           {"1e12"},
		"a space":               {" 1795262400123"},
		"hexadecimal":           {"0x1a1fe"},
		"other digits":          {"١٧٩٥"},
		"beyond what is a date": {"1795262400123000"},
		"beyond int64":          {"99999999999999999999"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			if values != nil {
				h[Header] = values
			}
			if at, ok := Read(h); ok {
				t.Errorf("%v", at)
			}
		})
	}
}
