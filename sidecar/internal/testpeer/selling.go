package testpeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

var signing = []string{scope.LedgerRead, scope.AgreementSign}

// terms are those of an agreement that we offer, as change makes them.
func (p *peer) terms(change func(*agreement.Document)) agreement.Document {
	d := agreement.Document{
		Type: signed.AgreementV1, ID: newID("agr"), Supplier: p.origin, Reseller: p.target, Scope: "all", WholesaleDiscountBP: 1000, Currency: "EUR",
		Territory: []string{}, ValidFrom: time.Now().UTC().Format(time.RFC3339), SupplierKey: p.keys.CurrentKID(keys.Business), SupplierNextKey: p.keys.NextDigest(),
		ResellerKey: p.them.Thumbprint, ResellerNextKey: p.them.Document.NextKeyDigest,
	}
	if change != nil {
		change(&d)
	}
	return d
}

// offer writes that terms are offered, and submits them.
func (p *peer) offer(ctx context.Context, d agreement.Document) (payload []byte, o *peerv1.Outcome, err error) {
	if payload, err = json.Marshal(d); err != nil {
		return nil, nil, err
	}
	if err := p.write(ledger.AgreementOffered, d.ID, map[string]any{"agreement": d.ID, "document_sha256": signed.Digest(payload)}); err != nil {
		return nil, nil, err
	}
	jws, err := p.sign(signed.Agreement, payload)
	if err != nil {
		return nil, nil, err
	}
	o, err = p.one(ctx, "", signing, paper{jws: jws})
	return payload, o, err
}

// sell makes an active agreement, under which one offering is sold.
func (p *peer) sell(ctx context.Context) error {
	d := p.terms(nil)
	p.mu.Lock()
	err := p.publish(1, "10.00")
	p.mu.Unlock()
	if err != nil {
		return err
	}
	payload, o, err := p.offer(ctx, d)
	if err != nil {
		return err
	}
	if err := p.decidedAs(ctx, "A-3", o, ledger.AgreementReceived, ""); err != nil {
		return err
	}
	p.mu.Lock()
	p.deal = deal{doc: d, sha: signed.Digest(payload), payload: payload}
	p.mu.Unlock()
	p.ask(Wish{Origin: p.origin, Side: Supplier, Command: "hanse partner accept " + p.origin})
	if err := p.until(ctx, "the member under test accepts the agreement", func() bool { return p.deal.active }); err != nil {
		return err
	}
	return p.until(ctx, "the member under test reads our catalog", func() bool { return slices.Contains(p.desk.cursors, p.cursor(0)) || len(p.desk.cursors) > 0 })
}

