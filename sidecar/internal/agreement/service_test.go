package agreement_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

func TestAnAgreementGoesFromOfferToBothSidesActive(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	var a agreement.Agreement
	// what one side has after a step
	type has struct {
		agreement     agreement.State
		partnership   member.State
		entries, jobs []string
	}
	const id = "agr-selle-1"
	// again are the calls that may be repeated after the step, with no effect.
	steps := []struct {
		name          string
		do            func() error
		again         []func() error
		seller, buyer has
	}{
		{
			"the seller offers", func() (err error) { a, err = s.service.Offer(t.Context(), buyer, terms); return err }, nil,
			has{agreement.Offered, member.Qualified, []string{"agreement.offered " + id}, []string{"agreement.offer " + id}},
			has{"", member.Qualified, nil, nil},
		},
		{
			"the offer arrives", func() error { return s.work(agreement.JobOffer) },
			[]func() error{
				func() error { return s.submit(t.Context(), buyer, a.SupplierJWS) },
			},
			has{agreement.Offered, member.Qualified, []string{"agreement.offered " + id}, nil},
			has{agreement.Offered, member.Qualified, []string{"agreement.received " + id}, nil},
		},
		{
			"the buyer accepts", func() error { _, err := b.agree(seller, ""); return err },
			[]func() error{
				func() error { _, err := b.agree(seller, id); return err },
				func() error { return s.submit(t.Context(), buyer, a.SupplierJWS) },
			},
			has{agreement.Offered, member.Qualified, []string{"agreement.offered " + id}, nil},
			has{agreement.Agreed, member.Qualified, []string{"agreement.received " + id, "agreement.accepted " + id}, []string{"agreement.accept " + id}},
		},
		{
			"the acceptance arrives", func() error { return b.work(agreement.JobAccept) },
			[]func() error{
				func() error { return s.submit(t.Context(), buyer, a.SupplierJWS) },
				func() error { _, err := b.agree(seller, id); return err },
				func() error { return b.submit(t.Context(), seller, b.signature(id)) },
				func() error { return b.hear(s, ledger.AgreementActive, id) },
			},
			has{agreement.Active, member.Active, []string{"agreement.offered " + id, "agreement.active " + id}, []string{"catalog.publish " + id}},
			has{agreement.Active, member.Active, []string{"agreement.received " + id, "agreement.accepted " + id}, nil},
		},
	}
	for _, step := range steps {
		s.Clock.Pass(time.Minute)
		b.Clock.Pass(time.Minute)
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, of := range []struct {
			side    *side
			partner string
			want    has
		}{{s, buyer, step.seller}, {b, seller, step.buyer}} {
			books := of.side.books()
			got := has{of.side.state(id), of.side.partnership(of.partner).State, books.Entries, books.Jobs}
			if d := cmp.Diff(of.want, got, cmp.AllowUnexported(has{})); d != "" {
				t.Errorf("%s: %s (-want +got)\n%s", step.name, of.side.Origin, d)
			}
		}
		sellers, buyers := s.books(), b.books()
		s.Clock.Pass(time.Minute)
		b.Clock.Pass(time.Minute)
		for i, again := range step.again {
			if err := again(); err != nil {
				t.Errorf("%s, repetition %d: %v", step.name, i, err)
			}
		}
		s.unchanged(t, sellers)
		b.unchanged(t, buyers)
	}
	theirs, ours := s.books().Agreements[0], b.books().Agreements[0]
	for _, have := range []agreement.Agreement{theirs, ours} {
		opens(t, s, have.SupplierJWS, a.Payload)
		opens(t, b, have.ResellerJWS, a.Payload)
		if d := cmp.Diff(terms, have.Terms); d != "" || have.Supplier != seller || have.Reseller != buyer || have.ActiveSince.IsZero() {
			t.Errorf("agreed %+v:\n%s", have, d)
		}
	}
}

// signature is the reseller's, as it travels.
func (s *side) signature(id string) string {
	s.t.Helper()
	a := s.find(id)
	if a.ResellerJWS == "" {
		s.t.Fatalf("agreement %s is not signed by the reseller", id)
	}
	return a.ResellerJWS
}

// active is the entry that says to its reader that an agreement is active.
func active(from string, a agreement.Agreement) ledger.Entry {
	return ledger.Entry{
		Partner: from, Direction: ledger.Theirs, Kind: ledger.AgreementActive, Subject: a.ID,
		Body: fmt.Appendf(nil, `{"agreement":%q,"document_sha256":"%x"}`, a.ID, a.Digest),
	}
}

