// Package price is what things cost: an offering's list prices, the terms that stand between them and a price asked, and what an
// order's line owes. Everything is exact, and rounded once.
package price

import (
	"errors"
	"math/big"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Kind says when a component is owed.
type Kind string

const (
	OneOff    Kind = "one_off"
	Recurring Kind = "recurring"
	Usage     Kind = "usage"
)

// Component is one line of a price.
type Component struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Period is an ISO 8601 duration, for Recurring.
	Period string `json:"period,omitempty"`
	// Unit is what one unit is, for Usage.
	Unit string `json:"unit,omitempty"`
	// Amount is the decimal list price of one unit in the list's currency, where Tiers is empty.
	Amount string `json:"amount,omitempty"`
	Tiers  []Tier `json:"tiers,omitempty"`
}

// Tier is one step of a graduated price.
type Tier struct {
	// UpTo is inclusive; 0 on the last tier is without bound.
	UpTo   int64  `json:"up_to,omitempty"`
	Amount string `json:"amount"`
}

// List is an offering's list prices in one currency (ISO 4217).
type List struct {
	Components []Component
	Currency   string
}

// Terms are what stands between a list price and the price asked: the wholesale discount and the reseller's markup, in hundredths
// of a percent.
type Terms struct{ DiscountBP, MarkupBP int32 }

// Line is what an order line owes. Usage is a rate and not part of it.
type Line struct {
	// OneOff is owed once, Recurring each Period in advance; nil where the offering has no such component.
	OneOff    *money.Amount
	Recurring *money.Amount
	// Period is an ISO 8601 duration, "" without Recurring.
	Period string
}

// MaxQuantity is the most pieces that one order line holds, whatever the offering allows.
const MaxQuantity = 10_000

// MaxMarkupBP bounds a markup: 10,000 %.
const MaxMarkupBP = 1_000_000

// Line is the exact price of a quantity: the list prices, each kind summed as a fraction, less the discount, plus the markup,
// rounded once half to even. Wholesale is markup 0. Errors: fault.Invalid with reason price_overflow, price_terms,
// price_invalid or quantity_invalid.
func (l List) Line(quantity int64, t Terms) (Line, error) {
	if quantity < 1 || quantity > MaxQuantity {
		return Line{}, fault.New(fault.Invalid, "quantity_invalid", "a quantity is 1 to %d", MaxQuantity).At("quantity")
	}
	factor, err := t.factor()
	if err != nil {
		return Line{}, err
	}
	var line Line
	sums := map[Kind]*big.Int{}
	for _, c := range l.Components {
		if c.Kind == Usage {
			continue
		}
		if c.Kind == Recurring {
			if line.Period != "" && line.Period != c.Period {
				return Line{}, fault.New(fault.Invalid, "price_invalid", "an offering recurs with one period")
			}
			line.Period = c.Period
		}
		exact, err := c.exact(quantity, l.Currency)
		if err != nil {
			return Line{}, err
		}
		if sums[c.Kind] == nil {
			sums[c.Kind] = new(big.Int)
		}
		sums[c.Kind].Add(sums[c.Kind], exact)
	}
	if line.OneOff, err = round(sums[OneOff], factor, l.Currency); err != nil {
		return Line{}, err
	}
	if line.Recurring, err = round(sums[Recurring], factor, l.Currency); err != nil {
		return Line{}, err
	}
	return line, nil
}

// factorUnit is one as a factor: discount and markup have four places each.
const factorUnit = 100_000_000

// factor is what the list prices are multiplied with, in parts of factorUnit.
func (t Terms) factor() (int64, error) {
	if t.DiscountBP < 0 || t.DiscountBP > 10000 || t.MarkupBP < 0 || t.MarkupBP > MaxMarkupBP {
		return 0, fault.New(fault.Invalid, "price_terms", "discount %d or markup %d basis points are out of range",
			t.DiscountBP, t.MarkupBP)
	}
	return (10_000 - int64(t.DiscountBP)) * (10_000 + int64(t.MarkupBP)), nil
}

