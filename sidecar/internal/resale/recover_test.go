package resale_test

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const (
	self  = "https://supplier.localhost:1"
	buyer = "https://buyer.localhost:2"
)

// older is a supplier whose store knows nothing of the order that its own log tells of.
type older struct {
	*markettest.Member
	t       *testing.T
	service *resale.Service
	seq     int64
	doc     order.Document
	recall  resale.Recalled
}

func newOlder(t *testing.T) *older {
	t.Helper()
	o := &older{t: t, Member: markettest.NewMember(t, self)}
	reseller := markettest.Open(t, buyer, markettest.Config{Clock: o.Clock})
	o.Meet(reseller)
	agreed := markettest.Agree(o.Member, reseller, "agr-1", agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"})
	offering := o.Offer(markettest.Offering{})
	o.service = &resale.Service{Self: self, Work: store.For[resale.Tx](o.Store), Now: o.Clock.Now, Book: o.Book}
	minor := int64(900)
	o.recall.Inputs, o.recall.InputsSalt = []byte(`{}`), []byte("sixteen bytes of it")
	o.doc = order.Document{
		Type: signed.OrderV1, Issuer: buyer, Audience: self, ID: "order-0001", PlacedAt: "2026-11-21T12:00:00Z", AcceptBy: "2026-11-22T12:00:00Z",
		Action: order.Add, Intent: order.Purchase, Agreement: "agr-1", AgreementSHA256: hex.EncodeToString(agreed.Digest[:]),
		Subscription: "sub-order-0001", Customer: "cus-1", Offering: "db", Revision: offering.Revision, OfferingSHA256: hex.EncodeToString(offering.Digest[:]),
		Quantity: 1, InputsSHA256: order.InputsDigest(o.recall.InputsSalt, o.recall.Inputs), OneOffMinor: &minor, Currency: "EUR",
	}
	o.sign()
	return o
}

func (o *older) sign() {
	o.t.Helper()
	payload, err := json.Marshal(o.doc)
	if err != nil {
		o.t.Fatal(err)
	}
	o.recall.Payload, o.recall.JWS = payload, "e30."+base64.RawURLEncoding.EncodeToString(payload)+".c2ln"
}

// tells has an entry of our own log about the order come back.
func (o *older) tells(kind ledger.Kind, change ...func(b map[string]any)) error {
	o.t.Helper()
	b := map[string]any{"order": o.doc.ID, "subscription": o.doc.Subscription, "action": o.doc.Action}
	switch kind {
	case ledger.OrderAccepted, ledger.OrderRejected:
		b["agreement"], b["document_sha256"] = "agr-1", signed.Digest(o.recall.Payload)
	case ledger.OrderCancelled, ledger.CancelRefused:
		delete(b, "action")
		b["document_sha256"] = strings.Repeat("ab", 32)
	case ledger.OrderCompleted:
		if o.doc.Action == order.Add {
			b["access_sha256"] = strings.Repeat("cd", 32)
		}
	}
	switch kind {
	case ledger.OrderRejected, ledger.OrderHeld, ledger.OrderFailed, ledger.CancelRefused:
		b["reason"] = "a_reason"
	}
	for _, c := range change {
		c(b)
	}
	body, err := json.Marshal(b)
	if err != nil {
		o.t.Fatal(err)
	}
	o.seq++
	e := ledger.Entry{Partner: buyer, Direction: ledger.Own, Seq: o.seq, At: o.Clock.Now(), Kind: kind, Subject: o.doc.Subscription, Body: body}
	return o.Store.Do(o.t.Context(), func(tx *store.Tx) error { return o.service.Recover(tx, e, o.recall) })
}

// stands is what the store knows then: the order's state, the subscription's, and the jobs.
func (o *older) stands() string {
	o.t.Helper()
	var out []string
	o.View(func(tx *store.Tx) error {
		if have, err := tx.ResaleOrders().Get(buyer, o.doc.ID); err == nil {
			out = append(out, string(have.State))
		}
		if sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, o.doc.Subscription)); err == nil {
			out = append(out, string(sub.State))
		}
		jobs, err := tx.Jobs().List(9)
		for _, j := range jobs {
			name := j.Kind
			if j.State == job.Parked {
				name += " parked"
			}
			out = append(out, name)
		}
		return err
	})
	return strings.Join(out, ", ")
}

func TestAnOrderComesBackToWhereOurLogSaysItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kinds []ledger.Kind
		want  string
	}{
		{[]ledger.Kind{ledger.OrderAccepted}, "inProgress, pendingActive, order.provision"},
		{[]ledger.Kind{ledger.OrderRejected}, "rejected"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld}, "held.indeterminate, pendingActive, order.provision parked"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld, ledger.OrderCompleted}, "completed, active, order.look"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted}, "completed, active, order.look"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.CancelRefused, ledger.OrderCompleted}, "completed, active, order.look"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.OrderFailed}, "failed, aborted"},
		{[]ledger.Kind{ledger.OrderAccepted, ledger.OrderCancelled}, "cancelled, aborted"},
		{[]ledger.Kind{ledger.OrderCancelled}, ""}, // its cancel came first
	} {
		t.Run(fmt.Sprint(c.kinds), func(t *testing.T) {
			t.Parallel()
			o := newOlder(t)
			for _, kind := range c.kinds {
				if err := o.tells(kind); err != nil {
					t.Fatalf("%s: %v", kind, err)
				}
			}
			if got := o.stands(); got != c.want {
				t.Errorf("it stands at %s, want %s", got, c.want)
			}
			if err := o.tells(c.kinds[0]); err != nil { // an older copy may have it
				t.Errorf("again: %v", err)
			}
			if got := o.stands(); got != c.want {
				t.Errorf("again, it stands at %s", got)
			}
		})
	}
}