func TestSigningQualifiesAMemberThatWaits(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	s.become(buyer, member.Pending)
	b.become(seller, member.Pending)
	a := s.delivered(buyer, terms)
	if got := s.partnership(buyer).State; got != member.Qualified {
		t.Errorf("to who offered, the other is %s", got)
	}
	if got := b.partnership(seller).State; got != member.Pending {
		t.Errorf("to who got an offer, the other is %s: nobody here said so", got)
	}
	b.accept(seller, a.ID)
	if got := b.partnership(seller).State; got != member.Qualified {
		t.Errorf("to who accepted, the other is %s", got)
	}
}

func TestAnOfferThatMayNotBeMadeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s, _, _ := newMarket(t)
	invalid := func(reason, field string) refusal { return refusal{fault.Invalid, reason, field} }
	with := func(change func(*agreement.Terms)) agreement.Terms {
		changed := terms
		change(&changed)
		return changed
	}
	territory := func(codes ...string) agreement.Terms {
		return with(func(t *agreement.Terms) { t.Territory = codes })
	}
	cases := []struct {
		name  string
		terms agreement.Terms
		to    string
		state member.State
		want  refusal
	}{
		{"a discount below nothing", with(func(t *agreement.Terms) { t.WholesaleDiscountBP = -1 }), buyer, member.Active, invalid("discount_range", "wholesale_discount_bp")},
		{"more than all off", with(func(t *agreement.Terms) { t.WholesaleDiscountBP = 10001 }), buyer, member.Active, invalid("discount_range", "wholesale_discount_bp")},
		{"no currency", with(func(t *agreement.Terms) { t.Currency = "" }), buyer, member.Active, invalid("currency_unknown", "currency")},
		{"a currency that nobody knows", with(func(t *agreement.Terms) { t.Currency = "EURO" }), buyer, member.Active, invalid("currency_unknown", "currency")},
		{"a territory in small letters", territory("DE", "fi"), buyer, member.Active, invalid("country_unknown", "territory[1]")},
		{"a territory of three letters", territory("FIN"), buyer, member.Active, invalid("country_unknown", "territory[0]")},
		{"a territory without a name", territory(""), buyer, member.Active, invalid("country_unknown", "territory[0]")},
		{"a territory that is no country", territory("DE", "AT", "XX"), buyer, member.Active, invalid("country_unknown", "territory[2]")},
		{"a union for a territory", territory("EU"), buyer, member.Active, invalid("country_unknown", "territory[0]")},
		{"a country twice", territory("DE", "DE"), buyer, member.Active, invalid("country_twice", "territory[1]")},
		{"more countries than there are", territory(slices.Repeat([]string{"DE"}, 261)...), buyer, member.Active, invalid("territory_limit", "territory")},
		{"a territory by its usual name", territory("UK"), buyer, member.Active, invalid("country_unknown", "territory[0]")},
		{"a stranger", terms, "https://stranger.localhost:4", "", refusal{fault.NotFound, "partner_not_found", ""}},
		{"who is no reseller", terms, other, member.Active, refusal{fault.Precondition, "partner_role", ""}},
		{"who was proposed to and has not answered", terms, buyer, member.Proposed, refusal{fault.Precondition, "partnership_state", ""}},
		{"who was refused", terms, buyer, member.Refused, refusal{fault.Precondition, "partnership_state", ""}},
		{"who is suspended", terms, buyer, member.Suspended, refusal{fault.Precondition, "partnership_state", ""}},
		{"with whom it ended", terms, buyer, member.Ended, refusal{fault.Precondition, "partnership_state", ""}},
	}
	s.Do(func(tx *store.Tx) error {
		p, err := tx.Partners().Get(other)
		if err != nil {
			return err
		}
		p.Roles = []member.Role{member.Supplier}
		_, err = tx.Partners().Put(p)
		return err
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.state != "" {
				s.become(c.to, c.state)
			}
			before := s.books()
			_, err := s.service.Offer(t.Context(), c.to, c.terms)
			c.want.check(t, err)
			s.unchanged(t, before)
		})
	}
	s.become(buyer, member.Active)
	for _, bp := range []int32{0, 10000} {
		s.offer(buyer, agreement.Terms{WholesaleDiscountBP: bp, Currency: "JPY"})
	}
}

func TestAnOfferThatCannotBeTrustedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s, b, o := newMarket(t)
	// What the seller would send: offered at home, and delivered to nobody.
	payload := s.offer(buyer, terms).Payload
	// What is here already under its id.
	taken := s.offer(buyer, terms)
	if err := s.submit(t.Context(), buyer, taken.SupplierJWS); err != nil {
		t.Fatal(err)
	}
	change := func(name string, value any) map[string]any { return map[string]any{name: value} }
	invalid := func(field string) refusal { return refusal{fault.Invalid, "agreement_invalid", field} }
	unsigned := refusal{fault.Unauthenticated, "document_signature_invalid", ""}
	parties := refusal{fault.Denied, "document_parties", ""}
	pins := refusal{fault.Precondition, "agreement_pins", ""}
	malformed := refusal{fault.Invalid, "document_malformed", ""}
	cases := []struct {
		name   string
		jws    string
		caller string
		state  member.State
		want   refusal
	}{
		{"signed by another member", o.sign(signed.Agreement, payload), seller, "", unsigned},
		{"signed as another kind of document", s.sign(signed.Order, payload), seller, "", refusal{fault.Invalid, "document_version", "type"}},
		{"signed by us", b.sign(signed.Agreement, payload), seller, "", unsigned},
		{"nothing", "", seller, "", refusal{fault.Unauthenticated, "document_signature_invalid", "jws"}},
		{"no JSON", s.sign(signed.Agreement, []byte("agreed")), seller, "", malformed},
		{"null", s.sign(signed.Agreement, []byte("null")), seller, "", malformed},
		{"a number of another kind", s.sign(signed.Agreement, document(t, payload, change("wholesale_discount_bp", 0.5))), seller, "", refusal{fault.Invalid, "document_malformed", "wholesale_discount_bp"}},
		{"another type", s.sign(signed.Agreement, document(t, payload, change("type", "hanse-agreement/2"))), seller, "", refusal{fault.Invalid, "document_version", "type"}},
		{"no id", s.sign(signed.Agreement, document(t, payload, change("id", ""))), seller, "", invalid("id")},
		{"an id with quotes", s.sign(signed.Agreement, document(t, payload, change("id", `a"b`))), seller, "", invalid("id")},
		{"an id that is too long", s.sign(signed.Agreement, document(t, payload, change("id", strings.Repeat("a", 65)))), seller, "", invalid("id")},
		{"another scope", s.sign(signed.Agreement, document(t, payload, change("scope", "some"))), seller, "", invalid("scope")},
		{"a discount below nothing", s.sign(signed.Agreement, document(t, payload, change("wholesale_discount_bp", -1))), seller, "", invalid("wholesale_discount_bp")},
		{"more than all off", s.sign(signed.Agreement, document(t, payload, change("wholesale_discount_bp", 10001))), seller, "", invalid("wholesale_discount_bp")},
		{"a currency that nobody knows", s.sign(signed.Agreement, document(t, payload, change("currency", "EURO"))), seller, "", invalid("currency")},
		{"a territory in small letters", s.sign(signed.Agreement, document(t, payload, change("territory", []string{"fi"}))), seller, "", invalid("territory[0]")},
		{"a country twice", s.sign(signed.Agreement, document(t, payload, change("territory", []string{"FI", "DE", "FI"}))), seller, "", invalid("territory[2]")},
		{"more countries than there are", s.sign(signed.Agreement, document(t, payload, change("territory", slices.Repeat([]string{"FI"}, 261)))), seller, "", invalid("territory")},
		{"no territory", s.sign(signed.Agreement, document(t, payload, change("territory", nil))), seller, "", refusal{fault.Invalid, "document_malformed", "territory"}},
		{"a territory that is no country", s.sign(signed.Agreement, document(t, payload, change("territory", []string{"FI", "XX"}))), seller, "", invalid("territory[1]")},
		{"no beginning", s.sign(signed.Agreement, document(t, payload, change("valid_from", ""))), seller, "", invalid("valid_from")},
		{"a beginning that is a day", s.sign(signed.Agreement, document(t, payload, change("valid_from", "2026-11-21"))), seller, "", invalid("valid_from")},
		{"a beginning that is no date", s.sign(signed.Agreement, document(t, payload, change("valid_from", "2026-02-30T12:00:00Z"))), seller, "", invalid("valid_from")},
		{"a beginning to come", s.sign(signed.Agreement, document(t, payload, change("valid_from", "2027-01-01T00:00:00Z"))), seller, "", refusal{fault.Exhausted, "agreement_begins_later", "valid_from"}},
		{"a beginning further ahead than clocks are", s.sign(signed.Agreement, document(t, payload, change("valid_from", "2026-11-21T12:05:01Z"))), seller, "", refusal{fault.Exhausted, "agreement_begins_later", "valid_from"}},
		{"another's agreement", s.sign(signed.Agreement, document(t, payload, change("supplier", other))), seller, "", parties},
		{"an agreement with another", s.sign(signed.Agreement, document(t, payload, change("reseller", other))), seller, "", parties},
		{"the seller's, handed on by another", o.sign(signed.Agreement, payload), other, "", parties},
		{"another key of the seller", s.sign(signed.Agreement, document(t, payload, change("supplier_key", "k"))), seller, "", pins},
		{"another next key of the seller", s.sign(signed.Agreement, document(t, payload, change("supplier_next_key", "k"))), seller, "", pins},
		{"another key of ours", s.sign(signed.Agreement, document(t, payload, change("reseller_key", "k"))), seller, "", pins},
		{"another next key of ours", s.sign(signed.Agreement, document(t, payload, change("reseller_next_key", "k"))), seller, "", pins},
		{"other content under the same id", s.sign(signed.Agreement, document(t, taken.Payload, change("wholesale_discount_bp", 2001))), seller, "", refusal{fault.Conflict, "document_conflict", ""}},
		{"the same content in other bytes", s.sign(signed.Agreement, append(taken.Payload[:len(taken.Payload):len(taken.Payload)], ' ')), seller, "", refusal{fault.Conflict, "document_conflict", ""}},
		{"a stranger's", s.sign(signed.Agreement, payload), "https://stranger.localhost:4", "", refusal{fault.NotFound, "partner_not_found", ""}},
		{"of who has not answered our proposal", s.sign(signed.Agreement, payload), seller, member.Proposed, refusal{fault.Unavailable, "partnership_state", ""}},
		{"of who was refused", s.sign(signed.Agreement, payload), seller, member.Refused, refusal{fault.Precondition, "partnership_state", ""}},
		{"of who is suspended", s.sign(signed.Agreement, payload), seller, member.Suspended, refusal{fault.Precondition, "partnership_state", ""}},
		{"of one with whom it ended", s.sign(signed.Agreement, payload), seller, member.Ended, refusal{fault.Precondition, "partnership_state", ""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.state != "" {
				b.become(c.caller, c.state)
				defer b.become(c.caller, member.Qualified)
			}
			before := b.books()
			state, err := b.receive(t.Context(), c.caller, c.jws)
			if state != "" {
				t.Errorf("the agreement is said to be %s", state)
			}
			c.want.check(t, err)
			b.unchanged(t, before)
		})
	}
	// What was refused in so many forms is taken in its own.
	if state, err := b.receive(t.Context(), seller, s.sign(signed.Agreement, payload)); err != nil || state != agreement.Offered {
		t.Errorf("the document itself is %q, %v", state, err)
	}
}

