package member_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/guard"
	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	self  = "https://self.localhost:1"
	them  = "https://them.localhost:2"
	third = "https://third.localhost:3"
)

var noon = markettest.Noon()

// house is a member service on a real store. What other members show and answer is the test's to say.
type house struct {
	t       *testing.T
	service *member.Service
	keys    *keys.Manager
	// shown is what each origin shows of itself now; away is whom nobody reaches.
	shown map[string]trust.Info
	away  map[string]bool
	// answer is what partners say to proposals; sent is what they got.
	answer member.State
	// reason is why they refuse.
	reason string
	sent   []string
	woken  atomic.Int64
	clock  *markettest.Clock
	store  *store.Store
	// dropped are the proposals that were forgotten.
	dropped []string
}

// pocket is keys.Store in memory, for the other members.
type pocket struct {
	records map[keys.Purpose][]keys.Record
}

func (p pocket) Keys(_ context.Context, of keys.Purpose) ([]keys.Record, error) {
	return p.records[of], nil
}

func (p pocket) SaveKeys(_ context.Context, of keys.Purpose, _ string, records []keys.Record) error {
	for _, r := range records {
		p.records[of] = append(slices.DeleteFunc(p.records[of], func(have keys.Record) bool { return have.KID == r.KID }), r)
	}
	return nil
}

