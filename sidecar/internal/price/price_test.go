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

func TestRetailLeavesTheListAlone(t *testing.T) {
	t.Parallel()
	usage := flat(Usage, "")
	usage.Tiers = []Tier{{UpTo: 10, Amount: "0.0043"}, {Amount: "0.001"}}
	list := priced("EUR", usage)
	if _, err := list.Retail(Terms{DiscountBP: 2000}); err != nil || list.Components[0].Tiers[0].Amount != "0.0043" {
		t.Errorf("%+v (%v)", list, err)
	}
}

func TestNothingHasNoHeadline(t *testing.T) {
	t.Parallel()
	if _, err := priced("EUR").Headline(Terms{}); fault.ReasonOf(err) != "price_invalid" {
		t.Errorf("%v, want price_invalid", err)
	}
}

func TestTiersAreMonotoneAndAgreeWithTheUnitPrices(t *testing.T) {
	t.Parallel()
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
		sum, err := c.exact(n, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		got := new(big.Rat).SetFrac(sum, big.NewInt(sumUnit))
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
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := priced(rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency"),
			flat(OneOff, rapid.StringMatching(`(0|[1-9][0-9]{0,5})\.[0-9]{1,8}`).Draw(t, "price")))
		n := rapid.Int64Range(1, 10000).Draw(t, "quantity")
		d, m := rapid.Int32Range(0, 10000).Draw(t, "discount"), rapid.Int32Range(0, 50000).Draw(t, "markup")
		line, err := list.Line(n, Terms{d, m})
		if err != nil {
			t.Fatal(err)
		}
		unit, _ := list.Components[0].ListPrice(list.Currency)
		exact := new(big.Rat).Mul(unit.Rat(), big.NewRat(n*(10000-int64(d)), 10000))
		exact.Mul(exact, big.NewRat(10000+int64(m), 10000))
		want, err := money.Round(exact, list.Currency)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, line.OneOff); diff != "" {
			t.Fatal(diff)
		}
	})
}