func TestOffersOfOneSellerWaitInALimitedNumber(t *testing.T) {
	t.Parallel()
	s, b, o := newMarket(t)
	const limit = 16
	var first agreement.Agreement
	for i := range limit {
		a := s.delivered(buyer, terms)
		if i == 0 {
			first = a
		}
	}
	before := b.books()
	one := s.offer(buyer, terms)
	refusal{fault.Exhausted, "offers_limit", ""}.check(t, s.work(agreement.JobOffer))
	// The limit is for new ones of that seller.
	if err := s.submit(t.Context(), buyer, first.SupplierJWS); err != nil {
		t.Errorf("one that waits already, sent again: %v", err)
	}
	b.unchanged(t, before)
	if len(before.Agreements) != limit {
		t.Errorf("%d agreements wait", len(before.Agreements))
	}
	o.delivered(buyer, terms)
	b.accept(seller, first.ID)
	if err := s.work(agreement.JobOffer); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := b.state(one.ID); got != agreement.Offered {
		t.Errorf("the agreement is %q", got)
	}
}

func TestOnlyWhatWasOfferedCanBeAccepted(t *testing.T) {
	t.Parallel()
	missing := refusal{fault.NotFound, "agreement_not_found", ""}
	cases := []struct {
		name string
		// offers is how many the buyer has from the seller. There is always one from the other, and one of the buyer's own.
		offers   int
		from, id string
		want     refusal
	}{
		{"none was offered", 0, seller, "", refusal{fault.Precondition, "agreement_not_offered", ""}},
		{"two were offered and none is named", 2, seller, "", refusal{fault.Precondition, "agreement_ambiguous", "agreement_id"}},
		{"one that does not exist", 1, seller, "agr-none", missing},
		{"another seller's", 1, seller, "agr-other-1", missing},
		{"from a stranger", 1, "https://stranger.localhost:4", "", refusal{fault.Precondition, "agreement_not_offered", ""}},
		{"what we offered ourselves", 1, seller, "agr-buyer-1", missing},
		{"in our own name", 1, buyer, "agr-buyer-1", missing},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, b, o := newMarket(t)
			for range c.offers {
				s.delivered(buyer, terms)
			}
			o.delivered(buyer, terms)
			b.delivered(seller, terms)
			before := b.books()
			_, err := b.agree(c.from, c.id)
			c.want.check(t, err)
			b.unchanged(t, before)
		})
	}
	t.Run("one of two, by name", func(t *testing.T) {
		t.Parallel()
		s, b, _ := newMarket(t)
		s.delivered(buyer, terms)
		second := s.delivered(buyer, terms)
		b.accept(seller, second.ID)
		// Of the two, one is left.
		if left := b.accept(seller, ""); left.ID == second.ID || left.State != agreement.Agreed {
			t.Errorf("then %s, which is %s", left.ID, left.State)
		}
	})
}

