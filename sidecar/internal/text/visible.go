package text

import "unicode"

// Visible reports whether a text has at least one character that people see by itself: a letter, a number, a symbol or a
// mark of punctuation. Spaces, controls, marks that need a letter before them, and characters that Unicode calls ignorable
// (zero width, tags, variation selectors, fillers) make no name, however many they are.
func Visible(s string) bool {
	for _, r := range s {
		if visible(r) {
			return true
		}
	}
	return false
}

func visible(r rune) bool {
	if r > ' ' && r <= '~' {
		return true
	}
	switch r {
	case '\u2800', // braille pattern blank
		'\uFFFC',                   // object replacement character
		'\U00013441', '\U00013442', // blanks between hieroglyphs
		'\U0001D159': // musical symbol null notehead
		return false
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && hidden(r) == ""
}
