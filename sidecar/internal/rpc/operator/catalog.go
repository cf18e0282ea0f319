package operator

import (
	"context"
	"encoding/hex"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/rpc/gate"
)

// offeringService implements hanse.operator.v1.OfferingService.
type offeringService struct {
	offerings Offerings
	desk      Desk
}

// ApplyOfferings implements operatorv1connect.OfferingServiceHandler. Mistakes in the YAML are the answer, not an error:
// there may be many, and each has its place in the file.
func (h *offeringService) ApplyOfferings(ctx context.Context, req *connect.Request[operatorv1.ApplyOfferingsRequest]) (*connect.Response[operatorv1.ApplyOfferingsResponse], error) {
	result, wrong, err := h.offerings.Apply(ctx, req.Msg.GetYaml(), catalog.Options{DryRun: req.Msg.GetDryRun(), Prune: req.Msg.GetPrune()})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.ApplyOfferingsResponse{
		Created: int32(result.Created), Updated: int32(result.Updated), Unchanged: int32(result.Unchanged),
		Withdrawn: int32(result.Withdrawn), Missing: int32(result.Missing), Changes: gate.Each(result.Changes, offeringChange),
		Errors: gate.Each(wrong, func(e catalog.ApplyError) *operatorv1.ApplyError {
			return &operatorv1.ApplyError{
				Document: int32(e.Document), Line: int32(e.Line), Column: int32(e.Column), Field: e.Field, Reason: e.Reason, Cause: e.Cause,
			}
		}),
	}), nil
}

func offeringChange(c catalog.Changed) *operatorv1.OfferingChange {
	return &operatorv1.OfferingChange{
		Id: c.ID, Name: c.Name, Verb: string(c.Verb),
		Fields: gate.Each(c.Fields, func(f catalog.FieldChange) *operatorv1.OfferingFieldChange {
			return &operatorv1.OfferingFieldChange{Field: f.Path, Before: f.Before, After: f.After}
		}),
	}
}

// ListOfferings implements operatorv1connect.OfferingServiceHandler.
func (h *offeringService) ListOfferings(ctx context.Context, req *connect.Request[operatorv1.ListOfferingsRequest]) (*connect.Response[operatorv1.ListOfferingsResponse], error) {
	list, next, err := h.desk.Offerings(ctx, req.Msg.GetPageToken(), gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	out := gate.Each(list, offeringOf)
	for _, o := range out {
		o.Document = nil
	}
	return connect.NewResponse(&operatorv1.ListOfferingsResponse{Offerings: out, NextPageToken: next}), nil
}

// GetOffering implements operatorv1connect.OfferingServiceHandler.
func (h *offeringService) GetOffering(ctx context.Context, req *connect.Request[operatorv1.GetOfferingRequest]) (*connect.Response[operatorv1.GetOfferingResponse], error) {
	o, err := h.desk.Offering(ctx, req.Msg.GetId())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.GetOfferingResponse{Offering: offeringOf(o)}), nil
}

// offeringOf leaves the binding out: it names connections and never leaves the sidecar.
func offeringOf(o catalog.Offering) *operatorv1.Offering {
	return &operatorv1.Offering{
		Id: o.ID, Name: o.Name, Category: o.Category, State: string(o.State), Revision: o.Revision,
		Digest: hex.EncodeToString(o.Digest[:]), Currency: o.Currency, Document: o.Document,
	}
}

// listingService implements hanse.operator.v1.ListingService.
type listingService struct {
	listings Listings
	partners Partners
}

// ListListings implements operatorv1connect.ListingServiceHandler.
func (h *listingService) ListListings(ctx context.Context, req *connect.Request[operatorv1.ListListingsRequest]) (*connect.Response[operatorv1.ListListingsResponse], error) {
	list, next, err := h.listings.List(ctx, req.Msg.GetPartner(), req.Msg.GetPageToken(), gate.PageSize(req.Msg.GetPageSize(), gate.OperatorPage))
	if err != nil {
		return nil, err
	}
	partners, err := h.partners.List(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[string]string, len(partners))
	for _, p := range partners {
		names[p.Origin] = p.Name
	}
	return connect.NewResponse(&operatorv1.ListListingsResponse{
		Listings: gate.Each(list, func(d listing.Detail) *operatorv1.Listing { return managedListing(d, names[d.Partner]) }), NextPageToken: next,
	}), nil
}

// UpdateListing implements operatorv1connect.ListingServiceHandler.
func (h *listingService) UpdateListing(ctx context.Context, req *connect.Request[operatorv1.UpdateListingRequest]) (*connect.Response[operatorv1.UpdateListingResponse], error) {
	d, err := h.listings.Update(ctx, req.Msg.GetId(), listing.Change{
		Name: req.Msg.Name, Summary: req.Msg.Summary, Description: req.Msg.Description, Hidden: req.Msg.Hidden, MarkupBP: req.Msg.MarkupBp,
	})
	if err != nil {
		return nil, err
	}
	p, err := h.partners.Get(ctx, d.Partner)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.UpdateListingResponse{Listing: managedListing(d, p.Name)}), nil
}

// SetMarkup implements operatorv1connect.ListingServiceHandler.
func (h *listingService) SetMarkup(ctx context.Context, req *connect.Request[operatorv1.SetMarkupRequest]) (*connect.Response[operatorv1.SetMarkupResponse], error) {
	rule := listing.Rule{Partner: req.Msg.GetPartner(), Category: req.Msg.GetCategory(), MarkupBP: req.Msg.GetMarkupBp()}
	if err := h.listings.SetMarkup(ctx, rule); err != nil {
		return nil, err
	}
	return connect.NewResponse(&operatorv1.SetMarkupResponse{}), nil
}

func managedListing(d listing.Detail, supplier string) *operatorv1.Listing {
	out := &operatorv1.Listing{
		Id: d.ID, Partner: d.Partner, OfferingId: d.OfferingID, OfferingRevision: d.Revision, Name: d.Name,
		SupplierName: supplier, Hidden: d.Hidden, MarkupBp: d.MarkupBP, Currency: d.Currency,
	}
	if d.Unsold != nil { // it has no price here, and a zero would be one
		out.UnsoldReason, out.UnsoldCause = d.Unsold.Reason, d.Unsold.Cause
		return out
	}
	out.WholesalePrice, out.RetailPrice, out.Per = gate.Amount(&d.Wholesale), gate.Amount(&d.Headline.Amount), d.Headline.Per
	out.Orderable = d.Orderable()
	return out
}
