package price

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// vectors are the prices that the custom elements come to as well; test/unit.test.mjs of sdk/web runs the same file. The
// fields named Shown and Card and MinorDigits are checked elsewhere.
type vectors struct {
	About       string
	Lines       []vector
	Refused     []vector
	MinorDigits json.RawMessage `json:"minor_digits"`
}

type vector struct {
	Name       string
	Currency   string
	Quantity   int64
	DiscountBP int32 `json:"discount_bp"`
	MarkupBP   int32 `json:"markup_bp"`
	Prices     []Component

	Retail      [][]string
	RetailShown [][]string `json:"retail_shown"`
	OneOff      *amount    `json:"one_off"`
	Recurring   *amount
	Period      string
	Headline    struct {
		amount
		Per      string
		PerShown string `json:"per_shown"`
		Rate     string
		Setup    *amount
		From     bool
		Card     string
	}
	Reason string
}

type amount struct{ Minor, Text, Shown string }

func (v vector) list() List   { return List{Components: v.Prices, Currency: v.Currency} }
func (v vector) terms() Terms { return Terms{DiscountBP: v.DiscountBP, MarkupBP: v.MarkupBP} }

func readVectors(t *testing.T) vectors {
	t.Helper()
	raw, err := os.ReadFile("../../../sdk/web/testdata/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Lines) == 0 || len(v.Refused) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Lines {
		t.Run(v.Name, func(t *testing.T) {
			line, err := v.list().Line(v.Quantity, v.terms())
			if err != nil {
				t.Fatal(err)
			}
			same(t, "one-off", line.OneOff, v.OneOff)
			same(t, "recurring", line.Recurring, v.Recurring)
			if line.Period != v.Period {
				t.Errorf("period %q, want %q", line.Period, v.Period)
			}
			headline, err := v.list().Headline(v.terms())
			if err != nil {
				t.Fatal(err)
			}
			same(t, "headline", &headline.Amount, &v.Headline.amount)
			same(t, "setup", headline.Setup, v.Headline.Setup)
			rate := ""
			if headline.Rate != nil {
				rate = headline.Rate.Decimal()
			}
			if headline.Per != v.Headline.Per || headline.From != v.Headline.From || rate != v.Headline.Rate {
				t.Errorf("headline %+v at %s, want %+v", headline, rate, v.Headline)
			}
			retail, err := v.list().Retail(v.terms())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(v.retail(), retail); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefusedVectors(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Refused {
		t.Run(v.Name, func(t *testing.T) {
			line, err := v.list().Line(v.Quantity, v.terms())
			if fault.ReasonOf(err) != v.Reason || !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v %v, want %s", line, err, v.Reason)
			}
		})
	}
}

// retail are the components with the unit prices that the vector names.
func (v vector) retail() []Component {
	out := make([]Component, len(v.Prices))
	for i, c := range v.Prices {
		if len(c.Tiers) == 0 {
			c.Amount = v.Retail[i][0]
		}
		tiers := c.Tiers
		c.Tiers = nil
		for j, tier := range tiers {
			c.Tiers = append(c.Tiers, Tier{UpTo: tier.UpTo, Amount: v.Retail[i][j]})
		}
		out[i] = c
	}
	return out
}

func same(t *testing.T, what string, got *money.Amount, want *amount) {
	t.Helper()
	if got == nil || want == nil {
		if got != nil || want != nil {
			t.Errorf("%s %v, want %v", what, got, want)
		}
		return
	}
	if fmt.Sprint(got.Minor) != want.Minor || got.String() != want.Text {
		t.Errorf("%s %d %s, want %s %s", what, got.Minor, got, want.Minor, want.Text)
	}
}
