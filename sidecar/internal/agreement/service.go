package agreement

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/money"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Tx is what this package needs of a transaction.
type Tx interface {
	Agreements() Store
	Partners() member.Store
	Ledger() ledger.Store
	Jobs() job.Store
}

// Job kinds.
const (
	// JobOffer and JobAccept send our signature to the other side; their key is the agreement's id.
	JobOffer  = "agreement.offer"
	JobAccept = "agreement.accept"
	// JobPublish puts our offerings into the feed of a reseller whose agreement became active; its key is the agreement's id.
	// Package catalog carries it out.
	JobPublish = "catalog.publish"
)

// Service offers and accepts agreements.
type Service struct {
	Self string
	Work unit.Work[Tx]
	// Outbox sends what is signed at once; nil leaves it to the jobs.
	Outbox dispatch.Outbox
	Book   *ledger.Book
	Signer signed.Signer
	// OwnKeys are our business key's thumbprint and the digest of the next one, as pinned in new agreements.
	OwnKeys func() (thumbprint, nextDigest string)
	Now     func() time.Time
	NewID   func() string
	// Settled waits a moment for the proof that our books with a partner are level, without which nothing is signed; nil does not.
	Settled func(ctx context.Context, partner string)
}

// settled is Settled where there is one.
func (s *Service) settled(ctx context.Context, partner string) {
	if s.Settled != nil {
		s.Settled(ctx, partner)
	}
}

// MayOffer checks what Offer checks, and does nothing.
func (s *Service) MayOffer(ctx context.Context, reseller string, terms Terms) error {
	_, err := s.mayOffer(ctx, reseller, terms)
	return err
}

func (s *Service) mayOffer(ctx context.Context, reseller string, terms Terms) (member.Partner, error) {
	if terms.WholesaleDiscountBP < 0 || terms.WholesaleDiscountBP > 10000 {
		return member.Partner{}, fault.New(fault.Invalid, "discount_range", "a discount is 0 to 10,000 basis points").At("wholesale_discount_bp")
	}
	if _, err := money.MinorDigits(terms.Currency); err != nil {
		return member.Partner{}, fault.New(fault.Invalid, "currency_unknown", "%v", err).At("currency")
	}
	if field, reason, cause := checkTerritory(terms.Territory); cause != "" {
		return member.Partner{}, fault.New(fault.Invalid, reason, "%s", cause).At(field)
	}
	partner, err := s.partner(ctx, reseller)
	if err != nil {
		return member.Partner{}, err
	}
	if _, err := signed.Pick(signed.AgreementV1, reseller, partner.Documents); err != nil {
		return member.Partner{}, err
	}
	if !partner.Has(member.Reseller) {
		return member.Partner{}, fault.New(fault.Precondition, "partner_role", "%s is not a reseller of ours", reseller).
			Do("hanse partner add " + reseller + " --as reseller")
	}
	return partner, nil
}

