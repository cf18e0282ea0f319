package search

import "strings"

// Expression writes a text as a boolean expression over words, as it is looked for before anything is guessed. With goesOn
// a word may go on; country is a word that all listings of a country have.
func Expression(text string, word func(w string, goesOn bool) string, country func(code string) string) string {
	p := newPattern(text)
	at := make([]string, len(p.words)+1)
	for to := 1; to < len(at); to++ {
		var ways []string
		for _, c := range p.clauses {
			if c.to != to {
				continue
			}
			way := "(" + strings.Join(c.ways(word, country), " OR ") + ")"
			if c.from > 0 {
				way = "(" + at[c.from] + " AND " + way + ")"
			}
			ways = append(ways, way)
		}
		at[to] = "(" + strings.Join(ways, " OR ") + ")"
	}
	return at[len(p.words)]
}

func (c clause) ways(word func(string, bool) string, country func(string) string) (all []string) {
	if c.word != "" {
		all = append(all, word(c.word, c.last))
	}
	for _, o := range c.options {
		switch {
		case o.level > alike:
		case o.country != "":
			all = append(all, country(o.country))
		default:
			var words []string
			for i, w := range o.words {
				words = append(words, word(w, o.goesOn && i == len(o.words)-1))
			}
			all = append(all, "("+strings.Join(words, " AND ")+")")
		}
	}
	return all
}

// WordsOf are the words that a listing is found by, sorted.
func WordsOf(d Doc) []string { return newEntry(d).terms }
