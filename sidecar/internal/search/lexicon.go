package search

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"
)

// lexicon knows which phrases mean the same, and which countries phrases name. A phrase is folded words with spaces
// between them. It never changes.
type lexicon struct {
	// meanings are the options of each phrase, without the phrase itself.
	meanings map[string][]option
	// phrases are their keys, longest the most words that one has.
	phrases [][]string
	longest int
	filler  map[string]bool
}

// sharedLexicon is read once, when the first query with a text comes.
var sharedLexicon = sync.OnceValue(newLexicon)

func newLexicon() *lexicon {
	l := &lexicon{meanings: map[string][]option{}, filler: map[string]bool{}}
	for line := range strings.Lines(synonyms) {
		l.same(strings.Split(line, "|"))
	}
	for line := range strings.Lines(countryNames) {
		if code, names, ok := strings.Cut(line, ":"); ok {
			l.country(code, strings.Split(names, "|")...)
		}
	}
	for code, names := range unicodeCountries {
		l.country(code, names...)
	}
	for phrase := range l.meanings {
		l.phrases = append(l.phrases, strings.Fields(phrase))
	}
	for _, p := range l.phrases {
		l.longest = max(l.longest, len(p))
	}
	terms(fillers, func(w string) { l.filler[w] = true })
	return l
}

// unicodeCountries yields the names that Unicode's CLDR has for each country.
func unicodeCountries(yield func(code string, names []string) bool) {
	languages := []*display.Dictionary{display.English, display.German, display.French, display.Italian, display.Spanish}
	for first := 'A'; first <= 'Z'; first++ {
		for second := 'A'; second <= 'Z'; second++ {
			region, err := language.ParseRegion(string(first) + string(second))
			if err != nil || !region.IsCountry() {
				continue
			}
			var names []string
			for _, in := range languages {
				name, _, _ := strings.Cut(in.Regions().Name(region), "(")
				names = append(names, name)
			}
			if !yield(region.String(), names) {
				return
			}
		}
	}
}

// spellings are the forms of a phrase, each as its words: folded and, where they differ, with digraphs.
func spellings(phrase string) [][]string {
	all := [][]string{wordsOf(fold(phrase))}
	if spelt, other := digraphs(norm.NFC.String(phrase)); other {
		all = append(all, wordsOf(fold(spelt)))
	}
	return slices.DeleteFunc(all, func(words []string) bool { return len(words) == 0 })
}

func (l *lexicon) same(phrases []string) {
	var group [][]string
	for _, p := range phrases {
		group = append(group, spellings(p)...)
	}
	for _, p := range group {
		for _, other := range group {
			if !slices.Equal(p, other) {
				l.add(p, option{words: other, goesOn: long(other[len(other)-1]), level: alike})
			}
		}
	}
}

func (l *lexicon) country(code string, names ...string) {
	for _, name := range names {
		for _, p := range spellings(name) {
			l.add(p, option{country: code, level: alike})
		}
	}
}

func (l *lexicon) add(phrase []string, o option) {
	key := strings.Join(phrase, " ")
	if !slices.ContainsFunc(l.meanings[key], o.equal) {
		l.meanings[key] = append(l.meanings[key], o)
	}
}

// long words are found within longer ones ("database" in "databases", "Datenbank" in "Datenbankserver"); a short one that
// goes on is another word ("server" and "serverless").
func long(word string) bool { return utf8.RuneCountInString(word) >= 7 }

// guesses yields the phrases that words may be meant by: with a typing error in a word or, at the end of a text, the
// beginning of one. The phrase itself is among what it gives.
func (l *lexicon) guesses(words []string, yield func(length int, means []option)) {
	for _, phrase := range l.phrases {
		n := min(len(words), len(phrase))
		if resembles(words[:n], phrase, n == len(words)) {
			yield(n, append([]option{{words: phrase}}, l.meanings[strings.Join(phrase, " ")]...))
		}
	}
}

// resembles reports whether a phrase begins with words like these; where the text does not end with them, it ends too.
func resembles(words, phrase []string, end bool) bool {
	for i, w := range words {
		begun := end && i == len(words)-1 && (i > 0 || utf8.RuneCountInString(w) >= 4)
		switch {
		case w == phrase[i] && (i < len(words)-1 || len(words) == len(phrase)):
		case begun && strings.HasPrefix(phrase[i], w):
		case mayBeMistyped(w) && near(w, phrase[i], false):
		default:
			return false
		}
	}
	return true
}
