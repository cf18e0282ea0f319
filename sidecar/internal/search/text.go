package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxTerms bounds the different words of one listing, maxTerm the bytes of a word.
	maxTerms = 512
	maxTerm  = 48
	// maxKey bounds a name's sort key; longer names tie and are told apart by id. It must fit a page token.
	maxKey = 96
)

// terms calls yield with each word that a text is found by.
func terms(text string, yield func(word string)) {
	words(fold(text), yield)
	if isPlain(text) {
		return
	}
	for field := range strings.FieldsSeq(norm.NFC.String(text)) {
		if spelt, other := digraphs(field); other {
			words(fold(spelt), yield)
		}
	}
}

// words cuts a folded text into words and calls yield with each. A script without spaces gives each character as a word.
func words(folded string, yield func(word string)) {
	start := -1
	end := func(i int) {
		if start >= 0 {
			yield(clip(folded[start:i], maxTerm))
			start = -1
		}
	}
	for i, r := range folded {
		switch {
		case r < utf8.RuneSelf:
			if r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' {
				end(i)
			} else if start < 0 {
				start = i
			}
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
			end(i)
			yield(string(r))
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Mc, r):
			if start < 0 {
				start = i
			}
		default:
			end(i)
		}
	}
	end(len(folded))
}

func wordsOf(folded string) (list []string) {
	words(folded, func(w string) { list = append(list, w) })
	return list
}

// clip shortens to at most n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// sortKey orders names the way people read lists: without case, accents and spaces at the ends.
func sortKey(name string) string { return strings.Clone(clip(strings.TrimSpace(fold(name)), maxKey)) }
