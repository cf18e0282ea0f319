package listing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// terms are what all listings depend on: our markup rules and our deals by supplier.
type terms struct {
	rules map[Rule]int32
	deals map[string]agreement.Deals
}

func readTerms(tx Tx, self string) (terms, error) {
	t := terms{rules: map[Rule]int32{}, deals: map[string]agreement.Deals{}}
	rules, err := tx.Listings().Rules()
	if err != nil {
		return terms{}, err
	}
	for _, r := range rules {
		t.rules[Rule{Partner: r.Partner, Category: r.Category}] = r.MarkupBP
	}
	all, err := tx.Agreements().List()
	if err != nil {
		return terms{}, err
	}
	bought := map[string][]agreement.Agreement{}
	for _, a := range all {
		if a.Reseller == self {
			bought[a.Supplier] = append(bought[a.Supplier], a)
		}
	}
	for supplier, pair := range bought {
		t.deals[supplier] = agreement.DealsOf(pair)
	}
	return t, nil
}

// fingerprint changes when any listing may look different because of the terms.
func (t terms) fingerprint() string {
	s := fmt.Sprint(t.rules) // maps print in the order of their keys
	deals := map[string]string{}
	for partner, in := range t.deals {
		for currency, a := range in {
			deals[partner+" "+currency] = fmt.Sprintf("%s %d", a.ID, a.Terms.WholesaleDiscountBP)
		}
	}
	return s + fmt.Sprint(deals)
}

// markup is the most specific rule's: the listing's own, the partner's in the category, the category's, the partner's,
// the one for all.
func (t terms) markup(o Override, partner, category string) int32 {
	if o.MarkupBP != nil {
		return *o.MarkupBP
	}
	for _, r := range []Rule{
		{Partner: partner, Category: category}, {Category: category}, {Partner: partner}, {},
	} {
		if bp, has := t.rules[r]; has {
			return bp
		}
	}
	return 0
}

// draft is an offering on its way to a view.
type draft struct {
	foreign  catalog.Foreign
	doc      catalog.Document
	deal     agreement.Agreement
	override Override
	markup   int32
	// unsold says why customers do not see it; nil where they do, if it is not hidden.
	unsold *Unsold
}

// draft makes the draft of an offering. The document was checked when it came in.
func (t terms) draft(f catalog.Foreign, o Override) (draft, error) {
	if f.Tombstone {
		return draft{foreign: f, override: o, unsold: &Unsold{"withdrawn", f.Partner + " does not offer it any more"}}, nil
	}
	doc, err := catalog.Known(f.Document)
	if err != nil {
		return draft{}, fmt.Errorf("offering %s of %s: %w", f.ID, f.Partner, err)
	}
	return t.drafted(f, doc, o), nil
}

// drafted is the draft of an offering whose document is read already.
func (t terms) drafted(f catalog.Foreign, doc catalog.Document, o Override) draft {
	d := draft{foreign: f, doc: doc, override: o}
	var agreed bool
	d.deal, agreed = t.deals[f.Partner][d.doc.Currency]
	switch {
	case len(t.deals[f.Partner]) == 0:
		d.unsold = &Unsold{"agreement_missing", "there is no active agreement with " + f.Partner}
	case !agreed:
		d.unsold = &Unsold{"currency_not_agreed", fmt.Sprintf("it is priced in %s, and what is agreed with %s is in %s",
			d.doc.Currency, f.Partner, strings.Join(slices.Sorted(maps.Keys(t.deals[f.Partner])), ", "))}
	case !d.doc.State.Visible():
		d.unsold = &Unsold{"state_not_for_sale", f.Partner + " has it in state " + string(d.doc.State)}
	}
	d.markup = t.markup(o, f.Partner, text.CleanLine(d.doc.Category, text.MaxLabel))
	return d
}

// terms are what its retail price is made with.
func (d draft) terms() price.Terms {
	return price.Terms{DiscountBP: d.deal.Terms.WholesaleDiscountBP, MarkupBP: d.markup}
}