func TestAnAcceptanceIsSignedOnce(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	a := s.delivered(buyer, terms)
	var group errgroup.Group
	for range 16 {
		group.Go(func() error {
			_, err := b.agree(seller, a.ID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if b.state(a.ID) != agreement.Agreed {
		t.Errorf("the agreement is %s", b.state(a.ID))
	}
	if got := b.books(); len(got.Entries) != 2 || len(got.Jobs) != 1 { // received, accepted
		t.Errorf("entries %v, jobs %v", got.Entries, got.Jobs)
	}
}

func TestNothingIsSignedThatWasNotShown(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	first, second := s.delivered(buyer, terms), s.delivered(buyer, terms)
	for name, digest := range map[string]string{
		"nothing was shown": "", "another agreement was": hex.EncodeToString(second.Digest[:]), "in capitals": strings.ToUpper(hex.EncodeToString(first.Digest[:])),
	} {
		before := b.books()
		_, err := b.service.Accept(t.Context(), seller, first.ID, digest)
		t.Log(name)
		refusal{fault.Conflict, "agreement_differs", "digest"}.check(t, err)
		b.unchanged(t, before)
	}
}

// TestAnOfferUnderOldKeysIsNotAccepted: what was offered before a member was refused and came back with other keys pins who is nobody now.
func TestAnOfferUnderOldKeysIsNotAccepted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*side, *member.Partner){
		"the supplier's key":      func(_ *side, p *member.Partner) { p.Thumbprint = strings.Repeat("A", 43) },
		"the supplier's next key": func(_ *side, p *member.Partner) { p.NextKeyDigest = strings.Repeat("A", 43) },
		"our own": func(b *side, _ *member.Partner) {
			b.service.OwnKeys = func() (string, string) { return "other", "next" }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b, _ := newMarket(t)
			a := s.delivered(buyer, terms)
			p := b.partnership(seller)
			p.State = member.Pending
			change(b, &p)
			b.Do(func(tx *store.Tx) error { _, err := tx.Partners().Put(p); return err })
			before := b.books()
			_, err := b.agree(seller, a.ID)
			refusal{fault.Precondition, "agreement_pins", ""}.check(t, err)
			b.unchanged(t, before)
			if got := b.partnership(seller).State; got != member.Pending {
				t.Errorf("the supplier is %s", got)
			}
		})
	}
}

func TestNothingIsAcceptedFromAPartnerThatIsOut(t *testing.T) {
	t.Parallel()
	for _, state := range []member.State{member.Refused, member.Suspended, member.Ended} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			s, b, _ := newMarket(t)
			a := s.delivered(buyer, terms)
			b.become(seller, state)
			before := b.books()
			_, err := b.agree(seller, a.ID)
			refusal{fault.Precondition, "partnership_state", ""}.check(t, err)
			b.unchanged(t, before)
		})
	}
}

