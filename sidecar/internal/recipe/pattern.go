package recipe

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// maxPattern bounds a pattern's text.
	maxPattern = 1000
	// maxPatternSteps bounds what all patterns of a schema come to once their repetitions are written out: `.{0,999}` is eight
	// bytes and two thousand steps, and each step takes a hundred bytes and more.
	maxPatternSteps = 10_000
)

// patternSteps is how many steps a pattern compiles to, estimated from its syntax without compiling it; more than maxPatternSteps
// are not counted further. It is an error for a pattern that is not RE2.
func patternSteps(p string) (int, error) {
	if len(p) > maxPattern {
		return 0, fmt.Errorf("is a pattern longer than %d bytes", maxPattern)
	}
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("is a pattern that is not RE2: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return steps(re) + ranges(re), nil
}

// ranges is what the character classes of a pattern add: a repeated class has its ranges once.
func ranges(re *syntax.Regexp) int {
	n := 0
	if re.Op == syntax.OpCharClass {
		n = len(re.Rune) / 16
	}
	for _, sub := range re.Sub {
		n += ranges(sub)
	}
	return n
}

func steps(re *syntax.Regexp) int {
	const most = maxPatternSteps + 1
	n := 1
	for _, sub := range re.Sub {
		n = min(n+steps(sub), most)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpAlternate:
		n += len(re.Sub)
	case syntax.OpCapture, syntax.OpStar:
		n++
	case syntax.OpRepeat:
		n *= max(re.Max, re.Min+1)
	}
	return min(n, most)
}

// lazyPattern is compiled when something is first held against it, if ever: whether a text is a pattern at all is seen without.
type lazyPattern struct {
	text  string
	match func() *regexp.Regexp
}

// newPattern is the engine behind pattern, patternProperties and format regex, whose texts a customer gives.
func newPattern(text string) (jsonschema.Regexp, error) {
	n, err := patternSteps(text)
	if err == nil && n > maxPatternSteps {
		err = fmt.Errorf("is a pattern of more than %d steps", maxPatternSteps)
	}
	if err != nil {
		return nil, err
	}
	return &lazyPattern{text, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}, nil
}

func (p *lazyPattern) String() string { return p.text }

func (p *lazyPattern) MatchString(s string) bool { return p.match().MatchString(s) }

// shortest is the least number of characters that a text needs to match a pattern.
func shortest(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	return least(re)
}

func least(re *syntax.Regexp) int {
	const most = 1 << 20
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpCapture, syntax.OpPlus:
		n = least(re.Sub[0])
	case syntax.OpRepeat:
		n = re.Min * least(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			n = min(n+least(sub), most)
		}
	case syntax.OpAlternate:
		n = least(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			n = min(n, least(sub))
		}
	}
	return min(n, most)
}
