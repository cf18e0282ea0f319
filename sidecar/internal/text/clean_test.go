package text

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	if got, err := Check("Gro\u0308\u00dfe\n\tand more"); err != nil || got != "Gr\u00f6\u00dfe\n\tand more" {
		t.Errorf("%q %v, want form NFC", got, err)
	}
	for _, tc := range []struct{ name, text, cause string }{
		{"not UTF-8", "\xff", "not valid UTF-8"},
		{"text that runs backwards", "a\u202Eb", "bidi control U+202E"},
		{"a NUL", "a\x00", "control character U+0000"},
		{"a line break of another kind", "a\u2028b", "control character U+2028"},
		{"a byte order mark", "\uFEFFa", "control character U+FEFF"},
		{"what a decoder could not read", "\uFFFD", "control character U+FFFD"},
		{"a tag that nobody sees", "a\U000E0041", "not text U+E0041"},
		{"a code point that is no character", "\uFDD0", "not text U+FDD0"},
		{"the last of a plane", "\U0001FFFF", "not text U+1FFFF"},
	} {
		if got, err := Check(tc.text); err == nil || !strings.Contains(err.Error(), tc.cause) {
			t.Errorf("%s: %q %v, want %s", tc.name, got, err, tc.cause)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	if got := CleanLine(" a\u202Eb\n\x00c\u0308 d ", 4); got != "ab c" {
		t.Errorf("%q", got)
	}
	if got := CleanLine("o\u0308\u00df\u00df", 2); got != "\u00f6\u00df" {
		t.Errorf("%q: the limit counts characters", got)
	}
	if got := Clean("a\n\n\u2066b\xff\n", 100); got != "a\n\nb" {
		t.Errorf("%q", got)
	}
}
