package agreement_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// is gives a partner these roles alone.
func (s *side) is(origin string, roles ...member.Role) {
	s.t.Helper()
	s.Do(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(origin)
		if err != nil {
			return err
		}
		p.Roles = roles
		_, err = tx.Partners().Put(p)
		return err
	})
}

// TestOnlyASupplierSells: who only buys from us can neither offer an agreement as our supplier, nor have an old one accepted.
func TestOnlyASupplierSells(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	a := s.offer(buyer, terms)
	role := refusal{fault.Precondition, "partner_role", ""}
	b.is(seller, member.Reseller)
	before := b.books()
	_, err := b.receive(t.Context(), seller, a.SupplierJWS)
	role.check(t, err)
	b.unchanged(t, before)
	b.is(seller, member.Reseller, member.Supplier)
	if _, err := b.receive(t.Context(), seller, a.SupplierJWS); err != nil {
		t.Fatal(err)
	}
	b.is(seller)
	before = b.books()
	_, err = b.agree(seller, a.ID)
	role.check(t, err)
	b.unchanged(t, before)
}

// TestNothingIsSignedWithAnExpiredProposal: neither side's operator can, and it may not offer either.
func TestNothingIsSignedWithAnExpiredProposal(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	waiting, sent := s.delivered(buyer, terms), s.offer(buyer, terms)
	b.become(seller, member.Pending)
	late := b.partnership(seller)
	late.UpdatedAt = b.Clock.Now().Add(-member.ProposalLife)
	b.Do(func(tx *store.Tx) error { _, err := tx.Partners().Put(late); return err })
	before := b.books()
	nobody := refusal{fault.NotFound, "partner_not_found", ""}
	_, err := b.receive(t.Context(), seller, sent.SupplierJWS)
	nobody.check(t, err)
	_, err = b.agree(seller, waiting.ID)
	nobody.check(t, err)
	_, err = b.service.Offer(t.Context(), seller, terms)
	nobody.check(t, err)
	b.unchanged(t, before)
}

// TestWhatARefusalEnds: an operator hears of an offer that waiting does not mend, and what heals by itself goes on by itself.
func TestWhatARefusalEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		there  func(b *side)
		reason string
		final  bool
		heals  func(b *side)
	}{
		"the partnership is refused": {func(b *side) { b.become(seller, member.Refused) }, "partnership_state", true, func(b *side) { b.become(seller, member.Pending) }},
		"it has no role to sell": {
			func(b *side) { b.is(seller, member.Reseller) }, "partner_role", true,
			func(b *side) { b.is(seller, member.Supplier) },
		},
		"its proposal is on the way": {func(b *side) { b.become(seller, member.Proposed) }, "partnership_state", false, func(b *side) { b.become(seller, member.Qualified) }},
		"its clock is behind": {
			func(b *side) { b.service.Now = func() time.Time { return markettest.Noon().Add(-time.Hour) } }, "agreement_begins_later", false,
			func(b *side) { b.service.Now = b.Clock.Now },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b, _ := newMarket(t)
			a := s.offer(buyer, terms)
			c.there(b)
			err := s.work(agreement.JobOffer)
			var told undecided
			if fault.ReasonOf(err) != c.reason || !errors.As(err, &told) || told.Final() != c.final {
				t.Fatalf("the job ends with %v, final should be %v", err, c.final)
			}
			c.heals(b)
			if err := s.work(agreement.JobOffer); err != nil || b.state(a.ID) != agreement.Offered {
				t.Errorf("then it ends with %v, and the agreement is %q", err, b.state(a.ID))
			}
		})
	}
}

func TestALaterBeginningSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	payload := document(t, s.offer(buyer, terms).Payload, map[string]any{"valid_from": "2026-11-21T13:00:00Z"})
	_, err := b.receive(t.Context(), seller, s.sign(signed.Agreement, payload))
	var f *fault.Error
	if !errors.As(err, &f) || f.RetryAfter != 55*time.Minute {
		t.Errorf("it may come again after %v: %v", f, err)
	}
}

func TestClocksMayDifferALittle(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	payload := document(t, s.offer(buyer, terms).Payload, map[string]any{"valid_from": "2026-11-21T12:04:59Z"})
	if state, err := b.receive(t.Context(), seller, s.sign(signed.Agreement, payload)); err != nil || state != agreement.Offered {
		t.Errorf("it is %s, %v", state, err)
	}
}

func TestADealIsTheLastThatBecameActiveInItsCurrency(t *testing.T) {
	t.Parallel()
	at := func(id, currency string, state agreement.State, hour int) agreement.Agreement {
		when := markettest.Noon().Add(time.Duration(hour) * time.Hour)
		return agreement.Agreement{ID: id, State: state, ActiveSince: when, CreatedAt: markettest.Noon(), Terms: agreement.Terms{Currency: currency}}
	}
	deals := agreement.DealsOf([]agreement.Agreement{
		at("eur-new", "EUR", agreement.Active, 3), at("eur-old", "EUR", agreement.Active, 1), at("eur-offered", "EUR", agreement.Offered, 9),
		at("usd-old", "USD", agreement.Active, 1), at("usd-suspended", "USD", agreement.Suspended, 5), at("usd-new", "USD", agreement.Active, 2),
		at("sek-b", "SEK", agreement.Active, 1), at("sek-a", "SEK", agreement.Active, 1), at("dkk-agreed", "DKK", agreement.Agreed, 1),
	})
	want := map[string]string{"EUR": "eur-new", "USD": "usd-new", "SEK": "sek-b"}
	if len(deals) != len(want) {
		t.Errorf("deals in %d currencies, want %d", len(deals), len(want))
	}
	for currency, id := range want {
		if deals[currency].ID != id {
			t.Errorf("sold in %s under %q, want %s", currency, deals[currency].ID, id)
		}
	}
}
