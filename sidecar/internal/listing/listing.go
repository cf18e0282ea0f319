package listing

import (
	"encoding/json"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/price"
)

// Override is what the reseller changed about one offering; it survives upstream changes.
type Override struct {
	// ListingID is catalog.ListingID of partner and offering id.
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

// Rule is a markup in hundredths of a percent for all listings (both empty), a partner's, a category's, or a partner's in
// a category.
type Rule struct {
	Partner  string
	Category string
	MarkupBP int32
}

// View is a listing as customers see it.
type View struct {
	ID          string
	Partner     string
	OfferingID  string
	Revision    int64
	Name        string
	Summary     string
	Description string
	Category    string
	// Family and Plan are what the supplier calls the product and this variant of it; "" where it stands alone.
	Family         string
	Plan           string
	Region         string
	Country        string
	Certifications []string
	Currency       string
	// Prices are retail, exact.
	Prices []price.Component
	// Headline is what lists show.
	Headline     price.Headline
	InputsSchema json.RawMessage
	// MaxQuantity is how many pieces one order line may have, 1 or more.
	MaxQuantity int64
	// Digest names what the customer saw: name, prices and input schema. Hex.
	Digest       string
	Availability Availability
	Hidden       bool
	// Variants is, in a grouped search, how many listings of the family were found that stand as well as it.
	Variants int
}

// Orderable reports whether it can be ordered now.
func (v View) Orderable() bool { return v.Availability == Orderable }

// Availability says whether a listing can be ordered, and if not, why.
type Availability string

const (
	Orderable Availability = "orderable"
	// Announced comes later, OnHold may come again, EndOfSale will not.
	Announced Availability = "announced"
	OnHold    Availability = "onHold"
	EndOfSale Availability = "endOfSale"
)

// Detail is a listing as operators see it.
type Detail struct {
	View
	MarkupBP int32
	// Wholesale is what Headline is for us.
	Wholesale money.Amount
	// Unsold says why customers do not see it, hidden or not; nil where it is sold. It has no prices then.
	Unsold *Unsold
}

// Unsold is why an offering of a partner is not sold here.
type Unsold struct {
	// Reason is agreement_missing, currency_not_agreed, state_not_for_sale or price_overflow; Cause says it for people. What its
	// supplier took back is listed nowhere.
	Reason string
	Cause  string
}

// Offer is a listing with all that an order needs.
type Offer struct {
	ListingID string
	Name      string
	Digest    string
	MarkupBP  int32
	Orderable bool
	Partner   string
	Foreign   catalog.Foreign
	Document  catalog.Document
	Agreement agreement.Agreement
}

// Store keeps overrides and rules.
type Store interface {
	// OverridesOf reads those of the listing ids that have one, by listing id.
	OverridesOf(listingIDs []string) (map[string]Override, error)
	Overrides() ([]Override, error)
	// PutOverride inserts or compares and swaps; fault.Conflict.
	PutOverride(Override) (Override, error)
	Rules() ([]Rule, error)
	PutRule(Rule) error
}
