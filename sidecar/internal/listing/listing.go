package listing

import "github.com/hanse-market/hanse/sidecar/internal/catalog"

// Override is what the reseller changed about one offering; it survives upstream changes.
type Override struct {
	// ListingID is ID(partner, offering id).
	ListingID  string
	Partner    string
	OfferingID string
	// nil keeps the supplier's.
	Name        *string
	Summary     *string
	Description *string
	Hidden      bool
	// MarkupBP overrides the rules; nil follows them.
	MarkupBP *int32
	Version  int64
}

// Rule is a markup in hundredths of a percent for all listings (both empty), a partner's, or a category's.
type Rule struct {
	Partner  string
	Category string
	MarkupBP int32
}

// Store keeps overrides and rules.
type Store interface {
	// Override reads one; the zero Override with the ids set where there is none.
	Override(listingID string) (Override, error)
	Overrides() ([]Override, error)
	// PutOverride inserts or compares and swaps; fault.Conflict.
	PutOverride(Override) (Override, error)
	Rules() ([]Rule, error)
	PutRule(Rule) error
}

// ID is the listing of a partner's offering.
func ID(partner, offeringID string) string { return catalog.ListingID(partner, offeringID) }
