package sdk

import (
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
)

// The messages of the Portal API under short names, so that a portal imports this package only.
type (
	Amount         = typev1.Amount
	UnitPrice      = typev1.UnitPrice
	PriceComponent = typev1.PriceComponent

	SearchRequest  = portalv1.SearchListingsRequest
	SearchResponse = portalv1.SearchListingsResponse
	FacetFilter    = portalv1.FacetFilter
	Facet          = portalv1.Facet
	ListingSummary = portalv1.ListingSummary
	Listing        = portalv1.Listing

	OrderRequest = portalv1.PlaceOrderRequest
	OrderItem    = portalv1.OrderItem
	Order        = portalv1.Order
	OrderLine    = portalv1.OrderLine
	OrderEvent   = portalv1.OrderEvent

	Subscription = portalv1.Subscription
	AccessField  = portalv1.AccessField
)

// What an order item does, and how search results are sorted.
const (
	ActionAdd    = typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD
	ActionDelete = typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE

	SortRelevance = portalv1.ListingSort_LISTING_SORT_UNSPECIFIED
	SortName      = portalv1.ListingSort_LISTING_SORT_NAME
	SortPriceAsc  = portalv1.ListingSort_LISTING_SORT_PRICE_ASC
	SortPriceDesc = portalv1.ListingSort_LISTING_SORT_PRICE_DESC
)
