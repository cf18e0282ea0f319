package agreement

import "cmp"

// Deals are the agreements of one supplier and one reseller under which new orders are placed, by currency: an offering is sold
// under the one in whose currency it is priced. What a pair agreed on before stays for what was ordered under it.
type Deals map[string]Agreement

// DealsOf picks the deals out of all agreements of a pair: of the active ones in a currency, the one that became active last.
func DealsOf(pair []Agreement) Deals {
	d := Deals{}
	for _, a := range pair {
		if a.State != Active {
			continue
		}
		if before, has := d[a.Terms.Currency]; !has || before.older(a) {
			d[a.Terms.Currency] = a
		}
	}
	return d
}

func (a Agreement) older(than Agreement) bool {
	return cmp.Or(a.ActiveSince.Compare(than.ActiveSince), a.CreatedAt.Compare(than.CreatedAt), cmp.Compare(a.ID, than.ID)) < 0
}