func newKeys(t *testing.T, st keys.Store) *keys.Manager {
	t.Helper()
	m, err := keys.New(context.Background(), keys.Config{Store: st, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, shown: map[string]trust.Info{}, away: map[string]bool{}, answer: member.Qualified}
	own := markettest.Open(t, self, markettest.Config{Wake: func(topic unit.Topic) {
		if topic == unit.Partners {
			h.woken.Add(1)
		}
	}})
	h.keys, h.clock, h.store = own.Keys, own.Clock, own.Store
	ids := 0
	h.service = &member.Service{
		OwnKey: func() string { return "our-key" }, Site: guard.Site,
		Dropped: func(p member.Partner, why string) { h.dropped = append(h.dropped, p.Origin+" "+why) },
		Self:    self, Work: store.For[member.Tx](own.Store), Directory: h, Link: h, Signer: h.keys, Now: own.Clock.Now,
		NewID: func() string { ids++; return fmt.Sprintf("id-%d", ids) },
	}
	return h
}

// Member implements member.Directory.
func (h *house) Member(_ context.Context, origin string) (trust.Info, error) {
	info, known := h.shown[origin]
	if !known || h.away[origin] {
		return trust.Info{}, fault.New(fault.Unavailable, "member_unreachable", "%s cannot be reached", origin)
	}
	return info, nil
}

// Propose implements member.Link.
func (h *house) Propose(_ context.Context, partner, document string) (member.Answer, error) {
	if h.away[partner+"/link"] {
		return member.Answer{}, fault.New(fault.Unavailable, "partner_unreachable", "%s cannot be reached", partner)
	}
	h.sent = append(h.sent, document)
	return member.Answer{State: h.answer, Reason: h.reason}, nil
}

// moveIn makes a member show itself at an origin, with keys of its own.
func (h *house) moveIn(origin string) *keys.Manager {
	h.t.Helper()
	m := newKeys(h.t, pocket{map[keys.Purpose][]keys.Record{}})
	kid := m.CurrentKID(keys.Business)
	h.shown[origin] = trust.Info{
		Origin: origin, BusinessKey: m.PublicJWK(keys.Business), SealingKey: m.PublicJWK(keys.Sealing), Thumbprint: kid, Sealing: m.CurrentKID(keys.Sealing), Words: keys.Words(kid),
		Document: trust.MemberDocument{Name: "Them", LegalName: "Them Ltd", Country: "SE", Contact: "mail@them.example", NextKeyDigest: m.NextDigest()},
	}
	return m
}

// exchange makes a member show another key, and still commit to the same next one.
func (h *house) exchange(origin string) *keys.Manager {
	h.t.Helper()
	next := h.shown[origin].Document.NextKeyDigest
	m := h.moveIn(origin)
	info := h.shown[origin]
	info.Document.NextKeyDigest = next
	h.shown[origin] = info
	return m
}

func (h *house) partners() []member.Partner {
	h.t.Helper()
	list, err := h.service.List(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// unchanged fails if a partner is other than it was.
func (h *house) unchanged(before []member.Partner) {
	h.t.Helper()
	if d := cmp.Diff(before, h.partners()); d != "" {
		h.t.Errorf("the refusal had an effect:\n%s", d)
	}
}

func (h *house) add(origin string, role member.Role) member.Partner {
	h.t.Helper()
	p, err := h.service.Add(context.Background(), origin, role, member.Shown{})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func refused(t *testing.T, err error, kind fault.Kind, reason string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.ReasonOf(err) != reason {
		t.Fatalf("error is %v, want %s of kind %s", err, reason, kind)
	}
}

// proposal is the payload of a hanse-peering+jwt, as the protocol has it.
func proposal() map[string]any {
	return map[string]any{
		"iss": them, "aud": self, "jti": "p-1", "partnership": trust.PartnershipID(self, them), "role": "supplier", "recipient_key": "our-key",
	}
}

func sign(t *testing.T, m *keys.Manager, typ string, payload any) string {
	t.Helper()
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	document, err := m.Sign(keys.Business, typ, raw)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestAddProposesPinsAndSettles(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	p, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{Thumbprint: theirs.CurrentKID(keys.Business)})
	if err != nil {
		t.Fatal(err)
	}
	want := member.Partner{
		Origin: them, PartnershipID: trust.PartnershipID(self, them), Name: "Them", LegalName: "Them Ltd", Country: "SE", Contact: "mail@them.example",
		Roles: []member.Role{member.Supplier}, State: member.Qualified, BusinessKey: theirs.PublicJWK(keys.Business),
		Thumbprint: theirs.CurrentKID(keys.Business), NextKeyDigest: theirs.NextDigest(), SealingKey: theirs.PublicJWK(keys.Sealing),
		Proposal: h.sent[0], CreatedAt: noon, UpdatedAt: noon, Version: p.Version,
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("added:\n%s", d)
	}
	if d := cmp.Diff([]member.Partner{p}, h.partners()); d != "" {
		t.Errorf("kept:\n%s", d)
	}
	payload, err := signed.Open(h.sent[0], signed.Peering, h.keys.PublicJWK(keys.Business))
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := json.Unmarshal(payload, &said); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{
		"iss": self, "aud": them, "jti": "id-1", "partnership": p.PartnershipID, "role": "supplier", "recipient_key": p.Thumbprint,
	}, said); d != "" {
		t.Errorf("proposed:\n%s", d)
	}
	if h.woken.Load() == 0 {
		t.Error("nobody was told")
	}
}

func TestRepeatingAddChangesNothingButMayAddARole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	first := h.add(them, member.Supplier)
	again := h.add(them, member.Supplier)
	if again.State != first.State || !slices.Equal(again.Roles, first.Roles) || again.Thumbprint != first.Thumbprint || again.CreatedAt != first.CreatedAt {
		t.Errorf("the repetition made %+v of %+v", again, first)
	}
	both := h.add(them, member.Reseller)
	if !slices.Equal(both.Roles, []member.Role{member.Supplier, member.Reseller}) || both.State != member.Qualified {
		t.Errorf("roles are %v, state %s", both.Roles, both.State)
	}
	if len(h.partners()) != 1 {
		t.Errorf("partners are %v", h.partners())
	}
}

func TestWhatTheMemberAnswersSettlesThePartnership(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ answer, state member.State }{
		// Our operator decides for our side; only a refusal is the member's to say.
		{member.Pending, member.Qualified},
		{member.Refused, member.Refused},
		{member.Qualified, member.Qualified},
		{member.Active, member.Qualified},
		{member.Proposed, member.Qualified},
		{"nonsense", member.Qualified},
	} {
		t.Run("answers "+string(c.answer), func(t *testing.T) {
			h := newHouse(t)
			h.moveIn(them)
			h.answer = c.answer
			if p := h.add(them, member.Supplier); p.State != c.state {
				t.Fatalf("state is %s, want %s", p.State, c.state)
			}
			// Whatever it was, the member may change its mind.
			h.answer = member.Qualified
			if p := h.add(them, member.Supplier); p.State != member.Qualified {
				t.Fatalf("state is %s after the repetition", p.State)
			}
		})
	}
}

func TestAddIsRefusedWithoutEffect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, origin, thumbprint string
		before                   func(*house)
		kind                     fault.Kind
		reason                   string
	}{
		{"another key than the operator confirmed", them, "other", func(*house) {}, fault.Conflict, "fingerprint_mismatch"},
		{"a confirmed key that was exchanged after the pinning", them, "old", func(h *house) { h.add(them, member.Supplier); h.exchange(them) }, fault.Conflict, "fingerprint_mismatch"},
		{"another key than the pinned one", them, "", func(h *house) { h.add(them, member.Supplier); h.exchange(them) }, fault.Denied, "key_discontinuity"},
		{"another key than the pinned one, confirmed", them, "shown", func(h *house) { h.add(them, member.Supplier); h.exchange(them) }, fault.Denied, "key_discontinuity"},
		{"another key for another role", them, "", func(h *house) { h.add(them, member.Reseller); h.exchange(them) }, fault.Denied, "key_discontinuity"},
		{"another key of a member that had refused", them, "", func(h *house) { h.answer = member.Refused; h.add(them, member.Supplier); h.exchange(them) }, fault.Denied, "key_discontinuity"},
		{"ourselves", self, "", func(h *house) { h.moveIn(self) }, fault.Invalid, "partner_is_self"},
		{"a member that is away", third, "", func(*house) {}, fault.Unavailable, "member_unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.moveIn(them)
			thumbprint := c.thumbprint
			if thumbprint == "old" {
				thumbprint = h.shown[them].Thumbprint
			}
			c.before(h)
			if thumbprint == "shown" {
				thumbprint = h.shown[them].Thumbprint
			}
			before, sent := h.partners(), len(h.sent)
			_, err := h.service.Add(context.Background(), c.origin, member.Supplier, member.Shown{Thumbprint: thumbprint})
			refused(t, err, c.kind, c.reason)
			h.unchanged(before)
			if len(h.sent) != sent {
				t.Error("a proposal was sent all the same")
			}
		})
	}
}

