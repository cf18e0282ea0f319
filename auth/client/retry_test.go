package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/hanse-market/hanse/auth/client"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const sent = "Sat, 21 Nov 2026 12:00:00 GMT"
	for name, c := range map[string]struct {
		said, date string
		want       time.Duration
	}{
		"nothing":                     {"", sent, 0},
		"seconds":                     {"90", "", 90 * time.Second},
		"more than a month":           {"4000000000", "", 30 * 24 * time.Hour},
		"more than can be":            {"99999999999999999999", "", 0},
		"less than nothing":           {"-1", "", 0},
		"a date":                      {"Sat, 21 Nov 2026 12:01:30 GMT", sent, 90 * time.Second},
		"a date before":               {"Sat, 21 Nov 2026 11:00:00 GMT", sent, 0},
		"a date, by an unknown clock": {"Sat, 21 Nov 2026 12:01:30 GMT", "", 0},
		"words":                       {"soon", sent, 0},
	} {
		h := http.Header{"Retry-After": {c.said}, "Date": {c.date}}
		if got := client.RetryAfter(h); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
