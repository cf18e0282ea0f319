package text_test

import (
	"strings"
	"testing"

	"golang.org/x/text/language"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

func TestIsCountry(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"DE", "XK", "FI", "GB", "US", "AX", "SS", "CW", "TW"} {
		if !text.IsCountry(code) {
			t.Errorf("%s is none", code)
		}
	}
	for _, code := range []string{"", "D", "de", "De", "DEU", "UK", "EU", "UN", "XX", "ZZ", "AA", "AN", "YU", "SU", "DD", "ZR", "  ", "E ", " D", "D\x00", "ÅÄ"} {
		if text.IsCountry(code) {
			t.Errorf("%q is one", code)
		}
	}
	// As many as the standard has and Kosovo, and each is a region that CLDR calls a country.
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := strings.Join([]string{string(a), string(b)}, "")
			if !text.IsCountry(code) {
				continue
			}
			n++
			if r, err := language.ParseRegion(code); err != nil || !r.IsCountry() || r.String() != code {
				t.Errorf("CLDR does not know %s", code)
			}
		}
	}
	if n != 250 {
		t.Errorf("%d countries, the standard has 249, and XK", n)
	}
}
