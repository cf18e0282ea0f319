package member_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// partner is one that our operator knows in a state, as a reseller.
func (h *house) partner(state member.State) *keys.Manager {
	h.t.Helper()
	theirs := h.moveIn(them)
	if state == member.Proposed {
		h.away[them+"/link"] = true
		_, err := h.service.Add(context.Background(), them, member.Reseller, member.Shown{})
		refused(h.t, err, fault.Unavailable, "partner_unreachable")
		h.away = map[string]bool{}
		return theirs
	}
	if answer, err := h.proposes(them, theirs); err != nil || answer.State != member.Pending {
		h.t.Fatalf("it is %v, %v", answer, err)
	}
	h.put(them, state)
	return theirs
}

// shows has the member show something else of itself from now on.
func (h *house) shows(change func(*trust.Info)) {
	info := h.shown[them]
	change(&info)
	h.shown[them] = info
}

func (h *house) known() member.Partner {
	h.t.Helper()
	p, err := h.service.Get(context.Background(), them)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// asks has the member propose that we have a role for it.
func (h *house) asks(theirs *keys.Manager, role member.Role) {
	h.t.Helper()
	p := proposal()
	p["role"] = role
	if _, err := h.service.ReceiveProposal(context.Background(), them, sign(h.t, theirs, signed.Peering, p)); err != nil {
		h.t.Fatal(err)
	}
}

var facts = []struct {
	what, from, to string
	change         func(*trust.Info)
}{
	{"name", "Them", "Us", func(i *trust.Info) { i.Document.Name = "Us" }},
	{"legal_name", "Them Ltd", "Us Ltd", func(i *trust.Info) { i.Document.LegalName = "Us Ltd" }},
	{"country", "SE", "US", func(i *trust.Info) { i.Document.Country = "US" }},
	{"registration_id", "", "SE 1", func(i *trust.Info) { i.Document.RegistrationID = "SE 1" }},
	{"contact", "mail@them.example", "mail@us.example", func(i *trust.Info) { i.Document.Contact = "mail@us.example" }},
}

func TestWhatAPartnerIsChangesByOurOperatorsWordAlone(t *testing.T) {
	t.Parallel()
	for _, state := range []member.State{member.Proposed, member.Pending, member.Qualified, member.Active, member.Suspended} {
		for _, c := range facts {
			for _, how := range []string{"proposed", "looked at"} {
				t.Run(string(state)+", "+c.what+", "+how, func(t *testing.T) {
					t.Parallel()
					h := newHouse(t)
					theirs := h.partner(state)
					before := h.known()
					again := func() {
						t.Helper()
						if how == "proposed" {
							h.asks(theirs, member.Supplier)
						} else {
							h.add(them, member.Reseller)
						}
					}
					h.shows(c.change)
					again()
					got := h.known()
					if d := cmp.Diff([]member.Change{{What: c.what, From: c.from, To: c.to}}, got.Proposed()); d != "" {
						t.Fatalf("would change (-want +got):\n%s", d)
					}
					at := got.Changes.Since
					same := func(got member.Partner) {
						t.Helper()
						got.Changes, got.UpdatedAt, got.Version, got.State, got.Proposal = nil, before.UpdatedAt, before.Version, before.State, before.Proposal
						if d := cmp.Diff(before, got); d != "" {
							t.Errorf("it is changed all the same:\n%s", d)
						}
					}
					same(got)
					h.clock.Pass(time.Minute)
					again()
					if got = h.known(); !got.Changes.Since.Equal(at) {
						t.Errorf("the same is shown since %s", got.Changes.Since)
					}
					// It thinks better of it.
					h.shows(func(i *trust.Info) {
						i.Document.Name, i.Document.LegalName, i.Document.Country, i.Document.RegistrationID, i.Document.Contact = "Them", "Them Ltd", "SE", "", "mail@them.example"
					})
					again()
					if got = h.known(); got.Changes != nil {
						t.Errorf("it would change %v", got.Proposed())
					}
					same(got)
				})
			}
		}
	}
}

func TestARoleThatAPartnerAsksForWaitsForOurOperator(t *testing.T) {
	t.Parallel()
	for _, state := range []member.State{member.Pending, member.Qualified, member.Active, member.Suspended} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			theirs := h.partner(state)
			h.asks(theirs, member.Reseller) // we are to be its reseller: it is our supplier
			h.asks(theirs, member.Supplier) // and what it is already, which takes nothing back
			want := []member.Change{{What: "roles", From: "reseller", To: "reseller, supplier"}}
			p := h.known()
			if d := cmp.Diff(want, p.Proposed()); d != "" || !slices.Equal(p.Roles, []member.Role{member.Reseller}) {
				t.Fatalf("its roles are %v, would change:\n%s", p.Roles, d)
			}
			p, err := h.service.AcceptChanges(context.Background(), them, p.ChangesDigest())
			if err != nil || !slices.Equal(p.Roles, []member.Role{member.Reseller, member.Supplier}) || p.Changes != nil || p.State != state {
				t.Errorf("accepted as %+v, %v", p, err)
			}
		})
	}
}

func TestOurOperatorSaysWhichRoleItMeans(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.partner(member.Pending)
	p := h.add(them, member.Supplier)
	want := []member.Change{{What: "roles", From: "supplier", To: "supplier, reseller"}}
	if d := cmp.Diff(want, p.Proposed()); d != "" || !slices.Equal(p.Roles, []member.Role{member.Supplier}) {
		t.Errorf("its roles are %v, would change:\n%s", p.Roles, d)
	}
	if p = h.add(them, member.Reseller); p.Changes != nil || !slices.Equal(p.Roles, []member.Role{member.Supplier, member.Reseller}) {
		t.Errorf("with the other role too it is %+v", p)
	}
}