// TestWhatWasHeldComesBackWithWhatEndsIt, which is not a retry.
func TestWhatWasHeldComesBackWithWhatEndsIt(t *testing.T) {
	t.Parallel()
	o := newOlder(t)
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld} {
		if err := o.tells(kind); err != nil {
			t.Fatal(err)
		}
	}
	o.View(func(tx *store.Tx) error {
		j, found, err := tx.Jobs().Find(resale.JobProvision, buyer, o.doc.ID)
		if !found || !strings.Contains(j.LastError, "hanse order resolve "+o.doc.ID) {
			t.Errorf("it says %q", j.LastError)
		}
		return err
	})
}

// TestWhatIsHeldSaysWhatItsOrderWanted: what ends a service or does something to it makes nothing.
func TestWhatIsHeldSaysWhatItsOrderWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action order.Action
		intent order.Intent
		says   string
	}{
		{order.Delete, order.Terminate, "--not-made ends the subscription"},
		{order.Modify, order.Rotate, "did rotate"},
	} {
		o := newOlder(t)
		for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
			if err := o.tells(kind); err != nil {
				t.Fatal(err)
			}
		}
		bought := o.doc
		o.doc = order.Document{
			Type: signed.OrderV1, Issuer: buyer, Audience: self, ID: "order-0002", PlacedAt: bought.PlacedAt, AcceptBy: bought.AcceptBy, Action: c.action,
			Intent: c.intent, Agreement: "agr-1", AgreementSHA256: bought.AgreementSHA256, Subscription: bought.Subscription, Customer: "cus-1",
		}
		o.recall = resale.Recalled{}
		o.sign()
		for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderHeld} {
			if err := o.tells(kind); err != nil {
				t.Fatalf("%s: %v", c.intent, err)
			}
		}
		o.View(func(tx *store.Tx) error {
			j, found, err := tx.Jobs().Find(resale.JobProvision, buyer, o.doc.ID)
			if !found || !strings.Contains(j.LastError, c.says) || !strings.Contains(j.LastError, "hanse order resolve "+o.doc.ID) || strings.Contains(j.LastError, "adapter made it") {
				t.Errorf("%s: it says %q", c.intent, j.LastError)
			}
			return err
		})
	}
}

// TestWhatCameBackIsWhatWasSold: the price and the recipe stand in our own revision, the inputs beside the document.
func TestWhatCameBackIsWhatWasSold(t *testing.T) {
	t.Parallel()
	o := newOlder(t)
	if err := o.tells(ledger.OrderAccepted); err != nil {
		t.Fatal(err)
	}
	o.View(func(tx *store.Tx) error {
		sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, o.doc.Subscription))
		if err != nil {
			return err
		}
		if len(sub.Binding) == 0 || sub.Name != "Database" || sub.Price.OneOff == nil || sub.Price.OneOff.Minor != 900 || sub.Pseudonym != "cus-1" || sub.OrderID != o.doc.ID {
			t.Errorf("it is %+v", sub)
		}
		inputs, err := tx.Subscriptions().Secret(sub.Key(), subscription.SecretInputs)
		if string(inputs) != `{}` {
			t.Errorf("its inputs are %s", inputs)
		}
		return err
	})
}

// TestASubscriptionThatCameBackIsEnded by the order that ended it.
func TestASubscriptionThatCameBackIsEnded(t *testing.T) {
	t.Parallel()
	o := newOlder(t)
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if err := o.tells(kind); err != nil {
			t.Fatal(err)
		}
	}
	bought := o.doc
	o.doc = order.Document{
		Type: signed.OrderV1, Issuer: buyer, Audience: self, ID: "order-0002", PlacedAt: bought.PlacedAt, AcceptBy: bought.AcceptBy, Action: order.Delete,
		Intent: order.Terminate, Agreement: "agr-1", AgreementSHA256: bought.AgreementSHA256, Subscription: bought.Subscription, Customer: "cus-1",
	}
	o.recall = resale.Recalled{}
	o.sign()
	if err := o.tells(ledger.OrderAccepted); err != nil {
		t.Fatal(err)
	}
	if got := o.stands(); got != "inProgress, pendingTerminate, order.look, order.provision" {
		t.Errorf("it stands at %s", got)
	}
	if err := o.tells(ledger.OrderCompleted); err != nil {
		t.Fatal(err)
	}
	if got := o.stands(); got != "completed, terminated, order.look" {
		t.Errorf("it stands at %s", got)
	}
}

