package retail_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// dearer sells at twice what was sold.
type dearer struct{ *counter }

func (d dearer) Offer(ctx context.Context, id string) (listing.Offer, error) {
	offer, err := d.counter.Offer(ctx, id)
	offer.MarkupBP = 10_000
	return offer, err
}

// broken is an outage of our own.
type broken struct{}

func (broken) Offer(context.Context, string) (listing.Offer, error) {
	return listing.Offer{}, errors.New("the disk does not answer")
}

func (c *counter) found(portal string) (o retail.Order, err error) {
	c.View(func(tx *store.Tx) error {
		o, err = tx.RetailOrders().Get(portal, "order-0001")
		return nil
	})
	return o, err
}

func (c *counter) rebuilt() error {
	return c.service.Rebuilt(c.t.Context(), job.Job{Kind: retail.JobRebuild, Key: "corr-0001"})
}

// TestAPurchaseLeavesItsEscrowWithItsSupplier in the same bytes however often and by whomever its document is sent.
func TestAPurchaseLeavesItsEscrowWithItsSupplier(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]ledger.BooksState{"signed at once": ledger.Level, "signed later": ledger.Unproven} {
		c := newCounter(t)
		c.stand(vendor, state)
		o, err := c.place(add("lst"))
		if err != nil {
			t.Fatal(err)
		}
		if o.Items[0].Escrow != nil {
			t.Errorf("%s: what was placed is read with it", name)
		}
		if state != ledger.Level {
			c.stand(vendor, ledger.Level)
			c.sign()
		}
		var sent []byte
		c.View(func(tx *store.Tx) error {
			d, err := c.service.OrderDocument(tx, job.Job{Kind: retail.JobSubmit, Key: "corr-0001", Partner: vendor})
			if err != nil {
				return err
			}
			payload, err := signed.Payload(d.JWS)
			if err != nil {
				return err
			}
			doc, _, err := order.ParseDocument(payload)
			if sent = d.Escrow; doc.EscrowSHA256 != signed.Digest(sent) || len(sent) == 0 {
				t.Errorf("%s: %d bytes of escrow, the document says %s", name, len(sent), doc.EscrowSHA256)
			}
			return err
		})
	}
}

// TestATerminationLeavesNothing: its subscription says whose it is.
func TestATerminationLeavesNothing(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := c.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	o, err := c.service.Place(t.Context(), retail.PlaceCommand{Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{end(c.order().Items[0].SubscriptionID)}})
	if err != nil {
		t.Fatal(err)
	}
	c.View(func(tx *store.Tx) error {
		d, err := c.service.OrderDocument(tx, job.Job{Kind: retail.JobSubmit, Key: o.Items[0].CorrelationID, Partner: vendor})
		if d.Escrow != nil {
			t.Errorf("it leaves %d bytes", len(d.Escrow))
		}
		return err
	})
}

// TestAnOrderComesBackUnderItsPortalsId with what the customer was sold, without its portal having named it.
func TestAnOrderComesBackUnderItsPortalsId(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"))
	c := newCounter(t)
	c.service.Offers = dearer{c}
	for range 2 {
		if err := c.givesBack(was.Items[0]); err != nil {
			t.Fatal(err)
		}
	}
	o, err := c.found("shop")
	if err != nil {
		t.Fatal(err)
	}
	it := o.Items[0]
	if o.State() != order.Acknowledged || len(o.Items) != 1 || it.ListingID != "lst" || it.Name != "Database" || it.Retail.OneOff.Minor != was.Items[0].Retail.OneOff.Minor ||
		!o.PlacedAt.Equal(was.PlacedAt) || o.Customer != "" {
		t.Errorf("it is %+v", o)
	}
	sub, err := c.subscriptionOf(it)
	if err != nil || sub.Portal != "shop" || sub.OrderID != "order-0001" || sub.ListingID != "lst" || sub.Price.OneOff.Minor != was.Items[0].Retail.OneOff.Minor {
		t.Errorf("the subscription is %+v, %v", sub, err)
	}
	if _, err := c.get("shop", "d"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another customer reads it: %v", err)
	}
	if o, err := c.get("shop", "c"); err != nil || o.Customer != "c" {
		t.Errorf("its customer reads %+v, %v", o, err)
	}
	if o, err := c.place(add("lst")); err != nil || o.Items[0].Document != was.Items[0].Document {
		t.Errorf("repeated it is %+v, %v", o, err)
	}
	// What the supplier lost is given back with the escrow.
	c.View(func(tx *store.Tx) error {
		escrow, err := tx.RetailOrders().Escrow(it.CorrelationID)
		if !slices.Equal(escrow, was.Items[0].Escrow) {
			t.Error("its escrow is another's")
		}
		return err
	})
	if jobs := c.jobs(); !slices.Equal(jobs, []string{retail.JobSubmit}) {
		t.Errorf("the jobs are %v", jobs)
	}
}

