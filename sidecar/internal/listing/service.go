package listing

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/search"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what one transaction gives to this package.
type Tx interface {
	Catalog() catalog.Store
	Listings() Store
	Agreements() agreement.Store
}

// Service shows and keeps the listings.
type Service struct {
	// Self is our own origin.
	Self string
	Work unit.Work[Tx]
	// Index answers Search; an Indexer feeds it.
	Index *search.Index
	Now   func() time.Time
}

func notFound() error {
	return fault.New(fault.NotFound, "listing_not_found", "there is no such listing")
}

func withdrawn() error {
	return fault.New(fault.NotFound, "listing_withdrawn", "the listing is not sold here any more")
}

// read finds one listing; fault.NotFound with reason listing_not_found.
func (s *Service) read(tx Tx, t terms, id string) (draft, error) {
	found, err := tx.Catalog().ForeignByListing([]string{id})
	if err != nil {
		return draft{}, err
	}
	if len(found) == 0 {
		return draft{}, notFound()
	}
	own, err := tx.Listings().OverridesOf([]string{id})
	if err != nil {
		return draft{}, err
	}
	return t.draft(found[0], own[id])
}

// sold is a listing as a customer may have it; fault.NotFound, listing_not_found, or listing_withdrawn for one that is hidden or
// not sold here now.
func (s *Service) sold(tx Tx, t terms, id string) (draft, error) {
	d, err := s.read(tx, t, id)
	if err == nil && (d.unsold != nil || d.override.Hidden) {
		err = withdrawn()
	}
	return d, err
}

// managed is a listing as an operator may have it; fault.NotFound, listing_not_found, or listing_withdrawn for an offering that its
// supplier took back.
func (s *Service) managed(tx Tx, t terms, id string) (draft, error) {
	d, err := s.read(tx, t, id)
	if err == nil && d.foreign.Tombstone {
		err = withdrawn()
	}
	return d, err
}

// MaxVariants is how many variants of a family Get gives.
const MaxVariants = 200

// Get reads one listing for a customer, and the listings of its family, itself among them, cheapest first and without prices,
// schema and digest: none where it stands alone. One that is hidden is not sold. Error: fault.NotFound, listing_not_found or listing_withdrawn.
func (s *Service) Get(ctx context.Context, id string) (v View, variants []View, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		d, err := s.sold(tx, t, id)
		if err != nil {
			return err
		}
		if v, err = d.view(s.Now()); err != nil || v.Family == "" {
			return err
		}
		variants, err = s.summaries(tx, t, s.Index.Family(id, MaxVariants))
		return err
	})
	if err != nil {
		return View{}, nil, fmt.Errorf("get listing %s: %w", id, err)
	}
	return v, variants, nil
}

// Offer reads one listing for an order, as Get does.
func (s *Service) Offer(ctx context.Context, id string) (Offer, error) {
	var o Offer
	err := s.Work.View(ctx, func(tx Tx) error {
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		d, err := s.sold(tx, t, id)
		if err != nil {
			return err
		}
		v, err := d.view(s.Now())
		o = Offer{
			ListingID: id, Name: v.Name, Digest: v.Digest, MarkupBP: d.markup, Orderable: v.Orderable(),
			Partner: d.foreign.Partner, Foreign: d.foreign, Document: d.doc, Agreement: d.deal,
		}
		return err
	})
	if err != nil {
		return Offer{}, fmt.Errorf("offer of listing %s: %w", id, err)
	}
	return o, nil
}

// Detail reads one listing for an operator, hidden or not, sold or not. Error: fault.NotFound, listing_not_found or listing_withdrawn.
func (s *Service) Detail(ctx context.Context, id string) (Detail, error) {
	var out Detail
	err := s.Work.View(ctx, func(tx Tx) error {
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		d, err := s.managed(tx, t, id)
		if err != nil {
			return err
		}
		out, err = d.detail(s.Now())
		return err
	})
	if err != nil {
		return Detail{}, fmt.Errorf("get listing %s: %w", id, err)
	}
	return out, nil
}

