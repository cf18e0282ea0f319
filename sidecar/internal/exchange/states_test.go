package exchange_test

import (
	"fmt"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// TestStatesAreOfOnePartnerAlone, each deal once, page by page; named ones in whatever state.
func TestStatesAreOfOnePartnerAlone(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, b *bench) {
		const running = 250
		put := func(subs ...subscription.Subscription) {
			b.Do(func(tx *store.Tx) error {
				for _, sub := range subs {
					sub.CreatedAt = b.Clock.Now()
					if _, err := tx.Subscriptions().Put(sub); err != nil {
						return err
					}
				}
				return nil
			})
		}
		for i := range running {
			side := []subscription.Side{subscription.Resale, subscription.Retail}[i%2]
			put(subscription.Subscription{ID: fmt.Sprintf("sub-Order-%d", i), Side: side, Partner: buyer, State: subscription.Active})
		}
		put(
			subscription.Subscription{ID: "sub-both", Side: subscription.Resale, Partner: buyer, State: subscription.PendingTerminate},
			subscription.Subscription{ID: "sub-both", Side: subscription.Retail, Partner: buyer, State: subscription.Suspended},
			subscription.Subscription{ID: "sub-ended", Side: subscription.Resale, Partner: buyer, State: subscription.Terminated},
			subscription.Subscription{ID: "sub-undecided", Side: subscription.Retail, Partner: buyer, State: subscription.PendingActive},
			subscription.Subscription{ID: "sub-of-another", Side: subscription.Retail, Partner: "https://another.localhost:9", State: subscription.Active},
			subscription.Subscription{ID: "sub-Order-1", Side: subscription.Resale, Partner: "https://another.localhost:9", State: subscription.Active},
		)
		seen := map[exchange.DealKey]exchange.DealState{}
		pages := 0
		for after := (exchange.DealKey{}); ; {
			s, err := b.desk.States(t.Context(), buyer, exchange.StatesAsked{After: after})
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, d := range s.Deals {
				if _, again := seen[d.DealKey]; again || (d.State == exchange.DealUnknown) != (d.Digest == "") {
					t.Fatalf("%+v again, or with a digest of nothing", d)
				}
				seen[d.DealKey] = d.State
				after = d.DealKey
			}
			if !s.More {
				break
			}
		}
		if pages != 2 || len(seen) != running+3 || seen[exchange.DealKey{Subject: "sub-both", Sold: true}] != exchange.DealActive ||
			seen[exchange.DealKey{Subject: "sub-both"}] != exchange.DealActive || seen[exchange.DealKey{Subject: "sub-undecided"}] != exchange.DealUnknown {
			t.Errorf("%d deals on %d pages", len(seen), pages)
		}
		named, err := b.desk.States(t.Context(), buyer, exchange.StatesAsked{Subjects: []string{"sub-ended", "sub-of-another", "sub-none", "sub-Order-1"}})
		if err != nil || len(named.Deals) != 2 || named.Deals[0].State != exchange.DealEnded || named.Deals[1].Subject != "sub-Order-1" || named.Deals[1].Sold {
			t.Errorf("named are %+v, %v", named.Deals, err)
		}
		if _, err := b.desk.States(t.Context(), buyer, exchange.StatesAsked{Subjects: make([]string, exchange.MaxSubjects+1)}); fault.ReasonOf(err) != "subjects_range" {
			t.Errorf("too many: %v", err)
		}
		for state, reason := range map[ledger.BooksState]string{ledger.Unproven: ledger.ReasonUnproven, ledger.Behind: ledger.ReasonBehind, ledger.Forked: "books_forked"} {
			b.Do(func(tx *store.Tx) error {
				books, err := tx.Ledger().Books(buyer)
				if err != nil {
					return err
				}
				books.State, books.Since, books.Reason = state, b.Clock.Now(), "x"
				_, err = tx.Ledger().PutBooks(books)
				return err
			})
			if _, err := b.desk.States(t.Context(), buyer, exchange.StatesAsked{}); fault.ReasonOf(err) != reason {
				t.Errorf("while the books are %s: %v", state, err)
			}
		}
	})
}

// TestWhatANewLifeEndsHasEndedForBoth, however long the supplier's platform takes: else every comparison until then found a difference. An end
// that only the supplier's own order brings is under way, and the deal active.
func TestWhatANewLifeEndsHasEndedForBoth(t *testing.T) {
	t.Parallel()
	forkedOnEach(t, func(t *testing.T, supplier, reseller *side) {
		runs(t, supplier, reseller, "sub-1")
		runs(t, supplier, reseller, "sub-2")
		r := supplier.proposes(ending("sub-1"))
		supplier.submits(r.JWS)
		signature, err := reseller.sign(r)
		if err != nil {
			t.Fatal(err)
		}
		reseller.submits(signature.Countersigned)
		supplier.Do(func(tx *store.Tx) error {
			sub, err := tx.Subscriptions().Get(subscription.ResaleKey(buyer, "sub-2"))
			if err != nil {
				return err
			}
			sub.State = subscription.PendingTerminate
			_, err = tx.Subscriptions().Put(sub)
			return err
		})
		if at, with := supplier.state("sub-1"), reseller.state("sub-1"); at != subscription.PendingTerminate || with != subscription.Terminated {
			t.Fatalf("it is %s here and %s there", at, with)
		}
		for _, asked := range []exchange.StatesAsked{{}, {Subjects: []string{"sub-1", "sub-2"}}} {
			has := make(map[*side]map[string]exchange.Deal)
			for _, s := range []*side{supplier, reseller} {
				has[s] = make(map[string]exchange.Deal)
				s.View(func(tx *store.Tx) error {
					states, err := exchange.ReadStates(tx, s.Origin, s.with.Origin, asked)
					for _, d := range states.Deals {
						has[s][d.Subject] = d
					}
					return err
				})
			}
			here, there := has[supplier], has[reseller]
			if want := 1 + len(asked.Subjects)/2; len(here) != want || len(there) != want || here["sub-2"].State != exchange.DealActive {
				t.Errorf("asked %+v the two have %+v and %+v", asked, here, there)
			}
			for subject := range here {
				if here[subject].State != there[subject].State || here[subject].Digest != there[subject].Digest {
					t.Errorf("of %s the two have %+v and %+v", subject, here[subject], there[subject])
				}
			}
		}
	})
}
