package rpc

import (
	"context"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

type (
	// Shop is what a portal may show: visible listings at retail prices.
	Shop interface {
		Search(ctx context.Context, q ListingQuery) (ListingResult, error)
		// Listing reads one visible listing; fault.NotFound listing_not_found.
		Listing(ctx context.Context, id string) (ListingDetail, error)
	}

	// Offerings keeps what this member sells.
	Offerings interface {
		Apply(ctx context.Context, yaml []byte, dryRun bool) (catalog.Result, []catalog.ApplyError, error)
		List(ctx context.Context, pageToken string, limit int) ([]catalog.Offering, string, error)
		Get(ctx context.Context, id string) (catalog.Offering, error)
	}

	// Listings keeps how this member shows and prices its partners' offerings.
	Listings interface {
		// List pages through all listings, hidden ones too; partner "" is all partners.
		List(ctx context.Context, partner, pageToken string, limit int) ([]ManagedListing, string, error)
		// Update changes what is set; fault.NotFound listing_not_found.
		Update(ctx context.Context, id string, change ListingChange) (ManagedListing, error)
		// SetMarkup sets the markup of all listings (both empty), a partner's, or a category's.
		SetMarkup(ctx context.Context, partner, category string, markupBP int32) error
	}
)

// ListingQuery is a search.
type ListingQuery struct {
	Text string
	// Filters are values by facet; all facets must match, each with one of its values.
	Filters  map[string][]string
	Currency string
	// PriceMin and PriceMax are inclusive, in minor units of Currency; 0 is no bound.
	PriceMin, PriceMax int64
	Sort               ListingSort
	PageToken          string
	Limit              int
}

// ListingSort orders results.
type ListingSort string

// Sorts.
const (
	SortRelevance ListingSort = ""
	SortName      ListingSort = "name"
	SortPriceAsc  ListingSort = "price_asc"
	SortPriceDesc ListingSort = "price_desc"
)

// ListingResult is one page of results.
type ListingResult struct {
	Listings []ListingCard
	Facets   []Facet
	Total    int64
	Next     string
}

// Facet counts the values of one facet.
type Facet struct {
	Name   string
	Values []FacetCount
}

// FacetCount is how many results have a value.
type FacetCount struct {
	Value string
	Count int64
}

// ListingCard is a listing in a list.
type ListingCard struct {
	ID, Name, Summary, Category, Region, Country string
	Certifications                               []string
	// Headline is a retail amount, Per what it is for.
	Headline money.Amount
	Per      string
}

// ListingDetail is a listing on its own page.
type ListingDetail struct {
	ListingCard
	Description string
	// Prices are retail.
	Prices       []catalog.PriceComponent
	InputsSchema []byte
	Digest       string
}

// ManagedListing is a listing as its operator sees it.
type ManagedListing struct {
	ID, Partner, OfferingID string
	Revision                int64
	Name, SupplierName      string
	Hidden, Orderable       bool
	MarkupBP                int32
	Wholesale, Retail       money.Amount
	Per                     string
}

// ListingChange is what an operator changes; nil leaves as it is, "" and -1 return to the supplier's and to the rule.
type ListingChange struct {
	Name, Summary, Description *string
	Hidden                     *bool
	MarkupBP                   *int32
}
