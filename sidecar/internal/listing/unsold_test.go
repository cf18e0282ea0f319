package listing_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
)

func in(currency string) func(*catalog.Document) {
	return func(d *catalog.Document) { d.Currency = currency }
}

// TestEachOfferingIsSoldUnderTheAgreementOfItsCurrency: a second agreement in another currency empties nothing, and one in the same
// currency takes the first one's place.
func TestEachOfferingIsSoldUnderTheAgreementOfItsCurrency(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	euros := r.offer(t, north, "euros", 1, nil)
	dollars := r.offer(t, north, "dollars", 1, in("USD"))
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"agreed in euros", func() {}, "Database euros 8.00 EUR"},
		{"and in dollars", func() { r.deal(t, "a2", north, agreement.Active, 5000, "USD") }, "Database dollars 5.00 USD, Database euros 8.00 EUR"},
		{"and in euros again", func() { r.deal(t, "a3", north, agreement.Active, 1000, "EUR") }, "Database dollars 5.00 USD, Database euros 9.00 EUR"},
		{"which ends", func() { r.deal(t, "a3", north, agreement.Suspended, 1000, "EUR") }, "Database dollars 5.00 USD, Database euros 8.00 EUR"},
		{"and all in euros", func() { r.deal(t, "a1", north, agreement.Suspended, 2000, "EUR") }, "Database dollars 5.00 USD"},
	} {
		step.do()
		if got := r.found(t); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	if o, err := r.Offer(t.Context(), dollars); err != nil || o.Agreement.ID != "a2" {
		t.Errorf("an order of it is under %q, %v", o.Agreement.ID, err)
	}
	if _, err := r.Offer(t.Context(), euros); !fault.Is(err, fault.NotFound) {
		t.Errorf("what is not agreed can be ordered: %v", err)
	}
}

func TestAnOperatorReadsWhyAListingIsNotSold(t *testing.T) {
	t.Parallel()
	r := newReseller(t)
	r.offer(t, north, "sold", 1, nil)
	r.offer(t, north, "dollars", 1, in("USD"))
	r.offer(t, north, "early", 1, func(d *catalog.Document) { d.State = catalog.InTest })
	r.offer(t, north, "late", 1, func(d *catalog.Document) { d.State = catalog.Obsolete })
	r.offer(t, north, "dear", 1, func(d *catalog.Document) { d.Prices[0].Amount = "9900000000000000" })
	r.offer(t, south, "stranger", 1, nil)
	if err := r.SetMarkup(t.Context(), listing.Rule{MarkupBP: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	want := map[string]listing.Unsold{
		"dollars":  {Reason: "currency_not_agreed", Cause: "it is priced in USD, and what is agreed with " + north + " is in EUR"},
		"early":    {Reason: "state_not_for_sale", Cause: north + " has it in state inTest"},
		"late":     {Reason: "state_not_for_sale", Cause: north + " has it in state obsolete"},
		"stranger": {Reason: "agreement_missing", Cause: "there is no active agreement with " + south},
	}
	all, _, err := r.List(t.Context(), "", "", 100)
	if err != nil || len(all) != 6 {
		t.Fatalf("%d listed, %v", len(all), err)
	}
	for _, d := range all {
		var got listing.Unsold
		if d.Unsold != nil {
			got = *d.Unsold
		}
		if d.OfferingID == "dear" {
			if got.Reason != "price_overflow" || got.Cause == "" {
				t.Errorf("dear is unsold because %+v", got)
			}
			continue
		}
		if got != want[d.OfferingID] {
			t.Errorf("%s is unsold because %+v, want %+v", d.OfferingID, got, want[d.OfferingID])
		}
		if d.Unsold != nil && (d.Name == "" || d.Headline.Amount.Minor != 0 || d.Wholesale.Minor != 0) {
			t.Errorf("%s is shown as %+v", d.OfferingID, d)
		}
	}
	// What is not sold yet may be made ready.
	d, err := r.Update(t.Context(), catalog.ListingID(north, "early"), listing.Change{Name: ptr("Ours")})
	if err != nil || d.Name != "Ours" || d.Unsold == nil {
		t.Errorf("it is %+v, %v", d, err)
	}
}
