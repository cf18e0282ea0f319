package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// deal is one deal as this store has it, with all that is to be looked at beside it, of one View.
type deal struct {
	order.Item
	// late: it was given up here, and what the supplier makes of it all the same is ended by another order, which is an ownEnd.
	late, ownEnd bool
	// undocumented: nothing was signed of it, or none keeps what was, and that may be.
	undocumented  bool
	side          subscription.Side
	partner, id   string
	payload       []byte
	subscription  subscription.Subscription
	written       []written
	ends          bool
	agreement     agreement.Agreement
	offeringKnown bool
	line          price.Line
	currency      string
	offering      [32]byte
}

// written is an event that names its entry, and that entry; Kind is "" where the ledger does not have it.
type written struct {
	order.Event
	entry ledger.Entry
	told  ledger.Told
}

// bought audits what customers ordered here.
func (r *run) bought() error {
	var after order.Place
	for done := int64(0); ; {
		var list []retail.Order
		var deals []deal
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			deals = deals[:0]
			if list, err = tx.RetailOrders().List(false, after, page); err != nil {
				return err
			}
			for _, o := range list {
				for _, it := range o.Items {
					if !r.concerns(it.Partner) || it.Partner == "" { // one that did not come back is of nobody yet
						continue
					}
					d := deal{
						Item: it.Item, side: subscription.Retail, partner: it.Partner, id: it.CorrelationID, payload: it.Unsigned,
						late: it.Abandoned != nil, ownEnd: o.Portal == "" && !o.Recovered(), undocumented: it.Undocumented(),
					}
					if err := r.beside(tx, &d, subscription.RetailKey(it.SubscriptionID)); err != nil {
						return err
					}
					deals = append(deals, d)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.look(deals)
		if done += int64(len(list)); len(list) > 0 {
			after = list[len(list)-1].Place()
			r.progress("retail orders", done)
		}
		if len(list) < page {
			return nil
		}
	}
}

// sold audits what partners ordered here.
func (r *run) sold() error {
	var after order.Place
	for done := int64(0); ; {
		var list []resale.Order
		var deals []deal
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			deals = deals[:0]
			if list, err = tx.ResaleOrders().List(false, after, page); err != nil {
				return err
			}
			for _, o := range list {
				if !r.concerns(o.Partner) {
					continue
				}
				d := deal{Item: o.Item, side: subscription.Resale, partner: o.Partner, id: o.ID, undocumented: o.Untold()}
				if err := r.beside(tx, &d, o.Subscription()); err != nil {
					return err
				}
				deals = append(deals, d)
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.look(deals)
		if done += int64(len(list)); len(list) > 0 {
			after = list[len(list)-1].Place()
			r.progress("resale orders", done)
		}
		if len(list) < page {
			return nil
		}
	}
}

// beside reads what belongs to a deal.
func (r *run) beside(tx Tx, d *deal, sub subscription.Key) (err error) {
	if d.subscription, err = tx.Subscriptions().Get(sub); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	for _, e := range d.Events {
		dir, at, is := e.Place()
		if !is {
			continue
		}
		w := written{Event: e}
		if w.entry, err = tx.Ledger().Entry(d.partner, dir, at); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			if w.told, err = ledger.ReadBody(w.entry); err != nil {
				w.entry.Kind = ""
			}
		}
		d.written = append(d.written, w)
	}
	if d.ends, err = r.ending(tx, d); err != nil {
		return err
	}
	supplier := r.Self
	if d.side == subscription.Retail {
		supplier = d.partner
	}
	if d.agreement, err = tx.Agreements().Get(supplier, d.AgreementID); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if d.Action != order.Add {
		return nil
	}
	return r.revision(tx, d)
}

// revision reads the offering that was ordered, and what it costs under the agreement; of a partner's only the latest is kept.
func (r *run) revision(tx Tx, d *deal) error {
	read := func() (o catalog.Offering, err error) {
		if d.side == subscription.Resale {
			return tx.Catalog().Revision(d.OfferingID, d.Revision)
		}
		f, err := tx.Catalog().Foreign(d.partner, d.OfferingID)
		if err == nil && (f.Tombstone || f.Revision != d.Revision) {
			err = fault.New(fault.NotFound, "offering_not_found", "another revision is kept")
		}
		return catalog.Offering{Document: f.Document, Digest: f.Digest}, err
	}
	o, err := read()
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	documents, id := &r.documents, d.OfferingID
	if d.side == subscription.Retail {
		documents, id = &r.theirs, d.partner+"\n"+d.OfferingID
	}
	doc, err := documents.Of(id, d.Revision, func() (catalog.Offering, error) { return o, nil })
	if err != nil {
		return nil // it is not whole: see offerings and foreign
	}
	d.offeringKnown, d.offering, d.currency = true, o.Digest, doc.Currency
	d.line, err = doc.PriceList().Line(d.Quantity, price.Terms{DiscountBP: d.agreement.Terms.WholesaleDiscountBP})
	d.offeringKnown = err == nil
	return nil
}

// ending reports whether something will end a deal that has not ended: a job of its own, an operator who has to look at what is parked, or
// the supplier that has taken it, whose ledger we read.
func (r *run) ending(tx Tx, d *deal) (bool, error) {
	if d.State.Ended() {
		return true, nil
	}
	kinds := []string{resale.JobProvision, resale.JobLook}
	if d.side == subscription.Retail {
		kinds = []string{retail.JobSubmit, retail.JobSign, retail.JobCancel, retail.JobSignCancel}
	}
	for _, kind := range kinds {
		if _, found, err := tx.Jobs().Find(kind, d.partner, d.id); found || err != nil {
			return found, err
		}
	}
	parked, err := tx.Ledger().ParkedSubject(d.partner, d.SubscriptionID, 1)
	if err != nil || len(parked) > 0 {
		return len(parked) > 0, err
	}
	p, known := r.partners[d.partner]
	taken := slices.ContainsFunc(d.Events, func(e order.Event) bool { return e.State == order.InProgress })
	return d.side == subscription.Retail && taken && known && p.State.Exchanges(), nil
}

func (r *run) look(deals []deal) {
	for i := range deals {
		d := &deals[i]
		r.path(d)
		r.holds(d.ends, noLimbo, d.partner, d.id, "it is %s, and no job, partner or parked entry will end it", d.State)
		r.books(d)
		r.document(d)
	}
}

// path audits the timeline, and the subscription by it.
func (r *run) path(d *deal) {
	at, legal, lost := order.State(""), len(d.Events) > 0, false
	for _, e := range d.Events {
		if d.late && e.State == at { // what was heard since is no step of the customer's
			continue
		}
		if back := lost && order.State("").CanBecome(e.State); !at.CanBecome(e.State) && !back {
			r.holds(false, legalPath, d.partner, d.id, "its timeline goes from %q to %s", at, e.State)
			return
		}
		at, lost = e.State, retail.Lost(e)
	}
	r.holds(legal && at == d.State, legalPath, d.partner, d.id, "it is %s, its timeline ends with %q", d.State, at)
	if d.side == subscription.Resale && d.State == order.Rejected && d.subscription.ID == "" {
		return
	}
	course, has := d.Course(), d.subscription.State
	fits := true
	switch {
	case d.late: // the supplier's ledger moved it since, and what was bought ends with it
		fits = has != "" && (d.Action != order.Add || has.Ended())
	case d.Action == "": // its cancel came back alone, and what it asked for nobody can say: it moves nothing
	case d.ownEnd && !d.State.Ended(): // what came to nothing for the customer stays so until it is ended
		fits = has == subscription.Aborted
	case d.State == order.Completed && course.Done == subscription.Active: // others may have moved it since
		fits = has != "" && has != subscription.PendingActive && has != subscription.Aborted
	case d.Action == order.Add && d.State.Ended() && d.State != order.Rejected, d.Action == order.Add && d.side == subscription.Retail && d.State.Ended():
		fits = has == course.Undone
	case d.Action == order.Add && !d.State.Ended(), d.Action != order.Add && !d.State.Ended():
		fits = has == course.While
	case d.State == order.Completed:
		fits = has == course.Done
	}
	r.holds(fits, sameState, d.partner, d.id, "it is %s, and its subscription %s is %q", d.State, d.SubscriptionID, has)
}

// books audits that the ledger has what the order says of it.
func (r *run) books(d *deal) {
	placed := d.side == subscription.Resale || d.Document == ""
	for _, w := range d.written {
		names := w.entry.Kind != "" && w.told.Order == d.id && w.entry.Subject == d.SubscriptionID
		r.holds(names, everywhere, d.partner, d.id, "it became %s by the %s, which says nothing of it", w.State, w.Source)
		placed = placed || w.entry.Direction == ledger.Own
		if names && w.State.Ended() && !d.late { // what ended it there did not end it here: see logs
			r.holds(says[w.entry.Kind] == w.State, sameState, d.partner, d.id, "it became %s by the %s, which says %s", w.State, w.Source, w.entry.Kind)
		}
	}
	// Where it was signed later than it was acknowledged, the entry is the first thing of it in the ledger and no event of its own.
	if acknowledged := len(d.Events) > 0 && d.Events[0].Source == ""; !placed && !acknowledged {
		r.holds(false, everywhere, d.partner, d.id, "it is signed, and no entry of our ledger places it")
	}
}

// document audits what was signed: by whom, under which agreement, and at which price.
func (r *run) document(d *deal) {
	payload := d.payload
	if d.Document != "" {
		var err error
		if payload, err = signed.Payload(d.Document); err != nil {
			r.holds(false, authorised, d.partner, d.id, "its document is no compact JWS")
			return
		}
		sum := sha256.Sum256(payload)
		r.holds(bytes.Equal(sum[:], d.PayloadDigest), authorised, d.partner, d.id, "its document is not the one with the digest that is kept beside it")
		good, known := r.signature(d)
		if known {
			r.holds(good, authorised, d.partner, d.id, "its document bears no signature of a key of the %s", signer(d.side))
		}
	}
	if payload == nil && d.undocumented {
		return
	}
	if payload == nil {
		r.holds(false, authorised, d.partner, d.id, "it has no document")
		return
	}
	doc, _, err := order.ParseDocument(payload)
	if err != nil {
		r.holds(false, authorised, d.partner, d.id, "its document cannot be read: %v", err)
		return
	}
	if d.side == subscription.Resale && d.State == order.Rejected {
		return // why it was rejected may be any of what follows
	}
	a := d.agreement
	there := a.ID != "" && a.Other(r.Self) == d.partner && doc.Agreement == a.ID && hex.EncodeToString(a.Digest[:]) == doc.AgreementSHA256
	r.holds(there, authorised, d.partner, d.id, "it names agreement %s with a digest that none of this partner has", doc.Agreement)
	if there {
		r.holds(!slices.Contains([]agreement.State{agreement.Draft, agreement.Offered, agreement.Countered, agreement.Agreed, agreement.Refused}, a.State),
			authorised, d.partner, d.id, "its agreement %s is %s", a.ID, a.State)
	}
	if d.Action != order.Add {
		return
	}
	r.holds(doc.Offering == d.OfferingID && doc.Revision == d.Revision && doc.Asks(d.Wholesale, doc.Currency), priced, d.partner, d.id,
		"its wholesale price, offering or revision is not the one in its document")
	// A supplier that lost its disk counts its revisions anew: of its number another content may be kept now than was ordered, at the supplier
	// itself where the order came back without its revision.
	bare := d.side == subscription.Retail || len(d.subscription.Binding) == 0
	if anew := bare && doc.OfferingSHA256 != hex.EncodeToString(d.offering[:]); d.offeringKnown && !anew {
		r.holds(doc.OfferingSHA256 == hex.EncodeToString(d.offering[:]), priced, d.partner, d.id,
			"its document names another content of offering %s revision %d", doc.Offering, doc.Revision)
		r.holds(doc.Asks(d.line, d.currency), priced, d.partner, d.id, "offering %s revision %d costs something else under agreement %s", doc.Offering, doc.Revision, doc.Agreement)
	}
	if d.side == subscription.Resale && d.subscription.ID != "" {
		r.holds(doc.Asks(d.subscription.Price, doc.Currency), priced, d.partner, d.id, "subscription %s costs something else than its order", d.SubscriptionID)
	}
}

func signer(side subscription.Side) string {
	if side == subscription.Retail {
		return "this sidecar"
	}
	return "partner"
}

// signature verifies a document; known is false where the key that signed it was in force once and is not kept.
func (r *run) signature(d *deal) (good, known bool) {
	if d.side == subscription.Retail {
		_, err := r.Book.OwnKeys().Open(d.Document, signed.Order)
		return err == nil, true
	}
	p, partner := r.partners[d.partner]
	if !partner {
		return false, false
	}
	if _, err := p.EverKeys().Open(d.Document, signed.Order); err == nil {
		return true, true
	}
	terms, err := r.terms(d.agreement)
	older := err == nil && terms.ResellerKey != p.Thumbprint && terms.ResellerKey == kid(d.Document)
	return false, !older
}

type (
	dealKey struct{ supplier, id string }
	terms   struct {
		agreement.Document
		err error
	}
)

// terms reads an agreement once.
func (r *run) terms(a agreement.Agreement) (agreement.Document, error) {
	key := dealKey{a.Supplier, a.ID}
	t, read := r.deals[key]
	if !read {
		t.Document, t.err = a.Document()
		r.deals[key] = t
	}
	return t.Document, t.err
}

// kid is the key that a document says signed it.
func kid(jws string) string {
	head, _, _ := strings.Cut(jws, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		KID string `json:"kid"`
	}
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return ""
	}
	return h.KID
}
