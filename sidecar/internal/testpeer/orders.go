package testpeer

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hanse-market/hanse/auth/scope"
	peerv1 "github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/peer/v1/peerv1connect"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// rejectedOrder is a case of an order that is well-formed and must be rejected in the ledger, whatever the reason.
func rejectedOrder(name, rule, does string, change func(*order.Document)) Case {
	return Case{Name: name, Rules: []string{rule, "R-6"}, Does: does, play: func(ctx context.Context, p *peer) error {
		d, papers, err := p.purchase(change)
		if err != nil {
			return err
		}
		if err := p.place(d, papers.jws); err != nil {
			return err
		}
		o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
		if err != nil {
			return err
		}
		return p.decidedAs(ctx, rule, o, ledger.OrderRejected, "")
	}}
}

// times counts the entries of a kind about a subject in their log as far as it was read.
func (p *peer) times(kind ledger.Kind, subject string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.copied {
		if e.Kind == kind && e.Subject == subject {
			n++
		}
	}
	return n
}

// once holds that an order had one effect: it is decided at one place, accepted once and completed once.
func (p *peer) once(ctx context.Context, d order.Document, places map[int64]bool) error {
	if len(places) > 1 {
		return broke("S-7", "the same place for the same payload", "%d places", len(places))
	}
	if _, err := p.completed(ctx, d); err != nil {
		return err
	}
	if _, err := p.readBy(ctx); err != nil {
		return err
	}
	for _, kind := range []ledger.Kind{ledger.OrderAccepted, ledger.OrderCompleted} {
		if n := p.times(kind, d.Subscription); n != 1 {
			return broke("S-7", "one "+string(kind), "%d", n)
		}
	}
	return nil
}

