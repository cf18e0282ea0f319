package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
)

// Effects is what an agreement changes once it is active, and what it leaves unsold.
type Effects struct {
	// Offerings are how many are sold under it, of those that are known here: those in its currency.
	Offerings int64
	// Replaces is the deal in the same currency whose place it takes for new orders; nil where there is none.
	Replaces *agreement.Agreement
	// Unsold is what is not sold with it either, by currency. What is sold before stays sold: each currency has its own deal.
	Unsold []Unsold
	// ApprovesKey is the thumbprint of the other's business key where signing is our word for a member that waits for it; else "".
	ApprovesKey string
}

// Unsold are offerings in one currency that are not sold, and why.
type Unsold struct {
	Currency  string
	Offerings int64
	Reason    string
	Cause     string
}

const effectsPage = 500

// OfferEffects tells what an agreement in a currency that we offer a reseller would change.
func (d *Desk) OfferEffects(ctx context.Context, reseller, currency string) (e Effects, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		priced := map[string]int64{}
		for after := ""; ; {
			page, err := tx.Catalog().List(after, effectsPage)
			if err != nil {
				return err
			}
			for _, o := range page {
				if after = o.ID; o.State.Visible() {
					priced[o.Currency]++
				}
			}
			if len(page) < effectsPage {
				break
			}
		}
		pair, err := tx.Agreements().Between(d.Self, reseller)
		if err != nil {
			return err
		}
		e = effects(priced, agreement.DealsOf(pair), currency, reseller)
		e.ApprovesKey, err = approves(tx, reseller)
		return err
	})
	return e, err
}

// AcceptEffects tells what a supplier's agreement in a currency would change here once we accept it. What the supplier sells in a
// currency that was never agreed is not known here.
func (d *Desk) AcceptEffects(ctx context.Context, supplier, currency string) (e Effects, err error) {
	err = d.Work.View(ctx, func(tx Tx) error {
		priced := map[string]int64{}
		if err := known(tx, supplier, func(doc catalog.Document) { priced[doc.Currency]++ }); err != nil {
			return err
		}
		pair, err := tx.Agreements().Between(supplier, d.Self)
		if err != nil {
			return err
		}
		e = effects(priced, agreement.DealsOf(pair), currency, supplier)
		e.ApprovesKey, err = approves(tx, supplier)
		return err
	})
	return e, err
}

// approves is the key of a member that waits for our word.
func approves(tx Tx, origin string) (string, error) {
	p, err := tx.Partners().Get(origin)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil || p.State != member.Pending {
		return "", err
	}
	return p.Thumbprint, nil
}

// known goes through what a supplier published for us and has for sale.
func known(tx Tx, supplier string, use func(catalog.Document)) error {
	for after := ""; ; {
		page, err := tx.Catalog().ListForeign(supplier, after, effectsPage)
		if err != nil {
			return err
		}
		for _, f := range page {
			if f.Partner != supplier {
				return nil
			}
			after = f.ID
			doc, err := catalog.Known(f.Document)
			if err != nil {
				return fmt.Errorf("offering %s of %s: %w", f.ID, f.Partner, err)
			}
			if doc.State.Visible() {
				use(doc)
			}
		}
		if len(page) < effectsPage {
			return nil
		}
	}
}

func effects(priced map[string]int64, deals agreement.Deals, currency, with string) Effects {
	e := Effects{Offerings: priced[currency]}
	if before, has := deals[currency]; has {
		e.Replaces = &before
	}
	for _, c := range slices.Sorted(maps.Keys(priced)) {
		if _, agreed := deals[c]; agreed || c == currency {
			continue
		}
		e.Unsold = append(e.Unsold, Unsold{
			Currency: c, Offerings: priced[c], Reason: "currency_not_agreed", Cause: fmt.Sprintf("nothing is agreed with %s in %s", with, c),
		})
	}
	return e
}
