package text

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// JoinPath writes a path the way the API names fields: prices[0].amount.
func JoinPath(prefix string, path []string) string {
	var b strings.Builder
	b.WriteString(prefix)
	for _, name := range path {
		if _, err := strconv.Atoi(name); err == nil {
			b.WriteString("[" + name + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(Shorten(name))
	}
	return b.String()
}

// Shorten keeps a text from outside short and printable in an error.
func Shorten(s string) string {
	const most = 64
	clean := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if utf8.RuneCountInString(clean) > most {
		clean = string([]rune(clean)[:most]) + "…"
	}
	return clean
}
