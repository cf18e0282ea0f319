package recipe

import (
	"regexp/syntax"
)

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
