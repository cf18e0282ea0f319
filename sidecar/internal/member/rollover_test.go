package member_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// rolled has a member show the keys that it has now, with rollovers from all that it had before.
func (h *house) rolled(origin string, m *keys.Manager) {
	h.t.Helper()
	info := h.shown[origin]
	info.Past = nil
	for _, s := range m.Successions() {
		for _, k := range m.Public(keys.Business) {
			if raw, err := k.MarshalJSON(); err == nil && k.KeyID == s.Old {
				info.Past = append(info.Past, trust.Key{JWK: raw, Thumbprint: s.Old})
			}
		}
	}
	info.BusinessKey, info.Thumbprint, info.Document.NextKeyDigest = m.PublicJWK(keys.Business), m.CurrentKID(keys.Business), m.NextDigest()
	h.shown[origin] = info
}

func rotate(t *testing.T, m *keys.Manager) {
	t.Helper()
	if err := m.Rotate(t.Context(), keys.Business); err != nil {
		t.Fatal(err)
	}
}

func TestAPartnerThatProvesItsRolloversIsPinnedAnew(t *testing.T) {
	t.Parallel()
	for name, rollovers := range map[string]int{"one": 1, "two at once": 2} {
		for how, meets := range map[string]func(*house, *keys.Manager) error{
			"we add it again": func(h *house, _ *keys.Manager) error {
				_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
				return err
			},
			"it proposes again": func(h *house, m *keys.Manager) error {
				_, err := h.service.ReceiveProposal(context.Background(), them, sign(h.t, m, signed.Peering, proposal()))
				return err
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				theirs := h.moveIn(them)
				before := h.add(them, member.Supplier)
				document := sign(t, theirs, signed.Order, map[string]any{})
				var passed []string
				for range rollovers {
					passed = append(passed, theirs.CurrentKID(keys.Business))
					rotate(t, theirs)
				}
				h.rolled(them, theirs)
				if err := meets(h, theirs); err != nil {
					t.Fatal(err)
				}
				p := h.partners()[0]
				if p.Thumbprint != theirs.CurrentKID(keys.Business) || p.NextKeyDigest != theirs.NextDigest() || keys.Thumbprint(p.BusinessKey) != p.Thumbprint || p.State != before.State {
					t.Errorf("pinned %+v", p)
				}
				var kept []string
				for _, k := range p.Past {
					if kept = append(kept, k.Thumbprint); k.From.IsZero() || k.Until.Before(k.From) || keys.Thumbprint(k.Key) != k.Thumbprint {
						t.Errorf("kept %+v", k)
					}
				}
				if d := cmp.Diff(passed, kept); d != "" {
					t.Errorf("history:\n%s", d)
				}
				until := p.Past[0].Until
				for _, c := range []struct {
					what  string
					by    signed.Pinned
					opens bool
				}{
					{"what was on its way", p.Keys(until.Add(member.Grace - time.Second)), true},
					{"what comes too late", p.Keys(until.Add(member.Grace)), false},
					{"what was recorded", p.EverKeys(), true},
				} {
					if _, err := c.by.Open(document, signed.Order); (err == nil) != c.opens {
						t.Errorf("%s: %v", c.what, err)
					}
				}
				if _, err := p.Keys(until.Add(member.Grace)).Open(sign(t, theirs, signed.Order, map[string]any{}), signed.Order); err != nil {
					t.Errorf("by the new key: %v", err)
				}
			})
		}
	}
}

func TestOfANewMemberTheKeysOfBeforeAreKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	old := theirs.CurrentKID(keys.Business)
	rotate(t, theirs)
	h.rolled(them, theirs)
	if p := h.add(them, member.Supplier); len(p.Past) != 1 || p.Past[0].Thumbprint != old || p.Thumbprint != theirs.CurrentKID(keys.Business) {
		t.Errorf("pinned %+v", p)
	}
}

// TestNobodyIsPinnedAnewWithoutTheNextKey is what who has the online key, the host, or both can show.
func TestNobodyIsPinnedAnewWithoutTheNextKey(t *testing.T) {
	t.Parallel()
	for name, show := range map[string]func(h *house, theirs *keys.Manager){
		"the next key without rollovers": func(h *house, theirs *keys.Manager) {
			rotate(h.t, theirs)
			h.rolled(them, theirs)
			info := h.shown[them]
			info.Past = nil
			h.shown[them] = info
		},
		"the first of two rollovers is left out": func(h *house, theirs *keys.Manager) {
			rotate(h.t, theirs)
			rotate(h.t, theirs)
			h.rolled(them, theirs)
			info := h.shown[them]
			info.Past = info.Past[1:]
			h.shown[them] = info
		},
		"another key follows the pinned one": func(h *house, _ *keys.Manager) {
			info := h.shown[them]
			pinned := trust.Key{JWK: info.BusinessKey, Thumbprint: info.Thumbprint}
			thief := newKeys(h.t, pocket{map[keys.Purpose][]keys.Record{}})
			info.Past, info.BusinessKey, info.Thumbprint = []trust.Key{pinned}, thief.PublicJWK(keys.Business), thief.CurrentKID(keys.Business)
			h.shown[them] = info
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			theirs := h.moveIn(them)
			h.add(them, member.Supplier)
			before := h.partners()
			show(h, theirs)
			_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
			refused(t, err, fault.Denied, "key_discontinuity")
			_, err = h.service.ReceiveProposal(context.Background(), them, sign(t, theirs, signed.Peering, proposal()))
			if fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("its proposal: %v", err)
			}
			h.unchanged(before)
		})
	}
}

// TestAMemberThatGoesBackToARetiredKeyIsRefused: a rollover never leads back, whoever has the key of before.
func TestAMemberThatGoesBackToARetiredKeyIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	h.add(them, member.Supplier)
	old := h.shown[them]
	rotate(t, theirs)
	h.rolled(them, theirs)
	h.add(them, member.Supplier)
	before := h.partners()
	h.shown[them] = old
	_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
	refused(t, err, fault.Denied, "key_discontinuity")
	h.unchanged(before)
}
