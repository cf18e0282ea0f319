package retail_test

import (
	"slices"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestACancelOfWhatWasNoPurchaseComesBackAlone: the supplier had it before the order, which asked for something about what runs. What that was
// our own log says, or the portal, and until then nobody; what runs goes on in any case, and what its supplier says of it later is heard.
func TestACancelOfWhatWasNoPurchaseComesBackAlone(t *testing.T) {
	t.Parallel()
	type wish struct {
		action order.Action
		intent order.Intent
	}
	ends, rotates := wish{order.Delete, order.Terminate}, wish{order.Modify, order.Rotate}
	for name, test := range map[string]struct {
		asked    wish
		unsigned bool
		// between is how many entries our log has between the order and its cancel.
		between int
		want    wish
		course  subscription.State
	}{
		"an end":                               {asked: ends, want: ends, course: subscription.PendingTerminate},
		"a rotation":                           {asked: rotates, want: rotates, course: subscription.ActivePendingChange},
		"an end, placed long before":           {asked: ends, between: 1100, want: ends, course: subscription.PendingTerminate},
		"an end that was not signed before it": {asked: ends, unsigned: true, course: subscription.Active},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newOrder(t)
			c.keepsLog(vendor)
			c.hears(ledger.OrderAccepted, ledger.OrderCompleted)
			bought := c.order().Items[0]
			place := func(asked wish) (retail.Order, error) {
				return c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{
					{Action: asked.action, Intent: asked.intent, SubscriptionID: bought.SubscriptionID},
				}})
			}
			if test.unsigned {
				c.stand(vendor, ledger.Unproven)
			}
			o, err := place(test.asked)
			if err != nil {
				t.Fatal(err)
			}
			c.Do(func(tx *store.Tx) error {
				for range test.between {
					if _, err := c.Book.Append(tx, vendor, ledger.OrderPlaced, "sub-another", order.Body{
						Order: "another", DocumentSHA256: signed.Digest(nil), Agreement: bought.AgreementID, Subscription: "sub-another", Action: order.Add,
					}); err != nil {
						return err
					}
				}
				return nil
			})
			if o, err = c.service.Cancel(t.Context(), "shop", "c", o.ID); err != nil {
				t.Fatal(err)
			}
			for c.stand(vendor, ledger.Level); o.Items[0].CancelDocument == ""; {
				_ = c.sign() // the order waits for its cancel
				if o, err = c.service.Get(t.Context(), "shop", "c", o.ID); err != nil {
					t.Fatal(err)
				}
			}
			was := o.Items[0]
			c.loses(bought)
			inOrder := func() {
				t.Helper()
				if test.between == 0 { // those are of an order that is not here
					c.inOrder()
				}
			}
			if err := c.recallsCancel(c.placedLast(), was); err != nil {
				t.Fatal(err)
			}
			stands := func(when string, state order.State, want wish, course subscription.State) {
				t.Helper()
				c.View(func(tx *store.Tx) error {
					o, i, err := tx.RetailOrders().ByCorrelation(was.CorrelationID)
					if err != nil {
						return err
					}
					it := o.Items[i]
					if it.State != state || it.Action != want.action || it.Intent != want.intent || it.Name != bought.Name || it.Partner != vendor {
						t.Errorf("%s it is %+v", when, it)
					}
					return nil
				})
				if sub, err := c.subscriptionOf(bought); err != nil || sub.State != course {
					t.Errorf("%s its subscription is %q, %v", when, sub.State, err)
				}
			}
			stands("come back", order.AssessingCancel, test.want, test.course)
			inOrder()
			if jobs := c.jobs(); !slices.Contains(jobs, retail.JobCancel) || slices.Contains(jobs, retail.JobSubmit) {
				t.Errorf("the jobs are %v", jobs)
			}
			if err := c.hear(vendor, was.CorrelationID, ledger.OrderCancelled, `{}`); err != nil {
				t.Fatal(err)
			}
			stands("cancelled", order.Cancelled, test.want, subscription.Active)
			inOrder()

			other := rotates
			if test.asked == rotates {
				other = ends
			}
			if test.want != (wish{}) {
				if _, err := place(other); fault.ReasonOf(err) != "order_id_conflict" {
					t.Errorf("its portal asks for something else: %v", err)
				}
			}
			if o, err := place(test.asked); err != nil || o.State() != order.Cancelled || o.ID != "order-0002" {
				t.Fatalf("its portal repeats it: %+v, %v", o, err)
			}
			stands("named by its portal", order.Cancelled, test.asked, subscription.Active)
			if _, err := place(other); fault.ReasonOf(err) != "order_id_conflict" {
				t.Errorf("then it asks for something else: %v", err)
			}
			inOrder()
			if jobs := c.jobs(); slices.Contains(jobs, retail.JobCancel) {
				t.Errorf("then the jobs are %v", jobs)
			}
		})
	}
}

// loses has the store lose its orders, and only one come back that was bought, with what the vendor's log says of it.
func (c *counter) loses(bought retail.Item) {
	c.t.Helper()
	c.View(func(tx *store.Tx) (err error) {
		bought.Escrow, err = tx.RetailOrders().Escrow(bought.CorrelationID)
		return err
	})
	c.forgets()
	c.comesBack(bought, 1)
	c.Do(func(tx *store.Tx) error {
		told, err := tx.Ledger().Entries(vendor, ledger.Theirs, ledger.Position{}, 9)
		for _, e := range told {
			if err == nil {
				err = c.service.Apply(tx, e)
			}
		}
		return err
	})
}

// placedLast is the last cancel that our log with the vendor has.
func (c *counter) placedLast() (last ledger.Entry) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(vendor, ledger.Own)
		if err != nil {
			return err
		}
		last, err = tx.Ledger().Entry(vendor, ledger.Own, head.Position())
		return err
	})
	if last.Kind != ledger.CancelPlaced {
		c.t.Fatalf("our log ends with %s", last.Kind)
	}
	return last
}
