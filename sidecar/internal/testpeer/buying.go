package testpeer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var (
	ordering = []string{scope.LedgerRead, scope.OrdersWrite}
	ending   = []string{scope.LedgerRead, scope.OrdersCancel}
)

// pagePayload is what the signature of a catalog page is over (F-7).
func pagePayload(issuer, audience string, page *peerv1.WatchResponse) ([]byte, error) {
	changes := []map[string]any{}
	for _, c := range page.GetChanges() {
		said := map[string]any{"offering": c.GetOfferingId(), "revision": c.GetRevision()}
		if c.GetTombstone() {
			said["tombstone"] = true
		} else {
			said["sha256"] = hexOf(c.GetDigest())
		}
		changes = append(changes, said)
	}
	payload := map[string]any{"iss": issuer, "aud": audience, "cursor": page.GetCursor(), "changes": changes}
	if page.GetSnapshotBegin() {
		payload["begin"] = true
	}
	if page.GetSnapshotEnd() {
		payload["end"] = true
	}
	return signed.Canonical(payload)
}

// watch reads their catalog after a cursor until something holds, and judges each page (F-7, F-8).
func (p *peer) watch(ctx context.Context, cursor []byte, until func(*peerv1.WatchResponse) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	service := peerv1connect.NewCatalogServiceClient(&http.Client{Transport: p.calls.Transport(p.target, []string{scope.CatalogRead}, "")}, p.target)
	stream, err := service.Watch(ctx, connect.NewRequest(&peerv1.WatchRequest{Cursor: cursor}))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		page := stream.Msg()
		have, err := signed.Open(page.GetSignature(), signed.CatalogPage, p.them.BusinessKey)
		if err != nil {
			return broke("F-7", "a page signed by the pinned key", "%v", err)
		}
		want, err := pagePayload(p.target, p.origin, page)
		if err != nil {
			return err
		}
		if !bytes.Equal(have, want) {
			return broke("F-7", string(want), "%s", have)
		}
		for _, c := range page.GetChanges() {
			if !c.GetTombstone() && signed.Digest(c.GetDocument()) != hexOf(c.GetDigest()) {
				return broke("F-8", "the digest of the document", "another one of %s", c.GetOfferingId())
			}
		}
		if until(page) {
			return nil
		}
	}
	return stream.Err()
}

// shop finds the offering that is ordered.
func (p *peer) shop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Wait)
	defer cancel()
	err := p.watch(ctx, nil, func(page *peerv1.WatchResponse) bool {
		for _, c := range page.GetChanges() {
			doc, err := catalog.Known(c.GetDocument())
			if err == nil && doc.State == "orderable" && doc.Currency == p.deal.doc.Currency && (p.cfg.Offering == "" || p.cfg.Offering == doc.ID) {
				p.goods = goods{doc: doc, bytes: c.GetDocument()}
				return true
			}
		}
		return false
	})
	var b *breach
	if err != nil && !errors.As(err, &b) {
		return errors.Join(errors.New("there is no offering that can be ordered"), err)
	}
	return err
}

// purchase is an order of one piece, which change makes another; it is signed as it is then.
func (p *peer) purchase(change func(*order.Document)) (order.Document, paper, error) {
	salt := make([]byte, order.MinSaltBytes)
	_, _ = rand.Read(salt)
	line, err := price.List{Components: p.goods.doc.Prices, Currency: p.goods.doc.Currency}.Line(1, price.Terms{DiscountBP: p.deal.doc.WholesaleDiscountBP})
	if err != nil {
		return order.Document{}, paper{}, err
	}
	now, id := time.Now().UTC(), newID("ord")
	d := order.Document{
		Type: signed.OrderV1, Issuer: p.origin, Audience: p.target, ID: id, PlacedAt: now.Format(time.RFC3339), AcceptBy: now.Add(time.Hour).Format(time.RFC3339),
		Action: order.Add, Intent: order.Purchase, Agreement: p.deal.doc.ID, AgreementSHA256: p.deal.sha, Subscription: order.SubscriptionID(id),
		Customer: "cus-testpeer", Offering: p.goods.doc.ID, Revision: p.goods.doc.Revision, OfferingSHA256: p.goods.sha(), Quantity: 1,
		InputsSHA256: order.InputsDigest(salt, p.cfg.Inputs),
	}
	d.SetPrice(line, p.goods.doc.Currency)
	if change != nil {
		change(&d)
	}
	jws, err := p.sign(signed.Order, d)
	return d, paper{jws: jws, inputs: p.cfg.Inputs, salt: salt}, err
}

// place writes what places an order, as a caller does before it submits (S-5).
func (p *peer) place(d order.Document, jws string) error {
	payload, err := signed.Payload(jws)
	if err != nil {
		return err
	}
	return p.write(ledger.OrderPlaced, d.Subscription, map[string]any{
		"agreement": d.Agreement, "order": d.ID, "document_sha256": signed.Digest(payload), "subscription": d.Subscription, "action": d.Action, "intent": d.Intent,
	})
}

