package price

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Headline is the one price that lists show and sort by.
type Headline struct {
	// Amount is what one piece owes; of a usage rate, the rate rounded up to a minor unit.
	Amount money.Amount
	// Per is the ISO 8601 duration that Amount recurs with, the unit of a usage rate, or "" for once.
	Per string
	// Rate is the exact rate where the headline is one of usage, else nil.
	Rate *money.UnitPrice
	// Setup is owed once besides a recurring Amount; nil where nothing is.
	Setup *money.Amount
	// From says that what is used comes on top.
	From bool
}

// Headline is the recurring amount of one piece, else the one-off amount, else the first usage rate: the first of them that is
// not zero, since what is shown as free must be free. The first rate of graduated usage is the first that costs something. Errors
// as Line.
func (l List) Headline(t Terms) (Headline, error) {
	line, err := l.Line(1, t)
	if err != nil {
		return Headline{}, err
	}
	rates, err := l.rates(t)
	if err != nil {
		return Headline{}, err
	}
	h := Headline{From: len(rates) > 0}
	switch {
	case owed(line.Recurring):
		h.Amount, h.Per = *line.Recurring, line.Period
		if owed(line.OneOff) {
			h.Setup = line.OneOff
		}
	case owed(line.OneOff):
		h.Amount = *line.OneOff
	case len(rates) > 0:
		return rates[0].headline(len(rates) > 1)
	case line.Recurring != nil:
		h.Amount, h.Per = *line.Recurring, line.Period
	case line.OneOff != nil:
		h.Amount = *line.OneOff
	case len(l.Components) > 0:
		h.Amount, h.Per = money.Amount{Currency: l.Currency}, l.Components[0].Unit
	default:
		return Headline{}, fault.New(fault.Invalid, "price_invalid", "the offering has no price")
	}
	return h, nil
}

func owed(a *money.Amount) bool { return a != nil && a.Minor > 0 }

// rate is a usage price that is not zero, on the way to what it costs.
type rate struct {
	list   money.UnitPrice
	factor int64
	unit   string
}

// rates are those of the usage that costs something, in the order of the list.
func (l List) rates(t Terms) ([]rate, error) {
	factor, err := t.factor()
	if err != nil {
		return nil, err
	}
	var all []rate
	for _, c := range l.Components {
		if c.Kind != Usage {
			continue
		}
		for _, amount := range c.amounts() {
			p, err := money.ParseUnitPrice(amount, l.Currency)
			if err != nil {
				return nil, priceFault(err)
			}
			if p.Value > 0 && factor > 0 {
				all = append(all, rate{p, factor, c.Unit})
				break
			}
		}
	}
	return all, nil
}

// amounts are the component's unit prices, of a graduated one tier by tier.
func (c Component) amounts() []string {
	if len(c.Tiers) == 0 {
		return []string{c.Amount}
	}
	var all []string
	for _, t := range c.Tiers {
		all = append(all, t.Amount)
	}
	return all
}

func (r rate) headline(from bool) (Headline, error) {
	exact := times(r.list, r.factor)
	a, err := money.Ceil(exact, r.list.Currency)
	if err != nil {
		return Headline{}, priceFault(err)
	}
	p, err := money.RoundUnit(exact, r.list.Currency)
	if err != nil {
		return Headline{}, priceFault(err)
	}
	return Headline{Amount: a, Per: r.unit, Rate: &p, From: from}, nil
}
