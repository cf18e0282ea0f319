package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mistypedFrom is how many characters a word has that may hold a typing error: a shorter one is one error away from too
// many others.
const mistypedFrom = 5

func mayBeMistyped(word string) bool { return utf8.RuneCountInString(word) >= mistypedFrom }

// near reports whether term is word but for one typing error: a letter too many, missing or wrong, or two exchanged. With
// goesOn the term may go on after the word. A figure is never taken for an error: "27018" is not "27017".
func near(word, term string, goesOn bool) bool {
	if d := len(term) - len(word); d < -utf8.UTFMax || d > utf8.UTFMax && !goesOn {
		return false
	}
	at := 0
	for at < len(word) && at < len(term) && word[at] == term[at] {
		at++
	}
	for at > 0 && (at < len(word) && !utf8.RuneStart(word[at]) || at < len(term) && !utf8.RuneStart(term[at])) {
		at--
	}
	w, t := word[at:], term[at:]
	if w == "" && t == "" {
		return true
	}
	// What follows the error is the same; a term goes on only where enough of the word follows, or any beginning would do.
	same := func(w, t string) bool { return w == t || goesOn && len(w) > 1 && strings.HasPrefix(t, w) }
	wr, wn := letter(w)
	tr, tn := letter(t)
	switch {
	case tn > 0 && !unicode.IsDigit(tr) && same(w, t[tn:]):
		return true // one is missing
	case wn > 0 && !unicode.IsDigit(wr) && same(w[wn:], t):
		return true // one is too many
	case wn == 0 || tn == 0 || unicode.IsDigit(wr) || unicode.IsDigit(tr):
		return false
	case same(w[wn:], t[tn:]):
		return true // one is wrong
	}
	wr2, wn2 := letter(w[wn:])
	tr2, tn2 := letter(t[tn:])
	return wn2 > 0 && wr == tr2 && wr2 == tr && !unicode.IsDigit(wr2) && (w[wn+wn2:] == t[tn+tn2:] || goesOn && strings.HasPrefix(t[tn+tn2:], w[wn+wn2:]))
}

// letter is the first one of s and its bytes; 0 bytes where there is none.
func letter(s string) (rune, int) {
	if s == "" {
		return 0, 0
	}
	return utf8.DecodeRuneInString(s)
}
