package testpeer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// badOrder is a case of an order document that stays undecided: make signs it.
func badOrder(name, rule, does string, final bool, reason string, make func(*peer, order.Document) (string, error)) Case {
	return Case{Name: name, Rules: []string{rule, "S-2", "S-6"}, Does: does, play: func(ctx context.Context, p *peer) error {
		d, papers, err := p.purchase(nil)
		if err != nil {
			return err
		}
		if papers.jws, err = make(p, d); err != nil {
			return err
		}
		o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
		if err != nil {
			return err
		}
		if err := undecided(rule, o, final, reason); err != nil {
			return err
		}
		return p.nothingOf(d)
	}}
}

// nothingOf holds their log, as far as it was read, against S-2: undecided left no trace.
func (p *peer) nothingOf(d order.Document) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.copied {
		if e.Subject == d.Subscription {
			return broke("S-2", "no trace of an undecided document", "%s at %d", e.Kind, e.Seq)
		}
	}
	return nil
}

// edited signs the payload of an order as text that edit made of it.
func edited(edit func(string) string) func(*peer, order.Document) (string, error) {
	return func(p *peer, d order.Document) (string, error) {
		raw, err := json.Marshal(d)
		if err != nil {
			return "", err
		}
		text := edit(string(raw))
		if text == string(raw) {
			return "", fmt.Errorf("nothing was edited in %s", raw)
		}
		return p.sign(signed.Order, []byte(text))
	}
}

// headed signs an order under a header with one more member, or another.
func headed(name string, value any) func(*peer, order.Document) (string, error) {
	return func(p *peer, d order.Document) (string, error) {
		raw, err := json.Marshal(d)
		if err != nil {
			return "", err
		}
		header := map[string]any{"alg": "ES256", "typ": signed.Order, "kid": p.keys.CurrentKID(keys.Business)}
		header[name] = value
		return p.forge(header, raw)
	}
}

