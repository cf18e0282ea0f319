package price

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

func flat(kind Kind, amount string) Component {
	c := Component{ID: string(kind), Name: string(kind), Kind: kind, Amount: amount}
	switch kind {
	case Recurring:
		c.Period = "P1M"
	case Usage:
		c.Unit = "GiB-h"
	}
	return c
}

func priced(currency string, prices ...Component) List {
	return List{Currency: currency, Components: prices}
}

func TestPriceLine(t *testing.T) {
	tiers := flat(Recurring, "")
	tiers.Tiers = []Tier{{UpTo: 10, Amount: "1.00"}, {UpTo: 20, Amount: "0.50"}, {Amount: "0.10"}}
	for _, tc := range []struct {
		name             string
		doc              List
		quantity         int64
		discount, markup int32
		oneOff, monthly  string
	}{
		{"wholesale and retail of one", priced("EUR", flat(Recurring, "9.90")), 1, 2000, 1500, "", "9.11 EUR"},
		{"kinds are summed apart", priced("EUR", flat(OneOff, "5"), flat(OneOff, "2.5"), flat(Recurring, "1")), 2, 0, 0, "15.00 EUR", "2.00 EUR"},
		{"usage is not in the line", priced("EUR", flat(Usage, "0.004"), flat(OneOff, "1")), 1, 0, 0, "1.00 EUR", ""},
		{"only usage", priced("EUR", flat(Usage, "0.004")), 5, 0, 0, "", ""},
		{"rounded once, after the sum", priced("EUR", flat(OneOff, "0.004"), flat(OneOff, "0.004")), 1, 0, 0, "0.01 EUR", ""},
		{"half to even", priced("EUR", flat(OneOff, "0.125")), 1, 0, 0, "0.12 EUR", ""},
		{"tiers, inside the first", priced("EUR", tiers), 10, 0, 0, "", "10.00 EUR"},
		{"tiers, into the last", priced("EUR", tiers), 25, 0, 0, "", "15.50 EUR"},
		{"free", priced("EUR", flat(Recurring, "0")), 3, 0, 0, "", "0.00 EUR"},
		{"yen", priced("JPY", flat(OneOff, "100")), 1, 1, 0, "100 JPY", ""},
		{"dinar", priced("KWD", flat(OneOff, "1.2345")), 1, 0, 0, "1.234 KWD", ""},
		{"the whole discount", priced("EUR", flat(OneOff, "100")), 1, 10000, 1500, "0.00 EUR", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			line, err := tc.doc.Line(tc.quantity, Terms{tc.discount, tc.markup})
			if err != nil {
				t.Fatal(err)
			}
			show := func(a *money.Amount) string {
				if a == nil {
					return ""
				}
				return a.String()
			}
			if show(line.OneOff) != tc.oneOff || show(line.Recurring) != tc.monthly {
				t.Errorf("one-off %q recurring %q, want %q %q", show(line.OneOff), show(line.Recurring), tc.oneOff, tc.monthly)
			}
			if (line.Period != "") != (tc.monthly != "") {
				t.Errorf("period %q", line.Period)
			}
		})
	}
}

func TestPriceLineRefuses(t *testing.T) {
	bounded := flat(OneOff, "")
	bounded.Tiers = []Tier{{UpTo: 10, Amount: "1"}}
	yearly := flat(Recurring, "1")
	yearly.Period = "P1Y"
	for _, tc := range []struct {
		name             string
		doc              List
		quantity         int64
		discount, markup int32
		reason           string
	}{
		{"an overflow", priced("EUR", flat(OneOff, "999999999999999999")), 10000, 0, 0, "price_overflow"},
		{"nothing bought", priced("EUR", flat(OneOff, "1")), 0, 0, 0, "quantity_invalid"},
		{"more than the tiers price", priced("EUR", bounded), 11, 0, 0, "quantity_invalid"},
		{"two periods", priced("EUR", flat(Recurring, "1"), yearly), 1, 0, 0, "price_invalid"},
		{"a negative price", priced("EUR", flat(OneOff, "-1")), 1, 0, 0, "price_invalid"},
		{"no currency", priced("", flat(OneOff, "1")), 1, 0, 0, "price_invalid"},
		{"a discount over 100 %", priced("EUR", flat(OneOff, "1")), 1, 10001, 0, "price_terms"},
		{"a negative markup", priced("EUR", flat(OneOff, "1")), 1, 0, -1, "price_terms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.doc.Line(tc.quantity, Terms{tc.discount, tc.markup}); fault.ReasonOf(err) != tc.reason || !fault.Is(err, fault.Invalid) {
				t.Errorf("got %v, want %s", err, tc.reason)
			}
		})
	}
}

