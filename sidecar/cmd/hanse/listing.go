package main

import (
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
)

type listingCmd struct {
	List   listingListCmd   `cmd:"" help:"List partners' offerings as shown here."`
	Update listingUpdateCmd `cmd:"" help:"Set the own name, text, visibility or markup of one listing."`
	Markup listingMarkupCmd `cmd:"" help:"Set the markup of all listings, of a partner's or of a category's."`
}

type listingListCmd struct {
	Partner string `placeholder:"ORIGIN" help:"Only this supplier's."`
	Limit   int    `default:"100" help:"At most this many."`
}

func (c *listingListCmd) Run(a *app) error {
	all := &operatorv1.ListListingsResponse{}
	err := pages(c.Limit, &all.NextPageToken, func(size int32, token string) (int, string, error) {
		res, err := call(a, operatorv1connect.NewListingServiceClient, operatorv1connect.ListingServiceClient.ListListings,
			&operatorv1.ListListingsRequest{Partner: c.Partner, PageSize: size, PageToken: token})
		all.Listings = append(all.Listings, res.GetListings()...)
		return len(res.GetListings()), res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	defer a.more(all.GetNextPageToken())
	return a.show(all, func(t *table) {
		t.row("ID", "NAME", "PARTNER", "OFFERING", "WHOLESALE", "MARKUP", "RETAIL", "PER", "ORDERABLE", "HIDDEN", "NOT SOLD BECAUSE")
		for _, l := range all.GetListings() {
			t.row(l.GetId(), l.GetName(), l.GetPartner(), l.GetOfferingId(), amount(l.GetWholesalePrice()), percent(l.GetMarkupBp()),
				amount(l.GetRetailPrice()), l.GetPer(), yesNo(l.GetOrderable()), yesNo(l.GetHidden()), l.GetUnsoldCause())
		}
	})
}

type listingUpdateCmd struct {
	ID          string       `arg:"" help:"The listing's id."`
	Name        *string      `help:"Own name; empty returns to the supplier's."`
	Summary     *string      `help:"Own summary; empty returns to the supplier's."`
	Description *string      `help:"Own description; empty returns to the supplier's."`
	Hide        bool         `xor:"visibility" help:"Do not show it to customers."`
	Show        bool         `xor:"visibility" help:"Show it to customers."`
	Markup      *percentFlag `xor:"markup" placeholder:"15%" help:"Own markup on top of wholesale."`
	NoMarkup    bool         `xor:"markup" help:"Return to the rule that listing markup set."`
}

func (c *listingUpdateCmd) Run(a *app) error {
	req := &operatorv1.UpdateListingRequest{Id: c.ID, Name: c.Name, Summary: c.Summary, Description: c.Description}
	if c.Hide || c.Show {
		req.Hidden = &c.Hide
	}
	if c.Markup != nil {
		req.MarkupBp = new(int32(*c.Markup))
	}
	if c.NoMarkup {
		req.MarkupBp = new(int32(-1))
	}
	res, err := call(a, operatorv1connect.NewListingServiceClient, operatorv1connect.ListingServiceClient.UpdateListing, req)
	if err != nil {
		return err
	}
	l := res.GetListing()
	return a.show(res, func(t *table) {
		t.fact("Listing", l.GetId())
		t.fact("Name", l.GetName())
		t.fact("Supplier", l.GetSupplierName())
		t.fact("Partner", l.GetPartner())
		t.fact("Offering", l.GetOfferingId())
		t.fact("Wholesale", amount(l.GetWholesalePrice()))
		t.fact("Markup", percent(l.GetMarkupBp()))
		t.fact("Retail", amount(l.GetRetailPrice()))
		t.fact("Per", l.GetPer())
		t.fact("Hidden", yesNo(l.GetHidden()))
		if l.GetUnsoldReason() != "" {
			t.fact("Not sold because", l.GetUnsoldCause())
		}
	})
}

type listingMarkupCmd struct {
	Markup   percentFlag `arg:"" help:"Percent on top of wholesale: 15%."`
	Partner  string      `placeholder:"ORIGIN" help:"Only this supplier's listings."`
	Category string      `help:"Only this category's listings."`
}

func (c *listingMarkupCmd) Run(a *app) error {
	res, err := call(a, operatorv1connect.NewListingServiceClient, operatorv1connect.ListingServiceClient.SetMarkup,
		&operatorv1.SetMarkupRequest{Partner: c.Partner, Category: c.Category, MarkupBp: int32(c.Markup)})
	if err != nil {
		return err
	}
	return a.show(res, func(t *table) {
		scope := "all listings"
		if c.Partner != "" {
			scope = "listings of " + c.Partner
		}
		if c.Category != "" {
			scope += " in " + c.Category
		}
		t.row("Markup of " + scope + ": " + percent(int32(c.Markup)))
	})
}
