package retail_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// announces has a partner's member document say which versions it reads.
func (c *counter) announces(partner string, documents ...string) {
	c.t.Helper()
	c.Do(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(partner)
		if err == nil {
			p.Documents = documents
			_, err = tx.Partners().Put(p)
		}
		return err
	})
}

func (c *counter) erase() (retail.Order, []int, error) {
	return c.service.Erase(c.t.Context(), "shop", "order-0001", false, word)
}

// newEnded is a counter whose one order was made, and ended by another order.
func newEnded(t *testing.T) *counter {
	t.Helper()
	c := newOrder(t)
	c.announces(vendor, signed.Versions()...)
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := c.apply(kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.service.Place(t.Context(), retail.PlaceCommand{
		Portal: "shop", Customer: "c", ID: "order-0002", Items: []retail.ItemCommand{end(c.order().Items[0].SubscriptionID)},
	}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := c.hear(vendor, "order-0002-corr-0001", kind, `{}`); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// placedErasure is the last entry of our own log towards the vendor.
func (c *counter) placedErasure() (e ledger.Entry) {
	c.t.Helper()
	c.View(func(tx *store.Tx) error {
		head, err := tx.Ledger().Head(vendor, ledger.Own)
		if err == nil {
			e, err = tx.Ledger().Entry(vendor, ledger.Own, head.Position())
		}
		return err
	})
	return e
}

func (c *counter) escrow() (escrow []byte) {
	c.t.Helper()
	c.View(func(tx *store.Tx) (err error) {
		escrow, err = tx.RetailOrders().Escrow("corr-0001")
		return err
	})
	return escrow
}

// TestAnErasedOrderNamesNobody: neither it nor what it made says who the customer was, and one request tells the supplier, once.
func TestAnErasedOrderNamesNobody(t *testing.T) {
	t.Parallel()
	c := newEnded(t)
	was := c.order().Items[0]
	if dry, items, err := c.service.Erase(t.Context(), "shop", "order-0001", true, word); err != nil || !slices.Equal(items, []int{0}) || dry.Customer != "c" || len(c.jobs()) != 0 {
		t.Fatalf("dry it is %v of %+v, %v", items, dry, err)
	}
	left := c.escrow()
	entries, _, _ := c.traces()
	o, items, err := c.erase()
	if err != nil || !slices.Equal(items, []int{0}) {
		t.Fatalf("erased are %v, %v", items, err)
	}
	for range 2 { // a repetition does nothing
		if o, items, err = c.erase(); err != nil || len(items) != 0 {
			t.Errorf("again it is %v, %v", items, err)
		}
	}
	it := o.Items[0]
	if o.Customer != "" || len(o.RequestDigest) > 0 || o.ErasedAt.IsZero() || len(it.InputsSalt) > 0 || len(c.escrow()) > 0 {
		t.Errorf("left is %+v", o)
	}
	if it.Document != was.Document || !bytes.Equal(it.PayloadDigest, was.PayloadDigest) || it.State != order.Completed {
		t.Error("the evidence is another")
	}
	if sub := c.subscription(it.SubscriptionID); sub.Customer != "" || sub.Pseudonym != "" || sub.State != subscription.Terminated {
		t.Errorf("the subscription is %+v", sub)
	}
	payload, err := signed.Open(it.EraseDocument, signed.Erase, c.Key())
	if err != nil {
		t.Fatal(err)
	}
	d, err := order.ParseErase(payload)
	if err != nil || d.EscrowSHA256 != signed.Digest(left) || d.OrderSHA256 != hex.EncodeToString(it.PayloadDigest) || d.Audience != vendor {
		t.Errorf("asked is %s, %v", payload, err)
	}
	told, err := ledger.ReadBody(c.placedErasure())
	if err != nil || told.Document != signed.Digest(payload) || told.Order != "corr-0001" {
		t.Errorf("our ledger says %+v, %v", told, err)
	}
	if after, _, _ := c.traces(); after != entries+1 || !slices.Equal(c.jobs(), []string{retail.JobErase}) {
		t.Errorf("it left %d entries and %v", after-entries, c.jobs())
	}
	c.View(func(tx *store.Tx) error {
		doc, err := c.service.EraseDocument(tx, job.Job{Kind: retail.JobErase, Key: "corr-0001", Partner: vendor})
		if err != nil || doc.JWS != it.EraseDocument || doc.Agreement != "" || doc.Scope != "ledger:read" || len(doc.Escrow) > 0 {
			t.Errorf("sent is %+v, %v", doc, err)
		}
		return nil
	})
	if _, err := c.get("shop", "c"); !fault.Is(err, fault.NotFound) {
		t.Errorf("its customer reads it: %v", err)
	}
	if o, err := c.get("shop", ""); err != nil || o.ErasedAt.IsZero() {
		t.Errorf("its portal reads %+v, %v", o, err)
	}
	if _, err := c.place(add("lst")); fault.ReasonOf(err) != "order_erased" {
		t.Errorf("ordered again under its id: %v", err)
	}
	if list, _, err := c.service.List(t.Context(), "shop", "c", "", 10); err != nil || len(list) != 1 || list[0].ID != "order-0002" {
		t.Errorf("its customer's list is %v, %v", list, err)
	}
}

// TestWhatANewLifeEndedAsksItsSupplierToo: whether it had decided it in the life that ended or not, nobody knows here.
func TestWhatANewLifeEndedAsksItsSupplierToo(t *testing.T) {
	t.Parallel()
	for name, kinds := range map[string][]ledger.Kind{"decided": {ledger.OrderAccepted}, "not decided": nil} {
		const says = "its supplier is asked to delete"
		c := newOrder(t)
		c.announces(vendor, signed.Versions()...)
		for _, kind := range kinds {
			if err := c.apply(kind, `{}`); err != nil {
				t.Fatal(err)
			}
		}
		c.endAgreed(c.order().Items[0].SubscriptionID, subscription.Aborted)
		_, items, err := c.erase()
		if err != nil || len(items) != 1 || !slices.Equal(c.jobs(), []string{retail.JobErase}) {
			t.Errorf("%s: asked for %v, jobs %v, %v", name, items, c.jobs(), err)
		}
		if o, items, err := c.erase(); err != nil || len(items) > 0 || o.Customer != "" {
			t.Errorf("%s: again it is %v, %v", name, items, err)
		}
		c.View(func(tx *store.Tx) error {
			acts, err := tx.Acts().About(vendor, "corr-0001")
			if len(acts) != 1 || acts[0].Verb != "order erase" || acts[0].By != word.By || !strings.HasPrefix(acts[0].Detail, says) {
				t.Errorf("%s: on record is %+v", name, acts)
			}
			return err
		})
	}
}

// TestWhatIsNotErased: what runs, what the supplier does not read, and nothing while it is in doubt what was signed.
func TestWhatIsNotErased(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hears  []ledger.Kind
		reads  []string
		stands ledger.BooksState
		reason string
	}{
		"undecided":                 {reason: "order_not_erasable"},
		"accepted":                  {hears: []ledger.Kind{ledger.OrderAccepted}, reason: "order_not_erasable"},
		"held":                      {hears: []ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld}, reason: "order_not_erasable"},
		"what it made runs":         {hears: []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, reason: "order_not_erasable"},
		"rejected":                  {hears: []ledger.Kind{ledger.OrderRejected}},
		"failed":                    {hears: []ledger.Kind{ledger.OrderAccepted, ledger.OrderFailed}},
		"a supplier from before":    {hears: []ledger.Kind{ledger.OrderRejected}, reads: []string{signed.OrderV1}, reason: "document_version"},
		"while unproven":            {hears: []ledger.Kind{ledger.OrderRejected}, stands: ledger.Unproven, reason: "books_unproven"},
		"while behind":              {hears: []ledger.Kind{ledger.OrderRejected}, stands: ledger.Behind, reason: "books_behind"},
		"forked, for it winds down": {hears: []ledger.Kind{ledger.OrderRejected}, stands: ledger.Forked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newOrder(t)
			if c.reads == nil {
				c.reads = signed.Versions()
			}
			shop.announces(vendor, c.reads...)
			for _, kind := range c.hears {
				if err := shop.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			if c.stands != "" {
				shop.stand(vendor, c.stands)
			}
			o, _, err := shop.erase()
			if got := fault.ReasonOf(err); got != c.reason || (err == nil) == o.ErasedAt.IsZero() {
				t.Errorf("it is %v", err)
			}
			if err != nil && (shop.order().Customer != "c" || slices.Contains(shop.jobs(), retail.JobErase)) {
				t.Error("something was done all the same")
			}
		})
	}
}

// TestWhatWasGivenUpIsErasedWhenItsEndIsKnown: until then the supplier may still take it.
func TestWhatWasGivenUpIsErasedWhenItsEndIsKnown(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	c.announces(vendor, signed.Versions()...)
	c.Clock.Pass(week + 24*time.Hour)
	c.abandon()
	if _, _, err := c.erase(); fault.ReasonOf(err) != "order_not_erasable" {
		t.Errorf("before: %v", err)
	}
	if err := c.apply(ledger.OrderCancelled, `{}`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.erase(); err != nil {
		t.Errorf("after: %v", err)
	}
}

// erased is what a supplier's ledger says of our request.
func (c *counter) erased(from, digest string, change map[string]any) error {
	c.t.Helper()
	body := map[string]any{"order": "corr-0001", "subscription": "sub-corr-0001", "document_sha256": digest}
	for name, v := range change {
		body[name] = v
	}
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.Store.Do(c.t.Context(), func(tx *store.Tx) error {
		return c.service.ApplyErased(tx, ledger.Entry{Partner: from, Direction: ledger.Theirs, Seq: 9, Kind: ledger.OrderErased, Subject: "sub-corr-0001", Body: raw})
	})
}

// TestTheSuppliersWordEndsTheRequest, of the request that we signed alone.
func TestTheSuppliersWordEndsTheRequest(t *testing.T) {
	t.Parallel()
	c := newEnded(t)
	digest := signed.Digest([]byte("another"))
	if err := c.erased(vendor, digest, nil); fault.ReasonOf(err) != "document_mismatch" {
		t.Errorf("before it was made: %v", err)
	}
	o, _, err := c.erase()
	if err != nil {
		t.Fatal(err)
	}
	ours := hex.EncodeToString(o.Items[0].EraseDigest)
	if err := c.erased(vendor, digest, nil); fault.ReasonOf(err) != "document_mismatch" {
		t.Errorf("of another: %v", err)
	}
	if err := c.erased(second, ours, nil); fault.ReasonOf(err) != "order_not_found" {
		t.Errorf("by another: %v", err)
	}
	if len(c.jobs()) != 1 {
		t.Errorf("left is %v", c.jobs())
	}
	for range 2 {
		if err := c.erased(vendor, ours, map[string]any{"escrow_sha256": digest}); err != nil {
			t.Error(err)
		}
	}
	if len(c.jobs()) != 0 {
		t.Errorf("left is %v", c.jobs())
	}
}

// readBack has our own log say that the order was erased, to a store that does not know; jws "" was not given back.
func (c *counter) readBack(e ledger.Entry, jws string) error {
	c.t.Helper()
	e.Partner = vendor
	payload, err := signed.Payload(jws)
	if jws == "" {
		jws, payload, err = c.service.Request(c.t.Context(), e)
	}
	if err != nil {
		return err
	}
	return c.Store.Do(c.t.Context(), func(tx *store.Tx) error { return c.service.RecoverErase(tx, e, jws, payload) })
}

// TestAnOldCopyErasesAgain what its own log was read back to have erased, and sends the request again: the one that came back, or the same made anew.
func TestAnOldCopyErasesAgain(t *testing.T) {
	t.Parallel()
	was := newEnded(t)
	first, _, err := was.erase()
	if err != nil {
		t.Fatal(err)
	}
	entry := was.placedErasure()
	entry.Direction = ledger.Own
	for name, jws := range map[string]string{"the request came back": first.Items[0].EraseDocument, "nobody has the request": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			it := first.Items[0]
			body, err := json.Marshal(order.Body{
				Order: it.CorrelationID, DocumentSHA256: hex.EncodeToString(it.PayloadDigest), Agreement: it.AgreementID, Subscription: it.SubscriptionID, Action: it.Action, Intent: it.Intent,
			})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := signed.Payload(it.Document)
			if err != nil {
				t.Fatal(err)
			}
			placing := ledger.Entry{Partner: vendor, Direction: ledger.Own, Seq: 7, Kind: ledger.OrderPlaced, Subject: it.SubscriptionID, Body: body}
			r, err := c.service.Recollect(t.Context(), vendor, retail.Recalled{JWS: it.Document, Payload: payload, Inputs: []byte("{}"), InputsSalt: []byte("salt"), Escrow: []byte("escrow"), Erased: true})
			if err != nil {
				t.Fatal(err)
			}
			c.Do(func(tx *store.Tx) error { return c.service.Recover(tx, placing, r) })
			for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderFailed} {
				if err := c.apply(kind, `{}`); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := c.readBack(entry, jws); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.get("shop", "c"); !fault.Is(err, fault.NotFound) {
				t.Errorf("its customer reads it: %v", err)
			}
			if _, err := c.place(add("lst")); fault.ReasonOf(err) != "order_erased" {
				t.Errorf("it is ordered again: %v", err)
			}
			o, err := c.get("shop", "")
			if err != nil || o.ErasedAt.IsZero() || o.Customer != "" || len(o.Items[0].InputsSalt) > 0 || len(c.escrow()) > 0 || !bytes.Equal(o.Items[0].EraseDigest, it.EraseDigest) {
				t.Fatalf("it is %+v, %v", o, err)
			}
			if !slices.Equal(c.jobs(), []string{retail.JobErase}) {
				t.Errorf("left is %v", c.jobs())
			}
			if _, err := c.get("shop", "c"); !fault.Is(err, fault.NotFound) {
				t.Errorf("then its customer reads it: %v", err)
			}
			if err := c.erased(vendor, hex.EncodeToString(it.EraseDigest), nil); err != nil || len(c.jobs()) != 0 {
				t.Errorf("its supplier has it: %v, %v", err, c.jobs())
			}
		})
	}
}

