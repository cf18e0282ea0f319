package member

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/text"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Partners() Store
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
	Now     func() time.Time
	NewID   func() string
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

// Add proposes a partnership in which the member has the role for us, and pins its keys. Repeating it proposes again.
// thumbprint, if given, is what the operator confirmed; another key now is fault.Conflict fingerprint_mismatch.
func (s *Service) Add(ctx context.Context, origin string, role Role, thumbprint string) (Partner, error) {
	info, err := s.Discover(ctx, origin)
	if err != nil {
		return Partner{}, err
	}
	if thumbprint != "" && thumbprint != info.Thumbprint {
		return Partner{}, fault.New(fault.Conflict, "fingerprint_mismatch", "%s now shows the business key %s, not the one you confirmed", origin, info.Thumbprint).
			At("business_key_thumbprint").Do("compare the fingerprint words with the member over another channel and add it again")
	}
	document, err := s.propose(info, role)
	if err != nil {
		return Partner{}, err
	}
	partner, err := s.pin(ctx, info, role, Proposed, document)
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

// pin writes the partner with the keys that were shown. Keys that differ from pinned ones are refused: continuity is for a
// rollover signed with the pinned key to prove.
func (s *Service) pin(ctx context.Context, info trust.Info, role Role, state State, document string) (Partner, error) {
	var out Partner
	var dropped []drop
	var full error // told after the commit: what expired goes all the same
	err := s.Work.Do(ctx, func(tx Tx) (err error) {
		full = nil
		now := s.Now()
		if dropped, err = expire(tx, now); err != nil {
			return err
		}
		p, err := s.known(tx, info, state, now)
		if err != nil {
			return err
		}
		if state == Pending && p.State == Refused && now.Before(p.RefusedUntil) {
			out = p
			return nil
		}
		d := info.Document
		p.Name, p.LegalName, p.Country, p.RegistrationID, p.Contact = d.Name, d.LegalName, d.Country, d.RegistrationID, d.Contact
		p.BusinessKey, p.Thumbprint, p.NextKeyDigest, p.SealingKey = info.BusinessKey, info.Thumbprint, d.NextKeyDigest, info.SealingKey
		p.Documents = signed.Announced(d.Documents)
		p.Proposal, p.UpdatedAt = document, now
		if !p.Has(role) {
			p.Roles = append(slices.Clone(p.Roles), role)
		}
		refusedUs := p.State == Refused && p.RefusedUntil.IsZero()
		switch {
		case state == Pending && (p.State == Proposed || refusedUs):
			// Our operator proposed too and wants it already, whatever the member said before.
			p, err = p.Move(s.qualify(p))
		case state == Pending && (p.State == "" || p.State == Refused):
			var gaveWay []drop
			if gaveWay, full, err = s.makeRoom(tx, info.Origin); err != nil || full != nil {
				return err
			}
			dropped = append(dropped, gaveWay...)
			p, err = p.Move(Pending)
		case p.State == "", p.State == Refused:
			p, err = p.Move(state)
		}
		if err != nil {
			return err
		}
		p.Refusal, p.RefusedUntil = "", time.Time{}
		out, err = tx.Partners().Put(p)
		return err
	})
	if err != nil {
		return Partner{}, fmt.Errorf("pin partner %s: %w", info.Origin, err)
	}
	s.tell(dropped)
	return out, full
}

// known is the partner as pinned, or a new one. One that we refused never had its keys compared with anybody: once a proposal of it
// counts again, it begins anew with those that it shows then.
func (s *Service) known(tx Tx, info trust.Info, state State, now time.Time) (Partner, error) {
	p, err := tx.Partners().Get(info.Origin)
	switch refusedByUs := p.State == Refused && !p.RefusedUntil.IsZero(); {
	case fault.Is(err, fault.NotFound):
		return Partner{Origin: info.Origin, PartnershipID: trust.PartnershipID(s.Self, info.Origin), CreatedAt: now}, nil
	case err != nil:
		return p, err
	case refusedByUs && state == Pending && now.Before(p.RefusedUntil):
		return p, nil
	case refusedByUs:
		p.Roles = nil
		return p, nil
	case p.Thumbprint != info.Thumbprint:
		return p, fault.New(fault.Denied, "key_discontinuity", "%s shows another business key than the pinned one", info.Origin).
			Do("compare fingerprints with the member over another channel before you trust the new key")
	case p.NextKeyDigest != "" && p.NextKeyDigest != info.Document.NextKeyDigest:
		// Whoever holds only the online key must not choose the one that follows it.
		return p, fault.New(fault.Denied, "key_discontinuity", "%s commits to another next key than the pinned one", info.Origin).
			Do("compare fingerprints with the member over another channel")
	}
	return p, nil
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
		out, err = tx.Partners().Put(p)
		return err
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
	partner, err := s.pin(ctx, info, role, Pending, document)
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