// Page is a page of search results.
type Page struct {
	// Listings have no prices but the headline, and neither schema nor digest: Get has.
	Listings      []View
	Facets        []search.Facet
	Total         int64
	NextPageToken string
}

// Search finds listings that customers see. The index may be a moment behind: what is gone meanwhile is left out.
func (s *Service) Search(ctx context.Context, q search.Query) (Page, error) {
	r, err := s.Index.Search(q)
	if err != nil {
		return Page{}, err
	}
	page := Page{Facets: r.Facets, Total: r.Total, NextPageToken: r.NextPageToken}
	if len(r.IDs) == 0 {
		return page, nil
	}
	err = s.Work.View(ctx, func(tx Tx) error {
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		page.Listings, err = s.summaries(tx, t, r.IDs)
		return err
	})
	for i, v := range page.Listings {
		if at := slices.Index(r.IDs, v.ID); at < len(r.Variants) {
			page.Listings[i].Variants = r.Variants[at]
		}
	}
	if err != nil {
		return Page{}, fmt.Errorf("search listings: %w", err)
	}
	return page, nil
}

// summaries are the listings of these ids that customers see now.
func (s *Service) summaries(tx Tx, t terms, ids []string) ([]View, error) {
	found, err := tx.Catalog().ForeignByListing(ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]catalog.Foreign, len(found))
	for _, f := range found {
		byID[f.Listing] = f
	}
	overrides, err := tx.Listings().OverridesOf(ids)
	if err != nil {
		return nil, err
	}
	var out []View
	for _, id := range ids {
		f, there := byID[id]
		if !there {
			continue
		}
		o := overrides[id]
		d, err := t.draft(f, o)
		if err != nil {
			return nil, err
		}
		if d.unsold != nil || o.Hidden {
			continue
		}
		v, err := d.summary(s.Now())
		if fault.Is(err, fault.Invalid) {
			continue // priced out of range; the index leaves it out too
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// DefaultPage is how many listings List returns where no limit is given.
const DefaultPage = 100

// List pages through all listings, or a partner's, for operators: what is not sold too, with the reason.
func (s *Service) List(ctx context.Context, partner, pageToken string, limit int) ([]Detail, string, error) {
	if limit <= 0 {
		limit = DefaultPage
	}
	afterPartner, afterID, err := decodeToken(pageToken)
	if err != nil {
		return nil, "", err
	}
	if partner != "" && afterPartner != partner {
		afterPartner, afterID = partner, ""
	}
	var out []Detail
	var next string
	err = s.Work.View(ctx, func(tx Tx) error {
		out, next = nil, ""
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		atPartner, atID := afterPartner, afterID
		for {
			page, err := tx.Catalog().ListForeign(atPartner, atID, limit+1)
			if err != nil {
				return err
			}
			overrides, err := tx.Listings().OverridesOf(listingIDs(page))
			if err != nil {
				return err
			}
			for _, f := range page {
				if partner != "" && f.Partner != partner {
					return nil
				}
				if len(out) == limit {
					next = encodeToken(atPartner, atID)
					return nil
				}
				d, err := t.draft(f, overrides[f.Listing])
				if err != nil {
					return err
				}
				shown, err := d.detail(s.Now())
				if err != nil {
					return err
				}
				out = append(out, shown)
				atPartner, atID = f.Partner, f.ID
			}
			if len(page) <= limit {
				return nil
			}
		}
	})
	if err != nil {
		return nil, "", fmt.Errorf("list listings: %w", err)
	}
	return out, next, nil
}

func listingIDs(page []catalog.Foreign) []string {
	ids := make([]string, len(page))
	for i, f := range page {
		ids[i] = f.Listing
	}
	return ids
}

func encodeToken(partner, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(partner + "\n" + id))
}

func decodeToken(s string) (partner, id string, err error) {
	if s == "" {
		return "", "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	partner, id, ok := strings.Cut(string(b), "\n")
	if err != nil || !ok {
		return "", "", fault.New(fault.Invalid, "page_token_invalid", "the page token is not of this list").At("page_token")
	}
	return partner, id, nil
}

// Change is what an operator changes of a listing; nil keeps.
type Change struct {
	// "" returns to the supplier's.
	Name        *string
	Summary     *string
	Description *string
	Hidden      *bool
	// Below 0 returns to the rules.
	MarkupBP *int32
}

// Update changes the own part of a listing. Errors: fault.NotFound, listing_not_found; fault.Invalid, text_invalid,
// markup_invalid or price_overflow.
func (s *Service) Update(ctx context.Context, id string, c Change) (Detail, error) {
	texts := []struct {
		field string
		text  **string
		most  int
		line  bool
	}{
		{"name", &c.Name, text.MaxName, true},
		{"summary", &c.Summary, text.MaxSummary, true},
		{"description", &c.Description, text.MaxDescription, false},
	}
	for _, t := range texts {
		clean, err := checkOwn(*t.text, t.most, t.line)
		if err != nil {
			return Detail{}, err.At(t.field)
		}
		*t.text = clean
	}
	if c.MarkupBP != nil && *c.MarkupBP > price.MaxMarkupBP {
		return Detail{}, fault.New(fault.Invalid, "markup_invalid", "a markup is at most %d basis points", price.MaxMarkupBP).At("markup_bp")
	}
	var out Detail
	err := s.Work.Do(ctx, func(tx Tx) error {
		t, err := readTerms(tx, s.Self)
		if err != nil {
			return err
		}
		d, err := s.managed(tx, t, id)
		if err != nil {
			return err
		}
		o := c.apply(d.override)
		o.ListingID, o.Partner, o.OfferingID = id, d.foreign.Partner, d.foreign.ID
		if _, err := tx.Listings().PutOverride(o); err != nil {
			return err
		}
		if d, err = s.managed(tx, t, id); err != nil {
			return err
		}
		out, err = d.detail(s.Now())
		return err
	})
	if err != nil {
		return Detail{}, fmt.Errorf("update listing %s: %w", id, err)
	}
	return out, nil
}

func checkOwn(written *string, most int, line bool) (*string, *fault.Error) {
	if written == nil {
		return nil, nil
	}
	clean, err := text.Check(*written)
	switch {
	case err != nil:
		return nil, fault.New(fault.Invalid, "text_invalid", "%s", err.Error())
	case utf8.RuneCountInString(clean) > most:
		return nil, fault.New(fault.Invalid, "text_invalid", "is longer than %d characters", most)
	case clean != "" && !text.Visible(clean):
		return nil, fault.New(fault.Invalid, "text_invalid", "has no character that people can see").
			Do("write one, or nothing at all to return to the supplier's text")
	case line && strings.ContainsAny(clean, "\n\t"):
		return nil, fault.New(fault.Invalid, "text_invalid", "must be one line")
	}
	return &clean, nil
}

func (c Change) apply(o Override) Override {
	set := func(to **string, v *string) {
		switch {
		case v == nil:
		case *v == "":
			*to = nil
		default:
			*to = v
		}
	}
	set(&o.Name, c.Name)
	set(&o.Summary, c.Summary)
	set(&o.Description, c.Description)
	if c.Hidden != nil {
		o.Hidden = *c.Hidden
	}
	if c.MarkupBP != nil {
		if o.MarkupBP = nil; *c.MarkupBP >= 0 {
			o.MarkupBP = c.MarkupBP
		}
	}
	return o
}

// SetMarkup sets a rule. Error: fault.Invalid, markup_invalid.
func (s *Service) SetMarkup(ctx context.Context, r Rule) error {
	if r.MarkupBP < 0 || r.MarkupBP > price.MaxMarkupBP {
		return fault.New(fault.Invalid, "markup_invalid", "a markup is 0 to %d basis points", price.MaxMarkupBP).At("markup_bp")
	}
	err := s.Work.Do(ctx, func(tx Tx) error {
		return tx.Listings().PutRule(r)
	})
	if err != nil {
		return fmt.Errorf("set markup: %w", err)
	}
	return nil
}
