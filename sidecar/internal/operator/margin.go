package operator

import (
	"cmp"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
)

// Total is what the items of a retail order come to that are owed in one currency, once or by one period. Items that came to
// nothing owe nothing and are not in it.
type Total struct {
	// Period is an ISO 8601 duration; "" is once.
	Period string
	// Retail is what the customer owes us, Wholesale what we owe the suppliers, Margin the difference.
	Retail    money.Amount
	Wholesale money.Amount
	Margin    money.Amount
}

// margin is what is ours of what a customer owes.
func margin(retail, wholesale price.Line) price.Line {
	return price.Line{OneOff: less(retail.OneOff, wholesale.OneOff), Recurring: less(retail.Recurring, wholesale.Recurring), Period: retail.Period}
}

// less is a-b, nil where one of them is not there or they are not of one currency. Prices are not negative, so it fits.
func less(a, b *money.Amount) *money.Amount {
	if a == nil || b == nil || a.Currency != b.Currency {
		return nil
	}
	return &money.Amount{Minor: a.Minor - b.Minor, Currency: a.Currency}
}

// totals are sorted by currency, what is owed once first.
func totals(items []Item) []Total {
	type key struct{ currency, period string }
	sums := map[key]*Total{}
	wrong := map[key]bool{}
	add := func(period string, retail, wholesale *money.Amount) {
		if retail == nil || wholesale == nil {
			return
		}
		k := key{retail.Currency, period}
		t := sums[k]
		if t == nil {
			zero := money.Amount{Currency: k.currency}
			t = &Total{Period: period, Retail: zero, Wholesale: zero}
			sums[k] = t
		}
		var errs [2]error
		t.Retail, errs[0] = t.Retail.Add(*retail)
		t.Wholesale, errs[1] = t.Wholesale.Add(*wholesale)
		wrong[k] = wrong[k] || errs != [2]error{}
	}
	for _, it := range items {
		switch it.State {
		case order.Rejected, order.Failed, order.Cancelled:
			continue
		}
		add("", it.Retail.OneOff, it.Wholesale.OneOff)
		add(it.Retail.Period, it.Retail.Recurring, it.Wholesale.Recurring)
	}
	var out []Total
	for k, t := range sums {
		if wrong[k] { // beyond 64 bits: no sum rather than a wrong one; the items have theirs
			continue
		}
		t.Margin = *less(&t.Retail, &t.Wholesale)
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Retail.Currency, b.Retail.Currency), cmp.Compare(a.Period, b.Period))
	})
	return out
}