// TestWhatIsReadBackIsErasedFirst: the store is from before the order ended, and says nothing of its customer from then on.
func TestWhatIsReadBackIsErasedFirst(t *testing.T) {
	t.Parallel()
	c := newOrder(t)
	if err := c.apply(ledger.OrderAccepted, `{}`); err != nil {
		t.Fatal(err)
	}
	c.Do(func(tx *store.Tx) error { return c.service.ForgetAgain(tx, second, "corr-0001") })
	if c.order().Customer != "c" {
		t.Error("another partner's log erased it")
	}
	c.Do(func(tx *store.Tx) error { return c.service.ForgetAgain(tx, vendor, "corr-none") })
	for range 2 {
		c.Do(func(tx *store.Tx) error { return c.service.ForgetAgain(tx, vendor, "corr-0001") })
	}
	if _, err := c.get("shop", "c"); !fault.Is(err, fault.NotFound) {
		t.Errorf("its customer reads it: %v", err)
	}
	for _, kind := range []ledger.Kind{ledger.OrderCompleted} { // what its log says goes on as it did
		if err := c.apply(kind, `{}`); err != nil {
			t.Error(err)
		}
	}
	if sub := c.subscription("sub-corr-0001"); sub.Customer != "" || sub.State != subscription.Active {
		t.Errorf("the subscription is %+v", sub)
	}
}

