package member

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/trust"
)

// Facts are what a member declares of itself.
type Facts struct {
	Name           string
	LegalName      string
	Country        string
	RegistrationID string
	Contact        string
}

// Changes are what a partner has shown since our operator last looked: facts and roles that it would have, and has not. What is kept
// of a partner is what our operator saw and dealt on, in every state: a proposal that came between a look and the word on it must
// not be what the word is about.
type Changes struct {
	Facts Facts
	// Roles it has, and those that it would have.
	Roles []Role
	// Proposal is the hanse-peering+jwt that brought them; "" where our own look did.
	Proposal string
	// Since is when they were shown like this first.
	Since time.Time
}

// Change is one thing that would be another.
type Change struct {
	// What: name, legal_name, country, registration_id, contact, roles.
	What, From, To string
}

func factsOf(d trust.MemberDocument) Facts {
	return Facts{Name: d.Name, LegalName: d.LegalName, Country: d.Country, RegistrationID: d.RegistrationID, Contact: d.Contact}
}

func (p *Partner) facts() Facts {
	return Facts{Name: p.Name, LegalName: p.LegalName, Country: p.Country, RegistrationID: p.RegistrationID, Contact: p.Contact}
}

func (p *Partner) declare(f Facts) {
	p.Name, p.LegalName, p.Country, p.RegistrationID, p.Contact = f.Name, f.LegalName, f.Country, f.RegistrationID, f.Contact
}

// propose notes what the partner would be, or that it is content with what it is.
func (p *Partner) propose(f Facts, roles []Role, document string, now time.Time) {
	all := slices.Clone(p.Roles)
	if p.Changes != nil {
		roles = append(slices.Clone(p.Changes.Roles), roles...)
	}
	for _, r := range roles {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	switch have := p.Changes; {
	case f == p.facts() && len(all) == len(p.Roles):
		p.Changes = nil
	case have == nil || have.Facts != f || !slices.Equal(have.Roles, all):
		p.Changes = &Changes{Facts: f, Roles: all, Proposal: document, Since: now}
	}
}

// Proposed lists what Changes would change, from what to what.
func (p Partner) Proposed() []Change {
	if p.Changes == nil {
		return nil
	}
	from, to := p.facts(), p.Changes.Facts
	all := []Change{
		{"name", from.Name, to.Name},
		{"legal_name", from.LegalName, to.LegalName},
		{"country", from.Country, to.Country},
		{"registration_id", from.RegistrationID, to.RegistrationID},
		{"contact", from.Contact, to.Contact},
		{"roles", roleList(p.Roles), roleList(p.Changes.Roles)},
	}
	return slices.DeleteFunc(all, func(c Change) bool { return c.From == c.To })
}

func roleList(roles []Role) string {
	names := make([]string, 0, len(roles))
	for _, r := range roles {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// ChangesDigest is the lower-case hex SHA-256 of what Changes would change of which partner; "" where there are none. Whoever decides on
// them names it, and so decides on what was shown.
func (p Partner) ChangesDigest() string {
	changes := p.Proposed()
	if len(changes) == 0 {
		return ""
	}
	said := []string{p.Origin, p.Thumbprint}
	for _, c := range changes {
		said = append(said, c.What, c.From, c.To)
	}
	raw, _ := json.Marshal(said) // an array of strings has one spelling
	return signed.Digest(raw)
}

// AcceptChanges is our operator's yes to what a partner would be, as it was shown with the digest. fault.NotFound changes_not_found,
// fault.Conflict changes_differ where something else is shown now.
func (s *Service) AcceptChanges(ctx context.Context, origin, digest string) (Partner, error) {
	return s.decide(ctx, origin, digest, func(p *Partner) {
		p.declare(p.Changes.Facts)
		p.Roles = p.Changes.Roles
		if p.Changes.Proposal != "" {
			p.Proposal = p.Changes.Proposal
		}
	})
}

// RefuseChanges is our operator's no: they are forgotten. The partner may show them again.
func (s *Service) RefuseChanges(ctx context.Context, origin, digest string) (Partner, error) {
	return s.decide(ctx, origin, digest, func(*Partner) {})
}

func (s *Service) decide(ctx context.Context, origin, digest string, apply func(*Partner)) (Partner, error) {
	var out Partner
	err := s.Work.Do(ctx, func(tx Tx) error {
		p, err := Read(tx, origin, s.Now())
		switch {
		case err != nil:
			return err
		case p.Changes == nil:
			return fault.New(fault.NotFound, "changes_not_found", "%s shows nothing that is not known", origin).At("origin").
				Do("hanse partner show tells what is known")
		case p.ChangesDigest() != digest:
			return fault.New(fault.Conflict, "changes_differ", "%s shows other changes now than those that you saw", origin).At("digest").
				Do("look at them again: hanse partner show " + origin)
		}
		apply(&p)
		p.Changes = nil
		if p.State != Pending { // how long it waits is told by when it proposed
			p.UpdatedAt = s.Now()
		}
		out, err = tx.Partners().Put(p)
		return err
	})
	if err != nil {
		return Partner{}, fmt.Errorf("decide on changes of %s: %w", origin, err)
	}
	return out, nil
}
