package catalog

import (
	"regexp"
	"strings"
	"testing"
)

// TestAnIDIsWhatItsPatternSays, byte by byte.
func TestAnIDIsWhatItsPatternSays(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	all := []string{"", "a\n", "é", "aé", strings.Repeat("a", 64), strings.Repeat("a", 65)}
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}), string([]byte{'a', byte(c)}), string([]byte{'a', byte(c), 'z'}))
	}
	for _, s := range all {
		if got := isID(s); got != pattern.MatchString(s) {
			t.Errorf("%q: %v", s, got)
		}
	}
}
