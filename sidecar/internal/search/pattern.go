package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxText bounds the bytes of a query's text and maxWords its words: what comes after is not looked at.
	maxText  = 2048
	maxWords = 24
	// maxGuessed bounds the words that are guessed at: each is compared with all words of all listings.
	maxGuessed = 6
	// maxJoined is how many words in a row are also tried as one.
	maxJoined = 3
)

// level is how far from what was typed a listing's words may be. Each allows what the one before does.
type level uint8

const (
	// exact: the words themselves.
	exact level = iota
	// begun: the last one may go on.
	begun
	// alike: other spellings, other words that mean the same, a country by its name.
	alike
	// spare: without words that say nothing.
	spare
	// guessed: a typing error, or the beginning of another word that means the same.
	guessed
)

// pattern is a query's text: the words one after the other, each or several in a row by what they mean.
type pattern struct {
	words []string
	// clauses begin with one for each word.
	clauses []clause
	// upTo is alike and, as long as no listing has the text so, the next.
	upTo level
}

// clause stands for the words from, from+1 ... to-1 of a pattern.
type clause struct {
	from, to int
	// word is the word itself; "" where the clause stands for a phrase.
	word    string
	options []option
	// last allows the word to go on, filler to be absent from spare on, mistyped to hold an error when guessed.
	last, filler, mistyped bool
	// found: some listing has the word.
	found bool
}

// option is what a listing may have in place of a clause's words: all of other words, or a country.
type option struct {
	words []string
	// goesOn allows the last of the words to.
	goesOn  bool
	country string
	level   level
}

func (o option) equal(p option) bool {
	return slices.Equal(o.words, p.words) && o.country == p.country
}

func newPattern(text string) pattern {
	p := pattern{upTo: alike}
	for field := range strings.FieldsSeq(norm.NFC.String(clip(text, maxText))) {
		p.read(field)
	}
	if len(p.words) > 0 {
		p.clauses[len(p.clauses)-1].last = true
		p.mean(sharedLexicon())
	}
	return p
}

// read takes the words of one field of a text and how else they are spelt.
func (p *pattern) read(field string) {
	own := wordsOf(fold(field))
	var other []string
	if spelt, is := digraphs(field); is {
		other = wordsOf(fold(spelt))
	}
	for i, w := range own {
		n := len(p.words)
		if n == maxWords {
			return
		}
		c := clause{from: n, to: n + 1, word: w}
		if len(other) == len(own) && other[i] != w {
			c.options = append(c.options, option{words: []string{other[i]}, level: alike})
		}
		p.words = append(p.words, w)
		p.clauses = append(p.clauses, c)
	}
}

// mean adds what the words mean, alone and in a row, and those in a row as one word: "postgres 16" is "postgresql16" too.
func (p *pattern) mean(l *lexicon) {
	for from := range p.words {
		for to := from + 1; to <= len(p.words) && to <= from+max(l.longest, maxJoined); to++ {
			row := p.words[from:to]
			c := clause{from: from, to: to, options: l.meanings[strings.Join(row, " ")]}
			last := to == len(p.words)
			if len(row) == 1 {
				own := &p.clauses[from]
				if last && len(own.options) > 0 {
					own.options[0].goesOn = true // the same word in another spelling
				}
				own.options = slices.Concat(own.options, c.options, cut(l, own.word, last))
				continue
			}
			c.options = append(slices.Clip(c.options), joined(l, row, last)...)
			if len(c.options) > 0 {
				p.clauses = append(p.clauses, c)
			}
		}
	}
}

// joined writes a few words in a row as one, and a figure together with what the words before it mean.
func joined(l *lexicon, row []string, last bool) (out []option) {
	one := func(words ...string) {
		out = append(out, option{words: []string{clip(strings.Join(words, ""), maxTerm)}, goesOn: last, level: alike})
	}
	if len(row) <= maxJoined {
		one(row...)
	}
	before, figure := row[:len(row)-1], row[len(row)-1]
	if figure[0] < '0' || figure[0] > '9' {
		return out
	}
	for _, o := range l.meanings[strings.Join(before, " ")] {
		if len(o.words) == 1 {
			one(o.words[0], figure)
		}
	}
	return out
}

// cut parts a figure from the letters before it: "iso27001" is "iso 27001" too. A figure of one digit is parted by guess
// only, as it stands in too many texts by itself.
func cut(l *lexicon, word string, last bool) (out []option) {
	digits := len(strings.TrimLeftFunc(word, unicode.IsLetter))
	name, figure := word[:len(word)-digits], word[len(word)-digits:]
	if digits == 0 || strings.TrimLeft(figure, "0123456789") != "" {
		return nil
	}
	if utf8.RuneCountInString(name) >= 3 {
		out = append(out, option{words: []string{name, figure}, goesOn: last})
	}
	for _, o := range l.meanings[name] {
		if len(o.words) > 0 {
			out = append(out, option{words: append(slices.Clone(o.words), figure), goesOn: last})
		}
		if len(o.words) == 1 {
			out = append(out, option{words: []string{clip(o.words[0]+figure, maxTerm)}, goesOn: last})
		}
	}
	for i := range out {
		if out[i].level = alike; digits == 1 && len(out[i].words) > 1 {
			out[i].level = guessed
		}
	}
	return out
}

// widen goes on to the next level and answers false where there is none.
func (p *pattern) widen() bool {
	l := sharedLexicon()
	switch {
	case len(p.words) == 0 || p.upTo == guessed:
		return false
	case p.upTo == alike && p.fillers(l):
		p.upTo = spare
	default:
		p.upTo = guessed
		p.guess(l)
	}
	return true
}

