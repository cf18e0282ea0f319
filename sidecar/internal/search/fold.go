package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

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
	var sb strings.Builder
	sb.Grow(len(s))
	ascii := true
	put := func(r rune) {
		if visible(r) {
			spell(&sb, r)
			ascii = ascii && r < utf8.RuneSelf
		}
	}
	for i, r := range s {
		if !visible(r) {
			continue
		}
		form := norm.NFKD.PropertiesString(s[i:]).Decomposition()
		if len(form) == 0 {
			put(r)
		}
		for _, part := range string(form) {
			put(part)
		}
	}
	if ascii {
		return sb.String()
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

// visible reports whether people see and type a character: not accents, not what is invisible or only says whose a name is.
func visible(r rune) bool {
	switch {
	case r < 0x7F:
		return r >= ' ' || r >= '\t' && r <= '\r'
	case r == '\u0085': // next line, white space
		return true
	case r == '™' || r == '℠': // form NFKD makes letters of them
		return false
	case r == '\u0640': // the stroke that makes an Arabic word longer
		return false
	case r == '\u3099' || r == '\u309A': // the voice of a kana: form NFC puts it back
		return true
	case unicode.Is(unicode.M, r) && unicode.In(r, unicode.Inherited, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic, unicode.Syriac):
		return false // an accent, or a vowel that Hebrew and Arabic leave out; in other scripts a mark makes another letter
	}
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// spell writes a character of form NFKD as a small letter that a keyboard has.
func spell(sb *strings.Builder, r rune) {
	if r < utf8.RuneSelf {
		sb.WriteByte(byte(unicode.ToLower(r)))
		return
	}
	for _, small := range cases.Fold().String(string(r)) {
		if unicode.Is(unicode.Cherokee, small) { // folds to its capitals, which cases.Fold folds to small letters again
			small = unicode.ToUpper(small)
		}
		if spelt := latin(small); spelt != "" {
			sb.WriteString(spelt)
			continue
		}
		sb.WriteRune(small)
	}
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

// digraphs writes the letters as two that German, Danish, Norwegian and Swedish also write so, in a text of form NFC:
// "Malmö" is "Malmoe" to some. It answers false where there is none.
func digraphs(s string) (string, bool) {
	if strings.IndexFunc(s, func(r rune) bool { return digraph(r) != "" }) < 0 {
		return s, false
	}
	var sb strings.Builder
	for _, r := range s {
		if two := digraph(r); two != "" {
			sb.WriteString(two)
			continue
		}
		sb.WriteRune(r)
	}
	return sb.String(), true
}

func digraph(r rune) string {
	switch r {
	case 'ä', 'Ä':
		return "ae"
	case 'ö', 'Ö', 'ø', 'Ø':
		return "oe"
	case 'ü', 'Ü':
		return "ue"
	case 'å', 'Å':
		return "aa"
	}
	return ""
}