func TestAnEndedPartnershipIsNotRevivedByAdding(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	h.add(them, member.Supplier)
	h.put(them, member.Ended)
	_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
	refused(t, err, fault.Precondition, "partnership_state")
	if p := h.partners()[0]; p.State != member.Ended {
		t.Errorf("it is %s", p.State)
	}
}

func (h *house) put(origin string, state member.State) {
	h.t.Helper()
	err := h.service.Work.Do(context.Background(), func(tx member.Tx) error {
		p, err := tx.Partners().Get(origin)
		if err != nil {
			return err
		}
		p.State = state
		_, err = tx.Partners().Put(p)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestALinkThatIsDownLeavesTheProposalForARepetition(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	h.away[them+"/link"] = true
	_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
	refused(t, err, fault.Unavailable, "partner_unreachable")
	if p := h.partners(); len(p) != 1 || p[0].State != member.Proposed || p[0].Thumbprint == "" {
		t.Fatalf("left behind: %+v", p)
	}
	// The keys that were seen are pinned already: nobody slips in before the repetition.
	honest := h.shown[them]
	h.exchange(them)
	h.away = map[string]bool{}
	_, err = h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
	refused(t, err, fault.Denied, "key_discontinuity")
	h.shown[them] = honest
	if p := h.add(them, member.Supplier); p.State != member.Qualified || len(p.Roles) != 1 {
		t.Errorf("finished as %+v", p)
	}
}

func TestAProposalReceivedIsPinnedAndWaitsForOurOperator(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role member.Role
		is   member.Role
	}{{member.Supplier, member.Reseller}, {member.Reseller, member.Supplier}} {
		t.Run("we are to be its "+string(c.role), func(t *testing.T) {
			h := newHouse(t)
			theirs := h.moveIn(them)
			payload := proposal()
			payload["role"] = c.role
			document := sign(t, theirs, signed.Peering, payload)
			for range 2 {
				state, err := h.service.ReceiveProposal(context.Background(), them, document)
				if err != nil || state.State != member.Pending {
					t.Fatalf("it is %s, %v", state, err)
				}
			}
			p := h.partners()
			if len(p) != 1 || !slices.Equal(p[0].Roles, []member.Role{c.is}) || p[0].Thumbprint != theirs.CurrentKID(keys.Business) || p[0].Proposal != document {
				t.Fatalf("kept %+v", p)
			}
		})
	}
}

func TestProposalsThatCrossMeet(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	h.answer = member.Proposed
	h.add(them, member.Supplier)
	payload := proposal()
	payload["role"] = member.Reseller
	state, err := h.service.ReceiveProposal(context.Background(), them, sign(t, theirs, signed.Peering, payload))
	if err != nil || state.State != member.Qualified {
		t.Fatalf("it is %s, %v", state, err)
	}
}

func TestAProposalIsRefusedWithoutEffect(t *testing.T) {
	t.Parallel()
	with := func(field string, value any) map[string]any {
		p := proposal()
		p[field] = value
		return p
	}
	const parties, forged, role = "document_parties", "document_signature_invalid", "role_unknown"
	for _, c := range []struct {
		name     string
		document func(h *house, theirs *keys.Manager) string
		kind     fault.Kind
		reason   string
	}{
		{"from another member", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, with("iss", third)) }, fault.Invalid, parties},
		{"from us", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, with("iss", self)) }, fault.Invalid, parties},
		{"to another member", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, with("aud", third)) }, fault.Invalid, parties},
		{"for another partnership", func(h *house, k *keys.Manager) string {
			return sign(h.t, k, signed.Peering, with("partnership", trust.PartnershipID(self, third)))
		}, fault.Invalid, parties},
		{"in an unknown role", func(h *house, k *keys.Manager) string {
			return sign(h.t, k, signed.Peering, with("role", "operator"))
		}, fault.Invalid, role},
		{"in no role", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, with("role", "")) }, fault.Invalid, role},
		{"for another key of ours than the present one", func(h *house, k *keys.Manager) string {
			return sign(h.t, k, signed.Peering, with("recipient_key", "other"))
		}, fault.Precondition, "recipient_key"},
		{"signed by another member", func(h *house, _ *keys.Manager) string {
			return sign(h.t, h.moveIn(third), signed.Peering, proposal())
		}, fault.Unauthenticated, forged},
		{"signed by us", func(h *house, _ *keys.Manager) string { return sign(h.t, h.keys, signed.Peering, proposal()) }, fault.Unauthenticated, forged},
		{"a document of another type", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Agreement, proposal()) }, fault.Unauthenticated, forged},
		{"no document", func(*house, *keys.Manager) string { return "proposal" }, fault.Unauthenticated, forged},
		{"a payload that is null", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, nil) }, fault.Invalid, "document_malformed"},
		{"a payload of other types", func(h *house, k *keys.Manager) string { return sign(h.t, k, signed.Peering, with("role", 7)) }, fault.Invalid, "document_malformed"},
		{"while the proposer is away", func(h *house, k *keys.Manager) string {
			h.away[them] = true
			return sign(h.t, k, signed.Peering, proposal())
		}, fault.Unavailable, "member_unreachable"},
	} {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, known before: %t", c.name, known), func(t *testing.T) {
				h := newHouse(t)
				theirs := h.moveIn(them)
				if known {
					h.add(them, member.Supplier)
				}
				before := h.partners()
				_, err := h.service.ReceiveProposal(context.Background(), them, c.document(h, theirs))
				refused(t, err, c.kind, c.reason)
				h.unchanged(before)
			})
		}
	}
}

