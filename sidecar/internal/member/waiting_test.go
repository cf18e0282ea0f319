package member_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// waits puts a member that proposed some time ago.
func (h *house) waits(origin string, ago time.Duration) {
	h.t.Helper()
	at := h.clock.Now().Add(-ago)
	err := h.service.Work.Do(context.Background(), func(tx member.Tx) error {
		_, err := tx.Partners().Put(member.Partner{Origin: origin, State: member.Pending, CreatedAt: at, UpdatedAt: at})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// proposes has a member propose with the keys that it shows.
func (h *house) proposes(origin string, m *keys.Manager) (member.Answer, error) {
	h.t.Helper()
	p := proposal()
	p["iss"], p["partnership"] = origin, trust.PartnershipID(self, origin)
	return h.service.ReceiveProposal(context.Background(), origin, sign(h.t, m, signed.Peering, p))
}

func (h *house) state(origin string) member.State {
	h.t.Helper()
	p, err := h.service.Get(context.Background(), origin)
	if err != nil && !fault.Is(err, fault.NotFound) {
		h.t.Fatal(err)
	}
	return p.State
}

func TestOthersProposalsNeverCloseTheDoor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	// The oldest of all is not pending: nobody pushes it out.
	h.waits(third, 365*24*time.Hour)
	h.put(third, member.Qualified)
	err := h.service.Work.Do(context.Background(), func(tx member.Tx) error {
		for i := range 1000 {
			at := h.clock.Now().Add(-time.Duration(i+1) * time.Minute)
			if _, err := tx.Partners().Put(member.Partner{Origin: fmt.Sprintf("https://m%d.localhost:9", i), State: member.Pending, UpdatedAt: at}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := h.proposes(them, theirs); err != nil || answer.State != member.Pending {
		t.Fatalf("it is %+v, %v", answer, err)
	}
	if want := []string{"https://m999.localhost:9 gave way"}; !slices.Equal(h.dropped, want) {
		t.Errorf("dropped %v, want %v", h.dropped, want)
	}
	if got := h.state("https://m999.localhost:9"); got != "" {
		t.Errorf("the oldest is %s", got)
	}
	if got := h.state(third); got != member.Qualified {
		t.Errorf("a qualified partner is %s", got)
	}
	// Whoever gave way may come again.
	again := h.moveIn("https://m999.localhost:9")
	if answer, err := h.proposes("https://m999.localhost:9", again); err != nil || answer.State != member.Pending {
		t.Errorf("who gave way is %+v, %v", answer, err)
	}
}

func TestOneSiteWaitsInALimitedNumber(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ waiting, next, apart string }{
		"names of a domain":   {"https://n%d.flood.example", "https://new.deep.flood.example", "https://flood.example.org"},
		"ports of a host":     {"https://flood.example:%d", "https://flood.example", "https://flooded.example"},
		"addresses of a host": {"https://192.0.2.%d", "https://192.0.2.250:8443", "https://192.0.3.1"},
		"a network of IPv6":   {"https://[2001:db8:7:%d::1]", "https://[2001:db8:7:ffff::2]", "https://[2001:db8:8::1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for i := range 10 {
				h.waits(fmt.Sprintf(c.waiting, i+1), time.Hour)
			}
			theirs := h.moveIn(c.next)
			before := h.partners()
			_, err := h.proposes(c.next, theirs)
			refused(t, err, fault.Exhausted, "proposals_site_limit")
			h.unchanged(before)
			if answer, err := h.proposes(c.apart, h.moveIn(c.apart)); err != nil || answer.State != member.Pending {
				t.Errorf("another site is %+v, %v", answer, err)
			}
			// Our operator is not kept from adding it, and room is made by refusing one.
			if p := h.add(c.next, member.Reseller); p.State != member.Qualified {
				t.Errorf("added, it is %s", p.State)
			}
		})
	}
}

func TestAProposalThatNobodyActsOnExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.waits("https://old.flood.example", member.ProposalLife)
	for i := range 9 {
		h.waits(fmt.Sprintf("https://n%d.flood.example", i), member.ProposalLife-time.Second)
	}
	const next = "https://new.flood.example"
	if answer, err := h.proposes(next, h.moveIn(next)); err != nil || answer.State != member.Pending {
		t.Fatalf("it is %+v, %v", answer, err)
	}
	if want := []string{"https://old.flood.example expired"}; !slices.Equal(h.dropped, want) {
		t.Errorf("dropped %v, want %v", h.dropped, want)
	}
	// Proposing again begins the wait anew, and takes no second place.
	h.clock.Pass(member.ProposalLife - time.Second)
	theirs := h.moveIn(them)
	if _, err := h.proposes(them, theirs); err != nil {
		t.Fatal(err)
	}
	h.clock.Pass(member.ProposalLife - time.Second)
	for range 20 {
		if answer, err := h.proposes(them, theirs); err != nil || answer.State != member.Pending {
			t.Fatalf("it is %+v, %v", answer, err)
		}
	}
}

// TestAnExpiredProposalIsNobody: where nobody else proposes nothing removes it, and yet nobody finds it or acts on it.
func TestAnExpiredProposalIsNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.proposes(them, h.moveIn(them)); err != nil {
		t.Fatal(err)
	}
	h.clock.Pass(member.ProposalLife - time.Second)
	if list := h.partners(); len(list) != 1 {
		t.Fatalf("a moment before, listed are %v", list)
	}
	h.clock.Pass(time.Second)
	if list := h.partners(); len(list) != 0 {
		t.Errorf("listed are %v", list)
	}
	_, err := h.service.Get(context.Background(), them)
	refused(t, err, fault.NotFound, "partner_not_found")
	_, err = h.service.Refuse(context.Background(), them, "No.")
	refused(t, err, fault.NotFound, "partner_not_found")
	// Adding it, our operator compares what it shows now.
	next := h.moveIn(them)
	if p := h.add(them, member.Reseller); p.State != member.Qualified || p.Thumbprint != next.CurrentKID(keys.Business) {
		t.Errorf("added as %+v", p)
	}
	if want := []string{them + " expired"}; !slices.Equal(h.dropped, want) {
		t.Errorf("dropped %v, want %v", h.dropped, want)
	}
}

// TestWhatExpiredGoesThoughTheNextIsRefused: a site that has no room left keeps nothing of another alive.
func TestWhatExpiredGoesThoughTheNextIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.waits("https://old.example", member.ProposalLife+time.Hour)
	for i := range 10 {
		h.waits(fmt.Sprintf("https://n%d.flood.example", i), time.Hour)
	}
	const next = "https://new.flood.example"
	_, err := h.proposes(next, h.moveIn(next))
	refused(t, err, fault.Exhausted, "proposals_site_limit")
	if want := []string{"https://old.example expired"}; !slices.Equal(h.dropped, want) {
		t.Errorf("dropped %v, want %v", h.dropped, want)
	}
	kept := 0
	err = h.service.Work.View(context.Background(), func(tx member.Tx) error {
		list, err := tx.Partners().List()
		kept = len(list)
		return err
	})
	if err != nil || kept != 10 {
		t.Errorf("%d are kept, %v", kept, err)
	}
}

func TestWhatAMemberOfferedGoesWithIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.waits("https://old.example", member.ProposalLife)
	st := h.store
	err := st.Do(context.Background(), func(tx *store.Tx) error {
		for id, supplier := range map[string]string{"agr-1": "https://old.example", "agr-2": third} {
			if _, err := tx.Agreements().Put(agreement.Agreement{ID: id, Supplier: supplier, Reseller: self, State: agreement.Offered}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.proposes(them, h.moveIn(them)); err != nil {
		t.Fatal(err)
	}
	err = st.View(context.Background(), func(tx *store.Tx) error {
		list, err := tx.Agreements().List()
		if len(list) != 1 || list[0].ID != "agr-2" {
			t.Errorf("left are %+v", list)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARefusalHoldsForAWhileAndIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	if _, err := h.proposes(them, theirs); err != nil {
		t.Fatal(err)
	}
	p, err := h.service.Refuse(context.Background(), them, "We do not know you.")
	if err != nil || p.State != member.Refused || p.Refusal != "We do not know you." || !p.RefusedUntil.Equal(noon.Add(member.RefusalLife)) {
		t.Fatalf("refused as %+v, %v", p, err)
	}
	before := h.partners()
	want := member.Answer{State: member.Refused, Reason: "We do not know you. (refused until 2026-12-21)"}
	if answer, err := h.proposes(them, theirs); err != nil || answer != want {
		t.Errorf("it is told %+v, %v", answer, err)
	}
	h.clock.Pass(member.RefusalLife - time.Second)
	// Neither does another key help, nor is it pinned.
	if answer, err := h.proposes(them, h.moveIn(them)); err != nil || answer != want {
		t.Errorf("with another key it is told %+v, %v", answer, err)
	}
	h.unchanged(before)
	h.clock.Pass(time.Second)
	next := h.moveIn(them)
	if answer, err := h.proposes(them, next); err != nil || answer != (member.Answer{State: member.Pending}) {
		t.Fatalf("after the time it is told %+v, %v", answer, err)
	}
	got, err := h.service.Get(context.Background(), them)
	if err != nil || got.Thumbprint != next.CurrentKID(keys.Business) || got.Refusal != "" || !got.RefusedUntil.IsZero() {
		t.Errorf("it waits as %+v, %v", got, err)
	}
}

func TestOurOperatorMayChangeItsMind(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.proposes(them, h.moveIn(them)); err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"", "Not now."} { // the second corrects the first
		if p, err := h.service.Refuse(context.Background(), them, reason); err != nil || p.Refusal != reason {
			t.Fatalf("refused as %+v, %v", p, err)
		}
	}
	h.moveIn(them) // with other keys, which our operator compares now
	if p := h.add(them, member.Supplier); p.State != member.Qualified || p.Refusal != "" || !p.RefusedUntil.IsZero() || !slices.Equal(p.Roles, []member.Role{member.Supplier}) {
		t.Errorf("added as %+v", p)
	}
}

func TestOnlyWhoWaitsIsRefused(t *testing.T) {
	t.Parallel()
	for _, state := range []member.State{member.Proposed, member.Qualified, member.Active, member.Suspended, member.Ended, member.Refused} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.waits(them, time.Hour)
			h.put(them, state) // refused: by the member, which is its word and not ours
			before := h.partners()
			_, err := h.service.Refuse(context.Background(), them, "No.")
			refused(t, err, fault.Precondition, "partnership_state")
			h.unchanged(before)
		})
	}
	h := newHouse(t)
	_, err := h.service.Refuse(context.Background(), them, "No.")
	refused(t, err, fault.NotFound, "partner_not_found")
	h.waits(them, time.Hour)
	before := h.partners()
	for _, reason := range []string{strings.Repeat("x", member.MaxRefusal+1), "two\nlines", "a \u202E bidi", " ", "tab\there", "a\x00"} {
		_, err := h.service.Refuse(context.Background(), them, reason)
		refused(t, err, fault.Invalid, "reason_invalid")
	}
	h.unchanged(before)
}

func TestAMemberThatRefusedUsMayProposeLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	h.answer, h.reason = member.Refused, "No \x1b[31mtrade\nwith you"+strings.Repeat("!", 1<<20)
	p := h.add(them, member.Supplier)
	if p.State != member.Refused || !strings.HasPrefix(p.Refusal, "No [31mtrade with you!!") || len(p.Refusal) > 300 || !p.RefusedUntil.IsZero() {
		t.Fatalf("it is %+v", p)
	}
	if answer, err := h.proposes(them, theirs); err != nil || answer != (member.Answer{State: member.Qualified}) {
		t.Fatalf("when it proposes it is %+v, %v", answer, err)
	}
	if p, err := h.service.Get(context.Background(), them); err != nil || p.State != member.Qualified || p.Refusal != "" {
		t.Errorf("it is %+v, %v", p, err)
	}
}

// TestWhatWeSignedIsNotForgotten: a partner whose key our operator compared and to whom we offered an agreement refuses us, changes
// its mind a year later, and finds the agreement and the key where they were, however many others proposed.
func TestWhatWeSignedIsNotForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	key := theirs.CurrentKID(keys.Business)
	if _, err := h.service.Add(context.Background(), them, member.Reseller, member.Shown{Thumbprint: key}); err != nil {
		t.Fatal(err)
	}
	offered := agreement.Agreement{ID: "agr-1", Supplier: self, Reseller: them, State: agreement.Offered, SupplierJWS: "ours"}
	err := h.store.Do(context.Background(), func(tx *store.Tx) error { _, err := tx.Agreements().Put(offered); return err })
	if err != nil {
		t.Fatal(err)
	}
	h.answer = member.Refused
	if p := h.add(them, member.Reseller); p.State != member.Refused {
		t.Fatalf("it is %+v", p)
	}
	if answer, err := h.proposes(them, theirs); err != nil || answer.State != member.Qualified {
		t.Fatalf("when it proposes it is %+v, %v", answer, err)
	}
	h.clock.Pass(365 * 24 * time.Hour)
	if _, err := h.proposes(third, h.moveIn(third)); err != nil {
		t.Fatal(err)
	}
	h.exchange(them)
	_, err = h.service.Add(context.Background(), them, member.Reseller, member.Shown{})
	refused(t, err, fault.Denied, "key_discontinuity")
	if p, err := h.service.Get(context.Background(), them); err != nil || p.Thumbprint != key || p.State != member.Qualified {
		t.Errorf("it is %+v, %v", p, err)
	}
	err = h.store.View(context.Background(), func(tx *store.Tx) error { _, err := tx.Agreements().Get(self, "agr-1"); return err })
	if err != nil {
		t.Errorf("what we offered: %v", err)
	}
}

