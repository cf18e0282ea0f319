package sdk

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
)

// Search finds one page of listings with facets and the total.
func (c *Client) Search(ctx context.Context, req *SearchRequest) (*SearchResponse, error) {
	return unary(ctx, c.retry, c.catalog.SearchListings, req)
}

// Listings walks all results of a search, page by page, and stops at the first error.
func (c *Client) Listings(ctx context.Context, req *SearchRequest) iter.Seq2[*ListingSummary, error] {
	return pages(func(token string) ([]*ListingSummary, string, error) {
		next := proto.CloneOf(req)
		if token != "" {
			next.PageToken = token
		}
		res, err := c.Search(ctx, next)
		return res.GetListings(), res.GetNextPageToken(), err
	})
}

// Listing reads one listing with its prices and input schema. Unknown: reason listing_not_found; not sold any more:
// listing_withdrawn.
func (c *Client) Listing(ctx context.Context, id string) (*Listing, error) {
	res, err := unary(ctx, c.retry, c.catalog.GetListing, &portalv1.GetListingRequest{Id: id})
	return res.GetListing(), err
}

// pages turns a paged read into a sequence.
func pages[T any](read func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := read(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}