// buy places an honest order and awaits its acceptance.
func (p *peer) buy(ctx context.Context) (order.Document, paper, error) {
	d, jws, err := p.purchase(nil)
	if err != nil {
		return d, jws, err
	}
	if err := p.place(d, jws.jws); err != nil {
		return d, jws, err
	}
	o, err := p.one(ctx, p.deal.doc.ID, ordering, jws)
	if err != nil {
		return d, jws, err
	}
	return d, jws, p.decidedAs(ctx, "R-6", o, ledger.OrderAccepted, "")
}

// makeTime is how long a supplier may take to make or end a service: of the time of a case enough is left to ask what it says elsewhere.
const makeTime = caseTime - time.Minute

// completed awaits the end of an order that was accepted.
func (p *peer) completed(ctx context.Context, d order.Document) (ledger.Told, error) {
	waits, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	e, err := p.await(waits, func(e ledger.Entry) bool {
		body, err := ledger.ReadBody(e)
		return err == nil && body.Order == d.ID && (e.Kind == ledger.OrderCompleted || e.Kind == ledger.OrderFailed)
	})
	if err != nil {
		var b *breach
		if errors.As(err, &b) || d.Action != order.Add {
			return ledger.Told{}, errors.Join(errors.New("the order is neither completed nor failed yet"), err)
		}
		// Who says elsewhere that it is done has not told it.
		if state, asked := p.stateOf(ctx, d.Subscription); asked == nil && (state == "active" || state == "ended") {
			return ledger.Told{}, broke("B-18", "accepted, for their log does not say what became of the purchase", "%s", state)
		}
		return ledger.Told{}, errors.Join(errors.New("the order is neither completed nor failed yet"), err)
	}
	if e.Kind != ledger.OrderCompleted {
		return ledger.Told{}, errors.New("the supplier could not make the service: " + string(e.Body))
	}
	return ledger.ReadBody(e)
}

// terminate is the order that ends a subscription.
func (p *peer) terminate(of string) (order.Document, paper, error) {
	now := time.Now().UTC()
	d := order.Document{
		Type: signed.OrderV1, Issuer: p.origin, Audience: p.target, ID: newID("ord"), PlacedAt: now.Format(time.RFC3339), AcceptBy: now.Add(time.Hour).Format(time.RFC3339),
		Action: "delete", Intent: "terminate", Agreement: p.deal.doc.ID, AgreementSHA256: p.deal.sha, Subscription: of, Customer: "cus-testpeer",
	}
	jws, err := p.sign(signed.Order, d)
	return d, paper{jws: jws}, err
}

// access reads the access data of a subscription, which must be those of X-3, and returns their digest.
func (p *peer) access(ctx context.Context, d order.Document, want string) error {
	var out peerv1.GetAccessDataResponse
	a, err := p.call(ctx, peerv1connect.OrderServiceGetAccessDataProcedure, p.deal.doc.ID, []string{scope.OrdersRead},
		&peerv1.GetAccessDataRequest{SubscriptionId: d.Subscription}, &out)
	if err != nil {
		return err
	}
	if a.status != 200 || signed.Digest([]byte(out.GetJwe())) != want {
		return broke("X-3", "the JWE whose digest order.completed carries", "%s", a)
	}
	plain, err := p.keys.Open(out.GetJwe())
	if err != nil {
		return broke("X-1", "a JWE that is sealed to our pinned sealing key", "%v", err)
	}
	var data subscription.AccessData
	if err := signed.Decode(plain, &data); err != nil || data.Subscription != d.Subscription {
		return broke("X-2", "access data of the subscription", "%q %v", data.Subscription, err)
	}
	return nil
}

// receipt confirms access data.
func (p *peer) receipt(of, sha string) (paper, error) {
	jws, err := p.sign(signed.AccessReceipt, subscription.Receipt{
		Type: signed.AccessReceiptV1, Issuer: p.origin, Audience: p.target, ID: subscription.ReceiptID(sha), Agreement: p.deal.doc.ID, Subscription: of, AccessSHA256: sha,
	})
	return paper{jws: jws}, err
}