// TestAnErasedOrderOfSeveralPartnersComesBackErased: after a lost disk one partner says that the order was erased, and another, who had not
// heard of it, gives back what it keeps; whoever of them is first.
func TestAnErasedOrderOfSeveralPartnersComesBackErased(t *testing.T) {
	t.Parallel()
	was := gone(t, add("lst"), add("other"))
	for name, first := range map[string]int{"the one that knows is first": 0, "the other is first": 1} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t)
			for _, i := range []int{first, 1 - first} {
				if err := c.comesBackAs(was.Items[i], i == 0); err != nil {
					t.Fatal(err)
				}
			}
			c.View(func(tx *store.Tx) error {
				for _, it := range was.Items {
					o, i, err := tx.RetailOrders().ByCorrelation(it.CorrelationID)
					if err != nil {
						return err
					}
					escrow, err := tx.RetailOrders().Escrow(it.CorrelationID)
					if err != nil || o.ErasedAt.IsZero() || o.Customer != "" || escrow != nil || o.Items[i].InputsSalt != nil {
						t.Errorf("%s has customer %q, erased at %s, salt %x, escrow %x, %v", it.CorrelationID, o.Customer, o.ErasedAt, o.Items[i].InputsSalt, escrow, err)
					}
					sub, err := tx.Subscriptions().Get(subscription.RetailKey(it.SubscriptionID))
					if err != nil || sub.Customer != "" || sub.Pseudonym != "" {
						t.Errorf("%s is of %q, %q, %v", sub.ID, sub.Customer, sub.Pseudonym, err)
					}
				}
				return nil
			})
		})
	}
}

// TestARequestThatThisStoreLacksIsFound: only who signed it can have had it decided.
func TestARequestThatThisStoreLacksIsFound(t *testing.T) {
	t.Parallel()
	c := newEnded(t)
	e := ledger.Entry{Partner: vendor, Direction: ledger.Theirs, Seq: 9, Kind: ledger.OrderErased, Subject: "sub-corr-0001"}
	var err error
	if e.Body, err = json.Marshal(order.Body{Order: "corr-0001", Subscription: "sub-corr-0001", DocumentSHA256: signed.Digest(nil)}); err != nil {
		t.Fatal(err)
	}
	lacks := func() (is bool) {
		c.View(func(tx *store.Tx) (err error) {
			is, err = c.service.Lacks(tx, e)
			return err
		})
		return is
	}
	if !lacks() {
		t.Error("before it was made nothing is missing")
	}
	if _, _, err := c.erase(); err != nil {
		t.Fatal(err)
	}
	if lacks() {
		t.Error("what contradicts our request is taken for missing")
	}
}
