package text

import "regexp"

var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// IsReason reports whether a text has the form of a code.
func IsReason(s string) bool { return code.MatchString(s) }

// Reason keeps the reason that somebody else gave only in the form of a code, "order_refused" for one; any other is otherwise.
func Reason(s, otherwise string) string {
	if code.MatchString(s) {
		return s
	}
	return otherwise
}
