package text

import (
	"strings"
	"testing"
	"unicode"
)

func TestANameHasAVisibleCharacter(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]string{
		"nothing": "", "spaces": "   ", "line breaks": "\n\t\r\n", "a no-break space": "\u00A0", "wide spaces": "\u2003\u3000\u1680\u202F\u205F",
		"zero width": "\u200B\u200C\u200D\u2060\uFEFF", "bidi controls": "\u200E\u200F\u202A\u202E\u2066\u2069\u061C",
		"controls": "\x00\x07\x7F\u0085", "a soft hyphen": "\u00AD", "Hangul fillers": "\u3164\u115F\u1160\uFFA0", "braille blank": "\u2800",
		"tags": "\U000E0001\U000E0041\U000E007F", "variation selectors": "\uFE0F\uFE00\U000E0100\u180B", "marks alone": "\u0301\u0308\u20DD\u034F",
		"a mark on a space": " \u0301", "line and paragraph separators": "\u2028\u2029", "invisible operators": "\u2061\u2062\u2063\u2064",
		"Khmer inherent vowels": "\u17B4\u17B5", "a Mongolian vowel separator": "\u180E", "a null notehead": "\U0001D159",
		"blanks of hieroglyphs": "\U00013441\U00013442", "an object that is not there": "\uFFFC", "what a decoder could not read": "\uFFFD",
		"not UTF-8": "\xff\xfe", "not characters": "\uFDD0\U0001FFFF", "not assigned": "\u0378\U000E0FFF", "private use": "\uE000", "all at once": " \u200B\u3164\uFE0F\u0301\u2800 ",
	} {
		if Visible(s) {
			t.Errorf("%s: %+q is taken for a name", name, s)
		}
	}
	for name, s := range map[string]string{
		"a letter": "x", "a digit": "7", "punctuation": "-", "an emoji with its selector": "\u2764\uFE0F", "Arabic": "\u0633\u062D\u0627\u0628\u0629",
		"Hangul": "\uAD6C\uB984", "Thai with marks": "\u0E04\u0E25\u0E32\u0E27\u0E14\u0E4C", "a letter among invisible ones": "\u200Ba\u200B", "braille": "\u2801",
		"a letter and a mark": "o\u0308", "a currency": "\u20AC", "one of Khmer": "\u1780", "a flag": "\U0001F1E9\U0001F1EA",
	} {
		if !Visible(s) {
			t.Errorf("%s: %+q is not taken for a name", name, s)
		}
	}
}

// Whatever Check refuses, and every space, adds nothing that is seen.
func TestNothingHiddenIsVisible(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		s := string(r)
		if _, err := Check(s); Visible(s) && (err != nil || strings.TrimSpace(s) == "" || CleanLine(s, 1) == "") {
			t.Errorf("U+%04X is hidden and visible", r)
		}
	}
}