// Offer signs an agreement for a qualified reseller and sends it; it goes on trying when the reseller is away.
func (s *Service) Offer(ctx context.Context, reseller string, terms Terms) (Agreement, error) {
	partner, err := s.mayOffer(ctx, reseller, terms)
	if err != nil {
		return Agreement{}, err
	}
	s.settled(ctx, reseller)
	now := s.Now().UTC()
	thumbprint, next := s.OwnKeys()
	payload, err := json.Marshal(Document{
		Type: signed.AgreementV1, ID: s.NewID(), Supplier: s.Self, Reseller: reseller, Scope: scopeAll,
		WholesaleDiscountBP: terms.WholesaleDiscountBP, Currency: terms.Currency, Territory: append([]string{}, terms.Territory...),
		ValidFrom:   now.Format(time.RFC3339),
		SupplierKey: thumbprint, SupplierNextKey: next, ResellerKey: partner.Thumbprint, ResellerNextKey: partner.NextKeyDigest,
	})
	if err != nil {
		return Agreement{}, err
	}
	a, _, err := parse(payload)
	if err != nil {
		return Agreement{}, err
	}
	if a.SupplierJWS, err = s.Signer.Sign(keys.Business, signed.Agreement, payload); err != nil {
		return Agreement{}, err
	}
	if a, err = a.Move(Offered); err != nil {
		return Agreement{}, err
	}
	a.CreatedAt, a.UpdatedAt = now, now
	var stored Agreement
	send := dispatch.Sender{Outbox: s.Outbox}
	err = s.Work.Do(ctx, func(tx Tx) error {
		send.Begin()
		if stored, err = tx.Agreements().Put(a); err != nil {
			return err
		}
		if err := s.approve(tx, reseller); err != nil {
			return err
		}
		if _, err := s.Book.Append(tx, reseller, ledger.AgreementOffered, a.ID, a.summary()); err != nil {
			return err
		}
		return send.Add(tx, sending(JobOffer, a.ID, reseller), a.document(a.SupplierJWS), now)
	})
	if err != nil {
		return Agreement{}, fmt.Errorf("offer agreement %s: %w", a.ID, err)
	}
	send.Send()
	return stored, nil
}

// readsOrders refuses to accept an agreement of who could not read what is then sent to it.
func readsOrders(p member.Partner) error {
	for _, version := range []string{signed.OrderV1, signed.CancelV1, signed.AccessReceiptV1} {
		if _, err := signed.Pick(version, p.Origin, p.Documents); err != nil {
			return err
		}
	}
	return nil
}

// Accept signs the offered bytes back, which are those that our operator was shown: digest is the lower-case hex SHA-256 of them. id ""
// takes the only agreement that the supplier has offered. fault.Conflict agreement_differs where the digest is of other bytes.
func (s *Service) Accept(ctx context.Context, supplier, id, digest string) (Agreement, error) {
	a, err := s.Offered(ctx, supplier, id)
	if err == nil {
		err = a.shown(digest)
	}
	if err != nil {
		return Agreement{}, err
	}
	if a.State == Agreed || a.State == Active {
		return a, nil
	}
	s.settled(ctx, supplier)
	jws, err := s.Signer.Sign(keys.Business, signed.Agreement, a.Payload)
	if err != nil {
		return Agreement{}, err
	}
	var accepted Agreement
	send := dispatch.Sender{Outbox: s.Outbox}
	err = s.Work.Do(ctx, func(tx Tx) error {
		send.Begin()
		have, err := tx.Agreements().Get(supplier, a.ID)
		if err != nil {
			return err
		}
		if err := have.shown(digest); err != nil {
			return err
		}
		if accepted = have; have.State == Agreed || have.State == Active {
			return nil // another call was faster: it signed the same bytes
		}
		next, err := have.Move(Agreed)
		if err != nil {
			return err
		}
		if err := s.approve(tx, supplier, maySupply, readsOrders, func(p member.Partner) error { return s.checkPins(have.Payload, p) }); err != nil {
			return err
		}
		next.ResellerJWS, next.UpdatedAt = jws, s.Now()
		if accepted, err = tx.Agreements().Put(next); err != nil {
			return err
		}
		if _, err := s.Book.Append(tx, supplier, ledger.AgreementAccepted, a.ID, a.summary()); err != nil {
			return err
		}
		return send.Add(tx, sending(JobAccept, a.ID, supplier), a.document(jws), s.Now())
	})
	if err != nil {
		return Agreement{}, fmt.Errorf("accept agreement %s: %w", a.ID, err)
	}
	send.Send()
	return accepted, nil
}

// shown refuses a digest of other bytes than the agreement's.
func (a Agreement) shown(digest string) error {
	if hex.EncodeToString(a.Digest[:]) == digest {
		return nil
	}
	return fault.New(fault.Conflict, "agreement_differs", "agreement %s is not the one that you saw", a.ID).At("digest").
		Do("look at it again: hanse partner accept " + a.Supplier + " --agreement " + a.ID + " --dry-run")
}