// TestAnOrderOverTwoSuppliersIsRebuildingUntilBothHaveAnswered: one that reads or repeats it early buys nothing again and claims nothing.
func TestAnOrderOverTwoSuppliersIsRebuildingUntilBothHaveAnswered(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	for name, first := range map[string]int{"the first item first": 0, "the second first": 1} {
		c := newCounter(t)
		c.stand(vendor, ledger.Unproven)
		c.stand(second, ledger.Unproven)
		if err := c.givesBack(was.Items[first]); err != nil {
			t.Fatal(err)
		}
		entries, _, subscriptions := c.traces()
		if err := c.rebuilt(); fault.ReasonOf(err) != "order_rebuilding" {
			t.Errorf("%s: it is not waited for: %v", name, err)
		}
		for _, look := range []func() (retail.Order, error){
			func() (retail.Order, error) { return c.get("shop", "c") },
			func() (retail.Order, error) { return c.place(add("lst"), add("other")) },
			func() (retail.Order, error) { return c.get("shop", "") },
		} {
			o, err := look()
			if err != nil || o.State() != order.PendingRebuilding || o.Telling().Message == "" || o.Telling().PublicReason() != "order_rebuilding" || len(o.RequestDigest) > 0 {
				t.Errorf("%s: early it is %s %q, %v", name, o.State(), o.Telling().Message, err)
			}
		}
		if _, err := c.place(add("lst"), add("other"), add("lst")); fault.ReasonOf(err) != "order_id_conflict" {
			t.Errorf("%s: another wish: %v", name, err)
		}
		if e, _, s := c.traces(); e != entries || s != subscriptions {
			t.Errorf("%s: it is bought again", name)
		}
		if err := c.givesBack(was.Items[1-first]); err != nil {
			t.Fatal(err)
		}
		o, err := c.get("shop", "c")
		if err != nil || o.State() != order.Acknowledged || o.Items[0].Partner != vendor || o.Items[1].Partner != second || o.Items[1].Retail != was.Items[1].Retail && *o.Items[1].Retail.OneOff != *was.Items[1].Retail.OneOff {
			t.Errorf("%s: then it is %+v, %v", name, o, err)
		}
		sub, err := c.subscriptionOf(o.Items[1-first])
		if err != nil || sub.Customer != "c" || sub.Portal != "shop" || sub.OrderID != "order-0001" {
			t.Errorf("%s: the later one's subscription is %+v, %v", name, sub, err)
		}
		if err := c.rebuilt(); err != nil {
			t.Errorf("%s: it is waited for still: %v", name, err)
		}
		if o, err := c.place(add("lst"), add("other")); err != nil || len(o.RequestDigest) == 0 {
			t.Errorf("%s: then it is repeated: %+v, %v", name, o, err)
		}
		for i, partner := range []string{vendor, second} {
			if err := c.hear(partner, was.Items[i].CorrelationID, ledger.OrderAccepted, `{}`); err != nil {
				t.Errorf("%s: %s is not heard: %v", name, partner, err)
			}
		}
	}
}

