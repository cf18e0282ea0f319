package search

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold writes a text so that what people take for the same reads the same: without case, accents and invisible characters,
// in letters that a keyboard has. "Übergröße" gives "ubergrosse", "CŒUR" gives "coeur". Names and queries go through it
// alike, and what is folded stays as it is when it is folded again.
func fold(s string) string {
	if isPlain(s) {
		return strings.ToLower(s)
	}
	s = strings.Map(visible, norm.NFKD.String(strings.Map(visible, s)))
	var sb strings.Builder
	for _, r := range cases.Fold().String(s) {
		if spelt := latin(r); spelt != "" {
			sb.WriteString(spelt)
			continue
		}
		sb.WriteRune(r)
	}
	return norm.NFC.String(sb.String())
}

// isPlain reports whether s is ASCII without control characters other than white space.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7F || c < ' ' && (c < '\t' || c > '\r') {
			return false
		}
	}
	return true
}

// visible drops a character that nobody sees or types: accents, and what is invisible or only says whose a name is.
func visible(r rune) rune {
	switch {
	case r < 0x7F:
		if r < ' ' && (r < '\t' || r > '\r') {
			return -1
		}
		return r
	case r == '\u0085': // next line, white space
		return r
	case r == '™' || r == '℠': // form NFKD makes letters of them
		return -1
	case r == '\u0640': // the stroke that makes an Arabic word longer
		return -1
	case unicode.Is(unicode.M, r):
		return mark(r)
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return -1
	}
	return r
}

// mark drops accents and the vowel signs that Hebrew and Arabic leave out. In other scripts a mark makes another letter.
func mark(r rune) rune {
	switch {
	case r == '\u3099' || r == '\u309A': // the voice of a kana: form NFC puts it back
		return r
	case unicode.In(r, unicode.Inherited, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic, unicode.Syriac),
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return -1
	}
	return r
}

// latin spells a small letter that Unicode does not decompose, as Unicode's transliteration Latin-ASCII does; "" for all
// others. Letters that are apostrophes cut a word as the apostrophe does.
func latin(r rune) string {
	switch r {
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'þ':
		return "th"
	case 'ð', 'đ', 'ɖ', 'ɗ':
		return "d"
	case 'ø', 'ɔ', 'ɵ':
		return "o"
	case 'ł', 'ƚ', 'ɫ':
		return "l"
	case 'ı', 'ɨ':
		return "i"
	case 'ħ':
		return "h"
	case 'ŧ', 'ƭ', 'ʈ':
		return "t"
	case 'ŋ', 'ɲ':
		return "n"
	case 'ĸ':
		return "q"
	case 'ə', 'ǝ', 'ɛ', 'ɇ':
		return "e"
	case 'ƀ', 'ɓ':
		return "b"
	case 'ƈ', 'ȼ':
		return "c"
	case 'ƒ':
		return "f"
	case 'ǥ', 'ɠ':
		return "g"
	case 'ƙ', 'ⱪ':
		return "k"
	case 'ɍ':
		return "r"
	case 'ʉ', 'ʊ':
		return "u"
	case 'ƴ', 'ɏ':
		return "y"
	case 'ƶ', 'ȥ':
		return "z"
	case 'ⱥ':
		return "a"
	case '\u02B9', '\u02BA', '\u02BB', '\u02BC', '\u02BD', '\u02BE', '\u02BF', '\u02C8', '\u02CA', '\u02CB', '\uA78C':
		return "'"
	}
	return ""
}

// digraphs spells the letters that German, Danish, Norwegian and Swedish also write as two: "Malmö" is "Malmoe" to some.
// It answers false where a text has none.
func digraphs(s string) (string, bool) {
	if isPlain(s) {
		return s, false
	}
	s = norm.NFC.String(s)
	spelt := strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa", "ø", "oe", "Ä", "ae", "Ö", "oe", "Ü", "ue", "Å", "aa", "Ø", "oe").Replace(s)
	return spelt, spelt != s
}
