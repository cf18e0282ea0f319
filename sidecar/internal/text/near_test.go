package text

import (
	"strings"
	"testing"
)

func TestNearIsWhatWasMeant(t *testing.T) {
	t.Parallel()
	choices := []string{"certifications", "name", "summary", "country", "orderable_until", "prices", "state", "id", "one_off", "recurring", "usage"}
	for word, want := range map[string]string{
		"certification": "certifications", "certificatoins": "certifications", "Name": "name", "nmae": "name", "sumary": "summary", "contry": "country",
		"orderableUntil": "orderable_until", "orderable-until": "orderable_until", "price": "prices", "recuring": "recurring", "one-off": "one_off", "oneoff": "one_off",
		"usages": "usage", "sate": "state",
		"name": "", "": "", "colour": "", "x": "", "zz": "", "--": "", strings.Repeat("name", 50): "",
	} {
		if got := Near(word, choices); got != want {
			t.Errorf("%q is near %q, want %q", word, got, want)
		}
	}
}