// TestWhatNobodyHasIsLostWhenAllHaveAnswered, and is there after all where one gives it back later.
func TestWhatNobodyHasIsLostWhenAllHaveAnswered(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	if err := c.givesBack(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.rebuilt(); !errors.Is(err, job.ErrFinished) {
		t.Fatal(err)
	}
	o, err := c.get("shop", "c")
	if it := o.Items[1]; err != nil || it.State != order.Failed || it.PublicReason() != "order_lost" || it.Message == "" || o.State() != order.InProgress {
		t.Errorf("it is %+v, %v", it, err)
	}
	if o, err := c.place(add("lst"), add("other")); err != nil || len(o.RequestDigest) == 0 {
		t.Errorf("repeated it is %+v, %v", o, err)
	}
	if err := c.rebuilt(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := c.givesBack(was.Items[1]); err != nil {
		t.Fatal(err)
	}
	if it := c.order().Items[1]; it.State != order.Acknowledged || it.Document != was.Items[1].Document {
		t.Errorf("later it is %+v", it)
	}
}

// TestWhatAPartnerNeverSaidIsNotLost: somebody vouched for its books, and nobody knows whether it has the part. An operator says so then.
func TestWhatAPartnerNeverSaidIsNotLost(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	if err := c.givesBack(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	c.stand(second, ledger.Unproven)
	c.Do(func(tx *store.Tx) error {
		return ledger.VouchFor(tx, second, ledger.Vouch{By: "operator", Reason: "it is gone"}, c.Clock.Now())
	})
	var parked *job.ParkError
	err := c.rebuilt()
	if !errors.As(err, &parked) || !strings.Contains(err.Error(), second) || !strings.Contains(err.Error(), "hanse order abandon order-0001") {
		t.Errorf("the job ends with %v", err)
	}
	if it := c.order().Items[1]; it.State != order.PendingRebuilding || it.PublicReason() != "order_rebuilding" {
		t.Errorf("the customer reads %s (%s)", it.State, it.PublicReason())
	}
	c.Clock.Pass(4 * week)
	for range 2 {
		if it := c.abandon().Items[1]; it.State != order.Failed || it.PublicReason() != "order_lost" {
			t.Errorf("given up it is %s (%s)", it.State, it.PublicReason())
		}
	}
	if slices.Contains(c.jobs(), retail.JobRebuild) {
		t.Error("the job is still there")
	}
	if err := c.givesBack(was.Items[1]); err != nil || c.order().Items[1].Document != was.Items[1].Document {
		t.Errorf("it cannot come back: %v", err)
	}
}

// TestAnItemWithoutEscrowJoinsTheOrderThatNamesIt, whichever of them comes back first.
func TestAnItemWithoutEscrowJoinsTheOrderThatNamesIt(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	for _, bareFirst := range []bool{true, false} {
		c := newCounter(t)
		bare := func() {
			if err := c.recalls(was.Items[1]); err != nil {
				t.Fatal(err)
			}
		}
		if bareFirst {
			bare()
		}
		if err := c.givesBack(was.Items[0]); err != nil {
			t.Fatal(err)
		}
		if !bareFirst {
			bare()
		}
		o, err := c.found("shop")
		if err != nil || o.State() != order.Acknowledged || o.Items[1].Partner != second || o.Items[1].Document != was.Items[1].Document {
			t.Errorf("bare first %t: it is %+v, %v", bareFirst, o, err)
		}
		if sub, err := c.subscriptionOf(o.Items[1]); err != nil || sub.Portal != "shop" || sub.OrderID != "order-0001" {
			t.Errorf("bare first %t: the subscription is %+v, %v", bareFirst, sub, err)
		}
		if _, err := c.found(""); !fault.Is(err, fault.NotFound) {
			t.Errorf("bare first %t: it is there twice", bareFirst)
		}
	}
}

// TestEscrowThatDoesNotOpenStopsNothing: the order is there, under its own id, and it is said what is missing.
func TestEscrowThatDoesNotOpenStopsNothing(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"))
	other, err := retail.NewEscrow([]byte("another recovery key of 32 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(c *counter, it *retail.Item)
		reason string
	}{
		"not given back": {func(_ *counter, it *retail.Item) { it.Escrow = nil }, "escrow_not_given_back"},
		"another's":      {func(_ *counter, it *retail.Item) { it.Escrow = []byte("escrow") }, "escrow_unreadable"},
		"another key":    {func(c *counter, _ *retail.Item) { c.service.Escrow = other }, "escrow_unreadable"},
		"of another item": {func(c *counter, _ *retail.Item) {
			c.service.Correlate = func(string, string, int) string { return "corr-of-another" }
		}, "escrow_unreadable"},
	} {
		c, it := newCounter(t), was.Items[0]
		test.change(c, &it)
		err := c.givesBack(it)
		if partly := (retail.PartlyError{}); !errors.As(err, &partly) || fault.ReasonOf(err) != test.reason {
			t.Errorf("%s: %v", name, err)
		}
		if sub, err := c.subscriptionOf(it); err != nil || sub.Portal != "" || sub.State != subscription.PendingActive {
			t.Errorf("%s: the subscription is %+v, %v", name, sub, err)
		}
		c.service.Correlate = correlate
		if o, err := c.get("shop", "c"); err != nil || o.Items[0].Document != was.Items[0].Document {
			t.Errorf("%s: the portal reads %+v, %v", name, o, err)
		}
	}
}

// TestAnIdThatIsUsedAgainKeepsItsNewOrder: what was sold under it before is there beside it.
func TestAnIdThatIsUsedAgainKeepsItsNewOrder(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	if err := c.givesBack(was.Items[1]); fault.ReasonOf(err) != "order_contradiction" {
		t.Errorf("it is said: %v", err)
	}
	if o := c.order(); len(o.Items) != 1 || o.Items[0].Partner != vendor {
		t.Errorf("it is %+v", o)
	}
	if _, err := c.subscriptionOf(was.Items[1]); err != nil {
		t.Errorf("what was sold is not there: %v", err)
	}
}

// TestWhatIsSignedAgainIsSoldAsItWas: an order that was acknowledged unsigned at today's price is what was signed before.
func TestWhatIsSignedAgainIsSoldAsItWas(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"))
	c := newCounter(t)
	c.stand(vendor, ledger.Unproven)
	c.service.Offers = dearer{c}
	if _, err := c.place(add("lst")); err != nil {
		t.Fatal(err)
	}
	if err := c.givesBack(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	it := c.order().Items[0]
	sub, err := c.subscriptionOf(it)
	if err != nil || it.Retail.OneOff.Minor != was.Items[0].Retail.OneOff.Minor || sub.Price.OneOff.Minor != it.Retail.OneOff.Minor {
		t.Errorf("it costs %v and %v, %v", it.Retail.OneOff, sub.Price.OneOff, err)
	}
	c.View(func(tx *store.Tx) error {
		d, err := c.service.OrderDocument(tx, job.Job{Kind: retail.JobSubmit, Key: it.CorrelationID, Partner: vendor})
		if !slices.Equal(d.Escrow, was.Items[0].Escrow) {
			t.Error("it is sent with another escrow than its document names")
		}
		return err
	})
}

// TestAClaimWaitsForThoseWhoHaveNotAnswered: the order may have items that are theirs.
func TestAClaimWaitsForThoseWhoHaveNotAnswered(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	c := newCounter(t)
	c.stand(second, ledger.Unproven)
	if err := c.recalls(was.Items[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get("shop", "c"); fault.ReasonOf(err) != "books_unproven" {
		t.Errorf("it is read: %v", err)
	}
	if _, err := c.place(add("lst"), add("other")); fault.ReasonOf(err) != "books_unproven" {
		t.Errorf("it is repeated: %v", err)
	}
	if err := c.recalls(was.Items[1]); err != nil {
		t.Fatal(err)
	}
	c.stand(second, ledger.Level)
	if o, err := c.get("shop", "c"); err != nil || len(o.Items) != 2 {
		t.Errorf("then it is %+v, %v", o, err)
	}
}

// TestAnOutageOfOursIsNotThatAnOfferingIsNotSold: the order would be rebuilt at another price.
func TestAnOutageOfOursIsNotThatAnOfferingIsNotSold(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"))
	c := newCounter(t)
	c.service.Offers = broken{}
	if err := c.recalls(was.Items[0]); !fault.Is(err, fault.Unavailable) {
		t.Errorf("it is rebuilt: %v", err)
	}
}
