package listing_test

import (
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
)

// TestWhatIsRememberedOfAListing holds until somebody forgets it, and for a few seconds at most.
func TestWhatIsRememberedOfAListing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(m *listing.Memory, now *time.Time){
		"forgotten":              func(m *listing.Memory, _ *time.Time) { m.Forget() },
		"too old":                func(_ *listing.Memory, now *time.Time) { *now = now.Add(6 * time.Second) },
		"the clock was set back": func(_ *listing.Memory, now *time.Time) { *now = now.Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newReseller(t)
			now := r.Now()
			r.Service.Now = func() time.Time { return now }
			m := &listing.Memory{Service: r.Service}
			id := r.offer(t, north, "db", 1, nil)
			named := func() string {
				t.Helper()
				o, err := m.Offer(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				return o.Name
			}
			before := named()
			r.offer(t, north, "db", 2, func(d *catalog.Document) { d.Name = "Another name" })
			if got := named(); got != before {
				t.Errorf("what was read a moment ago is not remembered: %s", got)
			}
			if end(m, &now); named() != "Another name" {
				t.Error("it is remembered for longer")
			}
		})
	}
}
