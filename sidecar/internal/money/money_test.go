package money

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rat(t *testing.T, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("not a fraction: %s", s)
	}
	return r
}

// TestMinorDigits reads the file that the custom elements' own table is tested with too: two tables must not differ.
func TestMinorDigits(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../sdk/web/testdata/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var shared struct {
		MinorDigits map[int]string `json:"minor_digits"`
	}
	if err := json.Unmarshal(raw, &shared); err != nil {
		t.Fatal(err)
	}
	for digits, codes := range map[int]string{0: noDigits, 2: twoDigits, 3: threeDigits, 4: fourDigits} {
		if want := strings.Fields(shared.MinorDigits[digits]); !slices.Equal(strings.Fields(codes), want) {
			t.Errorf("%d digits: %s, want %s", digits, codes, want)
		}
		for _, code := range strings.Fields(shared.MinorDigits[digits]) {
			if got, err := MinorDigits(code); err != nil || got != digits {
				t.Errorf("%s: %d digits (%v), want %d", code, got, err, digits)
			}
		}
	}
	for _, code := range []string{"", "eur", "EU", "EURO", "XXX", "XAU", " EU", "R S"} {
		if _, err := MinorDigits(code); !errors.Is(err, ErrUnknownCurrency) {
			t.Errorf("%q: %v, want ErrUnknownCurrency", code, err)
		}
	}
}

func TestParseUnitPrice(t *testing.T) {
	t.Parallel()
	good := map[string]UnitPrice{
		"0":                  {0, 0, "EUR"},
		"9.90":               {990, 2, "EUR"},
		"0.0043":             {43, 4, "EUR"},
		"0.000000000001":     {1, 12, "EUR"},
		"999999999999999999": {999999999999999999, 0, "EUR"},
	}
	for in, want := range good {
		if got, err := ParseUnitPrice(in, "EUR"); err != nil || got != want {
			t.Errorf("%q: %v (%v), want %v", in, got, err, want)
		} else if got.Decimal() != in {
			t.Errorf("%q comes back as %q", in, got.Decimal())
		}
	}
	for _, in := range []string{
		"", ".", "1.", ".5", "-1", "+1", "1e3", "0x10", "1_000", "1,5", "1.2.3", " 1", "NaN", "Inf", "٣",
		"1000000000000000000", "0.0000000000001",
	} {
		if got, err := ParseUnitPrice(in, "EUR"); !errors.Is(err, ErrFormat) {
			t.Errorf("%q is read as %v (%v), want ErrFormat", in, got, err)
		}
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, exact, code string
		half, up          int64
	}{
		{"a tie goes down to the even cent", "0.125", "EUR", 12, 13},
		{"a tie goes up to the even cent", "0.135", "EUR", 14, 14},
		{"just above a tie", "0.1250000001", "EUR", 13, 13},
		{"negative tie to even", "-0.125", "EUR", -12, -12},
		{"negative tie away to even", "-0.135", "EUR", -14, -13},
		{"yen have no minor unit", "2.5", "JPY", 2, 3},
		{"dinars have three places", "0.0015", "KWD", 2, 2},
		{"a third", "1/3", "EUR", 33, 34},
		{"nothing", "0", "EUR", 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := Round(rat(t, tc.exact), tc.code); err != nil || got.Minor != tc.half {
				t.Errorf("Round(%s) = %v (%v), want %d", tc.exact, got, err, tc.half)
			}
			if got, err := Ceil(rat(t, tc.exact), tc.code); err != nil || got.Minor != tc.up {
				t.Errorf("Ceil(%s) = %v (%v), want %d", tc.exact, got, err, tc.up)
			}
		})
	}
	for _, s := range []string{"92233720368547758.08", "-92233720368547758.09", "1e30"} {
		if got, err := Round(rat(t, s), "EUR"); !errors.Is(err, ErrOverflow) {
			t.Errorf("Round(%s) = %v (%v), want ErrOverflow", s, got, err)
		}
	}
	if got, err := Round(rat(t, "92233720368547758.07"), "EUR"); err != nil || got.Minor != math.MaxInt64 {
		t.Errorf("the largest amount: %v (%v)", got, err)
	}
}

func TestRoundUnit(t *testing.T) {
	t.Parallel()
	for exact, want := range map[string]string{
		"9.90":              "9.9",
		"7":                 "7",
		"0":                 "0",
		"1/3":               "0.333333333333",
		"0.0000000000005":   "0",
		"0.0000000000015":   "0.000000000002",
		"1234567.123456789": "1234567.123456789",
		"12345678901234567": "12345678901234567",
	} {
		if got, err := RoundUnit(rat(t, exact), "EUR"); err != nil || got.Decimal() != want {
			t.Errorf("RoundUnit(%s) = %v (%v), want %s", exact, got, err, want)
		}
	}
	if _, err := RoundUnit(rat(t, "1e18"), "EUR"); !errors.Is(err, ErrOverflow) {
		t.Errorf("19 digits: %v, want ErrOverflow", err)
	}
	if _, err := RoundUnit(rat(t, "-1"), "EUR"); !errors.Is(err, ErrFormat) {
		t.Errorf("negative: %v, want ErrFormat", err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	eur := func(n int64) Amount { return Amount{Minor: n, Currency: "EUR"} }
	if got, err := eur(1).Add(eur(2)); err != nil || got != eur(3) {
		t.Errorf("1 + 2 = %v (%v)", got, err)
	}
	if _, err := eur(1).Add(Amount{Minor: 1, Currency: "USD"}); !errors.Is(err, ErrCurrency) {
		t.Errorf("euros and dollars: %v, want ErrCurrency", err)
	}
	for _, p := range [][2]int64{{math.MaxInt64, 1}, {math.MinInt64, -1}} {
		if _, err := eur(p[0]).Add(eur(p[1])); !errors.Is(err, ErrOverflow) {
			t.Errorf("%d + %d: %v, want ErrOverflow", p[0], p[1], err)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Amount{
		"19.99 EUR": {1999, "EUR"}, "500 JPY": {500, "JPY"}, "-0.050 KWD": {-50, "KWD"}, "7 ???": {7, "???"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRoundIsTheClosestAndEvenOnTies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "code")
		digits, _ := MinorDigits(code)
		exact := big.NewRat(rapid.Int64Range(-1e15, 1e15).Draw(t, "num"), rapid.Int64Range(1, 4000).Draw(t, "den"))
		got, err := Round(exact, code)
		if err != nil {
			t.Fatal(err)
		}
		unit := new(big.Rat).SetFrac(big.NewInt(1), pow10(digits))
		diff := new(big.Rat).Sub(new(big.Rat).Mul(big.NewRat(got.Minor, 1), unit), exact)
		diff.Abs(diff)
		switch c := diff.Cmp(new(big.Rat).Mul(unit, big.NewRat(1, 2))); {
		case c > 0:
			t.Fatalf("%v of %v is further than half a unit away", got, exact)
		case c == 0 && got.Minor%2 != 0:
			t.Fatalf("%v of the tie %v is odd", got, exact)
		}
	})
}

func TestParsedPricesPrintAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`(0|[1-9][0-9]{0,5})(\.[0-9]{1,12})?`).Draw(t, "price")
		p, err := ParseUnitPrice(s, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		if p.Decimal() != s {
			t.Fatalf("%s comes back as %s", s, p.Decimal())
		}
		q, err := RoundUnit(p.Rat(), "EUR")
		if err != nil || q.Rat().Cmp(p.Rat()) != 0 {
			t.Fatalf("%s is not kept exactly: %v (%v)", s, q, err)
		}
	})
}
