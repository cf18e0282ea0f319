package operator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestAnOperatorSeesWhatAnAgreementChangesBeforeItDoes on both sides: what is sold, on which other terms than now, and what is not.
func TestAnOperatorSeesWhatAnAgreementChangesBeforeItDoes(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	m.Do(func(tx *store.Tx) error {
		for id, currency := range map[string]string{"a": "EUR", "b": "EUR", "c": "USD", "d": "SEK", "e": "SEK"} {
			state := catalog.Orderable
			if id == "e" {
				state = catalog.Obsolete
			}
			if err := tx.Catalog().PutRevision(catalog.Offering{ID: id, Revision: 1, Currency: currency, State: state}); err != nil {
				return err
			}
			if id == "d" { // what one published for us
				continue
			}
			if _, err := tx.Catalog().PutForeign(catalog.Foreign{
				Partner: one, ID: id, Listing: catalog.ListingID(one, id), Revision: 1, Document: []byte(`{"currency":"` + currency + `","state":"` + string(state) + `"}`),
			}); err != nil {
				return err
			}
		}
		for _, a := range []agreement.Agreement{
			{ID: "sold", Supplier: us, Reseller: one, State: agreement.Active, Terms: agreement.Terms{Currency: "USD", WholesaleDiscountBP: 500}},
			{ID: "bought", Supplier: one, Reseller: us, State: agreement.Active, Terms: agreement.Terms{Currency: "EUR", WholesaleDiscountBP: 2000}},
			{ID: "offered", Supplier: one, Reseller: us, State: agreement.Offered, Terms: agreement.Terms{Currency: "EUR", WholesaleDiscountBP: 1000}},
		} {
			if _, err := tx.Agreements().Put(a); err != nil {
				return err
			}
		}
		return nil
	})
	type seen struct {
		Offerings int64
		Replaces  string
		Unsold    []operator.Unsold
	}
	unsold := func(currency string, n int64, with string) operator.Unsold {
		return operator.Unsold{Currency: currency, Offerings: n, Reason: "currency_not_agreed", Cause: "nothing is agreed with " + with + " in " + currency}
	}
	for _, c := range []struct {
		name           string
		with, currency string
		effects        func(with, currency string) (operator.Effects, error)
		want           seen
	}{
		{"offered in a new currency", one, "EUR", offers(t, desk), seen{2, "", []operator.Unsold{unsold("SEK", 1, one)}}},
		{"offered in the same currency", one, "USD", offers(t, desk), seen{1, "sold", []operator.Unsold{unsold("EUR", 2, one), unsold("SEK", 1, one)}}},
		{"offered to somebody new", other, "GBP", offers(t, desk), seen{0, "", []operator.Unsold{unsold("EUR", 2, other), unsold("SEK", 1, other), unsold("USD", 1, other)}}},
		{"accepted in the same currency", one, "EUR", accepts(t, desk), seen{2, "bought", []operator.Unsold{unsold("USD", 1, one)}}},
		{"accepted in a new currency", one, "USD", accepts(t, desk), seen{1, "", nil}},
		{"accepted from somebody new", other, "USD", accepts(t, desk), seen{0, "", nil}},
	} {
		e, err := c.effects(c.with, c.currency)
		if err != nil {
			t.Fatal(err)
		}
		got := seen{Offerings: e.Offerings, Unsold: e.Unsold}
		if e.Replaces != nil {
			got.Replaces = e.Replaces.ID
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
	}
}

// TestAnOperatorReadsWhomASignatureApproves: signing is the word for a member that waits, so its key is shown before.
func TestAnOperatorReadsWhomASignatureApproves(t *testing.T) {
	t.Parallel()
	m, desk := newDesk(t)
	m.Do(func(tx *store.Tx) error {
		for origin, state := range map[string]member.State{one: member.Pending, other: member.Active} {
			if _, err := tx.Partners().Put(member.Partner{Origin: origin, PartnershipID: "pair " + origin, State: state, Thumbprint: "key of " + origin}); err != nil {
				return err
			}
		}
		return nil
	})
	for origin, want := range map[string]string{one: "key of " + one, other: "", "https://stranger.localhost:4": ""} {
		for side, effects := range map[string]func(with, currency string) (operator.Effects, error){"offer": offers(t, desk), "accept": accepts(t, desk)} {
			if e, err := effects(origin, "EUR"); err != nil || e.ApprovesKey != want {
				t.Errorf("%s, %s: approves %q, %v", side, origin, e.ApprovesKey, err)
			}
		}
	}
}

func offers(t *testing.T, d *operator.Desk) func(with, currency string) (operator.Effects, error) {
	return func(with, currency string) (operator.Effects, error) {
		return d.OfferEffects(t.Context(), with, currency)
	}
}

func accepts(t *testing.T, d *operator.Desk) func(with, currency string) (operator.Effects, error) {
	return func(with, currency string) (operator.Effects, error) {
		return d.AcceptEffects(t.Context(), with, currency)
	}
}