func documents() []Case {
	return []Case{
		badOrder("document-wrong-key", "D-2", "Submits an order that is signed by a key which was never pinned.", false, "document_signature_invalid", func(p *peer, d order.Document) (string, error) {
			return signWith(p.strange, signed.Order, d)
		}),
		badOrder("document-critical-header", "D-1", "Submits an order with a header member that its signer calls critical.", false, "document_signature_invalid", headed("crit", []string{"exp"})),
		badOrder("document-embedded-key", "D-1", "Submits an order that brings its key in the header.", false, "document_signature_invalid", func(p *peer, d order.Document) (string, error) {
			return headed("jwk", json.RawMessage(p.keys.PublicJWK(keys.Business)))(p, d)
		}),
		badOrder("document-algorithm-none", "D-1", "Submits an order whose header says that it is not signed.", false, "document_signature_invalid", headed("alg", "none")),
		badOrder("document-edited", "D-2", "Submits an order whose payload was changed after it was signed.", false, "document_signature_invalid", func(p *peer, d order.Document) (string, error) {
			jws, err := p.sign(signed.Order, d)
			if err != nil {
				return "", err
			}
			d.Quantity = 7
			other, err := json.Marshal(d)
			parts := strings.Split(jws, ".")
			return parts[0] + "." + base64URL(other) + "." + parts[2], err
		}),
		badOrder("document-type-unknown", "S-6", "Submits a document of a typ that nobody submits.", true, "document_type_unknown", func(p *peer, d order.Document) (string, error) {
			return p.sign("wish+jwt", d)
		}),
		badOrder("document-unknown-member", "D-5", "Submits an order with a member that its version does not define.", true, "document_malformed", edited(func(s string) string {
			return strings.Replace(s, `{`, `{"priority":"high",`, 1)
		})),
		badOrder("document-double-member", "D-5", "Submits an order that says its quantity twice.", true, "document_malformed", edited(func(s string) string {
			return strings.Replace(s, `"quantity":1`, `"quantity":1,"quantity":2`, 1)
		})),
		badOrder("document-other-case", "D-5", "Submits an order with the name of a member in another case.", true, "document_malformed", edited(func(s string) string {
			return strings.Replace(s, `"quantity"`, `"Quantity"`, 1)
		})),
		badOrder("document-number-form", "D-6", "Submits an order whose quantity is written 1.0.", true, "document_malformed", edited(func(s string) string {
			return strings.Replace(s, `"quantity":1`, `"quantity":1.0`, 1)
		})),
		badOrder("document-null", "D-9", "Submits an order with null in place of an absent member.", true, "document_malformed", edited(func(s string) string {
			return strings.Replace(s, `{`, `{"escrow_sha256":null,`, 1)
		})),
		badOrder("document-version", "D-11", "Submits an order of a version that does not exist yet.", true, "document_version", edited(func(s string) string {
			return strings.Replace(s, signed.OrderV1, signed.OrderV1+"9", 1)
		})),
		badOrder("document-other-audience", "S-6", "Submits an order that is made for another member.", true, "document_parties", func(p *peer, d order.Document) (string, error) {
			d.Audience = "https://another.example"
			return p.sign(signed.Order, d)
		}),
		badOrder("document-other-issuer", "S-6", "Submits an order in the name of another member.", true, "document_parties", func(p *peer, d order.Document) (string, error) {
			d.Issuer = "https://another.example"
			return p.sign(signed.Order, d)
		}),
		badOrder("document-date-form", "H-7", "Submits an order whose accept_by has another time zone than UTC.", true, "order_document_invalid", func(p *peer, d order.Document) (string, error) {
			d.AcceptBy = time.Now().Add(time.Hour).Format("2006-01-02T15:04:05") + "+02:00"
			return p.sign(signed.Order, d)
		}),
		badOrder("document-oversized", "N-1", "Submits an order of more than 65,536 bytes.", true, "document_too_large", func(p *peer, d order.Document) (string, error) {
			d.Customer = strings.Repeat("x", 60_000)
			return p.sign(signed.Order, d)
		}),
		{
			Name: "document-bad-among-good", Rules: []string{"S-2", "S-12"}, Does: "Submits an honest order in one batch behind one that is signed by another key.",
			play: func(ctx context.Context, p *peer) error {
				bad, first, err := p.purchase(nil)
				if err != nil {
					return err
				}
				if first.jws, err = signWith(p.strange, signed.Order, bad); err != nil {
					return err
				}
				good, second, err := p.purchase(nil)
				if err != nil {
					return err
				}
				if err := p.place(good, second.jws); err != nil {
					return err
				}
				outcomes, a, err := p.submit(ctx, p.deal.doc.ID, ordering, first, second)
				if err != nil {
					return err
				}
				if a.status != 200 {
					return broke("S-2", "an answer with two outcomes", "%s", a)
				}
				if err := undecided("S-2", outcomes[0], false, "document_signature_invalid"); err != nil {
					return err
				}
				return p.decidedAs(ctx, "S-2", outcomes[1], ledger.OrderAccepted, "")
			},
		},
		{
			Name: "document-conflict", Rules: []string{"S-7"}, Does: "Submits another order under the id of one that was decided.",
			play: func(ctx context.Context, p *peer) error {
				d, _, err := p.buy(ctx)
				if err != nil {
					return err
				}
				d.Customer = "cus-another"
				jws, err := p.sign(signed.Order, d)
				if err != nil {
					return err
				}
				_, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				papers.jws = jws
				o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
				if err != nil {
					return err
				}
				return undecided("S-7", o, true, "document_conflict")
			},
		},
		{
			Name: "document-checkpoint-wrong-key", Rules: []string{"S-5", "S-15"}, Does: "Submits an honest order beside a checkpoint by another key.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				r, err := p.submission(papers)
				if err != nil {
					return err
				}
				payload, err := signed.Payload(r.GetCheckpoint())
				if err != nil {
					return err
				}
				if r.Checkpoint, err = signWith(p.strange, signed.Checkpoint, payload); err != nil {
					return err
				}
				return p.refusedCall(ctx, "S-5", r, d, 401, "document_signature_invalid")
			},
		},
		{
			Name: "document-seen-forged", Rules: []string{"L-18", "S-15"}, Does: "Shows a checkpoint of theirs, far ahead of their log, that they never signed.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				r, err := p.submission(papers)
				if err != nil {
					return err
				}
				forged, err := signWith(p.strange, signed.Checkpoint, ledger.Checkpoint{
					Issuer: p.target, Audience: p.origin, Seq: 1_000_000, Hash: signed.Digest(nil), Tick: 1_000_000,
				})
				if err != nil {
					return err
				}
				if r.SeenCheckpoint, err = p.sign(signed.Seen, ledger.Seen{Issuer: p.origin, Audience: p.target, Checkpoint: forged}); err != nil {
					return err
				}
				return p.refusedCall(ctx, "L-18", r, d, 401, "document_signature_invalid")
			},
		},
	}
}

// refusedCall sends a submission whose call must be refused, and holds that nothing of the order became of it.
func (p *peer) refusedCall(ctx context.Context, rule string, r *peerv1.SubmitRequest, d order.Document, status int, reason string) error {
	_, a, err := p.send(ctx, p.deal.doc.ID, ordering, r)
	if err != nil {
		return err
	}
	if err := refuses(rule, a, status, reason); err != nil {
		return err
	}
	if _, err := p.readBy(ctx); err != nil {
		return err
	}
	return p.nothingOf(d)
}