func orders() []Case {
	return []Case{
		rejectedOrder("order-other-price", "R-5", "Orders for one minor unit, whatever it costs.", func(d *order.Document) {
			one := int64(1)
			if d.OneOffMinor != nil {
				d.OneOffMinor = &one
			} else {
				d.RecurringMinor = &one
			}
		}),
		rejectedOrder("order-unknown-revision", "R-5", "Orders a revision that there never was.", func(d *order.Document) { d.Revision += 1000 }),
		rejectedOrder("order-unknown-offering", "R-5", "Orders an offering that there never was.", func(d *order.Document) { d.Offering = "testpeer-nothing" }),
		rejectedOrder("order-other-offering-bytes", "R-5", "Orders a revision with the digest of other bytes.", func(d *order.Document) { d.OfferingSHA256 = signed.Digest([]byte("another")) }),
		rejectedOrder("order-other-currency", "R-5", "Orders in another currency than the agreement's.", func(d *order.Document) {
			if d.Currency == "JPY" {
				d.Currency = "EUR"
				return
			}
			d.Currency = "JPY"
		}),
		rejectedOrder("order-too-many", "R-5", "Orders 9,999 pieces of what is sold by fewer.", func(d *order.Document) { d.Quantity = 9_999 }),
		rejectedOrder("order-too-late", "H-6", "Orders with an accept_by that passed an hour ago.", func(d *order.Document) {
			d.AcceptBy = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		}),
		rejectedOrder("order-other-terms", "R-5", "Orders under the agreement with the digest of other terms.", func(d *order.Document) { d.AgreementSHA256 = signed.Digest([]byte("another")) }),
		rejectedOrder("order-other-inputs", "R-8", "Orders with the digest of other inputs than travel beside it.", func(d *order.Document) { d.InputsSHA256 = signed.Digest([]byte("another")) }),
		badOrder("order-other-agreement", "S-6", "Orders under another agreement than the token's.", true, "agreement_mismatch", func(p *peer, d order.Document) (string, error) {
			d.Agreement = "agr-of-others"
			return p.sign(signed.Order, d)
		}),
		badOrder("order-unknown-intent", "R-1", "Orders an action with an intent that are no row.", true, "order_action_unknown", func(p *peer, d order.Document) (string, error) {
			d.Intent = "terminate"
			return p.sign(signed.Order, d)
		}),
		badOrder("order-other-subscription", "R-3", "Orders a purchase for a subscription that is not named after it.", true, "order_document_invalid", func(p *peer, d order.Document) (string, error) {
			d.Subscription = "sub-another-one"
			return p.sign(signed.Order, d)
		}),
		{
			Name: "order-without-agreement", Rules: []string{"T-5", "Z-5"}, Does: "Asks for a token to order with, under no agreement.",
			play: func(ctx context.Context, p *peer) error {
				r, err := p.request(ordering, "")
				if err != nil {
					return err
				}
				a, _, err := p.token(ctx, r)
				if err != nil {
					return err
				}
				return refusedToken("T-5", a, http.StatusBadRequest, "invalid_authorization_details", "agreement_missing")
			},
		},
		{
			Name: "order-without-scope", Rules: []string{"S-3", "Z-2"}, Does: "Submits a purchase with a token that may only end what runs.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ending, papers)
				if err != nil {
					return err
				}
				if err := undecided("S-3", o, false, "scope_missing"); err != nil {
					return err
				}
				return p.nothingOf(d)
			},
		},
		{
			Name: "order-a-hundred-times", Rules: []string{"S-1", "S-7"}, Does: "Submits the same order a hundred times, ten at once.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				if err := p.place(d, papers.jws); err != nil {
					return err
				}
				places := map[int64]bool{}
				var mu sync.Mutex
				var all sync.WaitGroup
				failed := make(chan error, 10)
				for range 10 {
					all.Go(func() {
						for range 10 {
							o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
							if err == nil && o.GetDecided() == nil {
								err = broke("S-7", "decided", "%s", told(o))
							}
							if err != nil {
								failed <- err
								return
							}
							mu.Lock()
							places[o.GetDecided().GetSeq()] = true
							mu.Unlock()
						}
					})
				}
				all.Wait()
				select {
				case err := <-failed:
					return err
				default:
				}
				return p.once(ctx, d, places)
			},
		},
		{
			Name: "order-twice-in-a-batch", Rules: []string{"S-7"}, Does: "Submits one order twice in one batch.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				if err := p.place(d, papers.jws); err != nil {
					return err
				}
				outcomes, a, err := p.submit(ctx, p.deal.doc.ID, ordering, papers, papers)
				if err != nil {
					return err
				}
				if a.status != 200 || outcomes[0].GetDecided() == nil || outcomes[1].GetDecided() == nil {
					return broke("S-7", "both decided", "%s %v", a, outcomes)
				}
				return p.once(ctx, d, map[int64]bool{outcomes[0].GetDecided().GetSeq(): true, outcomes[1].GetDecided().GetSeq(): true})
			},
		},
		{
			Name: "order-lost-reply", Rules: []string{"S-1", "S-7", "S-11"}, Does: "Hangs up after it submitted an order, and submits it again.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				if err := p.place(d, papers.jws); err != nil {
					return err
				}
				r, err := p.submission(papers)
				if err != nil {
					return err
				}
				body, err := protojson.Marshal(r)
				if err != nil {
					return err
				}
				for _, patience := range []time.Duration{2 * time.Millisecond, 10 * time.Millisecond, 40 * time.Millisecond} {
					short, cancel := context.WithTimeout(ctx, patience)
					_, _ = p.post(short, p.calls.Transport(p.target, ordering, p.deal.doc.ID), http.MethodPost, p.target+peerv1connect.ExchangeServiceSubmitProcedure, nil, body)
					cancel()
				}
				o, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
				if err != nil {
					return err
				}
				if err := p.decidedAs(ctx, "S-1", o, ledger.OrderAccepted, ""); err != nil {
					return err
				}
				return p.once(ctx, d, map[int64]bool{o.GetDecided().GetSeq(): true})
			},
		},
		{
			Name: "order-cancelled-before", Rules: []string{"R-13", "S-8"}, Does: "Cancels an order that never arrived, and submits the order afterwards.",
			play: func(ctx context.Context, p *peer) error {
				d, papers, err := p.purchase(nil)
				if err != nil {
					return err
				}
				payload, err := signed.Payload(papers.jws)
				if err != nil {
					return err
				}
				cancel, err := p.sign(signed.Cancel, order.Cancel{
					Type: signed.CancelV1, Issuer: p.origin, Audience: p.target, ID: order.CancelID(d.ID), PlacedAt: time.Now().UTC().Format(time.RFC3339),
					Agreement: d.Agreement, Subscription: d.Subscription, Order: d.ID, OrderSHA256: signed.Digest(payload),
				})
				if err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ending, paper{jws: cancel})
				if err != nil {
					return err
				}
				if err := p.decidedAs(ctx, "R-13", o, ledger.OrderCancelled, ""); err != nil {
					return err
				}
				late, err := p.one(ctx, p.deal.doc.ID, ordering, papers)
				if err != nil {
					return err
				}
				if late.GetDecided().GetSeq() != o.GetDecided().GetSeq() {
					return broke("S-8", "the late order decided at its order.cancelled, "+told(o), "%s", told(late))
				}
				return nil
			},
		},
		{
			Name: "receipt-other-access", Rules: []string{"X-6", "X-7"}, Does: "Confirms access data that nobody gave it.",
			play: func(ctx context.Context, p *peer) error {
				d, _, err := p.buy(ctx)
				if err != nil {
					return err
				}
				end, err := p.completed(ctx, d)
				if err != nil {
					return err
				}
				if end.Access == "" {
					return fmt.Errorf("%s has no access data", d.Offering)
				}
				r, err := p.receipt(d.Subscription, signed.Digest([]byte("another")))
				if err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ending, r)
				if err != nil {
					return err
				}
				if err := undecided("X-6", o, true, "access_digest"); err != nil {
					return err
				}
				return p.access(ctx, d, end.Access)
			},
		},
		{
			Name: "terminate-twice", Rules: []string{"R-1", "R-6"}, Does: "Ends a subscription that it ended already.",
			play: func(ctx context.Context, p *peer) error {
				d, _, err := p.buy(ctx)
				if err != nil {
					return err
				}
				if _, err := p.completed(ctx, d); err != nil {
					return err
				}
				if err := p.end(ctx, d.Subscription); err != nil {
					return err
				}
				again, papers, err := p.terminate(d.Subscription)
				if err != nil {
					return err
				}
				if err := p.place(again, papers.jws); err != nil {
					return err
				}
				o, err := p.one(ctx, p.deal.doc.ID, ending, papers)
				if err != nil {
					return err
				}
				return p.decidedAs(ctx, "R-1", o, ledger.OrderRejected, "subscription_state")
			},
		},
		{
			Name: "access-of-others", Rules: []string{"X-8", "B-17"}, Does: "Asks for access data and the state of a subscription that is not its own.",
			play: func(ctx context.Context, p *peer) error {
				a, err := p.call(ctx, peerv1connect.OrderServiceGetAccessDataProcedure, p.deal.doc.ID, []string{scope.OrdersRead},
					&peerv1.GetAccessDataRequest{SubscriptionId: "sub-of-others"}, nil)
				if err != nil {
					return err
				}
				if err := refuses("X-8", a, http.StatusNotFound, "subscription_not_found"); err != nil {
					return err
				}
				state, err := p.stateOf(ctx, "sub-of-others")
				if err == nil && state != "unknown" {
					err = broke("B-17", "nothing, or unknown", "%s", state)
				}
				return err
			},
		},
	}
}

// stands holds that they say of a deal what their log says, which was read.
func (p *peer) stands(ctx context.Context, subject, want string) error {
	state, err := p.stateOf(ctx, subject)
	if err == nil && state != want {
		err = broke("B-18", want+", as their log says", "%s", state)
	}
	return err
}

// stateOf is what they say of a deal (B-18); "unknown" where they do not list it.
func (p *peer) stateOf(ctx context.Context, subject string) (string, error) {
	var out peerv1.StatesResponse
	a, err := p.call(ctx, asking, "", []string{scope.LedgerRead}, &peerv1.StatesRequest{Subjects: []string{subject}}, &out)
	if err != nil {
		return "", err
	}
	if a.status != 200 {
		return "", fmt.Errorf("states are refused: %s", a)
	}
	for _, d := range out.GetDeals() {
		if d.GetSubject() == subject {
			return d.GetState(), nil
		}
	}
	return "unknown", nil
}
