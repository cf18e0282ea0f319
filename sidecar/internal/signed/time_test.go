package signed_test

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

func TestATimeHasOneForm(t *testing.T) {
	t.Parallel()
	for s, good := range map[string]bool{
		"1970-01-01T00:00:00Z": true, "2026-11-21T12:00:00Z": true, "2026-11-21T12:00:00.123456789Z": true, "2261-12-31T23:59:59.999999999Z": true,
		"2026-11-21T12:00:00.1234567891Z": false, "2026-11-21T12:00:00+00:00": false, "2026-11-21T14:00:00+02:00": false, "2026-11-21T12:00:00,5Z": false,
		"2026-11-21T12:00:00": false, "2026-11-21": false, "": false, "1969-12-31T23:59:59Z": false, "2262-01-01T00:00:00Z": false, "0001-01-01T00:00:00Z": false,
		"2026-02-30T12:00:00Z": false, "2026-11-21T1:00:00Z": false, "2026-11-21T12:00:00.Z": false, "2026-11-21T12:00:00+24:00": false,
		"2026-11-21T12:00:00z": false, "2026-11-21t12:00:00Z": false, "2026-11-21 12:00:00Z": false, "2026-11-21T24:00:00Z": false,
		"2026-12-31T23:59:60Z": false, "2026-11-21T12:00:00Z\n": false, "٢٠٢٦-11-21T12:00:00Z": false,
	} {
		at, err := signed.ParseTime(s)
		if (err == nil) != good {
			t.Errorf("%q: %v", s, err)
		}
		if good && !time.Unix(0, at.UnixNano()).Equal(at) {
			t.Errorf("%q cannot be stored", s)
		}
	}
}
