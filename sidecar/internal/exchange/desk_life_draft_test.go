package exchange_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestADraftSaysWhatTheOtherLogAloneTells, as the evidence of the fork has it, at the supplier: it proposes a state for what it has or what was
// decided, and none for what was only ordered.
func TestADraftSaysWhatTheOtherLogAloneTells(t *testing.T) {
	t.Parallel()
	const id = "order-0009"
	sub := order.SubscriptionID(id)
	digest := signed.Digest(nil)
	placed := ledger.Draft{Kind: ledger.OrderPlaced, Subject: sub, Body: order.Body{
		Order: id, Agreement: "agr-1", DocumentSHA256: digest, Subscription: sub, Action: order.Add, Intent: order.Purchase,
	}}
	cancelled := ledger.Draft{Kind: ledger.CancelPlaced, Subject: sub, Body: order.Body{Order: id, Agreement: "agr-1", DocumentSHA256: digest, Subscription: sub}}
	accepted := ledger.Draft{Kind: ledger.OrderAccepted, Subject: sub, Body: order.Body{
		Order: id, Agreement: "agr-1", DocumentSHA256: digest, Subscription: sub, Action: order.Add,
	}}
	for name, c := range map[string]struct {
		tells []ledger.Draft     // the other log alone
		ours  *ledger.Draft      // what our own log has that the partner did not read
		has   subscription.State // the supplier's own record; "" is none
		want  subscription.State // in the draft; "" is that it is not named
	}{
		"ordered, and nothing here":                     {tells: []ledger.Draft{placed}},
		"ordered, and running here":                     {tells: []ledger.Draft{placed}, has: subscription.Active, want: subscription.Active},
		"ordered, and failed here":                      {tells: []ledger.Draft{placed}, has: subscription.Aborted, want: subscription.Aborted},
		"ordered, and accepted in our log alone":        {tells: []ledger.Draft{placed}, ours: &accepted, has: subscription.PendingActive, want: subscription.PendingActive},
		"ordered, and accepted by what is lost here":    {tells: []ledger.Draft{placed}, ours: &accepted, want: subscription.Aborted},
		"ordered and cancelled there, and nothing here": {tells: []ledger.Draft{placed, cancelled}, want: subscription.Aborted},
		"cancelled there, and running here":             {tells: []ledger.Draft{cancelled}, has: subscription.Active, want: subscription.Active},
		"nothing":                                       {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			supplier, reseller := forkedPair(t)
			proof := ledger.Evidence{At: ledger.Position{Seq: 1}}
			for i, d := range c.tells {
				e, err := d.Seal(self, ledger.Position{Seq: int64(i + 1)}, supplier.Clock.Now(), [32]byte{1})
				if err != nil {
					t.Fatal(err)
				}
				proof.Theirs.Entries = append(proof.Theirs.Entries, string(e.Bytes))
			}
			evidence, err := json.Marshal(proof)
			if err != nil {
				t.Fatal(err)
			}
			supplier.Do(func(tx *store.Tx) error {
				if c.ours != nil {
					_, err := tx.Ledger().Advance(buyer, ledger.Own, func(head ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
						e, err := c.ours.Seal(buyer, ledger.Position{Seq: head.Seq + 1}, supplier.Clock.Now(), prev)
						return []ledger.Entry{e}, err
					})
					if err != nil {
						return err
					}
				}
				if c.has != "" {
					_, err := tx.Subscriptions().Put(subscription.Subscription{ID: sub, Side: subscription.Resale, Partner: reseller.Origin, OrderID: id, State: c.has, Quantity: 1})
					if err != nil {
						return err
					}
				}
				return tx.Ledger().PutEvidence(buyer, evidence)
			})
			var got subscription.State
			for _, s := range supplier.draft().Subjects {
				if s.Subscription == sub {
					got = s.State
				} else if !strings.HasPrefix(s.Subscription, "order-1") {
					t.Errorf("the draft names %+v", s)
				}
			}
			if got != c.want {
				t.Errorf("the draft says %q, not %q", got, c.want)
			}
		})
	}
}