// texts are a view without any price, schema and digest.
func (d draft) texts(now time.Time) View {
	doc := d.doc
	v := View{
		ID: d.foreign.Listing, Partner: d.foreign.Partner, OfferingID: d.foreign.ID, Revision: d.foreign.Revision,
		Name:         own(d.override.Name, text.CleanLine(doc.Name, text.MaxName)),
		Summary:      own(d.override.Summary, text.CleanLine(doc.Summary, text.MaxSummary)),
		Description:  own(d.override.Description, text.Clean(doc.Description, text.MaxDescription)),
		Category:     text.CleanLine(doc.Category, text.MaxLabel),
		Family:       text.CleanLine(doc.Family, text.MaxLabel),
		Plan:         text.CleanLine(doc.Plan, text.MaxLabel),
		Region:       text.CleanLine(doc.Region, text.MaxLabel),
		Country:      text.CleanLine(doc.Country, 2),
		Currency:     doc.Currency,
		Availability: availability(doc, now),
		Hidden:       d.override.Hidden,
	}
	if d.override.Name != nil {
		v.Family, v.Plan = "", "" // what we call by a name of its own stands alone
	}
	for _, c := range doc.Certifications {
		v.Certifications = append(v.Certifications, text.CleanLine(c, text.MaxLabel))
	}
	return v
}

// summary is a view without prices, schema and digest: what the index takes.
func (d draft) summary(now time.Time) (View, error) {
	v := d.texts(now)
	var err error
	v.Headline, err = d.doc.PriceList().Headline(d.terms())
	v.Headline.Per = text.CleanLine(v.Headline.Per, text.MaxUnit)
	return v, err
}

// availability of an offering whose state is visible.
func availability(doc catalog.Document, now time.Time) Availability {
	switch doc.State {
	case catalog.Announced:
		return Announced
	case catalog.EndOfSale:
		return EndOfSale
	case catalog.Orderable:
		if doc.OrderableUntil == nil || now.Before(*doc.OrderableUntil) {
			return Orderable
		}
	}
	return OnHold
}

// family names a listing's family for the index: what one supplier calls one product, sold in one currency.
func (v View) family() string {
	if v.Family == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(v.Partner + "\n" + v.Currency + "\n" + v.Family))
	return hex.EncodeToString(sum[:12])
}

// view is all of it.
func (d draft) view(now time.Time) (View, error) {
	v, err := d.summary(now)
	if err != nil {
		return View{}, err
	}
	if v.Prices, err = d.doc.PriceList().Retail(d.terms()); err != nil {
		return View{}, err
	}
	for i := range v.Prices {
		v.Prices[i].Name = text.CleanLine(v.Prices[i].Name, text.MaxName)
		v.Prices[i].Unit = text.CleanLine(v.Prices[i].Unit, text.MaxUnit)
	}
	v.InputsSchema, v.MaxQuantity = d.doc.Inputs, d.doc.Most()
	seen, err := json.Marshal(struct {
		Name     string            `json:"name"`
		Currency string            `json:"currency"`
		Prices   []price.Component `json:"prices"`
		Inputs   json.RawMessage   `json:"inputs"`
	}{v.Name, v.Currency, v.Prices, v.InputsSchema})
	if err != nil {
		return View{}, err
	}
	sum := sha256.Sum256(seen)
	v.Digest = hex.EncodeToString(sum[:])
	return v, nil
}

// detail is the view of what is sold, and of what is not, its texts with the reason; a price that cannot be counted is one.
func (d draft) detail(now time.Time) (Detail, error) {
	out := Detail{MarkupBP: d.markup, Unsold: d.unsold}
	if d.unsold != nil {
		out.View = d.texts(now)
		return out, nil
	}
	v, err := d.view(now)
	if fault.Is(err, fault.Invalid) {
		out.View, out.Unsold = d.texts(now), &Unsold{fault.ReasonOf(err), err.Error()}
		return out, nil
	}
	if err != nil {
		return Detail{}, err
	}
	out.View = v
	wholesale, err := d.doc.PriceList().Headline(price.Terms{DiscountBP: d.deal.Terms.WholesaleDiscountBP})
	out.Wholesale = wholesale.Amount
	return out, err
}

func own(override *string, supplier string) string {
	if override != nil {
		return *override
	}
	return supplier
}
