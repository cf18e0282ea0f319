package audit_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestWhatIsPlacedTwiceIsFoundInTheOrderOfTheLog: one audit after another tells the same examples first.
func TestWhatIsPlacedTwiceIsFoundInTheOrderOfTheLog(t *testing.T) {
	t.Parallel()
	reseller, supplier := markettest.NewMember(t, shop), markettest.NewMember(t, vendor)
	reseller.Meet(supplier)
	const orders = 12
	reseller.Do(func(tx *store.Tx) error {
		for i := range 2 * orders { // each of them twice, the same document
			id := fmt.Sprintf("order-%08d", i%orders)
			if _, err := reseller.Book.Append(tx, vendor, ledger.OrderPlaced, order.SubscriptionID(id), order.Body{
				Action: order.Add, Intent: order.Purchase, Agreement: "agr-1", DocumentSHA256: hex.EncodeToString(fmt.Appendf(nil, "%032d", i%orders)),
				Order: id, Subscription: order.SubscriptionID(id),
			}); err != nil {
				return err
			}
		}
		return nil
	})
	auditor := &audit.Auditor{Self: shop, Work: store.For[audit.Tx](reseller.Store), Book: reseller.Book, Now: reseller.Clock.Now}
	report, err := auditor.Run(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, inv := range report.Invariants {
		if inv.Number != 4 {
			continue
		}
		if inv.Found != orders || len(inv.Examples) != orders {
			t.Fatalf("%d are placed again, not %d: %+v", inv.Found, orders, inv.Examples)
		}
		for i, e := range inv.Examples {
			if want := fmt.Sprintf("order-%08d", i); e.Subject != want {
				t.Errorf("example %d is of %s, not %s", i, e.Subject, want)
			}
		}
	}
}