func TestAnAcceptanceThatCannotBeTrustedLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s, b, o := newMarket(t)
	offered := s.delivered(buyer, terms)
	payload := offered.Payload
	change := func(name string, value any) []byte { return document(t, payload, map[string]any{name: value}) }
	unsigned := refusal{fault.Unauthenticated, "document_signature_invalid", ""}
	parties := refusal{fault.Denied, "document_parties", ""}
	conflict := refusal{fault.Conflict, "agreement_conflict", ""}
	cases := []struct {
		name   string
		jws    string
		caller string
		state  member.State
		want   refusal
	}{
		{"signed by another member", o.sign(signed.Agreement, payload), buyer, "", unsigned},
		{"signed by the seller, as the offer was", offered.SupplierJWS, buyer, "", unsigned},
		{"signed as another kind of document", b.sign(signed.Order, payload), buyer, "", refusal{fault.Invalid, "document_version", "type"}},
		{"accepted by somebody else", o.sign(signed.Agreement, payload), other, "", parties},
		{"accepted by somebody else in its own name", o.sign(signed.Agreement, change("reseller", other)), other, "", conflict},
		{"of an agreement with another seller", b.sign(signed.Agreement, change("supplier", other)), buyer, "", parties},
		{"with a better discount", b.sign(signed.Agreement, change("wholesale_discount_bp", 9000)), buyer, "", conflict},
		{"with another key", b.sign(signed.Agreement, change("reseller_key", "k")), buyer, "", conflict},
		{"of the same content in other bytes", b.sign(signed.Agreement, append([]byte(" "), payload...)), buyer, "", conflict},
		{"of bytes that were never offered", b.sign(signed.Agreement, change("id", "agr-mine")), buyer, "", refusal{fault.NotFound, "agreement_not_found", ""}},
		{"of no agreement", b.sign(signed.Agreement, []byte(`{}`)), buyer, "", refusal{fault.Invalid, "document_malformed", "type"}},
		{"by a stranger", b.sign(signed.Agreement, payload), "https://stranger.localhost:4", "", refusal{fault.NotFound, "partner_not_found", ""}},
		{"by who is suspended", b.sign(signed.Agreement, payload), buyer, member.Suspended, refusal{fault.Precondition, "partnership_state", ""}},
		{"by one with whom it ended", b.sign(signed.Agreement, payload), buyer, member.Ended, refusal{fault.Precondition, "partnership_state", ""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.state != "" {
				s.become(c.caller, c.state)
				defer s.become(c.caller, member.Qualified)
			}
			before := s.books()
			state, err := s.receive(t.Context(), c.caller, c.jws)
			if state != "" {
				t.Errorf("the agreement is said to be %s", state)
			}
			c.want.check(t, err)
			s.unchanged(t, before)
		})
	}
	t.Run("of what was replaced since", func(t *testing.T) {
		s.Do(func(tx *store.Tx) error {
			a, err := tx.Agreements().Get(seller, offered.ID)
			if err != nil {
				return err
			}
			if a, err = a.Move(agreement.Superseded); err != nil {
				return err
			}
			_, err = tx.Agreements().Put(a)
			return err
		})
		before := s.books()
		_, err := s.receive(t.Context(), buyer, b.sign(signed.Agreement, payload))
		refusal{fault.Precondition, "agreement_state", ""}.check(t, err)
		s.unchanged(t, before)
	})
}

// errWire is what a link says that does not know how far its call came.
var errWire = errors.New("connection reset")

func TestACallThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		fail func(*side)
		// there says whether the call got through all the same.
		there bool
	}{
		{"on its way", func(s *side) { s.before = errWire }, false},
		{"when its reply is lost", func(s *side) { s.after = errWire }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, b, _ := newMarket(t)
			a := s.offer(buyer, terms)
			c.fail(s)
			before, there := s.books(), b.books()
			if err := s.work(agreement.JobOffer); !errors.Is(err, errWire) {
				t.Fatalf("the job ends with %v", err)
			}
			s.unchanged(t, before)
			if got := b.state(a.ID) == agreement.Offered; got != c.there {
				t.Errorf("the offer arrived: %v", got)
			}
			if c.there {
				there = b.books()
			}
			b.unchanged(t, there)
			s.before, s.after = nil, nil
			if err := s.work(agreement.JobOffer); err != nil {
				t.Fatal(err)
			}
			if c.there {
				b.unchanged(t, there)
			}

			b.accept(seller, "")
			c.fail(b)
			before, there = b.books(), s.books()
			if err := b.work(agreement.JobAccept); !errors.Is(err, errWire) {
				t.Fatalf("the job ends with %v", err)
			}
			b.unchanged(t, before)
			if got := s.state(a.ID) == agreement.Active; got != c.there {
				t.Errorf("the acceptance arrived: %v", got)
			}
			if c.there {
				there = s.books()
			}
			s.unchanged(t, there)
			b.before, b.after = nil, nil
			if err := b.work(agreement.JobAccept); err != nil {
				t.Fatal(err)
			}
			if c.there {
				s.unchanged(t, there)
			}
			if s.state(a.ID) != agreement.Active || b.state(a.ID) != agreement.Active {
				t.Errorf("the seller's is %s, the buyer's %s", s.state(a.ID), b.state(a.ID))
			}
		})
	}
}

func TestTheFeedMayBeFasterThanTheReply(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	a := s.delivered(buyer, terms)
	b.accept(seller, "")
	b.after = errWire
	if err := b.work(agreement.JobAccept); !errors.Is(err, errWire) {
		t.Fatalf("the job ends with %v", err)
	}
	if err := b.hear(s, ledger.AgreementActive, a.ID); err != nil {
		t.Fatal(err)
	}
	if got, partner := b.state(a.ID), b.partnership(seller).State; got != agreement.Active || partner != member.Active {
		t.Fatalf("the agreement is %s, the partnership %s", got, partner)
	}
	if left := b.books().Jobs; len(left) > 0 {
		t.Errorf("the acceptance would be sent again, which is known to have arrived: %v", left)
	}
}

// refused ends what waits with a partner, as the end of the partnership does.
func (s *side) refused(by string) {
	s.t.Helper()
	s.become(by, member.Refused)
	s.Do(func(tx *store.Tx) error {
		return tx.Offers().Refuse(by, "the partner refused the partnership", s.Clock.Now())
	})
}

// TestWhatWeSignedEndsWithTheRefusal: an acceptance that has no answer is not sent any more, and the supplier's ledger is believed when it
// says that it had come before. An offer that we never signed is not made active by it.
func TestWhatWeSignedEndsWithTheRefusal(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	arrived, lost, unsigned := s.delivered(buyer, terms), s.delivered(buyer, terms), s.delivered(buyer, terms)
	b.accept(seller, arrived.ID)
	b.after = errWire // it arrives, and the answer does not
	if err := b.work(agreement.JobAccept); !errors.Is(err, errWire) {
		t.Fatalf("the job ends with %v", err)
	}
	b.after, b.before = nil, errWire
	b.accept(seller, lost.ID)
	b.refused(seller)
	for _, a := range []agreement.Agreement{arrived, lost, unsigned} {
		if got := b.find(a.ID); got.State != agreement.Refused || got.Refusal == "" {
			t.Errorf("%s is %s for %q", a.ID, got.State, got.Refusal)
		}
	}
	if left := b.books().Jobs; len(left) > 0 {
		t.Errorf("left to send: %v", left)
	}
	if err := b.hear(s, ledger.AgreementActive, arrived.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.find(arrived.ID); got.State != agreement.Active || got.Refusal != "" {
		t.Errorf("what the supplier had accepted is %s for %q", got.State, got.Refusal)
	}
	if got := b.partnership(seller).State; got != member.Refused {
		t.Errorf("the partnership is %s", got)
	}
	s.Do(func(tx *store.Tx) error {
		_, err := s.Book.Append(tx, buyer, ledger.AgreementActive, unsigned.ID, map[string]string{
			"agreement": unsigned.ID, "document_sha256": hex.EncodeToString(unsigned.Digest[:]),
		})
		return err
	})
	refusal{fault.Precondition, "agreement_state", ""}.check(t, b.hear(s, ledger.AgreementActive, unsigned.ID))
}

func TestAnEntryMakesActiveOnlyWhatItsWriterMay(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	offered, agreed := s.delivered(buyer, terms), s.delivered(buyer, terms)
	b.accept(seller, agreed.ID)
	own := b.delivered(seller, terms)
	cases := []struct {
		name string
		e    ledger.Entry
		want refusal
	}{
		{"by another member", active(other, agreed), refusal{fault.NotFound, "agreement_not_found", ""}},
		{"one that does not exist", active(seller, agreement.Agreement{ID: "agr-none"}), refusal{fault.NotFound, "agreement_not_found", ""}},
		{"one that we did not accept", active(seller, offered), refusal{fault.Precondition, "agreement_state", ""}},
		{"one of other content", active(seller, agreement.Agreement{ID: agreed.ID}), refusal{fault.Precondition, "document_mismatch", ""}},
		{"one that we offered", active(seller, own), refusal{fault.NotFound, "agreement_not_found", ""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := b.books()
			c.want.check(t, b.Store.Do(t.Context(), func(tx *store.Tx) error { return b.service.ApplyActive(tx, c.e) }))
			b.unchanged(t, before)
		})
	}
}

func TestAJobWithoutItsAgreementFails(t *testing.T) {
	t.Parallel()
	s, _, _ := newMarket(t)
	before := s.books()
	for _, kind := range []string{agreement.JobOffer, agreement.JobAccept} {
		t.Run(kind, func(t *testing.T) {
			refusal{fault.NotFound, "agreement_not_found", ""}.check(t, s.send(job.Job{Kind: kind, Key: "agr-none", Partner: buyer}))
		})
	}
	s.unchanged(t, before)
	if s.calls.Load() != 0 {
		t.Errorf("%d calls", s.calls.Load())
	}
}

func TestAnOfferThatWasAcceptedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s, b, _ := newMarket(t)
	a := s.offer(buyer, terms)
	s.after = errWire
	if err := s.work(agreement.JobOffer); !errors.Is(err, errWire) {
		t.Fatalf("the job ends with %v", err)
	}
	b.accept(seller, a.ID)
	if err := b.work(agreement.JobAccept); err != nil {
		t.Fatal(err)
	}
	calls := s.calls.Load()
	if err := s.work(agreement.JobOffer); err != nil || s.calls.Load() != calls {
		t.Errorf("the job ends with %v after %d calls more", err, s.calls.Load()-calls)
	}
}