// fillers marks them and answers false where there is none or nothing else.
func (p *pattern) fillers(l *lexicon) bool {
	n := 0
	for _, w := range p.words {
		if l.filler[w] {
			n++
		}
	}
	for i := range p.clauses {
		c := &p.clauses[i]
		c.filler = n < len(p.words) && l.filler[c.word]
	}
	return n > 0 && n < len(p.words)
}

// guess allows what was not typed, for the words that no listing has or, where there is a listing for each, for all.
func (p *pattern) guess(l *lexicon) {
	lost := slices.ContainsFunc(p.clauses, clause.missing)
	wrong := func(c clause) bool { return c.word != "" && (!lost || c.missing()) }
	guessed := 0
	for from := range p.words {
		l.guesses(p.words[from:], func(length int, means []option) {
			if slices.ContainsFunc(p.clauses[from:from+length], wrong) {
				p.clauses = append(p.clauses, clause{from: from, to: from + length, options: means})
			}
		})
		if c := &p.clauses[from]; wrong(*c) && guessed < maxGuessed {
			guessed++
			c.options = slices.Concat(c.options, parts(c.word))
			c.mistyped = mayBeMistyped(c.word)
		}
	}
}

func (c clause) missing() bool { return c.word != "" && !c.found && !c.filler }

// parts are the words in two, for a space or a hyphen that is missing.
func parts(word string) (out []option) {
	if !mayBeMistyped(word) {
		return nil
	}
	for i := range word {
		if i > 0 {
			out = append(out, option{words: []string{word[:i], word[i:]}, level: guessed})
		}
	}
	return out
}

// source is where a segment's listings are looked up: by the words of their names or of all their texts.
type source struct {
	terms, countries *dict
	all              *roaring.Bitmap
}

// in are the listings that have the text, within a level; nil where there is none. The answer must not be changed.
func (p *pattern) in(s source, upTo level) *roaring.Bitmap {
	// at[i] are the listings that have the first i words.
	at := make([]*roaring.Bitmap, len(p.words)+1)
	singles := make([]*roaring.Bitmap, 0, len(p.words))
	rows := false
	sets := make([]*roaring.Bitmap, len(p.clauses))
	for i := range p.clauses {
		c := &p.clauses[i]
		sets[i] = c.in(s, upTo)
		if c.word == "" {
			rows = rows || sets[i] != nil
			continue
		}
		if sets[i] != nil {
			c.found = true
			singles = append(singles, sets[i])
		}
	}
	if !rows {
		if len(singles) < len(p.words) {
			return nil
		}
		return intersect(singles)
	}
	at[0] = s.all
	for to := 1; to < len(at); to++ {
		for i, c := range p.clauses {
			if c.to != to || sets[i] == nil || at[c.from] == nil {
				continue
			}
			both := roaring.And(at[c.from], sets[i])
			if at[to] != nil {
				both.Or(at[to])
			}
			at[to] = both
		}
	}
	return at[len(p.words)]
}

func (c *clause) in(s source, upTo level) *roaring.Bitmap {
	if upTo >= spare && c.filler {
		return s.all
	}
	var sets []*roaring.Bitmap
	add := func(b *roaring.Bitmap) {
		if b != nil {
			sets = append(sets, b)
		}
	}
	if c.word != "" {
		add(s.terms.have(c.word, c.last && upTo >= begun))
	}
	for i := range c.options {
		if o := &c.options[i]; o.level <= upTo {
			add(o.in(s))
		}
	}
	if c.mistyped && upTo == guessed {
		add(s.terms.union(func(term string) bool { return near(c.word, term, c.last) }))
	}
	switch len(sets) {
	case 0:
		return nil
	case 1:
		return sets[0]
	}
	return roaring.FastOr(sets...)
}

func (o *option) in(s source) *roaring.Bitmap {
	if o.country != "" {
		return s.countries.have(o.country, false)
	}
	sets := make([]*roaring.Bitmap, 0, len(o.words))
	for i, w := range o.words {
		set := s.terms.have(w, o.goesOn && i == len(o.words)-1)
		if set == nil {
			return nil
		}
		sets = append(sets, set)
	}
	return intersect(sets)
}

// holds is in for one listing: its sorted words and its country.
func (p *pattern) holds(terms, countries []string, upTo level) bool {
	at := make([]bool, len(p.words)+1)
	at[0] = true
	for to := 1; to < len(at); to++ {
		for i := range p.clauses {
			c := &p.clauses[i]
			if c.to != to || !c.holds(terms, countries, upTo) {
				continue
			}
			c.found = true
			at[to] = at[to] || at[c.from]
		}
	}
	return at[len(p.words)]
}

func (c *clause) holds(terms, countries []string, upTo level) bool {
	if upTo >= spare && c.filler || c.word != "" && has(terms, c.word, c.last && upTo >= begun) {
		return true
	}
	for i := range c.options {
		if o := &c.options[i]; o.level <= upTo && o.holds(terms, countries) {
			return true
		}
	}
	return c.mistyped && upTo == guessed && slices.ContainsFunc(terms, func(t string) bool { return near(c.word, t, c.last) })
}

func (o *option) holds(terms, countries []string) bool {
	if o.country != "" {
		return slices.Contains(countries, o.country)
	}
	for i, w := range o.words {
		if !has(terms, w, o.goesOn && i == len(o.words)-1) {
			return false
		}
	}
	return true
}

// has reports whether sorted terms hold a word, or one that begins with it.
func has(terms []string, word string, goesOn bool) bool {
	at, found := slices.BinarySearch(terms, word)
	return found || goesOn && at < len(terms) && strings.HasPrefix(terms[at], word)
}
