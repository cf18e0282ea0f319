package catalog

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// countries are those of ISO 3166-1 by code, with their English names.
var countries = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	names := display.English.Regions()
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if code := string([]rune{a, b}); text.IsCountry(code) {
				all[code] = names.Name(language.MustParseRegion(code))
			}
		}
	}
	return all
})

// countryHint finds the code that somebody meant who wrote a name, small letters or the code that a country is known by.
func countryHint(s string) string {
	code := strings.ToUpper(s)
	if r, err := language.ParseRegion(code); err == nil && text.IsCountry(r.Canonicalize().String()) {
		code = r.Canonicalize().String() // DEU and 276 too, and GB for UK
		return "; did you mean " + code + " (" + countries()[code] + ")?"
	}
	codes := map[string]string{}
	var names []string
	for code, name := range countries() {
		codes[name] = code
		names = append(names, name)
	}
	slices.Sort(names)
	if i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, s) }); i >= 0 {
		return "; did you mean " + codes[names[i]] + "?"
	}
	if name := text.Near(s, names); name != "" {
		return "; did you mean " + codes[name] + " (" + name + ")?"
	}
	return ""
}
