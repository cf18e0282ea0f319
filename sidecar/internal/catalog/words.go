package catalog

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// words say what the patterns and formats of offering.schema.json ask for, each with an example. An amount has words of its own.
func words(pattern string) string {
	switch pattern {
	case `^[a-z0-9][a-z0-9._-]{0,63}$`:
		return "must be at most 64 small letters, digits, dots, hyphens and underscores, the first a letter or a digit, as in postgres-s"
	case `^[A-Z]{2}$`:
		return "must be two capital letters, as in DE"
	case `^[A-Z]{3}$`:
		return "must be three capital letters, as in EUR"
	case `^P[1-9][0-9]{0,2}[YMWD]$`:
		return "must be P, a number and Y, M, W or D, as in P1M for a month and P30D for thirty days"
	case "date-time":
		return "must be a date and a time with its zone, as in 2027-03-31T23:59:59Z"
	}
	return ""
}

// inWords says what the format of an offering does not allow, to whoever wrote the file; value is what stands there.
func inWords(v recipe.Violation, value string) string {
	said := v.Cause
	if w := words(v.Want); w != "" {
		said = w
	}
	last := ""
	if len(v.Path) > 0 {
		last = v.Path[len(v.Path)-1]
	}
	switch {
	case v.Keyword == "additionalProperties":
		return said + text.DidYouMean(last, propertiesOf(v.Schema))
	case v.Keyword == "type" && strings.HasPrefix(said, "must be string, not ") && value != "":
		return said + ": put it in quotes"
	case v.Keyword == "pattern" && last == "country":
		return said + countryHint(value)
	case v.Keyword == "pattern" && last == "currency":
		if code := strings.ToUpper(value); known(code) {
			return said + "; did you mean " + code + "?"
		}
	case v.Keyword == "pattern" && last == "id":
		if id := strings.ToLower(strings.ReplaceAll(value, " ", "-")); isID(id) {
			return said + "; did you mean " + id + "?"
		}
	}
	return said
}

func known(currency string) bool {
	_, err := money.MinorDigits(currency)
	return err == nil
}

// format as it is written, to look things up in.
var writtenFormat = sync.OnceValue(func() (doc any) {
	_ = json.Unmarshal(offeringSchema, &doc) // it compiled
	return doc
})

// propertiesOf lists the properties of the subschema of the format at a URL.
func propertiesOf(schema string) []string {
	_, fragment, _ := strings.Cut(schema, "#")
	at := writtenFormat()
	for _, name := range strings.Split(fragment, "/")[1:] {
		name, _ = url.PathUnescape(name)
		object, _ := at.(map[string]any)
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	object, _ := at.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}
