package text

import (
	"slices"
	"strings"
)

// Near is the one of the choices that somebody who wrote word most likely meant; "" where none is near enough, or the word is one
// of them.
func Near(word string, choices []string) string {
	const longest = 100
	joins := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	w := plainWord(word, joins)
	if w == "" || len(word) > longest || slices.Contains(choices, word) {
		return ""
	}
	best, least := "", len([]rune(w))/3+1
	for _, c := range choices {
		if len(c) > longest {
			continue
		}
		p := plainWord(c, joins)
		if p == "" {
			continue
		}
		d := distance(w, p)
		if min(len(w), len(p)) >= 4 && (strings.HasPrefix(w, p) || strings.HasPrefix(p, w)) {
			d = min(d, 1) // the singular, or more than there is
		}
		if d < least {
			best, least = c, d
		}
	}
	return best
}

// DidYouMean is the hint that follows what is wrong: "; did you mean name?", or "".
func DidYouMean(word string, choices []string) string {
	near := Near(word, choices)
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

// plainWord is a word less case and what joins its parts.
func plainWord(s string, joins *strings.Replacer) string {
	return joins.Replace(strings.ToLower(s))
}

// distance counts the letters to insert, take away, change or swap with their neighbour (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	older, before, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		older, before, row = before, row, older
		row[0] = i + 1
		for j := range y {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			row[j+1] = min(before[j]+cost, before[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
	}
	return row[len(y)]
}
