package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of what an offering and its listings say, in characters.
const (
	MaxName        = 200
	MaxSummary     = 500
	MaxDescription = 20000
	// MaxLabel bounds a category, a region and a certification.
	MaxLabel = 100
	// MaxUnit bounds what one unit of a usage price is.
	MaxUnit = 32
)

// hidden says why a character has no place in a text that people decide by, "" where it has one: controls, and what
// reorders or hides other characters, so that a text reads as something else than it says (Unicode TR36).
func hidden(r rune) string {
	switch {
	case r == '\n' || r == '\t':
		return ""
	case unicode.Is(unicode.Bidi_Control, r):
		return "bidi control"
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\uFEFF', r == unicode.ReplacementChar:
		return "control character"
	case r >= 0xE0000 && r <= 0xE007F, r&0xFFFE == 0xFFFE, r >= 0xFDD0 && r <= 0xFDEF:
		return "character that is not text"
	}
	return ""
}

// Check refuses invalid and hidden characters and returns the text in form NFC. The error is safe to show to its author.
func Check(s string) (string, error) {
	if plain(s) {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("text is not valid UTF-8")
	}
	for _, r := range s {
		if why := hidden(r); why != "" {
			return "", fmt.Errorf("text holds the %s U+%04X", why, r)
		}
	}
	return norm.NFC.String(s), nil
}

// CleanLine makes a partner's text safe to show as one line of at most limit characters.
func CleanLine(s string, limit int) string {
	return clip(strings.Join(strings.Fields(strip(s)), " "), limit)
}

// Clean makes a partner's text safe to show as paragraphs of at most limit characters.
func Clean(s string, limit int) string { return clip(strings.TrimSpace(strip(s)), limit) }

func strip(s string) string {
	if plain(s) {
		return s
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if hidden(r) != "" {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// plain reports whether a text has nothing but printable ASCII, in which nothing hides: most of what a catalog says.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func clip(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit])
}
