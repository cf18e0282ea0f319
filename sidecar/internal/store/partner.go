package store

import (
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var partnerTable = newTable("partner", "partner", []string{"origin"}, nil, nil)

type partners struct{ tx *Tx }

func (p partners) Get(origin string) (member.Partner, error) {
	var rec storepb.Partner
	version, found, err := p.tx.get(&partnerTable, []any{origin}, &rec)
	if err != nil {
		return member.Partner{}, err
	}
	if !found {
		return member.Partner{}, fault.New(fault.NotFound, "partner_not_found", "there is no partner %s", origin)
	}
	return partnerOf(&rec, version), nil
}

func (p partners) List() ([]member.Partner, error) {
	var all []member.Partner
	var version int64
	var raw []byte
	err := p.tx.rows(`SELECT version, record FROM partner ORDER BY origin`, nil,
		func() []any { return []any{&version, &raw} },
		func() error {
			var rec storepb.Partner
			if err := decode(raw, &rec); err != nil {
				return err
			}
			all = append(all, partnerOf(&rec, version))
			return nil
		})
	return all, err
}

func (p partners) Put(m member.Partner) (member.Partner, error) {
	var rec storepb.Partner
	version, err := p.tx.put(&partnerTable, []any{m.Origin}, nil, m.Version, &rec, func() { fillPartner(&rec, m) })
	if err != nil {
		return member.Partner{}, err
	}
	p.tx.wake(unit.Partners)
	m.Version = version
	return m, nil
}

func (p partners) Remove(origin string) error {
	if err := p.unsigned(origin); err != nil {
		return err
	}
	n, err := p.tx.exec(`DELETE FROM partner WHERE origin = $1`, origin)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.NotFound, "partner_not_found", "there is no partner %s", origin)
	}
	p.tx.forget()
	p.tx.wake(unit.Partners)
	_, err = p.tx.exec(`DELETE FROM agreement WHERE supplier = $1`, origin)
	return err
}

// unsigned refuses a partner to whom we signed something: what we offered, or accepted, is not ours to forget.
func (p partners) unsigned(origin string) error {
	list, err := agreements(p).With(origin)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Reseller == origin || a.ResellerJWS != "" {
			return fault.New(fault.Precondition, "partner_signed", "we signed agreement %s with %s", a.ID, origin)
		}
	}
	return nil
}

func fillPartner(rec *storepb.Partner, m member.Partner) {
	rec.Origin, rec.PartnershipId = m.Origin, m.PartnershipID
	rec.Name, rec.LegalName, rec.Country = m.Name, m.LegalName, m.Country
	rec.RegistrationId, rec.Contact = m.RegistrationID, m.Contact
	rec.Roles = roleNames(m.Roles)
	rec.State = string(m.State)
	rec.BusinessKey, rec.Thumbprint, rec.NextKeyDigest = m.BusinessKey, m.Thumbprint, m.NextKeyDigest
	rec.Documents = m.Documents
	rec.SealingKey, rec.Proposal = m.SealingKey, m.Proposal
	rec.Refusal, rec.RefusedUntil = m.Refusal, ns(m.RefusedUntil)
	rec.CreatedAt, rec.UpdatedAt = ns(m.CreatedAt), ns(m.UpdatedAt)
	rec.PastKeys = pastKeys(rec.PastKeys, m.Past)
	fillHold(rec, m.Hold)
	if m.Changes == nil {
		rec.Changes = nil
		return
	}
	if rec.Changes == nil {
		rec.Changes = &storepb.PartnerChanges{}
	}
	c, f := rec.Changes, m.Changes.Facts
	c.Name, c.LegalName, c.Country, c.RegistrationId, c.Contact = f.Name, f.LegalName, f.Country, f.RegistrationID, f.Contact
	c.Roles, c.Proposal, c.Since = roleNames(m.Changes.Roles), m.Changes.Proposal, ns(m.Changes.Since)
}

// pastKeys are the keys with what a newer version has written of those that were there.
func pastKeys(there []*storepb.PastKey, past []member.PastKey) (all []*storepb.PastKey) {
	for _, k := range past {
		i := slices.IndexFunc(there, func(r *storepb.PastKey) bool { return r.Thumbprint == k.Thumbprint })
		rec := &storepb.PastKey{}
		if i >= 0 {
			rec = there[i]
		}
		rec.Key, rec.Thumbprint, rec.From, rec.Until = k.Key, k.Thumbprint, ns(k.From), ns(k.Until)
		all = append(all, rec)
	}
	return all
}

func fillHold(rec *storepb.Partner, h *member.Hold) {
	if h == nil {
		rec.Hold = nil
		return
	}
	if rec.Hold == nil {
		rec.Hold = &storepb.PartnerHold{}
	}
	rec.Hold.Since, rec.Hold.By, rec.Hold.Reason = ns(h.Since), h.By, h.Reason
}

func roleNames(roles []member.Role) (names []string) {
	for _, r := range roles {
		names = append(names, string(r))
	}
	return names
}

func rolesOf(names []string) (roles []member.Role) {
	for _, name := range names {
		roles = append(roles, member.Role(name))
	}
	return roles
}

func partnerOf(rec *storepb.Partner, version int64) member.Partner {
	m := member.Partner{
		Origin: rec.Origin, PartnershipID: rec.PartnershipId,
		Name: rec.Name, LegalName: rec.LegalName, Country: rec.Country,
		RegistrationID: rec.RegistrationId, Contact: rec.Contact,
		State:       member.State(rec.State),
		BusinessKey: rec.BusinessKey, Thumbprint: rec.Thumbprint, NextKeyDigest: rec.NextKeyDigest, Documents: rec.Documents,
		SealingKey: rec.SealingKey, Proposal: rec.Proposal,
		Refusal: rec.Refusal, RefusedUntil: at(rec.RefusedUntil),
		CreatedAt: at(rec.CreatedAt), UpdatedAt: at(rec.UpdatedAt),
		Version: version,
	}
	m.Roles = rolesOf(rec.Roles)
	for _, k := range rec.PastKeys {
		m.Past = append(m.Past, member.PastKey{Key: k.Key, Thumbprint: k.Thumbprint, From: at(k.From), Until: at(k.Until)})
	}
	if h := rec.Hold; h != nil {
		m.Hold = &member.Hold{Since: at(h.Since), By: h.By, Reason: h.Reason}
	}
	if c := rec.Changes; c != nil {
		m.Changes = &member.Changes{
			Facts: member.Facts{Name: c.Name, LegalName: c.LegalName, Country: c.Country, RegistrationID: c.RegistrationId, Contact: c.Contact},
			Roles: rolesOf(c.Roles), Proposal: c.Proposal, Since: at(c.Since),
		}
	}
	return m
}
