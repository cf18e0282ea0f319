package resale

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
)

// ApplyPlaced reads a reseller's ledger entries order.placed, cancel.placed and erase.placed: the document itself follows. sold says whether the
// partner buys of us under an agreement.
func ApplyPlaced(e ledger.Entry, sold func(agreementID string) error) error {
	b, err := order.ParseBody(e)
	if err != nil {
		return err
	}
	if !order.IsID(b.Order) {
		return fault.New(fault.Invalid, "ledger_body_malformed", "the body of entry %d names no order", e.Seq).At("order")
	}
	if e.Kind == ledger.OrderPlaced {
		row, taken := order.RowOf(b.Action, b.Intent)
		switch {
		case !taken:
			return fault.New(fault.Invalid, "ledger_body_malformed", "entry %d places an order of a kind that is not known here", e.Seq).At("intent")
		case row.Action == order.Add && b.Subscription != order.SubscriptionID(b.Order):
			return fault.New(fault.Invalid, "ledger_body_malformed", "entry %d is about another subscription than its order makes", e.Seq).At("subscription")
		}
	}
	return sold(b.Agreement)
}
