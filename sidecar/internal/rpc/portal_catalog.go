package rpc

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// portalCatalog implements hanse.portal.v1.CatalogService.
type portalCatalog struct{ shop Shop }

// SearchListings implements portalv1connect.CatalogServiceHandler.
func (h *portalCatalog) SearchListings(ctx context.Context, req *connect.Request[portalv1.SearchListingsRequest]) (*connect.Response[portalv1.SearchListingsResponse], error) {
	q, err := listingQuery(req.Msg)
	if err != nil {
		return nil, err
	}
	result, err := h.shop.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.SearchListingsResponse{
		Listings: eachOf(result.Listings, listingSummary),
		Facets: eachOf(result.Facets, func(f Facet) *portalv1.Facet {
			return &portalv1.Facet{Facet: f.Name, Values: eachOf(f.Values, func(v FacetCount) *portalv1.FacetValue {
				return &portalv1.FacetValue{Value: v.Value, Count: v.Count}
			})}
		}),
		Total: result.Total, NextPageToken: result.Next,
	}), nil
}

func listingQuery(m *portalv1.SearchListingsRequest) (ListingQuery, error) {
	q := ListingQuery{
		Text: m.GetQuery(), Currency: m.GetCurrency(), PriceMin: m.GetPriceMin(), PriceMax: m.GetPriceMax(),
		PageToken: m.GetPageToken(), Limit: pageSize(m.GetPageSize(), defaultListings),
	}
	switch m.GetSort() {
	case portalv1.ListingSort_LISTING_SORT_NAME:
		q.Sort = SortName
	case portalv1.ListingSort_LISTING_SORT_PRICE_ASC:
		q.Sort = SortPriceAsc
	case portalv1.ListingSort_LISTING_SORT_PRICE_DESC:
		q.Sort = SortPriceDesc
	}
	priced := q.PriceMin > 0 || q.PriceMax > 0 || q.Sort == SortPriceAsc || q.Sort == SortPriceDesc
	if priced && q.Currency == "" {
		return q, fault.New(fault.Invalid, "currency_missing", "prices compare within one currency only").At("currency").
			Do("name the currency of the price range or sort")
	}
	if q.PriceMax > 0 && q.PriceMin > q.PriceMax {
		return q, fault.New(fault.Invalid, "price_range", "the price range is empty").At("price_max")
	}
	for i, f := range m.GetFilters() {
		if _, twice := q.Filters[f.GetFacet()]; twice {
			return q, fault.New(fault.Invalid, "facet_twice", "facet %s is filtered twice", f.GetFacet()).At(fmt.Sprintf("filters[%d].facet", i))
		}
		if q.Filters == nil {
			q.Filters = make(map[string][]string)
		}
		q.Filters[f.GetFacet()] = f.GetValues()
	}
	return q, nil
}

// GetListing implements portalv1connect.CatalogServiceHandler.
func (h *portalCatalog) GetListing(ctx context.Context, req *connect.Request[portalv1.GetListingRequest]) (*connect.Response[portalv1.GetListingResponse], error) {
	d, err := h.shop.Listing(ctx, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	prices := make([]*typev1.PriceComponent, 0, len(d.Prices))
	for _, c := range d.Prices {
		p, err := priceComponent(c, d.Headline.Currency)
		if err != nil {
			return nil, fmt.Errorf("show listing %s: %w", d.ID, err)
		}
		prices = append(prices, p)
	}
	return connect.NewResponse(&portalv1.GetListingResponse{Listing: &portalv1.Listing{
		Summary: listingSummary(d.ListingCard), Description: d.Description, Prices: prices,
		InputsSchema: string(d.InputsSchema), Digest: d.Digest,
	}}), nil
}

func listingSummary(c ListingCard) *portalv1.ListingSummary {
	return &portalv1.ListingSummary{
		Id: c.ID, Name: c.Name, Summary: c.Summary, Category: c.Category, Region: c.Region, Country: c.Country,
		Certifications: c.Certifications, HeadlinePrice: amount(&c.Headline), HeadlinePer: c.Per,
	}
}

var priceKinds = map[catalog.PriceKind]typev1.PriceKind{
	catalog.OneOff:    typev1.PriceKind_PRICE_KIND_ONE_OFF,
	catalog.Recurring: typev1.PriceKind_PRICE_KIND_RECURRING,
	catalog.Usage:     typev1.PriceKind_PRICE_KIND_USAGE,
}

func priceComponent(c catalog.PriceComponent, currency string) (*typev1.PriceComponent, error) {
	out := &typev1.PriceComponent{Id: c.ID, Name: c.Name, Kind: priceKinds[c.Kind], Period: c.Period, Unit: c.Unit}
	if len(c.Tiers) == 0 {
		price, err := c.ListPrice(currency)
		if err != nil {
			return nil, err
		}
		out.Price = unitPrice(price)
		return out, nil
	}
	for _, tier := range c.Tiers {
		price, err := money.ParseUnitPrice(tier.Amount, currency)
		if err != nil {
			return nil, err
		}
		out.Tiers = append(out.Tiers, &typev1.PriceTier{UpTo: tier.UpTo, Price: unitPrice(price)})
	}
	return out, nil
}
