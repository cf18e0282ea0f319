package catalog

import (
	"errors"
	"math/big"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Line is what an order line owes. Usage is a rate and not part of it.
type Line struct {
	// OneOff is owed once, Recurring each Period in advance; nil where the offering has no such component.
	OneOff    *money.Amount
	Recurring *money.Amount
	// Period is an ISO 8601 duration, "" without Recurring.
	Period string
}

// MaxMarkupBP bounds a markup: 10,000 %.
const MaxMarkupBP = 1_000_000

// PriceLine is the exact price of a quantity: the list prices, each kind summed as a fraction, less the discount, plus
// the markup, rounded once half to even. Wholesale is markup 0. Errors: fault.Invalid with reason price_overflow,
// price_terms, price_invalid or quantity_invalid.
func PriceLine(doc Document, quantity int64, discountBP, markupBP int32) (Line, error) {
	if quantity < 1 {
		return Line{}, fault.New(fault.Invalid, "quantity_invalid", "a quantity is 1 or more").At("items[0].quantity")
	}
	factor, err := factor(discountBP, markupBP)
	if err != nil {
		return Line{}, err
	}
	var line Line
	sums := map[PriceKind]*big.Rat{}
	for _, c := range doc.Prices {
		if c.Kind == Usage {
			continue
		}
		if c.Kind == Recurring {
			if line.Period != "" && line.Period != c.Period {
				return Line{}, fault.New(fault.Invalid, "price_invalid", "an offering recurs with one period")
			}
			line.Period = c.Period
		}
		exact, err := c.exact(quantity, doc.Currency)
		if err != nil {
			return Line{}, err
		}
		if sums[c.Kind] == nil {
			sums[c.Kind] = new(big.Rat)
		}
		sums[c.Kind].Add(sums[c.Kind], exact)
	}
	if line.OneOff, err = round(sums[OneOff], factor, doc.Currency); err != nil {
		return Line{}, err
	}
	if line.Recurring, err = round(sums[Recurring], factor, doc.Currency); err != nil {
		return Line{}, err
	}
	return line, nil
}

func factor(discountBP, markupBP int32) (*big.Rat, error) {
	if discountBP < 0 || discountBP > 10000 || markupBP < 0 || markupBP > MaxMarkupBP {
		return nil, fault.New(fault.Invalid, "price_terms", "discount %d or markup %d basis points are out of range",
			discountBP, markupBP)
	}
	return new(big.Rat).Mul(money.BasisPoints(-discountBP), money.BasisPoints(markupBP)), nil
}

func round(sum, factor *big.Rat, currency string) (*money.Amount, error) {
	if sum == nil {
		return nil, nil
	}
	a, err := money.Round(new(big.Rat).Mul(sum, factor), currency)
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

// exact is the list price of a quantity. Tiers are graduated: each unit costs what its own tier says.
func (c PriceComponent) exact(quantity int64, currency string) (*big.Rat, error) {
	if len(c.Tiers) == 0 {
		p, err := c.ListPrice(currency)
		if err != nil {
			return nil, priceFault(err)
		}
		return new(big.Rat).Mul(p.Rat(), new(big.Rat).SetInt64(quantity)), nil
	}
	sum := new(big.Rat)
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
			sum.Add(sum, new(big.Rat).Mul(p.Rat(), new(big.Rat).SetInt64(upTo-below)))
			below = upTo
		}
	}
	if below < quantity {
		return nil, fault.New(fault.Invalid, "quantity_invalid", "the price ends at %d pieces", below).At("items[0].quantity")
	}
	return sum, nil
}

// ListPrice is the exact list price of one unit of a flat component.
func (c PriceComponent) ListPrice(currency string) (money.UnitPrice, error) {
	return money.ParseUnitPrice(c.Amount, currency)
}

// RetailComponents are the components with the unit prices after discount and markup, for display. They are exact up to
// money.MaxScale places and half to even there; what is charged comes from PriceLine, which rounds once.
func RetailComponents(doc Document, discountBP, markupBP int32) ([]PriceComponent, error) {
	factor, err := factor(discountBP, markupBP)
	if err != nil {
		return nil, err
	}
	scale := func(amount string) (string, error) {
		list, err := money.ParseUnitPrice(amount, doc.Currency)
		if err != nil {
			return "", priceFault(err)
		}
		p, err := money.RoundUnit(new(big.Rat).Mul(list.Rat(), factor), doc.Currency)
		if err != nil {
			return "", priceFault(err)
		}
		// Not below the currency's own places: 9.90, never 9.9.
		digits, _ := money.MinorDigits(doc.Currency)
		return p.Rat().FloatString(max(int(p.Scale), digits)), nil
	}
	out := make([]PriceComponent, len(doc.Prices))
	for i, c := range doc.Prices {
		if len(c.Tiers) == 0 {
			if c.Amount, err = scale(c.Amount); err != nil {
				return nil, err
			}
		}
		tiers := c.Tiers
		c.Tiers = nil
		for _, t := range tiers {
			if t.Amount, err = scale(t.Amount); err != nil {
				return nil, err
			}
			c.Tiers = append(c.Tiers, t)
		}
		out[i] = c
	}
	return out, nil
}

// Headline is the one price that lists show and sort by, and what it is for: the recurring amount of one piece and its
// period, else the one-off amount and "", else the first usage price rounded up to a minor unit and its unit.
func Headline(doc Document, discountBP, markupBP int32) (money.Amount, string, error) {
	line, err := PriceLine(doc, 1, discountBP, markupBP)
	switch {
	case err != nil:
		return money.Amount{}, "", err
	case line.Recurring != nil:
		return *line.Recurring, line.Period, nil
	case line.OneOff != nil:
		return *line.OneOff, "", nil
	}
	factor, err := factor(discountBP, markupBP)
	if err != nil {
		return money.Amount{}, "", err
	}
	if len(doc.Prices) == 0 {
		return money.Amount{}, "", fault.New(fault.Invalid, "price_invalid", "the offering has no price")
	}
	first, err := doc.Prices[0].exact(1, doc.Currency)
	if err != nil {
		return money.Amount{}, "", err
	}
	a, err := money.Ceil(first.Mul(first, factor), doc.Currency)
	if err != nil {
		return money.Amount{}, "", priceFault(err)
	}
	return a, doc.Prices[0].Unit, nil
}
