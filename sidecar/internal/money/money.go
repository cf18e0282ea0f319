// Package money is exact money: amounts in integer minor units and unit prices as integer and scale. There is no float
// and no silent rounding; Line rounds once, half to even, at the currency's minor unit.
package money

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"golang.org/x/text/currency"
)

// Amount is money in whole minor units.
type Amount struct {
	// Minor counts minor units: 1999 with EUR is EUR 19.99.
	Minor int64
	// Currency is an ISO 4217 code.
	Currency string
}

// UnitPrice is Value / 10^Scale of the currency's major unit for one unit.
type UnitPrice struct {
	Value    int64
	Scale    uint8
	Currency string
}

// MaxScale bounds UnitPrice.Scale.
const MaxScale = 12

// Errors of this package.
var (
	ErrOverflow = errors.New("amount overflows 64 bits of minor units")
	ErrCurrency = errors.New("currencies differ")
	ErrFormat   = errors.New("not a decimal number")
)

// MinorDigits is the number of decimal places of the currency's minor unit: 2 for EUR, 0 for JPY.
func MinorDigits(code string) (int, error) {
	unit, err := currency.ParseISO(code)
	if err != nil || strings.ToUpper(code) != code {
		return 0, fmt.Errorf("currency %q is not an ISO 4217 code", code)
	}
	scale, _ := currency.Standard.Rounding(unit)
	return scale, nil
}

// ParseUnitPrice reads a plain decimal number ("0.0043"); no sign, no exponent, at most MaxScale places.
func ParseUnitPrice(s, code string) (UnitPrice, error) {
	if _, err := MinorDigits(code); err != nil {
		return UnitPrice{}, err
	}
	whole, frac, _ := strings.Cut(s, ".")
	digits := whole + frac
	if whole == "" || len(digits) > 18 || len(frac) > MaxScale || strings.HasSuffix(s, ".") {
		return UnitPrice{}, fmt.Errorf("%w: %q", ErrFormat, s)
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return UnitPrice{}, fmt.Errorf("%w: %q", ErrFormat, s)
		}
		v = v*10 + int64(c-'0')
	}
	return UnitPrice{Value: v, Scale: uint8(len(frac)), Currency: code}, nil
}

// Rat is the price as an exact fraction of the major unit.
func (p UnitPrice) Rat() *big.Rat {
	den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p.Scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(p.Value), den)
}

// String is the exact decimal and the currency: "0.0043 EUR".
func (p UnitPrice) String() string { return p.Rat().FloatString(int(p.Scale)) + " " + p.Currency }

// Decimal is the exact decimal without the currency.
func (p UnitPrice) Decimal() string { return p.Rat().FloatString(int(p.Scale)) }

// String is the decimal with the currency: "19.99 EUR".
func (a Amount) String() string {
	digits, err := MinorDigits(a.Currency)
	if err != nil {
		return fmt.Sprintf("%d %s", a.Minor, a.Currency)
	}
	den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	return new(big.Rat).SetFrac(big.NewInt(a.Minor), den).FloatString(digits) + " " + a.Currency
}

// Add adds two amounts of one currency; ErrCurrency, ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, ErrCurrency
	}
	sum := a.Minor + b.Minor
	if (b.Minor > 0 && sum < a.Minor) || (b.Minor < 0 && sum > a.Minor) {
		return Amount{}, ErrOverflow
	}
	return Amount{Minor: sum, Currency: a.Currency}, nil
}

// BasisPoints is the factor for a change of bp hundredths of a percent: 1500 gives 1.15, -2000 gives 0.80.
func BasisPoints(bp int32) *big.Rat { return big.NewRat(10000+int64(bp), 10000) }

// Round turns an exact amount of the major unit into minor units, half to even.
func Round(exact *big.Rat, code string) (Amount, error) {
	digits, err := MinorDigits(code)
	if err != nil {
		return Amount{}, err
	}
	minor := new(big.Rat).Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	q, r := new(big.Int).QuoRem(minor.Num(), minor.Denom(), new(big.Int))
	twice := new(big.Int).Abs(new(big.Int).Lsh(r, 1))
	switch twice.Cmp(minor.Denom()) {
	case 1:
		q.Add(q, big.NewInt(int64(minor.Sign())))
	case 0:
		if q.Bit(0) == 1 {
			q.Add(q, big.NewInt(int64(minor.Sign())))
		}
	}
	if !q.IsInt64() {
		return Amount{}, ErrOverflow
	}
	return Amount{Minor: q.Int64(), Currency: code}, nil
}
