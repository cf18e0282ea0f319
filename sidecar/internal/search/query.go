package search

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Doc is what the index takes of a listing.
type Doc struct {
	ID          string
	Name        string
	Summary     string
	Description string
	Category    string
	Region      string
	Country     string
	// Certifications are a facet with many values.
	Certifications []string
	// Price is the headline price in minor units of Currency.
	Currency string
	Price    int64
	// Orderable listings come first in every sort.
	Orderable bool
	// Family names the product that the listing is a variant of; "" stands alone. A family has one currency.
	Family string
}

// Facets, by the names that filters and results use.
const (
	FacetCategory      = "category"
	FacetRegion        = "region"
	FacetCountry       = "country"
	FacetCertification = "certification"
	// FacetAvailability has the one value AvailableNow: what can be ordered.
	FacetAvailability = "availability"
	FacetCurrency     = "currency"
	FacetPrice        = "price"
)

// AvailableNow is the value of FacetAvailability.
const AvailableNow = "orderable"

// The stored facets and, after them, the conditions that are computed from a listing's number.
const (
	category = iota
	region
	country
	certification
	availability
	stored
	currency = iota - 1
	price
	text
	conditions
)

func facetName(f int) string {
	return [...]string{FacetCategory, FacetRegion, FacetCountry, FacetCertification, FacetAvailability, FacetCurrency, FacetPrice}[f]
}

// Sort of a result. What can be ordered comes before what cannot.
type Sort uint8

const (
	// Relevance puts listings first that have all words in their name, and among these, as among the others, the words
	// themselves before longer ones that begin with them and these before words that mean the same. Without a text it is
	// by name.
	Relevance Sort = iota
	Name
	// PriceAsc and PriceDesc need a currency.
	PriceAsc
	PriceDesc
)

// Filter keeps listings that have one of the values.
type Filter struct {
	// Facet is FacetCategory, FacetRegion, FacetCountry, FacetCertification or FacetAvailability.
	Facet  string
	Values []string
}

// Query asks for one page.
type Query struct {
	// Text: words that must all occur, the last one as a prefix, in any spelling, by what else is called so in English,
	// German, French, Italian and Spanish, and countries by their names. Where no listing has them, one typing error in a
	// word of five letters and more is forgiven. 24 words count.
	Text    string
	Filters []Filter
	// Currency keeps listings sold in it; "" is all.
	Currency string
	// PriceMin and PriceMax are inclusive, in minor units of Currency; 0 is no bound.
	PriceMin int64
	PriceMax int64
	Sort     Sort
	// Group gives one listing of each family, the cheapest of those that stand first, and counts families everywhere.
	Group bool
	// PageSize is 1 to MaxPageSize; 0 is DefaultPageSize.
	PageSize  int
	PageToken string
}

const (
	DefaultPageSize = 24
	MaxPageSize     = 100
)

// Result is one page.
type Result struct {
	IDs []string
	// Variants are, in a grouped result, how many listings of the family of each id stand as well as it; none is cheaper.
	Variants []int
	// Facets are counted over all results, each without its own filter.
	Facets []Facet
	Total  int64
	// NextPageToken is "" on the last page.
	NextPageToken string
}

// Facet with its values, most frequent first; price ranges ascending ("1000-1999", without an end "5000-").
type Facet struct {
	Name   string
	Values []FacetValue
}

// FacetValue is how many results there would be with this value chosen.
type FacetValue struct {
	Value string
	Count int64
}

// compiled is a query in the form that segments and delta are asked with.
type compiled struct {
	Query
	pattern
	filters [stored][][]string
	// after is the last listing of the page before; nil on the first.
	after *key
	size  int
	hash  uint32
}

// key is where a listing stands in a sort.
type key struct {
	tier  uint8
	price int64
	name  string
	id    string
	// family is not part of the order.
	family uint32
}

