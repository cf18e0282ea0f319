// Package search finds listings by text and facets, in memory.
//
// The index holds no bodies: an id, a price, a sort key and postings, about a hundred bytes a listing. It is rebuilt from
// the store at start and fed by changes. A search asks what was shown last, which never changes: it waits for no writer, and no
// writer waits for it.
//
//	Upsert, Delete ──> delta (at most 128 listings, looked at one by one)
//	                     │ full: frozen
//	                     v
//	                   segments (immutable but for their deletions) ──four of a size──> one, merged
//
// Within a segment a listing's number is its rank by currency, price and id. So a currency and a price range are ranges
// of numbers, the cheapest listings of a result are its first ones, and a sort by price costs nothing. Numbers cannot
// change while readers use them, hence segments that are merged into new ones. Names have an order of their own.
//
// Texts are folded before they are cut into words, names and queries alike (fold.go). What else a query's words mean is
// looked up when it comes, so that it costs no memory: synonyms and countries in five languages, figures with and without
// a space (lexicon.go, pattern.go). Where nothing is found so, fillers are left out, and then a typing error is forgiven.
//
// Listings with the same values of all facets share a kind, those of one family and kind a cell (cells.go): values are counted by
// one look at each match or, where these are fewer, at each listing that does not match.
//
// What can be ordered comes first in every sort, and then what is nearest to the text: a result is made of tiers. A grouped query
// gives one listing of each family, the cheapest of its best tier, and counts families; it looks at every match once, where any
// other query looks at the first ones only.
//
// A page token holds the sort key and id of the page's last listing: changes in between neither repeat nor skip a listing
// that did not change.
package search