// publish puts a revision of our one offering into the catalog; the caller holds the lock.
func (p *peer) publish(revision int64, amount string) error {
	if p.desk.name == "" {
		p.desk.name = newID("testpeer")
	}
	doc := catalog.Document{
		ID: p.desk.name, Revision: revision, State: "orderable", Name: p.desk.name, Summary: "A service that is none.", Category: "test", Region: "nowhere", Country: "DE", Currency: "EUR",
		Prices: []price.Component{{ID: "setup", Name: "Setup", Kind: price.OneOff, Amount: amount}},
		Inputs: json.RawMessage(`{"type":"object"}`), Outputs: json.RawMessage(`{"type":"object","properties":{"url":{"type":"string"}}}`),
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if revision >= p.goods.doc.Revision {
		p.goods = goods{doc: doc, bytes: raw}
	}
	digest := sum(raw)
	p.desk.shelf = append(p.desk.shelf, &peerv1.CatalogChange{OfferingId: doc.ID, Revision: revision, Document: raw, Digest: digest})
	p.notify()
	return nil
}

// activate takes the acceptance of our agreement; the caller holds the lock.
func (p *peer) activate(payload []byte, sha string) error {
	if sha != p.deal.sha {
		return broke("A-1", "the same payload bytes, signed by the reseller", "%s", payload)
	}
	p.deal.active = true
	return p.append(ledger.AgreementActive, p.deal.doc.ID, map[string]any{"agreement": p.deal.doc.ID, "document_sha256": sha})
}

// sold decides an order of the member under test: it judges the document, and says what the case has it say. The caller holds the lock.
func (p *peer) sold(payload []byte, sha string, d *peerv1.Document) error {
	doc, _, err := order.ParseDocument(payload)
	if err != nil {
		return broke("R-3", "the payload of an order", "%v", err)
	}
	if doc.Issuer != p.target || doc.Audience != p.origin || doc.Agreement != p.deal.doc.ID || doc.AgreementSHA256 != p.deal.sha {
		return broke("R-3", "an order of the two under the agreement", "%s to %s under %s", doc.Issuer, doc.Audience, doc.Agreement)
	}
	if doc.Intent == order.Purchase {
		if err := p.priced(doc, d); err != nil {
			return err
		}
	}
	s := sale{doc: doc, sha: sha}
	p.desk.sales = append(p.desk.sales, s)
	if p.desk.say != nil {
		return p.desk.say(s)
	}
	if err := p.append(ledger.OrderAccepted, doc.Subscription, s.accepted()); err != nil {
		return err
	}
	end := s.ended()
	if doc.Intent == order.Purchase {
		plain, err := json.Marshal(map[string]any{"subscription": doc.Subscription, "fields": []map[string]any{{"name": "url", "value": "https://service.example/" + doc.ID}}})
		if err != nil {
			return err
		}
		jwe, err := keys.Seal(p.them.SealingKey, plain)
		if err != nil {
			return err
		}
		if p.desk.sealed == nil {
			p.desk.sealed = map[string]string{}
		}
		p.desk.sealed[doc.Subscription] = jwe
		end["access_sha256"] = signed.Digest([]byte(jwe))
	}
	return p.append(ledger.OrderCompleted, doc.Subscription, end)
}

// priced holds a purchase against what it is for; the caller holds the lock.
func (p *peer) priced(doc order.Document, d *peerv1.Document) error {
	if doc.Offering != p.goods.doc.ID || doc.Revision != p.goods.doc.Revision || doc.OfferingSHA256 != p.goods.sha() {
		return broke("F-8", fmt.Sprintf("an order of revision %d, the newest that was told", p.goods.doc.Revision), "one of %s revision %d", doc.Offering, doc.Revision)
	}
	line, err := price.List{Components: p.goods.doc.Prices, Currency: "EUR"}.Line(doc.Quantity, price.Terms{DiscountBP: p.deal.doc.WholesaleDiscountBP})
	if err != nil {
		return err
	}
	if !doc.Asks(line, "EUR") {
		return broke("Y-2", fmt.Sprintf("what the line owes, %v", line.OneOff), "%v", doc.Price().OneOff)
	}
	if n := len(d.GetInputsSalt()); n < order.MinSaltBytes || n > order.MaxSaltBytes || order.InputsDigest(d.GetInputsSalt(), d.GetInputs()) != doc.InputsSHA256 {
		return broke("R-8", "inputs_sha256 of salt and inputs", "another digest")
	}
	return nil
}

// confirmed takes the receipt for access data; the caller holds the lock.
func (p *peer) confirmed(payload []byte, sha string) error {
	var r struct {
		Subscription string `json:"subscription"`
		Access       string `json:"access_sha256"`
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		return broke("X-6", "the payload of a receipt", "%v", err)
	}
	jwe := p.desk.sealed[r.Subscription]
	if jwe == "" || signed.Digest([]byte(jwe)) != r.Access {
		return broke("X-6", "a receipt for the access data of the subscription", "%s for %q", r.Access, r.Subscription)
	}
	delete(p.desk.sealed, r.Subscription)
	return p.append(ledger.AccessDeleted, r.Subscription, map[string]any{"document_sha256": sha, "subscription": r.Subscription, "access_sha256": r.Access})
}

// toShow is how long a reseller has to show its customers what it was told; an order before that is for what they saw.
const toShow = 5 * time.Second

// ordered asks for an order in a portal and waits until it is there and decided.
func (p *peer) ordered(ctx context.Context, say func(sale) error) (sale, error) {
	p.mu.Lock()
	before := len(p.desk.sales)
	p.desk.say = say
	p.mu.Unlock()
	p.ask(Wish{Origin: p.origin, Side: Supplier, Offering: p.desk.name})
	err := p.until(ctx, "somebody orders "+p.desk.name, func() bool { return len(p.desk.sales) > before })
	if err != nil {
		return sale{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.desk.sales[before], nil
}

// reaches waits until they say that a deal is in a state.
func (p *peer) reaches(ctx context.Context, rule, subject, state string) error {
	var have string
	for deadline := time.Now().Add(p.cfg.Wait); time.Now().Before(deadline); {
		var err error
		if have, err = p.stateOf(ctx, subject); err != nil {
			return err
		}
		if have == state {
			return nil
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
	return broke(rule, "the state "+state+" of "+subject, "%s", have)
}

// badOffer is a case of an agreement that stays undecided.
func badOffer(name, rule, does string, final bool, reason string, change func(*peer, *agreement.Document)) Case {
	return Case{Name: name, Rules: []string{rule, "A-2"}, Does: does, play: func(ctx context.Context, p *peer) error {
		_, o, err := p.offer(ctx, p.terms(func(d *agreement.Document) { change(p, d) }))
		if err != nil {
			return err
		}
		return undecided(rule, o, final, reason)
	}}
}

// badCatalog is a case of a page of our catalog that no reader may apply: the next one is asked for with the cursor before it.
func badCatalog(name, rule, does string, lie func(*peer, *peerv1.WatchResponse) error) Case {
	return Case{Name: name, Rules: []string{rule, "F-3"}, Does: does, play: func(ctx context.Context, p *peer) error {
		p.mu.Lock()
		before, asked := len(p.desk.shelf), len(p.desk.cursors)
		p.mu.Unlock()
		if err := p.lie(lies{watch: func(m *peerv1.WatchResponse) error { return lie(p, m) }}, func() error { return p.publish(p.goods.doc.Revision+1, "11.00") }); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 2*p.cfg.Wait)
		defer cancel()
		// Any call is a reason to read our feeds (I-6).
		go func() {
			for pause(short, time.Second) == nil {
				_, _ = p.stateOf(short, "sub-nothing")
			}
		}()
		if err := p.until(short, "the catalog is asked for again", func() bool { return p.lies.heard > 0 && len(p.desk.cursors) > asked }); err != nil {
			return err
		}
		p.mu.Lock()
		next := p.desk.cursors[len(p.desk.cursors)-1]
		p.mu.Unlock()
		if next != p.cursor(before) && next != "" {
			return broke(rule, "the catalog asked for after "+p.cursor(before)+", the cursor before the bad page", "after %s", next)
		}
		p.honest()
		return p.until(short, "the catalog is asked for after the good page", func() bool { return p.desk.told == len(p.desk.shelf) })
	}}
}

func selling() []Case {
	return []Case{
		{
			Name: "honest", Order: true, Rules: []string{"A-1", "A-4", "R-3", "R-8", "Y-2", "X-5", "B-18"}, Does: "Sells a subscription, gives its access data and takes the receipt.",
			play: func(ctx context.Context, p *peer) error {
				s, err := p.ordered(ctx, nil)
				if err != nil {
					return err
				}
				if err := p.reaches(ctx, "B-18", s.doc.Subscription, "active"); err != nil {
					return err
				}
				short, cancel := context.WithTimeout(ctx, p.cfg.Wait)
				defer cancel()
				err = p.until(short, "the access data are confirmed", func() bool { return p.desk.sealed[s.doc.Subscription] == "" })
				var b *breach
				if err != nil && !errors.As(err, &b) && ctx.Err() == nil {
					err = broke("X-5", "a receipt for the access data", "none after %s", p.cfg.Wait)
				}
				if err != nil {
					return err
				}
				return p.isRead(ctx, "J-1")
			},
		},
		badOffer("agreement-from-future", "A-3", "Offers an agreement that begins in an hour.", false, "agreement_begins_later", func(_ *peer, d *agreement.Document) {
			d.ValidFrom = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		}),
		badOffer("agreement-other-keys", "A-3", "Offers an agreement that pins another key of the reseller.", true, "agreement_pins", func(p *peer, d *agreement.Document) {
			d.ResellerKey = p.strange.CurrentKID(keys.Business)
		}),
		badOffer("agreement-conflict", "A-5", "Offers other terms under the id of the agreement.", true, "document_conflict", func(p *peer, d *agreement.Document) {
			d.ID, d.WholesaleDiscountBP = p.deal.doc.ID, 9_000
		}),
		badOffer("agreement-discount", "A-2", "Offers a discount of more than all.", true, "agreement_invalid", func(_ *peer, d *agreement.Document) { d.WholesaleDiscountBP = 10_001 }),
		badCatalog("catalog-wrong-key", "F-7", "Tells a page of the catalog that is signed by another key.", func(p *peer, m *peerv1.WatchResponse) error {
			payload, err := signed.Payload(m.GetSignature())
			if err != nil {
				return err
			}
			m.Signature, err = signWith(p.strange, signed.CatalogPage, payload)
			return err
		}),
		badCatalog("catalog-other-page", "F-7", "Tells a page of the catalog with the signature of another one.", func(p *peer, m *peerv1.WatchResponse) error {
			m.Changes = slices.Clone(m.GetChanges())
			c := m.Changes[0]
			m.Changes[0] = &peerv1.CatalogChange{OfferingId: c.GetOfferingId(), Revision: c.GetRevision() + 5, Document: c.GetDocument(), Digest: c.GetDigest()}
			return nil
		}),
		badCatalog("catalog-other-bytes", "F-8", "Tells an offering whose bytes do not have the digest that is signed.", func(p *peer, m *peerv1.WatchResponse) error {
			m.Changes = slices.Clone(m.GetChanges())
			c := m.Changes[0]
			m.Changes[0] = &peerv1.CatalogChange{OfferingId: c.GetOfferingId(), Revision: c.GetRevision(), Document: append(slices.Clone(c.GetDocument()), ' '), Digest: c.GetDigest()}
			return nil
		}),
		{
			Name: "catalog-revision-rollback", Order: true, Rules: []string{"F-8", "R-3", "Y-2"}, Does: "Tells an earlier revision of an offering again, at another price; an order must be for the newest.",
			play: func(ctx context.Context, p *peer) error {
				p.mu.Lock()
				newest := p.goods.doc.Revision + 1
				err := errors.Join(p.publish(newest, "12.00"), p.publish(newest-1, "1.00"))
				p.mu.Unlock()
				if err != nil {
					return err
				}
				short, cancel := context.WithTimeout(ctx, p.cfg.Wait)
				defer cancel()
				if err := p.until(short, "the catalog is read", func() bool { return p.desk.told == len(p.desk.shelf) }); err != nil {
					return err
				}
				if err := pause(ctx, toShow); err != nil {
					return err
				}
				s, err := p.ordered(ctx, nil)
				if err != nil {
					return err
				}
				return p.reaches(ctx, "F-8", s.doc.Subscription, "active")
			},
		},
		contradicts("decision-taken-back", []string{"R-12", "J-8"}, "Accepts an order and rejects it afterwards: the acceptance must stand.", "accepted", func(p *peer, s sale) error {
			rejected := s.accepted()
			rejected["reason"] = "offering_unknown"
			return errors.Join(p.append(ledger.OrderAccepted, s.doc.Subscription, s.accepted()), p.append(ledger.OrderRejected, s.doc.Subscription, rejected))
		}),
		contradicts("decision-after-the-end", []string{"J-9", "R-12"}, "Completes an order that it never accepted: nothing must follow from it.", "unknown", func(p *peer, s sale) error {
			return p.append(ledger.OrderCompleted, s.doc.Subscription, s.ended())
		}),
		contradicts("decision-of-another-document", []string{"S-13", "J-8"}, "Accepts an order with the digest of another document.", "unknown", func(p *peer, s sale) error {
			other := s.accepted()
			other["document_sha256"] = signed.Digest([]byte("another"))
			return p.append(ledger.OrderAccepted, s.doc.Subscription, other)
		}),
	}
}

// contradicts is a case of decisions that cannot be: the deal must be, and stay, in a state at the member under test. Its order waits there
// for an operator afterwards.
func contradicts(name string, rules []string, does, state string, say func(*peer, sale) error) Case {
	return Case{Name: name, Alone: true, Order: true, Rules: rules, Does: does, play: func(ctx context.Context, p *peer) error {
		s, err := p.ordered(ctx, func(s sale) error { return say(p, s) })
		if err != nil {
			return err
		}
		if err := p.isRead(ctx, "J-8"); err != nil {
			return err
		}
		if err := p.reaches(ctx, rules[0], s.doc.Subscription, state); err != nil {
			return err
		}
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		return p.reaches(ctx, rules[0], s.doc.Subscription, state)
	}}
}