func TestRetailComponents(t *testing.T) {
	usage := flat(Usage, "")
	usage.Tiers = []Tier{{UpTo: 10, Amount: "0.0043"}, {Amount: "0.001"}}
	doc := priced("EUR", flat(Recurring, "9.90"), usage)
	got, err := doc.Retail(Terms{2000, 1500})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Amount != "9.108" || got[1].Amount != "" || got[1].Tiers[0].Amount != "0.003956" || got[1].Tiers[1].Amount != "0.00092" {
		t.Errorf("%+v", got)
	}
	if doc.Components[1].Tiers[0].Amount != "0.0043" {
		t.Error("the document was changed")
	}
	same, err := priced("EUR", flat(OneOff, "9.90"), flat(OneOff, "7")).Retail(Terms{})
	if err != nil || same[0].Amount != "9.90" || same[1].Amount != "7.00" {
		t.Errorf("%+v (%v)", same, err)
	}
}

func TestHeadline(t *testing.T) {
	for _, tc := range []struct {
		name, want, per string
		doc             List
	}{
		{"recurring first", "2.00 EUR", "P1M", priced("EUR", flat(OneOff, "1"), flat(Usage, "9"), flat(Recurring, "2"))},
		{"else one-off", "1.00 EUR", "", priced("EUR", flat(Usage, "9"), flat(OneOff, "1"))},
		{"else usage, rounded up", "0.01 EUR", "GiB-h", priced("EUR", flat(Usage, "0.0001"), flat(Usage, "5"))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, per, err := tc.doc.Headline(Terms{})
			if err != nil || a.String() != tc.want || per != tc.per {
				t.Errorf("%v per %q (%v), want %s per %q", a, per, err, tc.want, tc.per)
			}
		})
	}
	if _, _, err := priced("EUR").Headline(Terms{}); fault.ReasonOf(err) != "price_invalid" {
		t.Errorf("no price: %v", err)
	}
}

func TestTiersAreMonotoneAndAgreeWithTheUnitPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.StringMatching(`(0|[1-9][0-9]{0,4})\.[0-9]{1,6}`)
		c := flat(OneOff, "")
		bound := int64(0)
		for range rapid.IntRange(0, 4).Draw(t, "tiers") {
			bound += rapid.Int64Range(1, 50).Draw(t, "width")
			c.Tiers = append(c.Tiers, Tier{UpTo: bound, Amount: price.Draw(t, "price")})
		}
		c.Tiers = append(c.Tiers, Tier{Amount: price.Draw(t, "last")})
		n := rapid.Int64Range(1, 300).Draw(t, "quantity")
		got, err := c.exact(n, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		// One unit at a time, the slow way.
		want := new(big.Rat)
		for i := int64(1); i <= n; i++ {
			for _, tier := range c.Tiers {
				if tier.UpTo == 0 || i <= tier.UpTo {
					p, _ := money.ParseUnitPrice(tier.Amount, "EUR")
					want.Add(want, p.Rat())
					break
				}
			}
		}
		if got.Cmp(want) != 0 {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

func TestDiscountAndMarkupAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := priced(rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency"),
			flat(OneOff, rapid.StringMatching(`(0|[1-9][0-9]{0,5})\.[0-9]{1,8}`).Draw(t, "price")))
		n := rapid.Int64Range(1, 10000).Draw(t, "quantity")
		d, m := rapid.Int32Range(0, 10000).Draw(t, "discount"), rapid.Int32Range(0, 50000).Draw(t, "markup")
		line, err := doc.Line(n, Terms{d, m})
		if err != nil {
			t.Fatal(err)
		}
		list, _ := doc.Components[0].ListPrice(doc.Currency)
		exact := new(big.Rat).Mul(list.Rat(), big.NewRat(n*(10000-int64(d)), 10000))
		exact.Mul(exact, big.NewRat(10000+int64(m), 10000))
		want, err := money.Round(exact, doc.Currency)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, line.OneOff); diff != "" {
			t.Fatal(diff)
		}
	})
}