func compile(q Query) (*compiled, error) {
	c := &compiled{Query: q, size: q.PageSize}
	switch {
	case c.size == 0:
		c.size = DefaultPageSize
	case c.size < 0 || c.size > MaxPageSize:
		return nil, fault.New(fault.Invalid, "page_size_invalid", "a page has 1 to %d listings", MaxPageSize).At("page_size")
	}
	if q.Sort > PriceDesc {
		return nil, fault.New(fault.Invalid, "sort_unknown", "there is no such sort").At("sort")
	}
	if q.Currency == "" && (q.Sort == PriceAsc || q.Sort == PriceDesc || q.PriceMin != 0 || q.PriceMax != 0) {
		return nil, fault.New(fault.Invalid, "currency_required", "prices are compared within one currency").At("currency")
	}
	if q.PriceMin < 0 || q.PriceMax < 0 {
		return nil, fault.New(fault.Invalid, "price_range_invalid", "a price range is not negative").At("price_min")
	}
	for _, f := range q.Filters {
		n := slices.Index([]string{FacetCategory, FacetRegion, FacetCountry, FacetCertification, FacetAvailability}, f.Facet)
		if n < 0 {
			return nil, fault.New(fault.Invalid, "facet_unknown", "there is no facet of this name to filter by").At("filters")
		}
		c.filters[n] = append(c.filters[n], f.Values)
	}
	c.pattern = newPattern(q.Text)
	if c.Sort == Relevance && len(c.words) == 0 {
		c.Sort = Name
	}
	c.hash = c.fingerprint()
	if q.PageToken != "" {
		after, ok := decodeToken(q.PageToken, c.hash)
		if !ok {
			return nil, fault.New(fault.Invalid, "page_token_invalid", "the page token is not of this query").At("page_token")
		}
		c.after = &after
	}
	return c, nil
}

// fingerprint tells queries apart whose pages do not follow each other.
func (c *compiled) fingerprint() uint32 {
	h := fnv.New32a()
	put := func(parts ...string) {
		for _, p := range parts {
			_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(p))))
			_, _ = h.Write([]byte(p))
		}
	}
	put(c.words...)
	for f := range c.filters {
		for _, values := range c.filters[f] {
			put(facetName(f))
			put(values...)
		}
	}
	if c.Group {
		put("group")
	}
	put(c.Currency, string(binary.AppendVarint(binary.AppendVarint([]byte{byte(c.Sort)}, c.PriceMin), c.PriceMax)))
	return h.Sum32()
}

func (k key) token(hash uint32) string {
	b := binary.BigEndian.AppendUint32(nil, hash)
	b = append(b, k.tier)
	b = binary.AppendVarint(b, k.price)
	b = binary.AppendUvarint(b, uint64(len(k.name)))
	b = append(b, k.name...)
	b = append(b, k.id...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeToken(s string, hash uint32) (key, bool) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 6 || binary.BigEndian.Uint32(b) != hash {
		return key{}, false
	}
	k := key{tier: b[4]}
	b = b[5:]
	var n int
	if k.price, n = binary.Varint(b); n <= 0 {
		return key{}, false
	}
	b = b[n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > maxKey || uint64(len(b)-n) < size {
		return key{}, false
	}
	k.name, k.id = string(b[n:n+int(size)]), string(b[n+int(size):])
	return k, true
}

// compare orders two listings in the query's sort.
func (c *compiled) compare(a, b key) int {
	if a.tier != b.tier {
		return int(a.tier) - int(b.tier)
	}
	switch c.Sort {
	case PriceAsc, PriceDesc:
		n := 0
		if a.price != b.price {
			n = 1
			if a.price < b.price {
				n = -1
			}
		} else {
			n = strings.Compare(a.id, b.id)
		}
		if c.Sort == PriceDesc {
			return -n
		}
		return n
	}
	if n := strings.Compare(a.name, b.name); n != 0 {
		return n
	}
	return strings.Compare(a.id, b.id)
}

// isAfter reports whether a listing comes after the page before.
func (c *compiled) isAfter(k key) bool { return c.after == nil || c.compare(k, *c.after) > 0 }

func (c *compiled) inPrice(p int64) bool {
	return p >= c.PriceMin && (c.PriceMax == 0 || p <= c.PriceMax)
}