// sumUnit is one of the major unit in sums: unit prices have up to money.MaxScale places. Whole numbers of it are as exact as
// fractions, and need not be reduced at each step.
const sumUnit = 1_000_000_000_000

// inSum is a unit price for a quantity.
func inSum(p money.UnitPrice, quantity int64) *big.Int {
	unit := int64(sumUnit)
	for range p.Scale {
		unit /= 10
	}
	x := big.NewInt(p.Value)
	return x.Mul(x.Mul(x, big.NewInt(unit)), big.NewInt(quantity))
}

func round(sum *big.Int, factor int64, currency string) (*money.Amount, error) {
	if sum == nil {
		return nil, nil
	}
	unit := big.NewInt(sumUnit)
	a, err := money.RoundFraction(sum.Mul(sum, big.NewInt(factor)), unit.Mul(unit, big.NewInt(factorUnit)), currency)
	if err != nil {
		return nil, priceFault(err)
	}
	return &a, nil
}

func priceFault(err error) error {
	if errors.Is(err, money.ErrOverflow) {
		return fault.New(fault.Invalid, "price_overflow", "the price is larger than an amount can be").Because(err)
	}
	return fault.New(fault.Invalid, "price_invalid", "the offering's price cannot be read").Because(err)
}

// exact is the list price of a quantity, in parts of sumUnit. Tiers are graduated: each unit costs what its own tier says.
func (c Component) exact(quantity int64, currency string) (*big.Int, error) {
	if len(c.Tiers) == 0 {
		p, err := c.ListPrice(currency)
		if err != nil {
			return nil, priceFault(err)
		}
		return inSum(p, quantity), nil
	}
	sum := new(big.Int)
	var below int64
	for _, t := range c.Tiers {
		upTo := t.UpTo
		if upTo == 0 || upTo > quantity {
			upTo = quantity
		}
		p, err := money.ParseUnitPrice(t.Amount, currency)
		if err != nil {
			return nil, priceFault(err)
		}
		if upTo > below {
			sum.Add(sum, inSum(p, upTo-below))
			below = upTo
		}
	}
	if below < quantity {
		return nil, fault.New(fault.Invalid, "quantity_invalid", "the price ends at %d pieces", below).At("quantity")
	}
	return sum, nil
}

// ListPrice is the exact list price of one unit of a flat component.
func (c Component) ListPrice(currency string) (money.UnitPrice, error) {
	return money.ParseUnitPrice(c.Amount, currency)
}

// times is a unit price with discount and markup.
func times(p money.UnitPrice, factor int64) *big.Rat {
	return new(big.Rat).Mul(p.Rat(), big.NewRat(factor, factorUnit))
}

// Retail is the components with the unit prices after discount and markup, for display. They are exact up to money.MaxScale places
// and half to even there; what is charged comes from Line, which rounds once.
func (l List) Retail(t Terms) ([]Component, error) {
	factor, err := t.factor()
	if err != nil {
		return nil, err
	}
	scale := func(amount string) (string, error) {
		list, err := money.ParseUnitPrice(amount, l.Currency)
		if err != nil {
			return "", priceFault(err)
		}
		p, err := money.RoundUnit(times(list, factor), l.Currency)
		if err != nil {
			return "", priceFault(err)
		}
		// Not below the currency's own places: 9.90, never 9.9.
		digits, _ := money.MinorDigits(l.Currency)
		return p.Rat().FloatString(max(int(p.Scale), digits)), nil
	}
	out := make([]Component, len(l.Components))
	for i, c := range l.Components {
		if len(c.Tiers) == 0 {
			if c.Amount, err = scale(c.Amount); err != nil {
				return nil, err
			}
		}
		tiers := c.Tiers
		c.Tiers = nil
		for _, tier := range tiers {
			if tier.Amount, err = scale(tier.Amount); err != nil {
				return nil, err
			}
			c.Tiers = append(c.Tiers, tier)
		}
		out[i] = c
	}
	return out, nil
}
