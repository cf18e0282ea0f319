package signed_test

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

func TestATimeHasOneSpelling(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 5, 0, time.UTC)
	for given, want := range map[string]time.Time{
		"2026-11-21T12:00:05Z": at, "2026-11-21T12:00:05.5Z": at.Add(500 * time.Millisecond), "2026-11-21T12:00:05.000000001Z": at.Add(1),
	} {
		if got, err := signed.Time(given); err != nil || !got.Equal(want) {
			t.Errorf("%s is %s, %v", given, got, err)
		}
	}
	for name, given := range map[string]string{
		"nothing": "", "a date": "2026-11-21", "an hour of one digit": "2026-11-21T1:00:05Z", "a comma": "2026-11-21T12:00:05,5Z",
		"a point without places": "2026-11-21T12:00:05.Z", "ten places": "2026-11-21T12:00:05.0123456789Z", "an offset": "2026-11-21T12:00:05+01:00",
		"an offset of a day": "2026-11-21T12:00:05+24:00", "an offset of nothing": "2026-11-21T12:00:05+00:00", "a small z": "2026-11-21T12:00:05z",
		"a small t": "2026-11-21t12:00:05Z", "a space": "2026-11-21 12:00:05Z", "a day that is none": "2026-02-30T12:00:05Z", "an hour that is none": "2026-11-21T24:00:05Z",
		"a leap second": "2026-12-31T23:59:60Z", "a line after it": "2026-11-21T12:00:05Z\n", "other digits": "٢٠٢٦-11-21T12:00:05Z",
	} {
		if got, err := signed.Time(given); err == nil {
			t.Errorf("%s: %q is read as %s", name, given, got)
		}
	}
}
