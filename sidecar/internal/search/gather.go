package search

import (
	"slices"
	"strings"
)

// gather collects the words, or the values of a facet, of listings that come one after the other. Each different word is kept once.
type gather struct {
	number map[string]uint32
	words  []string
	// last is by word the listing that had it last, counted from 1, and count how many listings have it.
	last, count []uint32
	// of are the words of all listings, each once a listing, and ends where those of each end.
	of   []uint32
	ends []int
}

// add takes a word of the listing that comes now; what it has already and what it has beyond maxTerms is passed over. The text that the
// word was cut out of is not kept.
func (g *gather) add(word string) {
	this := uint32(len(g.ends) + 1)
	n, known := g.number[word]
	if known && g.last[n] == this || len(g.of)-g.begin() == maxTerms {
		return
	}
	if !known {
		if g.number == nil {
			g.number = map[string]uint32{}
		}
		word = strings.Clone(word)
		n = uint32(len(g.words))
		g.words, g.last, g.count = append(g.words, word), append(g.last, 0), append(g.count, 0)
		g.number[word] = n
	}
	g.last[n] = this
	g.count[n]++
	g.of = append(g.of, n)
}

// begin is where the words of the listing that comes now begin.
func (g *gather) begin() int {
	if len(g.ends) == 0 {
		return 0
	}
	return g.ends[len(g.ends)-1]
}

// end ends a listing.
func (g *gather) end() { g.ends = append(g.ends, len(g.of)) }

// sorted are all words.
func (g *gather) sorted() []string {
	slices.Sort(g.words)
	return g.words
}

// dict is the dictionary of all words, where order are the listings in the order of their numbers.
func (g *gather) dict(order []uint32) dict {
	// The numbers of a word's listings stand together in all, up to next.
	all, next := make([]uint32, len(g.of)), make([]uint32, len(g.words))
	from := uint32(0)
	byWord := make([]uint32, len(g.words))
	for n, count := range g.count {
		byWord[n], next[n] = uint32(n), from
		from += count
	}
	for number, at := range order {
		from := 0
		if at > 0 {
			from = g.ends[at-1]
		}
		for _, n := range g.of[from:g.ends[at]] {
			all[next[n]] = uint32(number)
			next[n]++
		}
	}
	slices.SortFunc(byWord, func(a, b uint32) int { return strings.Compare(g.words[a], g.words[b]) })
	d := dict{keys: make([]string, 0, len(byWord)), postings: make([]posting, 0, len(byWord))}
	for _, n := range byWord {
		d.keys = append(d.keys, g.words[n])
		d.postings = append(d.postings, newPosting(all[next[n]-g.count[n]:next[n]]))
	}
	return d
}
