package member

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Reader
	// Offers are the agreements with partners that wait for a signature.
	Offers() Offers
	Acts() act.Store
}

// Reader is what looking at a partner needs of a transaction.
type Reader interface {
	Partners() Store
}

// Offers wait on the word of a partnership that may never come.
type Offers interface {
	// Refuse ends those with a partner, whoever made them, for a reason.
	Refuse(partner, reason string, now time.Time) error
}

// Directory reads a member's well-known documents and verifies them. fault.Unavailable when it cannot be reached,
// fault.Invalid for an origin that is none, fault.Precondition for documents that do not hold.
type Directory interface {
	Member(ctx context.Context, origin string) (trust.Info, error)
}

// Link sends proposals.
type Link interface {
	Propose(ctx context.Context, partner, document string) (Answer, error)
}

// Answer is what a member hears of its proposal.
type Answer struct {
	// State of the partnership at the one that answers.
	State State
	// Reason of a refusal; "" where none is told.
	Reason string
}

// Service makes and keeps partnerships.
type Service struct {
	// Self is our origin.
	Self      string
	Work      unit.Work[Tx]
	Directory Directory
	Link      Link
	Signer    signed.Signer
	// OwnKey is the thumbprint of our business key.
	OwnKey func() string
	// Site names what one party holds of the network: its registered domain, or the prefix of an address.
	Site func(origin string) string
	// Dropped is told of each proposal that nobody acted on and that is forgotten; nil is nobody.
	Dropped func(p Partner, why string)
	// Changed is told of a partner that shows something new for our operator to decide; nil is nobody.
	Changed func(p Partner)
	// Flushed has all sent that waits for a partner; nil is nobody.
	Flushed func(partner string)
	// Followed is told of a partner whose business key was another one until now; nil is nobody.
	Followed func(p Partner, before string)
	// Strange is told each time that a partner shows a key that does not follow the pinned one, and whether it shows it the first time; nil is nobody.
	Strange func(p Partner, shown string, first bool)
	// Unfollowed is told why a partner, which names a key that is not pinned, could not be read again; nil is nobody.
	Unfollowed func(partner string, err error)
	Now        func() time.Time
	NewID      func() string
	Fail       *failpoint.Points

	mu sync.Mutex
	// looked is when each partner was read again last, shown the key of each that did not follow.
	looked map[string]*reading
	shown  map[string]string
}

// Proposal is the payload of a hanse-peering+jwt.
type Proposal struct {
	Issuer      string `json:"iss"`
	Audience    string `json:"aud"`
	ID          string `json:"jti"`
	Partnership string `json:"partnership"`
	// Role is what the recipient would be to the proposer.
	Role Role `json:"role"`
	// RecipientKey is the thumbprint that the proposer pinned.
	RecipientKey string `json:"recipient_key"`
}

// Discover reads and verifies a member without any effect.
func (s *Service) Discover(ctx context.Context, origin string) (trust.Info, error) {
	if origin == s.Self {
		return trust.Info{}, fault.New(fault.Invalid, "partner_is_self", "%s is this sidecar itself", origin).At("origin")
	}
	return s.Directory.Member(ctx, origin)
}

// Shown is what of a member our operator was shown and confirmed.
type Shown struct {
	// Thumbprint of the business key; "" where no key was confirmed.
	Thumbprint string
	// Digest is trust.Info.Digest; "" where facts were not confirmed.
	Digest string
}

// Add proposes a partnership in which the member has the role for us, and pins its keys. Repeating it proposes again. Another key
// than the one confirmed is fault.Conflict fingerprint_mismatch, other facts are member_changed. Of a member that is known, facts are taken over
// only where they were confirmed; else they wait as Changes.
func (s *Service) Add(ctx context.Context, origin string, role Role, confirmed Shown) (Partner, error) {
	info, err := s.Discover(ctx, origin)
	switch {
	case err != nil:
		return Partner{}, err
	case confirmed.Thumbprint != "" && confirmed.Thumbprint != info.Thumbprint:
		return Partner{}, fault.New(fault.Conflict, "fingerprint_mismatch", "%s now shows the business key %s, not the one you confirmed", origin, info.Thumbprint).
			At("business_key_thumbprint").Do("compare the fingerprint words with the member over another channel and add it again")
	case confirmed.Digest != "" && confirmed.Digest != info.Digest():
		return Partner{}, fault.New(fault.Conflict, "member_changed", "%s now shows other facts or keys of itself than those that you confirmed", origin).
			At("member_digest").Do("look at the member again, and add it if it still is who you mean")
	}
	document, err := s.propose(info, role)
	if err != nil {
		return Partner{}, err
	}
	partner, err := s.pin(ctx, pinning{info: info, role: role, state: Proposed, document: document, seen: confirmed.Digest != ""})
	if err != nil {
		return Partner{}, err
	}
	answer, err := s.Link.Propose(ctx, origin, document)
	if err != nil {
		return partner, fmt.Errorf("propose to %s: %w", origin, err)
	}
	return s.settle(ctx, origin, answer)
}

