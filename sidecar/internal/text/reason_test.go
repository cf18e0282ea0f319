package text

import (
	"strings"
	"testing"
)

func TestAReasonIsACode(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a", "order_refused", "tls_1_3", strings.Repeat("a", 64)} {
		if got := Reason(s, "unknown"); got != s {
			t.Errorf("%q is kept as %q", s, got)
		}
	}
	for _, s := range []string{
		"", " ", "_a", "1a", "Order_refused", "order-refused", "order refused", "order_refused\n", "a\nb", "a\x00", "\x1b[31mred", "größe", "a\u202Eb",
		"<b>", "\xff", strings.Repeat("a", 65), strings.Repeat("a", 1<<20),
	} {
		if got := Reason(s, "unknown"); got != "unknown" {
			t.Errorf("%.80q is kept as %.80q", s, got)
		}
	}
}