// TestWhoCannotBeForgottenClosesNoDoor: whatever made a partner wait with whom we signed something, others may propose.
func TestWhoCannotBeForgottenClosesNoDoor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.waits(them, member.ProposalLife)
	signed := agreement.Agreement{ID: "agr-1", Supplier: self, Reseller: them, State: agreement.Offered, SupplierJWS: "ours"}
	err := h.store.Do(context.Background(), func(tx *store.Tx) error { _, err := tx.Agreements().Put(signed); return err })
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := h.proposes(third, h.moveIn(third)); err != nil || answer.State != member.Pending {
		t.Fatalf("another is %+v, %v", answer, err)
	}
	err = h.store.View(context.Background(), func(tx *store.Tx) error {
		_, partner := tx.Partners().Get(them)
		_, kept := tx.Agreements().Get(self, "agr-1")
		return errors.Join(partner, kept)
	})
	if err != nil || len(h.dropped) != 0 {
		t.Errorf("dropped %v, %v", h.dropped, err)
	}
}

// TestOnlyWhatIsUnsignedIsRemoved asks the store itself, whatever state the partner is in.
func TestOnlyWhatIsUnsignedIsRemoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		agreement agreement.Agreement
		signed    bool
	}{
		"it offered":          {agreement.Agreement{Supplier: them, Reseller: self, SupplierJWS: "theirs", State: agreement.Offered}, false},
		"we accepted":         {agreement.Agreement{Supplier: them, Reseller: self, SupplierJWS: "theirs", ResellerJWS: "ours", State: agreement.Agreed}, true},
		"we offered":          {agreement.Agreement{Supplier: self, Reseller: them, SupplierJWS: "ours", State: agreement.Offered}, true},
		"another one offered": {agreement.Agreement{Supplier: third, Reseller: self, SupplierJWS: "theirs", State: agreement.Offered}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.waits(them, time.Hour)
			c.agreement.ID = "agr-1"
			err := h.store.Do(context.Background(), func(tx *store.Tx) error { _, err := tx.Agreements().Put(c.agreement); return err })
			if err != nil {
				t.Fatal(err)
			}
			err = h.store.Do(context.Background(), func(tx *store.Tx) error { return tx.Partners().Remove(them) })
			if c.signed {
				refused(t, err, fault.Precondition, "partner_signed")
			} else if err != nil {
				t.Fatal(err)
			}
			left := 0
			err = h.store.View(context.Background(), func(tx *store.Tx) error {
				list, err := tx.Agreements().List()
				left = len(list)
				return err
			})
			if want := c.signed || c.agreement.Supplier == third; err != nil || (left == 1) != want || (h.state(them) != "") != c.signed {
				t.Errorf("%d agreements are left, the partner is %q, %v", left, h.state(them), err)
			}
		})
	}
}

// TestProposingAddingAndRefusingMayHappenAtOnce: whoever is first, nobody hears of a race.
func TestProposingAddingAndRefusingMayHappenAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	document := sign(t, theirs, signed.Peering, proposal())
	var group errgroup.Group
	for range 8 {
		group.Go(func() error { _, err := h.service.ReceiveProposal(context.Background(), them, document); return err })
		group.Go(func() error {
			if _, err := h.service.Refuse(context.Background(), them, "No."); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if got := h.state(them); got != member.Refused && got != member.Pending {
		t.Errorf("it is %s", got)
	}
}
