package search

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

func TestSynonymsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	at := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(synonyms)) {
		phrases := strings.Split(strings.TrimSpace(line), " | ")
		if len(phrases) < 2 {
			t.Errorf("%q has no other word", line)
		}
		for _, p := range phrases {
			for _, words := range spellings(p) {
				key := strings.Join(words, " ")
				if before, twice := at[key]; twice {
					t.Errorf("%q stands in the line of %q and in the line of %q", p, before, phrases[0])
				}
				at[key] = phrases[0]
			}
		}
	}
}

func TestCountriesAreKnownByTheirNames(t *testing.T) {
	t.Parallel()
	l := sharedLexicon()
	names := func(phrase, code string) bool {
		return slices.ContainsFunc(l.meanings[phrase], func(o option) bool { return o.country == code })
	}
	for line := range strings.Lines(strings.TrimSpace(countryNames)) {
		code, list, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if region, err := language.ParseRegion(code); err != nil || !region.IsCountry() {
			t.Errorf("%q is no country", code)
		}
		for name := range strings.SplitSeq(list, " | ") {
			if !names(strings.Join(spellings(name)[0], " "), code) {
				t.Errorf("%q does not name %s", name, code)
			}
		}
	}
	for phrase, code := range map[string]string{
		"germany": "DE", "deutschland": "DE", "allemagne": "DE", "germania": "DE", "alemania": "DE", "osterreich": "AT", "oesterreich": "AT",
		"cote d ivoire": "CI", "ivory coast": "CI", "hong kong": "HK", "tschechien": "CZ", "czechia": "CZ", "czech republic": "CZ",
		"pays bas": "NL", "holland": "NL", "netherlands": "NL", "republica dominicana": "DO", "aland islands": "AX", "aaland islands": "AX",
		"myanmar": "MM", "turkiye": "TR", "turkey": "TR", "north macedonia": "MK", "united kingdom": "GB", "uk": "GB", "usa": "US",
	} {
		if !names(phrase, code) {
			t.Errorf("%q does not name %s", phrase, code)
		}
	}
	countries := map[string]bool{}
	for _, options := range l.meanings {
		for _, o := range options {
			if o.country != "" {
				countries[o.country] = true
			}
		}
	}
	if len(countries) < 249 {
		t.Errorf("%d countries have names, ISO 3166-1 has 249", len(countries))
	}
}