func (s *Service) propose(info trust.Info, role Role) (string, error) {
	payload, err := json.Marshal(Proposal{
		Issuer: s.Self, Audience: info.Origin, ID: s.NewID(), Partnership: trust.PartnershipID(s.Self, info.Origin),
		Role: role, RecipientKey: info.Thumbprint,
	})
	if err != nil {
		return "", err
	}
	return s.Signer.Sign(keys.Business, signed.Peering, payload)
}

// pinning is a word on a member, as it shows itself now.
type pinning struct {
	info trust.Info
	role Role
	// state that a new partner would have: Proposed is our operator's word, Pending the member's own.
	state    State
	document string
	// seen: our operator confirmed the facts.
	seen bool
}

// pin writes the partner with the keys that were shown. Keys that differ from pinned ones are refused, unless rollovers lead to them from
// those; the ones before are history then. Facts and roles of a partner that is known are for our operator to change: see Changes.
func (s *Service) pin(ctx context.Context, w pinning) (Partner, error) {
	var out Partner
	var dropped []drop
	var full error // told after the commit: what expired goes all the same
	var changed bool
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		full, changed = nil, false
		now := s.Now()
		if dropped, err = expire(tx, now); err != nil {
			return err
		}
		before, err := s.known(tx, w.info, now)
		if err != nil {
			return err
		}
		if w.state == Pending && (before.State == Ended || before.State == Refused && now.Before(before.RefusedUntil)) {
			out = before
			return nil
		}
		p := before
		p.take(w, now)
		refusedUs := p.State == Refused && p.RefusedUntil.IsZero()
		switch {
		case w.state == Pending && (p.State == Proposed || refusedUs):
			// Our operator proposed too and wants it already, whatever the member said before.
			p, err = p.Move(s.qualify(p))
		case w.state == Pending && (p.State == "" || p.State == Refused):
			var gaveWay []drop
			if gaveWay, full, err = s.makeRoom(tx, w.info.Origin); err != nil || full != nil {
				return err
			}
			dropped = append(dropped, gaveWay...)
			p, err = p.Move(Pending)
		case p.State == "", p.State == Refused, p.State == Ended:
			p, err = p.Move(w.state)
		}
		if err != nil {
			return err
		}
		p.Refusal, p.RefusedUntil = "", time.Time{}
		if p.State != Pending && reflect.DeepEqual(p, before) {
			out = p
			return nil
		}
		changed = p.Changes != nil && p.Changes != before.Changes
		p.UpdatedAt = now
		out, err = tx.Partners().Put(p)
		return err
	})
	if fault.ReasonOf(err) == reasonDiscontinuity {
		if p, err := s.Get(ctx, w.info.Origin); err == nil {
			s.strange(p, w.info)
		}
	}
	if err != nil {
		return Partner{}, fmt.Errorf("pin partner %s: %w", w.info.Origin, err)
	}
	s.tell(dropped)
	if changed && s.Changed != nil {
		s.Changed(out)
	}
	return out, full
}

// take gives the partner what is shown of it, as far as that is for who speaks to say.
func (p *Partner) take(w pinning, now time.Time) {
	shown := factsOf(w.info.Document)
	p.Documents = signed.Announced(w.info.Document.Documents)
	if p.State == "" || p.refusedByUs() {
		p.declare(shown)
		p.Past = nil
		p.pinAfter(w.info.Past, w.info, now)
		p.Roles, p.SealingKey, p.Proposal, p.Changes = []Role{w.role}, w.info.SealingKey, w.document, nil
		return
	}
	if passed, _ := w.info.After(p.Thumbprint, p.NextKeyDigest); len(passed) > 0 {
		p.pinAfter(passed, w.info, now)
	}
	// The pinned key signed the document that names it.
	if !bytes.Equal(p.SealingKey, w.info.SealingKey) {
		p.SealingKey = w.info.SealingKey
	}
	if w.state == Pending {
		p.propose(shown, []Role{w.role}, w.document, now)
		return
	}
	p.Proposal = w.document
	if w.seen {
		p.declare(shown)
	}
	asked := p.Roles
	if p.State == Pending {
		// Our operator says which role it means; the one that the member asked for is that member's wish.
		p.Roles = []Role{w.role}
	} else if !p.Has(w.role) {
		p.Roles = append(slices.Clone(p.Roles), w.role)
	}
	p.propose(shown, asked, "", now)
}

// pinAfter pins the keys that the member shows, which followed those it had before.
func (p *Partner) pinAfter(passed []trust.Key, info trust.Info, now time.Time) {
	past := slices.Clone(p.Past)
	for _, k := range passed {
		from := now
		if k.Thumbprint == p.Thumbprint {
			from = p.pinnedSince()
		}
		past = append(past, PastKey{Key: k.JWK, Thumbprint: k.Thumbprint, From: from, Until: now})
	}
	p.Past = past
	p.BusinessKey, p.Thumbprint, p.NextKeyDigest = info.BusinessKey, info.Thumbprint, info.Document.NextKeyDigest
}

// pinnedSince is when the present key was pinned.
func (p *Partner) pinnedSince() time.Time {
	if n := len(p.Past); n > 0 {
		return p.Past[n-1].Until
	}
	return p.CreatedAt
}