// TestOurOperatorsWordIsAboutWhatItSaw has a member show something else between the look and the word.
func TestOurOperatorsWordIsAboutWhatItSaw(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, known := range []bool{false, true} {
		h := newHouse(t)
		if known {
			h.partner(member.Pending)
		} else {
			h.moveIn(them)
		}
		for _, c := range append(facts, facts[0]) {
			saw := h.shown[them]
			c.change(&saw)
			h.shown[them] = saw
			h.shows(func(i *trust.Info) { i.Document.Contact += "x" })
			before := h.partners()
			_, err := h.service.Add(ctx, them, member.Reseller, member.Shown{Thumbprint: saw.Thumbprint, Digest: saw.Digest()})
			refused(t, err, fault.Conflict, "member_changed")
			h.unchanged(before)
			h.shown[them] = saw
		}
		saw := h.shown[them]
		p, err := h.service.Add(ctx, them, member.Reseller, member.Shown{Thumbprint: saw.Thumbprint, Digest: saw.Digest()})
		if err != nil || p.Name != "Us" || p.LegalName != "Us Ltd" || p.Country != "US" || p.RegistrationID != "SE 1" || p.Changes != nil {
			t.Errorf("known before: %t; added as %+v, %v", known, p, err)
		}
	}
}

func TestChangesAreDecidedAsTheyWereShown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := newHouse(t)
	theirs := h.partner(member.Active)
	for _, decide := range []func(context.Context, string, string) (member.Partner, error){h.service.AcceptChanges, h.service.RefuseChanges} {
		_, err := decide(ctx, them, strings.Repeat("0", 64))
		refused(t, err, fault.NotFound, "changes_not_found")
		_, err = decide(ctx, third, "")
		refused(t, err, fault.NotFound, "partner_not_found")
	}
	h.shows(facts[0].change)
	h.asks(theirs, member.Supplier)
	saw := h.known().ChangesDigest()
	h.shows(facts[2].change)
	h.asks(theirs, member.Supplier)
	before := h.partners()
	for _, digest := range []string{"", saw} {
		for _, decide := range []func(context.Context, string, string) (member.Partner, error){h.service.AcceptChanges, h.service.RefuseChanges} {
			_, err := decide(ctx, them, digest)
			refused(t, err, fault.Conflict, "changes_differ")
			h.unchanged(before)
		}
	}
	was := h.known()
	p, err := h.service.RefuseChanges(ctx, them, was.ChangesDigest())
	if err != nil || p.Changes != nil || p.Name != was.Name || p.Country != was.Country || p.State != member.Active {
		t.Fatalf("refused, it is %+v, %v", p, err)
	}
	h.asks(theirs, member.Supplier)
	was = h.known()
	p, err = h.service.AcceptChanges(ctx, them, was.ChangesDigest())
	if err != nil || p.Changes != nil || p.Name != "Us" || p.Country != "US" || p.LegalName != was.LegalName || p.Proposal != was.Changes.Proposal ||
		p.Thumbprint != was.Thumbprint || p.State != member.Active {
		t.Fatalf("accepted, it is %+v, %v", p, err)
	}
	// What is the same is not even written.
	woken := h.woken.Load()
	h.asks(theirs, member.Supplier)
	if h.woken.Load() != woken {
		t.Error("a proposal of what is known was written")
	}
}

func TestChangesAreToldOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var told []string
	h.service.Changed = func(p member.Partner) { told = append(told, p.Proposed()[0].To) }
	theirs := h.partner(member.Active)
	for _, c := range []int{0, 0, 2, 2} {
		h.shows(facts[c].change)
		h.asks(theirs, member.Supplier)
	}
	if len(told) != 2 {
		t.Errorf("told of %v", told)
	}
}

// A sealing key follows the member document, which the pinned business key signed; that key itself follows nothing of this kind.
func TestKeysFollowThePinnedOneAlone(t *testing.T) {
	t.Parallel()
	for _, state := range []member.State{member.Pending, member.Qualified, member.Active} {
		h := newHouse(t)
		theirs := h.partner(state)
		other := newKeys(t, pocket{map[keys.Purpose][]keys.Record{}})
		h.shows(func(i *trust.Info) {
			i.SealingKey, i.Sealing = other.PublicJWK(keys.Sealing), other.CurrentKID(keys.Sealing)
		})
		h.asks(theirs, member.Supplier)
		p := h.known()
		if keys.Thumbprint(p.SealingKey) != other.CurrentKID(keys.Sealing) || p.Changes != nil {
			t.Errorf("%s: it is %+v", state, p)
		}
		h.shows(func(i *trust.Info) { i.Document.Name = "Us" })
		before := h.partners()
		thief := h.exchange(them)
		_, err := h.proposes(them, thief)
		refused(t, err, fault.Denied, "key_discontinuity")
		h.unchanged(before)
	}
}

func TestARefusedPartnerHasNoChanges(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.partner(member.Pending)
	h.shows(facts[0].change)
	h.asks(theirs, member.Supplier)
	if p, err := h.service.Refuse(context.Background(), them, "No."); err != nil || p.Changes != nil {
		t.Fatalf("refused as %+v, %v", p, err)
	}
	h.put(them, member.Ended)
	before := h.partners()
	h.asks(theirs, member.Supplier)
	h.unchanged(before)
}