func TestADocumentOfAnotherOrderIsNotTaken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *order.Document){
		"another reseller's":    func(d *order.Document) { d.Issuer = "https://other.localhost:3" },
		"for another supplier":  func(d *order.Document) { d.Audience = "https://other.localhost:3" },
		"of another id":         func(d *order.Document) { d.ID, d.Subscription = "order-0009", "sub-order-0009" },
		"of no known agreement": func(d *order.Document) { d.Agreement = "agr-9" },
	} {
		o := newOlder(t)
		was := o.doc
		change(&o.doc)
		o.sign()
		o.doc = was
		if err := o.tells(ledger.OrderAccepted); err == nil || fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if got := o.stands(); got != "" {
			t.Errorf("%s: it stands at %s", name, got)
		}
	}
	o := newOlder(t)
	if err := o.tells(ledger.OrderCompleted); !fault.Is(err, fault.NotFound) {
		t.Errorf("the end of an order that is not there: %v", err)
	}
	if err := o.tells(ledger.OrderAccepted); err != nil {
		t.Fatal(err)
	}
	other := func(b map[string]any) { b["document_sha256"] = strings.Repeat("ef", 32) }
	if err := o.tells(ledger.OrderAccepted, other); fault.ReasonOf(err) != "order_contradiction" {
		t.Errorf("another document of the same order: %v", err)
	}
	// Inputs that are not those that were signed are left out.
	p := newOlder(t)
	p.recall.Inputs = []byte(`{"x":1}`)
	if err := p.tells(ledger.OrderAccepted); err != nil {
		t.Fatal(err)
	}
	p.View(func(tx *store.Tx) error {
		if inputs, err := tx.Subscriptions().Secret(subscription.ResaleKey(buyer, p.doc.Subscription), subscription.SecretInputs); !fault.Is(err, fault.NotFound) {
			t.Errorf("it has inputs %s, %v", inputs, err)
		}
		return nil
	})
}

// TestAnOrderOfARevisionThatIsNotThereComesBack, as what was signed; how it is made is known once the offering is applied.
func TestAnOrderOfARevisionThatIsNotThereComesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ordered int64
		digest  string
		apply   string
		// made is what Recipe says before the offering is applied again, of what is to be made; thenMade after it.
		made, thenMade string
	}{
		"of no known number":                   {ordered: 2, made: "offering_not_found", thenMade: "Database"},
		"of a number that another has now":     {ordered: 1, digest: strings.Repeat("ef", 32), made: "offering_not_found", thenMade: "offering_not_found"},
		"that is applied under another number": {ordered: 9, apply: "12.00", made: "offering_not_found", thenMade: "Database"},
		"that is applied with something else":  {ordered: 2, apply: "13.00", made: "offering_not_found", thenMade: "offering_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// What was ordered is the text with this price, as the revision of that number.
			o, elsewhere := newOlder(t), markettest.Open(t, self, markettest.Config{})
			var sold catalog.Offering
			for n := range c.ordered {
				sold = elsewhere.Offer(markettest.Offering{Price: "12.00", MaxQuantity: int(1 + (c.ordered-1-n)%2)})
			}
			o.doc.Revision, o.doc.OfferingSHA256 = sold.Revision, cmp.Or(c.digest, hex.EncodeToString(sold.Digest[:]))
			o.sign()
			recipe := func(state subscription.State) string {
				said := ""
				o.View(func(tx *store.Tx) error {
					sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, o.doc.Subscription))
					if err != nil {
						return err
					}
					sub.State = state
					doc, binding, err := o.service.Recipe(tx, sub)
					if said = fault.ReasonOf(err); err == nil && len(binding) > 0 {
						said = doc.Name
					}
					return nil
				})
				return said
			}
			if err := o.tells(ledger.OrderAccepted); err != nil {
				t.Fatal(err)
			}
			if got := o.stands(); got != "inProgress, pendingActive, order.provision" {
				t.Errorf("it stands at %s", got)
			}
			if got := recipe(subscription.PendingActive); got != c.made {
				t.Errorf("before it is applied it is made by %q, want %q", got, c.made)
			}
			if got := recipe(subscription.Active); got != "Database" { // by the current one
				t.Errorf("what runs is found by %q", got)
			}
			o.Offer(markettest.Offering{Price: cmp.Or(c.apply, "12.00")})
			if got := recipe(subscription.PendingActive); got != c.thenMade {
				t.Errorf("then it is made by %q, want %q", got, c.thenMade)
			}
			if err := o.tells(ledger.OrderCompleted); err != nil {
				t.Fatal(err)
			}
			if got := o.stands(); got != "completed, active, order.look" {
				t.Errorf("it stands at %s", got)
			}
			o.View(func(tx *store.Tx) error {
				sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, o.doc.Subscription))
				if err == nil && (sub.Price.OneOff == nil || sub.Price.OneOff.Minor != 900 || sub.Name != "db") {
					t.Errorf("it is %+v", sub)
				}
				return err
			})
		})
	}
}