// TestSuppliersMayChooseTheSameId: neither can a supplier keep another's agreement out by using its id first, nor ours.
func TestSuppliersMayChooseTheSameId(t *testing.T) {
	t.Parallel()
	s, b, o := newMarket(t)
	const id = "agr-same"
	for _, m := range []*side{s, b, o} {
		m.service.NewID = func() string { return id }
	}
	sold := map[*side]agreement.Terms{
		s: {WholesaleDiscountBP: 1000, Currency: "EUR"}, o: {WholesaleDiscountBP: 3000, Currency: "SEK"},
	}
	for m, terms := range sold {
		m.delivered(buyer, terms)
	}
	own := b.delivered(seller, agreement.Terms{WholesaleDiscountBP: 5000, Currency: "USD"})
	for m := range sold {
		b.accept(m.Origin, id)
	}
	b.View(func(tx *store.Tx) error { // one job for each supplier, under the same key
		due, err := tx.Jobs().DueToSend(b.Clock.Now(), func(string) int { return 99 })
		due = slices.DeleteFunc(due, func(j job.Job) bool { return j.Kind != agreement.JobAccept })
		if len(due) != len(sold) {
			t.Errorf("%d acceptances are due", len(due))
		}
		return err
	})
	for m, terms := range sold {
		err := b.send(job.Job{Kind: agreement.JobAccept, Key: id, Partner: m.Origin})
		if err != nil {
			t.Fatalf("the acceptance for %s ends with %v", m.Origin, err)
		}
		if err := b.hear(m, ledger.AgreementActive, id); err != nil {
			t.Fatal(err)
		}
		for _, side := range []*side{m, b} {
			a, err := side.service.Get(t.Context(), m.Origin, id)
			if err != nil || a.State != agreement.Active || a.Terms.Currency != terms.Currency || a.Terms.WholesaleDiscountBP != terms.WholesaleDiscountBP {
				t.Errorf("%s has %+v of %s, %v", side.Origin, a, m.Origin, err)
			}
		}
	}
	if a, err := b.service.Get(t.Context(), buyer, id); err != nil || a.State != agreement.Offered || a.Digest != own.Digest {
		t.Errorf("our own is %+v, %v", a, err)
	}
}