func TestAProposalWithAnotherKeyThanThePinnedOneIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(them)
	h.add(them, member.Supplier)
	before := h.partners()
	thief := h.exchange(them)
	_, err := h.service.ReceiveProposal(context.Background(), them, sign(t, thief, signed.Peering, proposal()))
	refused(t, err, fault.Denied, "key_discontinuity")
	h.unchanged(before)
}

func TestAnotherNextKeyThanThePinnedOneIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	h.add(them, member.Supplier)
	before := h.partners()
	info := h.shown[them]
	for _, digest := range []string{"other", ""} {
		info.Document.NextKeyDigest = digest
		h.shown[them] = info
		_, err := h.service.Add(context.Background(), them, member.Supplier, member.Shown{})
		refused(t, err, fault.Denied, "key_discontinuity")
		_, err = h.service.ReceiveProposal(context.Background(), them, sign(t, theirs, signed.Peering, proposal()))
		refused(t, err, fault.Denied, "key_discontinuity")
		h.unchanged(before)
	}
}

func TestAddingAMemberThatWaitsQualifiesIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	theirs := h.moveIn(them)
	if state, err := h.service.ReceiveProposal(context.Background(), them, sign(t, theirs, signed.Peering, proposal())); err != nil || state.State != member.Pending {
		t.Fatalf("it is %s, %v", state, err)
	}
	if p := h.add(them, member.Reseller); p.State != member.Qualified || !slices.Equal(p.Roles, []member.Role{member.Reseller}) {
		t.Errorf("added as %+v", p)
	}
}

func TestAProposalFromOurselvesIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.moveIn(self)
	_, err := h.service.ReceiveProposal(context.Background(), self, sign(t, h.keys, signed.Peering, proposal()))
	refused(t, err, fault.Invalid, "partner_is_self")
	h.unchanged(nil)
}

func TestTransitionsOfAPartnership(t *testing.T) {
	t.Parallel()
	states := []member.State{"", member.Proposed, member.Pending, member.Qualified, member.Refused, member.Active, member.Suspended, member.Ended}
	allowed := map[member.State][]member.State{
		"":               {member.Proposed, member.Pending, member.Qualified, member.Refused},
		member.Proposed:  {member.Pending, member.Qualified, member.Refused, member.Ended},
		member.Pending:   {member.Qualified, member.Refused, member.Ended},
		member.Qualified: {member.Active, member.Refused, member.Ended},
		member.Refused:   {member.Proposed, member.Pending, member.Qualified},
		member.Active:    {member.Suspended, member.Ended},
		member.Suspended: {member.Active, member.Ended},
	}
	for _, from := range states {
		for _, to := range states {
			t.Run(fmt.Sprintf("%q to %q", from, to), func(t *testing.T) {
				p, err := member.Partner{State: from}.Move(to)
				if from == to || slices.Contains(allowed[from], to) {
					if err != nil || p.State != to {
						t.Fatalf("it is %s, %v", p.State, err)
					}
					return
				}
				refused(t, err, fault.Precondition, "partnership_state")
				if p.State != from {
					t.Fatalf("refused, and yet it is %s", p.State)
				}
			})
		}
	}
}
