package text_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hanse-market/hanse/sidecar/internal/text"
)

func TestForeignTextStandsInOneShortLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain":            {"refused: no", "refused: no"},
		"empty":            {"", ""},
		"letters":          {"Größe 大 ✓", "Größe 大 ✓"},
		"lines":            {"a\r\nb\tc", `a\r\nb\tc`},
		"colours":          {"\x1b[31mred", `\x1b[31mred`},
		"NUL":              {"a\x00b", `a\x00b`},
		"bytes":            {"a\xff\xfeb", `a\xff\xfeb`},
		"bidi":             {"a\u202eb\u2066c", `a\u202eb\u2066c`},
		"invisible":        {"a\u200bb\ufeffc\u00ad", `a\u200bb\ufeffc\u00ad`},
		"line separators":  {"a\u2028b\u0085c", `a\u2028b\u0085c`},
		"tags":             {"a\U000E0041", `a\U000e0041`},
		"the replacement":  {"a\uFFFD", "a\uFFFD"},
		"exactly the most": {strings.Repeat("ä", text.MaxForeign), strings.Repeat("ä", text.MaxForeign)},
		"one more":         {strings.Repeat("ä", text.MaxForeign+1), strings.Repeat("ä", text.MaxForeign) + "… (1 more characters)"},
		"a megabyte":       {strings.Repeat("x", 1<<20), strings.Repeat("x", text.MaxForeign) + fmt.Sprintf("… (%d more characters)", 1<<20-text.MaxForeign)},
		"escapes count":    {strings.Repeat("\x00", 60), strings.Repeat(`\x00`, 50) + "… (10 more characters)"},
	} {
		got := text.Foreign(c.in)
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if !utf8.ValidString(got) || text.Clipped(got) != strings.Contains(c.want, "…") {
			t.Errorf("%s: valid %t, clipped %t", name, utf8.ValidString(got), text.Clipped(got))
		}
	}
}

func TestAForeignErrorIsStillTheError(t *testing.T) {
	t.Parallel()
	if text.ForeignError(nil) != nil {
		t.Error("nothing is an error")
	}
	err := text.ForeignError(fmt.Errorf("%s: %w", strings.Repeat("x", 1<<20), io.ErrUnexpectedEOF))
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(err.Error()) > 300 {
		t.Errorf("got %d bytes of %v", len(err.Error()), errors.Is(err, io.ErrUnexpectedEOF))
	}
	if again := text.ForeignError(err); again.Error() != err.Error() {
		t.Errorf("twice it is %q", again)
	}
}
