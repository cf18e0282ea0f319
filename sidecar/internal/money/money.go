// Package money is exact money: amounts in integer minor units and unit prices as integer and scale. There is no float
// and no silent rounding: sums are exact fractions until Round or Ceil turns them into minor units, once.
package money

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
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

// maxDigits bounds the digits of a unit price, so that its value fits 64 bits.
const maxDigits = 18

// Errors of this package.
var (
	ErrOverflow = errors.New("amount overflows 64 bits of minor units")
	ErrCurrency = errors.New("currencies differ")
	ErrFormat   = errors.New("not a decimal number")
	// ErrUnknownCurrency: not an ISO 4217 code of a currency in use.
	ErrUnknownCurrency = errors.New("not an ISO 4217 currency code")
)

// ParseUnitPrice reads a plain decimal number ("0.0043"); no sign, no exponent, at most MaxScale places.
func ParseUnitPrice(s, code string) (UnitPrice, error) {
	if _, err := MinorDigits(code); err != nil {
		return UnitPrice{}, err
	}
	whole, frac, _ := strings.Cut(s, ".")
	digits := whole + frac
	if whole == "" || len(digits) > maxDigits || len(frac) > MaxScale || strings.HasSuffix(s, ".") {
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
	return new(big.Rat).SetFrac(big.NewInt(p.Value), pow10(int(p.Scale)))
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
	return new(big.Rat).SetFrac(big.NewInt(a.Minor), pow10(digits)).FloatString(digits) + " " + a.Currency
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

// Round turns an exact amount of the major unit into minor units, half to even; ErrOverflow.
func Round(exact *big.Rat, code string) (Amount, error) {
	return RoundFraction(exact.Num(), exact.Denom(), code)
}

// RoundFraction is Round of a fraction, which need not be in lowest terms; the denominator is above zero.
func RoundFraction(num, denom *big.Int, code string) (Amount, error) {
	return toMinor(num, denom, code, halfEven)
}

// Ceil turns an exact amount of the major unit into minor units, up to the next one; ErrOverflow.
func Ceil(exact *big.Rat, code string) (Amount, error) {
	return toMinor(exact.Num(), exact.Denom(), code, ceil)
}

func toMinor(num, denom *big.Int, code string, round func(num, denom *big.Int) *big.Int) (Amount, error) {
	digits, err := MinorDigits(code)
	if err != nil {
		return Amount{}, err
	}
	minor := round(new(big.Int).Mul(num, pow10(digits)), denom)
	if !minor.IsInt64() {
		return Amount{}, ErrOverflow
	}
	return Amount{Minor: minor.Int64(), Currency: code}, nil
}

// RoundUnit is the unit price closest to an exact one: exact where MaxScale places suffice, else half to even at the
// last place, and never with a zero at the end; ErrOverflow where the whole part is too long, ErrFormat below zero.
func RoundUnit(exact *big.Rat, code string) (UnitPrice, error) {
	if _, err := MinorDigits(code); err != nil {
		return UnitPrice{}, err
	}
	if exact.Sign() < 0 {
		return UnitPrice{}, fmt.Errorf("%w: a price below zero", ErrFormat)
	}
	limit := pow10(maxDigits)
	for scale := MaxScale; scale >= 0; scale-- {
		v := halfEven(new(big.Int).Mul(exact.Num(), pow10(scale)), exact.Denom())
		if v.Cmp(limit) >= 0 {
			continue
		}
		p := UnitPrice{Value: v.Int64(), Scale: uint8(scale), Currency: code}
		for p.Scale > 0 && p.Value%10 == 0 {
			p.Value /= 10
			p.Scale--
		}
		return p, nil
	}
	return UnitPrice{}, ErrOverflow
}

// pow10 is for what has at most maxDigits digits.
func pow10(n int) *big.Int {
	v := int64(1)
	for range n {
		v *= 10
	}
	return big.NewInt(v)
}

func halfEven(num, denom *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(num, denom, new(big.Int))
	twice := r.Abs(r.Lsh(r, 1))
	if c := twice.Cmp(denom); c > 0 || (c == 0 && q.Bit(0) == 1) {
		q.Add(q, big.NewInt(int64(num.Sign())))
	}
	return q
}

func ceil(num, denom *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(num, denom, new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
