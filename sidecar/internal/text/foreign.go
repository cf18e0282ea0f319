package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxForeign bounds what of a text that somebody else wrote gets into a log line, a job or an operator's table, in characters.
const MaxForeign = 200

// more closes a text of which something was cut.
const more = " more characters)"

// Foreign is a text that somebody else wrote, fit to stand beside our own words: one line, in which controls and what hides or
// reorders characters are escaped, and at most MaxForeign characters, with the number of those that were cut.
func Foreign(s string) string { return Line(s, MaxForeign) }

// Line is Foreign with another limit.
func Line(s string, limit int) string {
	var b strings.Builder
	used := 0
	for i, r := range s {
		piece := escape(s[i:], r)
		if used += utf8.RuneCountInString(piece); used > limit {
			fmt.Fprintf(&b, "… (%d%s", utf8.RuneCountInString(s[i:]), more)
			break
		}
		b.WriteString(piece)
	}
	return b.String()
}

// escape is one character as it may be shown; rest begins with it.
func escape(rest string, r rune) string {
	switch {
	case r == utf8.RuneError && !strings.HasPrefix(rest, "\uFFFD"):
		return fmt.Sprintf(`\x%02x`, rest[0])
	case strconv.IsPrint(r) && (r == '\uFFFD' || hidden(r) == "") && !unicode.Is(unicode.Cf, r):
		return string(r)
	}
	quoted := strconv.QuoteRuneToASCII(r)
	return quoted[1 : len(quoted)-1]
}

// Clipped reports whether Foreign or Line cut something of a text, or of a part of it.
func Clipped(s string) bool { return strings.Contains(s, more) }

// foreign is an error whose text somebody else wrote.
type foreign struct{ err error }

func (f foreign) Error() string { return Foreign(f.err.Error()) }
func (f foreign) Unwrap() error { return f.err }

// ForeignError is an error whose text is Foreign; errors.Is and errors.As see through it. nil is nil.
func ForeignError(err error) error {
	if _, already := err.(foreign); err == nil || already {
		return err
	}
	return foreign{err}
}
