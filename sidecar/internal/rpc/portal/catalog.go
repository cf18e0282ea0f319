package portal

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
	"github.com/hanse-market/hanse/sidecar/internal/search"
)

// catalogService implements hanse.portal.v1.CatalogService.
type catalogService struct{ shop Shop }

// SearchListings implements portalv1connect.CatalogServiceHandler.
func (h *catalogService) SearchListings(ctx context.Context, req *connect.Request[portalv1.SearchListingsRequest]) (*connect.Response[portalv1.SearchListingsResponse], error) {
	page, err := h.shop.Search(ctx, searchQuery(req.Msg))
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&portalv1.SearchListingsResponse{
		Listings: gate.Each(page.Listings, listingSummary),
		Facets: gate.Each(page.Facets, func(f search.Facet) *portalv1.Facet {
			return &portalv1.Facet{Facet: f.Name, Values: gate.Each(f.Values, func(v search.FacetValue) *portalv1.FacetValue {
				return &portalv1.FacetValue{Value: v.Value, Count: v.Count}
			})}
		}),
		Total: page.Total, NextPageToken: page.NextPageToken,
	}), nil
}

var sorts = map[portalv1.ListingSort]search.Sort{
	portalv1.ListingSort_LISTING_SORT_UNSPECIFIED: search.Relevance,
	portalv1.ListingSort_LISTING_SORT_NAME:        search.Name,
	portalv1.ListingSort_LISTING_SORT_PRICE_ASC:   search.PriceAsc,
	portalv1.ListingSort_LISTING_SORT_PRICE_DESC:  search.PriceDesc,
}

// searchQuery converts; what does not fit together, the search refuses.
func searchQuery(m *portalv1.SearchListingsRequest) search.Query {
	return search.Query{
		Text: m.GetQuery(), Currency: m.GetCurrency(), PriceMin: m.GetPriceMin(), PriceMax: m.GetPriceMax(),
		Sort: sorts[m.GetSort()], Group: m.GetGroup(), PageToken: m.GetPageToken(), PageSize: gate.PageSize(m.GetPageSize(), gate.ListingsPage),
		Filters: gate.Each(m.GetFilters(), func(f *portalv1.FacetFilter) search.Filter {
			return search.Filter{Facet: f.GetFacet(), Values: f.GetValues()}
		}),
	}
}

// GetListing implements portalv1connect.CatalogServiceHandler.
func (h *catalogService) GetListing(ctx context.Context, req *connect.Request[portalv1.GetListingRequest]) (*connect.Response[portalv1.GetListingResponse], error) {
	v, variants, err := h.shop.Get(ctx, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	prices := make([]*typev1.PriceComponent, 0, len(v.Prices))
	for _, c := range v.Prices {
		p, err := priceComponent(c, v.Currency)
		if err != nil {
			return nil, fmt.Errorf("show listing %s: %w", v.ID, err)
		}
		prices = append(prices, p)
	}
	return connect.NewResponse(&portalv1.GetListingResponse{Listing: &portalv1.Listing{
		Summary: listingSummary(v), Description: v.Description, Prices: prices, InputsSchema: string(v.InputsSchema), Digest: v.Digest, MaxQuantity: v.MaxQuantity,
		Variants: gate.Each(variants, listingSummary),
	}}), nil
}

// listingSummary leaves out whose offering it is.
func listingSummary(v listing.View) *portalv1.ListingSummary {
	out := &portalv1.ListingSummary{
		Id: v.ID, Name: v.Name, Summary: v.Summary, Category: v.Category, Region: v.Region, Country: v.Country,
		Certifications: v.Certifications, Family: v.Family, Plan: v.Plan, Variants: int32(v.Variants),
		HeadlinePrice: gate.Amount(&v.Headline.Amount), HeadlinePer: v.Headline.Per, HeadlineFrom: v.Headline.From,
		SetupPrice: gate.Amount(v.Headline.Setup), Orderable: v.Orderable(), Availability: string(v.Availability),
	}
	if v.Headline.Rate != nil {
		out.HeadlineRate = gate.UnitPrice(*v.Headline.Rate)
	}
	return out
}

var priceKinds = map[price.Kind]typev1.PriceKind{
	price.OneOff:    typev1.PriceKind_PRICE_KIND_ONE_OFF,
	price.Recurring: typev1.PriceKind_PRICE_KIND_RECURRING,
	price.Usage:     typev1.PriceKind_PRICE_KIND_USAGE,
}

func priceComponent(c price.Component, currency string) (*typev1.PriceComponent, error) {
	out := &typev1.PriceComponent{Id: c.ID, Name: c.Name, Kind: priceKinds[c.Kind], Period: c.Period, Unit: c.Unit}
	if len(c.Tiers) == 0 {
		price, err := c.ListPrice(currency)
		if err != nil {
			return nil, err
		}
		out.Price = gate.UnitPrice(price)
		return out, nil
	}
	for _, tier := range c.Tiers {
		price, err := money.ParseUnitPrice(tier.Amount, currency)
		if err != nil {
			return nil, err
		}
		out.Tiers = append(out.Tiers, &typev1.PriceTier{UpTo: tier.UpTo, Price: gate.UnitPrice(price)})
	}
	return out, nil
}
