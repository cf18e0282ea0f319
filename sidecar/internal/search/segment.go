package search

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// entry is a listing as the delta keeps it and segments are built from it.
type entry struct {
	id       string
	key      string
	currency string
	price    int64
	// terms and nameTerms are sorted and distinct.
	terms     []string
	nameTerms []string
	facets    [stored][]string
	// family is the number of its family, 0 for none.
	family uint32
}

func newEntry(d Doc) *entry {
	e := heading(d)
	var all, name gather
	d.words(&all, &name)
	e.terms, e.nameTerms = all.sorted(), name.sorted()
	return e
}

// heading is an entry without its words.
func heading(d Doc) *entry {
	e := &entry{id: d.ID, key: sortKey(d.Name), currency: d.Currency, price: d.Price}
	e.facets = [stored][]string{
		category: one(d.Category), region: one(d.Region), country: one(d.Country), certification: distinct(d.Certifications),
	}
	if d.Orderable {
		e.facets[availability] = one(AvailableNow)
	}
	return e
}

// words adds the words that a listing is found by, and those of its name alone.
func (d Doc) words(all, name *gather) {
	terms(d.Name, func(w string) {
		name.add(w)
		all.add(w)
	})
	for _, text := range []string{d.Category, d.Region, d.Summary} {
		terms(text, all.add)
	}
	for _, text := range d.Certifications {
		terms(text, all.add)
	}
	terms(d.Description, all.add)
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func distinct(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

// fewDocs is up to how many listings a posting is a plain list: a bitmap costs more than that for itself.
const fewDocs = 24

// posting lists the listings of one word or value; one of the two is set.
type posting struct {
	few  []uint32
	many *roaring.Bitmap
}

// newPosting keeps nothing of what it is given.
func newPosting(numbers []uint32) posting {
	if len(numbers) <= fewDocs {
		return posting{few: slices.Clone(numbers)}
	}
	b := roaring.New()
	b.AddMany(numbers)
	b.RunOptimize()
	return posting{many: b}
}

func (p posting) bitmap() *roaring.Bitmap {
	if p.many != nil {
		return p.many
	}
	return roaring.BitmapOf(p.few...)
}

func (p posting) each(visit func(uint32)) {
	if p.many == nil {
		for _, n := range p.few {
			visit(n)
		}
		return
	}
	it := p.many.ManyIterator()
	var buf [512]uint32
	for n := it.NextMany(buf[:]); n > 0; n = it.NextMany(buf[:]) {
		for _, v := range buf[:n] {
			visit(v)
		}
	}
}

// dict is a sorted dictionary of words or values.
type dict struct {
	keys     []string
	postings []posting
}

func (d *dict) find(k string) (posting, bool) {
	i, ok := slices.BinarySearch(d.keys, k)
	if !ok {
		return posting{}, false
	}
	return d.postings[i], true
}

// bitmap is the posting of a key; nil where there is none.
func (d *dict) bitmap(k string) *roaring.Bitmap {
	p, ok := d.find(k)
	if !ok {
		return nil
	}
	return p.bitmap()
}

// have are the listings that have a word or, where it may go on, one that begins with it; nil where there is none.
func (d *dict) have(word string, goesOn bool) *roaring.Bitmap {
	from, found := slices.BinarySearch(d.keys, word)
	switch {
	case goesOn:
		to := from + sort.Search(len(d.keys)-from, func(i int) bool { return !strings.HasPrefix(d.keys[from+i], word) })
		return union(d.postings[from:to])
	case found:
		return d.postings[from].bitmap()
	}
	return nil
}

// union are the listings that have a word of which is says so; nil where there is none.
func (d *dict) union(is func(word string) bool) *roaring.Bitmap {
	var found []posting
	for i, k := range d.keys {
		if is(k) {
			found = append(found, d.postings[i])
		}
	}
	return union(found)
}

func union(postings []posting) *roaring.Bitmap {
	switch len(postings) {
	case 0:
		return nil
	case 1:
		return postings[0].bitmap()
	}
	var big []*roaring.Bitmap
	small := roaring.New()
	for _, p := range postings {
		if p.many != nil {
			big = append(big, p.many)
		} else {
			small.AddMany(p.few)
		}
	}
	return roaring.FastOr(append(big, small)...)
}

// blob keeps many strings in one allocation.
type blob struct {
	text string
	ends []uint32
}

func (b *blob) at(i uint32) string {
	if i == 0 {
		return b.text[:b.ends[0]]
	}
	return b.text[b.ends[i-1]:b.ends[i]]
}

func newBlob(n int, at func(i int) string) blob {
	var sb strings.Builder
	b := blob{ends: make([]uint32, n)}
	for i := range n {
		sb.WriteString(at(i))
		b.ends[i] = uint32(sb.Len())
	}
	b.text = sb.String()
	return b
}

// prices keeps the low half of each price, and the high half of those from a number on: prices of one currency ascend, so that high
// halves are few.
type prices struct {
	low  []uint32
	from []uint32
	high []int32
}

func newPrices(n int) prices { return prices{low: make([]uint32, 0, n)} }

func (p *prices) add(price int64) {
	if high := int32(price >> 32); len(p.high) == 0 || p.high[len(p.high)-1] != high {
		p.from, p.high = append(p.from, uint32(len(p.low))), append(p.high, high)
	}
	p.low = append(p.low, uint32(price))
}

func (p *prices) at(number uint32) int64 {
	at := 0
	if len(p.from) > 1 {
		at = sort.Search(len(p.from), func(i int) bool { return p.from[i] > number }) - 1
	}
	return int64(p.high[at])<<32 | int64(p.low[number])
}

// segment holds listings numbered by (currency, price, id). It never changes; which of its listings are there still, a piece says.
type segment struct {
	ids    blob
	names  blob
	prices prices
	cells  cells
	// Listings of currencies[i] are numbers starts[i] to starts[i+1]-1.
	currencies []string
	starts     []uint32
	// byName and byID are the numbers in the order of (name, id) and of id.
	byName []uint32
	byID   []uint32

	terms     dict
	nameTerms dict
	facets    [stored]dict
}

func (s *segment) len() int { return len(s.prices.low) }

// buildSegment makes a segment of listings; words adds the words of the one at a place to those of all texts and of names.
func buildSegment(entries []*entry, words func(at int, all, name *gather)) *segment {
	n := len(entries)
	var all, name gather
	var facets [stored]gather
	order := make([]uint32, n)
	for at, e := range entries {
		order[at] = uint32(at)
		words(at, &all, &name)
		all.end()
		name.end()
		for f := range facets {
			for _, v := range e.facets[f] {
				facets[f].add(v)
			}
			facets[f].end()
		}
	}
	slices.SortFunc(order, func(i, j uint32) int {
		a, b := entries[i], entries[j]
		return cmp.Or(strings.Compare(a.currency, b.currency), cmp.Compare(a.price, b.price), strings.Compare(a.id, b.id))
	})
	sorted := make([]*entry, n)
	for number, at := range order {
		sorted[number] = entries[at]
	}
	s := &segment{
		ids:    newBlob(n, func(i int) string { return sorted[i].id }),
		names:  newBlob(n, func(i int) string { return sorted[i].key }),
		prices: newPrices(n),
	}
	for number, e := range sorted {
		s.prices.add(e.price)
		s.addCurrency(e.currency, uint32(number))
	}
	s.terms, s.nameTerms = all.dict(order), name.dict(order)
	for f := range facets {
		s.facets[f] = facets[f].dict(order)
	}
	s.finish()
	newCellMaker(s).ofEntries(sorted)
	return s
}

// addCurrency is called in the order of numbers.
func (s *segment) addCurrency(c string, number uint32) {
	if n := len(s.currencies); n == 0 || s.currencies[n-1] != c {
		s.currencies = append(s.currencies, strings.Clone(c)) // not the text that it was cut out of
		s.starts = append(s.starts, number)
	}
}

// finish makes the orders once ids, names and prices stand.
func (s *segment) finish() {
	n := uint32(s.len())
	s.starts = append(s.starts, n)
	s.byName, s.byID = make([]uint32, n), make([]uint32, n)
	for i := range n {
		s.byName[i], s.byID[i] = i, i
	}
	slices.SortFunc(s.byID, s.compareIDs)
	slices.SortFunc(s.byName, s.compareNames)
}

func (s *segment) compareIDs(a, b uint32) int { return strings.Compare(s.ids.at(a), s.ids.at(b)) }

func (s *segment) compareNames(a, b uint32) int {
	if c := strings.Compare(s.names.at(a), s.names.at(b)); c != 0 {
		return c
	}
	return s.compareIDs(a, b)
}

// find is the number of a listing that is there.
func (s piece) find(id string) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(s.byID, id, func(n uint32, id string) int { return strings.Compare(s.ids.at(n), id) })
	if !ok || !s.live.Contains(s.byID[i]) {
		return 0, false
	}
	return s.byID[i], true
}

func (s *segment) currencyOf(number uint32) string { return s.currencies[s.currencyAt(number)] }

// span is the range of numbers of a currency's listings.
func (s *segment) span(currency string) (from, to uint32) {
	i, ok := slices.BinarySearch(s.currencies, currency)
	if !ok {
		return 0, 0
	}
	return s.starts[i], s.starts[i+1]
}

// source is where words are looked up: those of names or of all texts.
func (s piece) source(names bool) source {
	if names {
		return source{&s.nameTerms, &s.facets[country], s.live}
	}
	return source{&s.terms, &s.facets[country], s.live}
}

// lowest is the first number in [from, to) whose price is at least p.
func (s *segment) lowest(from, to uint32, p int64) uint32 {
	return from + uint32(sort.Search(int(to-from), func(i int) bool { return s.prices.at(from+uint32(i)) >= p }))
}