// Offered finds what Accept would accept: the agreement of an id, or with id "" the only one that the supplier has offered.
// fault.NotFound; fault.Precondition agreement_not_offered or agreement_ambiguous.
func (s *Service) Offered(ctx context.Context, supplier, id string) (Agreement, error) {
	if id != "" {
		a, err := s.Get(ctx, supplier, id)
		if err == nil && a.Reseller != s.Self {
			return Agreement{}, fault.New(fault.NotFound, "agreement_not_found", "agreement %s is not one of %s with us", id, supplier)
		}
		return a, err
	}
	var list []Agreement
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		list, err = tx.Agreements().Between(supplier, s.Self)
		return err
	})
	if err != nil {
		return Agreement{}, err
	}
	var open []Agreement
	for _, a := range list {
		if a.State == Offered {
			open = append(open, a)
		}
	}
	switch len(open) {
	case 1:
		return open[0], nil
	case 0:
		return Agreement{}, fault.New(fault.Precondition, "agreement_not_offered", "%s has not offered us an agreement yet", supplier).
			Do("ask the supplier to run: hanse agreement offer " + s.Self)
	}
	return Agreement{}, fault.New(fault.Precondition, "agreement_ambiguous", "%s has offered %d agreements", supplier, len(open)).
		At("agreement_id").Do("hanse agreement list, then name one")
}

// activate makes an agreed agreement and its partnership active; repeating it changes nothing.
func (s *Service) activate(tx Tx, supplier, id string) error {
	a, err := tx.Agreements().Get(supplier, id)
	if err != nil || a.State == Active {
		return err
	}
	if a.State == Refused && a.ResellerJWS == "" {
		return fault.New(fault.Precondition, "agreement_state", "agreement %s was refused before the reseller signed it", id)
	}
	if a, err = a.Move(Active); err != nil {
		return err
	}
	a.ActiveSince, a.UpdatedAt, a.Refusal = s.Now(), s.Now(), ""
	if _, err := tx.Agreements().Put(a); err != nil {
		return err
	}
	p, err := tx.Partners().Get(a.Other(s.Self))
	if err != nil {
		return err
	}
	if p.State == member.Qualified {
		if p, err = p.Move(member.Active); err != nil {
			return err
		}
		p.UpdatedAt = s.Now()
		if _, err := tx.Partners().Put(p); err != nil {
			return err
		}
	}
	return nil
}

// Get reads one; fault.NotFound.
func (s *Service) Get(ctx context.Context, supplier, id string) (a Agreement, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		a, err = tx.Agreements().Get(supplier, id)
		return err
	})
	return a, err
}

// List lists all, newest first.
func (s *Service) List(ctx context.Context) (list []Agreement, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		list, err = tx.Agreements().List()
		return err
	})
	return list, err
}

// approve is our operator's word for a member that proposed to us: signing an agreement with it qualifies it.
func (s *Service) approve(tx Tx, origin string, more ...func(member.Partner) error) error {
	p, err := member.Read(tx, origin, s.Now())
	for _, may := range append([]func(member.Partner) error{maySign}, more...) {
		if err == nil {
			err = may(p)
		}
	}
	if err != nil || p.State != member.Pending {
		return err
	}
	if p, err = p.Move(member.Qualified); err != nil {
		return err
	}
	p.UpdatedAt = s.Now()
	_, err = tx.Partners().Put(p)
	return err
}

// partner reads a partner with which an agreement may be signed.
func (s *Service) partner(ctx context.Context, origin string) (p member.Partner, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		p, err = member.Read(tx, origin, s.Now())
		return err
	})
	if err == nil {
		err = maySign(p)
	}
	return p, err
}

// maySign refuses a partner with which nothing is signed now.
func maySign(p member.Partner) error {
	switch p.State {
	case member.Pending, member.Qualified, member.Active:
		return nil
	}
	return fault.New(fault.Precondition, "partnership_state", "the partnership with %s is %s", p.Origin, p.State).
		Do("hanse partner show " + p.Origin + " tells since when and why")
}