// compared is their answer to Compare over a fresh nonce, judged as B-4 says, and our own checkpoint that they hold.
func (p *peer) compared(ctx context.Context) (held ledger.Checkpoint, err error) {
	nonce := make([]byte, 24)
	_, _ = rand.Read(nonce)
	var out peerv1.CompareResponse
	a, err := p.call(ctx, peerv1connect.ExchangeServiceCompareProcedure, "", []string{scope.LedgerRead}, &peerv1.CompareRequest{Nonce: nonce}, &out)
	if err != nil {
		return held, err
	}
	if a.status != 200 {
		return held, broke("B-3", "an answer in every state of the books", "%s", a)
	}
	payload, err := signed.Open(out.GetDocument(), signed.Compare, p.them.BusinessKey)
	var c exchange.Comparison
	if err == nil {
		err = signed.Decode(payload, &c)
	}
	if err != nil || c.Issuer != p.target || c.Audience != p.origin || c.Nonce != base64URL(nonce) {
		return held, broke("B-4", "a comparison by the pinned key over our nonce", "%s %v", payload, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := int64(len(p.copied)); c.Seq < have {
		return held, broke("L-14", "a head that is not before what it signed", "%d, and we have %d", c.Seq, have)
	}
	if c.Held == "" {
		return held, nil
	}
	held, err = ledger.VerifyCheckpoint(c.Held, p.origin, p.target, signed.Pin(p.keys.PublicJWK(keys.Business)))
	if err != nil {
		return held, broke("B-4", "a checkpoint of ours, in our bytes", "%v", err)
	}
	return held, nil
}

// recalled reads our own log back, which must be what we wrote (B-6).
func (p *peer) recalled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	service := peerv1connect.NewExchangeServiceClient(&http.Client{Transport: p.calls.Transport(p.target, []string{scope.ExportRead}, "")}, p.target)
	stream, err := service.Recall(ctx, connect.NewRequest(&peerv1.RecallRequest{}))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	at := 0
	p.mu.Lock()
	own := p.own
	p.mu.Unlock()
	for stream.Receive() {
		for _, raw := range stream.Msg().GetEntries() {
			if at >= len(own) || !bytes.Equal(raw, own[at].Bytes) {
				return broke("B-6", "our own log, in order and in our bytes", "another entry at %d", at+1)
			}
			at++
		}
		if !stream.Msg().GetMore() {
			break
		}
	}
	if err := stream.Err(); err != nil {
		return broke("B-6", "our own log to its end", "%v", err)
	}
	if at != len(own) {
		return broke("B-6", fmt.Sprintf("our own log to its end, %d entries", len(own)), "%d", at)
	}
	return nil
}

func buying() []Case {
	return []Case{{
		Name: "honest", Rules: []string{"S-7", "R-11", "X-3", "X-7", "B-4", "B-9", "B-18"},
		Does: "Buys a subscription, reads and confirms its access data, ends it, and compares the books.",
		play: func(ctx context.Context, p *peer) error {
			d, _, err := p.buy(ctx)
			if err != nil {
				return err
			}
			end, err := p.completed(ctx, d)
			if err != nil {
				return err
			}
			if err := p.stands(ctx, d.Subscription, "active"); err != nil {
				return err
			}
			if end.Access != "" {
				if err := p.access(ctx, d, end.Access); err != nil {
					return err
				}
				if err := p.confirm(ctx, d, end.Access); err != nil {
					return err
				}
			}
			if err := p.end(ctx, d.Subscription); err != nil {
				return err
			}
			if err := p.stands(ctx, d.Subscription, "ended"); err != nil {
				return err
			}
			if err := p.isRead(ctx, "J-1"); err != nil {
				return err
			}
			held, err := p.compared(ctx)
			if err != nil {
				return err
			}
			if held.Seq != p.head() {
				return broke("B-9", "the newest of our checkpoints, which is read", "that at %d of %d", held.Seq, p.head())
			}
			return nil
		},
	}, {
		Name: "recall", Rules: []string{"B-6"}, Does: "Reads back what the member under test holds of its log.",
		play: func(ctx context.Context, p *peer) error {
			if err := p.isRead(ctx, "J-1"); err != nil {
				return err
			}
			return p.recalled(ctx)
		},
	}}
}

// confirm confirms access data, which the supplier deletes then.
func (p *peer) confirm(ctx context.Context, d order.Document, sha string) error {
	r, err := p.receipt(d.Subscription, sha)
	if err != nil {
		return err
	}
	payload, err := signed.Payload(r.jws)
	if err != nil {
		return err
	}
	if err := p.write(ledger.AccessConfirmed, d.Subscription, map[string]any{"document_sha256": signed.Digest(payload), "subscription": d.Subscription, "access_sha256": sha}); err != nil {
		return err
	}
	o, err := p.one(ctx, p.deal.doc.ID, ending, r)
	if err != nil {
		return err
	}
	if err := p.decidedAs(ctx, "X-7", o, ledger.AccessDeleted, ""); err != nil {
		return err
	}
	a, err := p.call(ctx, peerv1connect.OrderServiceGetAccessDataProcedure, p.deal.doc.ID, []string{scope.OrdersRead}, &peerv1.GetAccessDataRequest{SubscriptionId: d.Subscription}, nil)
	if err != nil {
		return err
	}
	return refuses("X-7", a, http.StatusNotFound, "access_data_gone")
}

// end terminates a subscription and awaits that it is over.
func (p *peer) end(ctx context.Context, of string) error {
	d, jws, err := p.terminate(of)
	if err != nil {
		return err
	}
	if err := p.place(d, jws.jws); err != nil {
		return err
	}
	o, err := p.one(ctx, p.deal.doc.ID, ending, jws)
	if err != nil {
		return err
	}
	if err := p.decidedAs(ctx, "R-1", o, ledger.OrderAccepted, ""); err != nil {
		return err
	}
	_, err = p.completed(ctx, d)
	return err
}