// refusedByUs reports whether the partnership is refused by our operator's word.
func (p Partner) refusedByUs() bool { return p.State == Refused && !p.RefusedUntil.IsZero() }

// known is the partner as pinned, or a new one. One that we refused never had its keys compared with anybody: once a proposal of it
// counts again, it begins anew with those that it shows then.
func (s *Service) known(tx Tx, info trust.Info, now time.Time) (Partner, error) {
	p, err := tx.Partners().Get(info.Origin)
	switch {
	case fault.Is(err, fault.NotFound):
		return Partner{Origin: info.Origin, PartnershipID: trust.PartnershipID(s.Self, info.Origin), CreatedAt: now}, nil
	case err != nil:
		return p, err
	case p.refusedByUs():
		return p, nil
	case proves(info, p):
		return p, nil
	case p.Thumbprint != info.Thumbprint:
		return p, fault.New(fault.Denied, reasonDiscontinuity, "%s shows another business key than the pinned one, and no rollovers that lead to it from that", info.Origin).
			Do("compare fingerprints with the member over another channel before you trust the new key")
	}
	// Whoever holds only the online key must not choose the one that follows it.
	return p, fault.New(fault.Denied, reasonDiscontinuity, "%s commits to another next key than the pinned one", info.Origin).
		Do("compare fingerprints with the member over another channel")
}

// reasonDiscontinuity is why a member that shows other keys than the pinned ones is not taken for the one that it was.
const reasonDiscontinuity = "key_discontinuity"

// proves reports whether the member shows the pinned keys, or rollovers that lead from them to those that it shows.
func proves(info trust.Info, p Partner) bool {
	_, proven := info.After(p.Thumbprint, p.NextKeyDigest)
	return proven
}

// settle takes the member's answer to our proposal. Our operator has proposed, so here the partnership is qualified unless
// the member refused; there its own operator decides.
func (s *Service) settle(ctx context.Context, origin string, answer Answer) (Partner, error) {
	var out Partner
	err := s.Work.Do(ctx, func(tx Tx) error {
		p, err := tx.Partners().Get(origin)
		if err != nil {
			return err
		}
		next, refusal := s.qualify(p), ""
		if answer.State == Refused {
			next, refusal = Refused, text.CleanLine(answer.Reason, maxTold)
		}
		if p.State == Active || p.State == Suspended || p.State == next && p.Refusal == refusal {
			out = p
			return nil
		}
		if p, err = p.Move(next); err != nil {
			return err
		}
		p.Refusal = refusal
		p.UpdatedAt = s.Now()
		if out, err = tx.Partners().Put(p); err != nil || p.State != Refused {
			return err
		}
		return tx.Offers().Refuse(origin, "the partner refused the partnership", p.UpdatedAt)
	})
	if err != nil {
		return Partner{}, fmt.Errorf("settle partnership with %s: %w", origin, err)
	}
	return out, nil
}

// qualify is where policy over evidence and the credit check decide; both pass for now.
func (s *Service) qualify(Partner) State { return Qualified }

// ReceiveProposal takes a member's proposal and returns the partnership's state here: pending until our operator adds the
// member too, offers it an agreement, accepts one, or refuses it. The caller is the origin that the access token proved.
func (s *Service) ReceiveProposal(ctx context.Context, caller, document string) (Answer, error) {
	info, err := s.Discover(ctx, caller)
	if err != nil {
		return Answer{}, err
	}
	payload, err := signed.Open(document, signed.Peering, info.BusinessKey)
	if err != nil {
		return Answer{}, err
	}
	var p Proposal
	if err := signed.Decode(payload, &p); err != nil {
		return Answer{}, err
	}
	role := Reseller
	switch {
	case p.Issuer != caller || p.Audience != s.Self || p.Partnership != trust.PartnershipID(s.Self, caller):
		return Answer{}, fault.New(fault.Invalid, "document_parties", "the proposal is for other parties")
	case p.RecipientKey != s.OwnKey():
		return Answer{}, fault.New(fault.Precondition, "recipient_key", "the proposal pins another key of ours than the present one").
			Do("read our member document again and propose again")
	case p.Role == Reseller:
		role = Supplier
	case p.Role != Supplier:
		return Answer{}, fault.New(fault.Invalid, "role_unknown", "role %q is neither supplier nor reseller", p.Role)
	}
	partner, err := s.pin(ctx, pinning{info: info, role: role, state: Pending, document: document})
	if err != nil {
		return Answer{}, err
	}
	return partner.answer(), nil
}

// Get reads a partner; fault.NotFound, for one whose proposal has expired too.
func (s *Service) Get(ctx context.Context, origin string) (p Partner, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		p, err = Read(tx, origin, s.Now())
		return err
	})
	return p, err
}

// List lists partners by origin, less those whose proposal has expired.
func (s *Service) List(ctx context.Context) (list []Partner, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Partners().List()
		return err
	})
	now := s.Now()
	return slices.DeleteFunc(list, func(p Partner) bool { return p.expired(now) }), err
}
