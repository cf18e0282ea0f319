package agreement

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Received is an agreement document that a partner signed: its offer to us, or its signature under ours.
type Received struct {
	Agreement
	// Partner signed it.
	Partner string

	payload   []byte
	validFrom time.Time
	partner   member.Partner
	have      Agreement
}

// Offer reports whether the partner is the supplier, so that the document is an offer.
func (r *Received) Offer() bool { return r.Supplier == r.Partner }

// Open reads the payload of an agreement that a partner signed.
func (s *Service) Open(partner, jws string, payload []byte) (*Received, error) {
	a, from, err := parse(payload)
	if err != nil {
		return nil, err
	}
	r := &Received{Agreement: a, Partner: partner, payload: payload, validFrom: from}
	switch {
	case a.Supplier == partner && a.Reseller == s.Self:
		r.SupplierJWS = jws
	case a.Reseller == partner && a.Supplier == s.Self:
		r.ResellerJWS = jws
	default:
		return nil, fault.New(fault.Denied, "document_parties", "the agreement is between other parties")
	}
	return r, nil
}

// Read reads what the decision on an agreement document depends on.
func (s *Service) Read(tx Tx, r *Received) (err error) {
	if r.partner, err = member.Read(tx, r.Partner, s.Now()); err != nil {
		return err
	}
	r.have, err = tx.Agreements().Get(r.Supplier, r.ID)
	if fault.Is(err, fault.NotFound) && r.Offer() {
		r.have, err = Agreement{}, nil
	}
	return err
}

// Assess judges an agreement document by what was read. A fault is no decision: the partner's operator has to go on from there.
func (s *Service) Assess(r *Received) error {
	if r.have.ID != "" && r.have.Digest != r.Digest {
		return fault.New(fault.Conflict, "agreement_conflict", "agreement %s has other content here", r.ID)
	}
	if err := maySign(r.partner); err != nil {
		if r.partner.State == member.Proposed { // ends by itself
			return fault.New(fault.Unavailable, "partnership_state", "our proposal to %s is still on its way", r.Partner).Do("call again")
		}
		return err
	}
	if !r.Offer() {
		if r.have.State != Offered && r.have.State != Active {
			return fault.New(fault.Precondition, "agreement_state", "agreement %s is %s", r.ID, r.have.State)
		}
		return nil
	}
	if err := maySupply(r.partner); err != nil {
		return err
	}
	if err := begun(r.validFrom, s.Now()); err != nil {
		return err
	}
	return s.checkPins(r.payload, r.partner)
}

// Still is unit.ErrStale where what was read has changed.
func (s *Service) Still(tx Tx, r *Received) error {
	p, err := tx.Partners().Get(r.Partner)
	if err != nil {
		return err
	}
	a, err := tx.Agreements().Get(r.Supplier, r.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if p.Version != r.partner.Version || a.Version != r.have.Version {
		return unit.ErrStale
	}
	return nil
}

// Commit takes what was assessed, and drafts the entry that tells the partner.
func (s *Service) Commit(tx Tx, r *Received) (ledger.Draft, error) {
	draft := ledger.Draft{Kind: ledger.AgreementActive, Subject: r.ID, Body: r.summary()}
	if r.Offer() {
		draft.Kind = ledger.AgreementReceived
		return draft, s.receive(tx, r)
	}
	if r.have.State != Offered {
		return draft, nil
	}
	next, err := r.have.Move(Agreed)
	if err != nil {
		return draft, err
	}
	next.ResellerJWS, next.UpdatedAt = r.ResellerJWS, s.Now()
	if _, err := tx.Agreements().Put(next); err != nil {
		return draft, err
	}
	if err := s.activate(tx, s.Self, r.ID); err != nil {
		return draft, err
	}
	return draft, tx.Jobs().At(JobPublish, r.ID, r.Partner, s.Now())
}

// receive keeps an offer for our operator.
func (s *Service) receive(tx Tx, r *Received) error {
	if r.have.ID != "" {
		return nil
	}
	if err := s.roomForOffer(tx, r.Partner); err != nil {
		return err
	}
	offered, err := r.Move(Offered)
	if err != nil {
		return err
	}
	offered.CreatedAt, offered.UpdatedAt = s.Now(), s.Now()
	_, err = tx.Agreements().Put(offered)
	return err
}

// maxAhead is how far a supplier's clock may be ahead of ours, as for its signatures.
const maxAhead = 5 * time.Minute

// begun refuses an agreement that begins later, until it begins: whoever sends it again then is heard.
func begun(from, now time.Time) error {
	wait := from.Sub(now.Add(maxAhead))
	if wait <= 0 {
		return nil
	}
	err := fault.New(fault.Exhausted, "agreement_begins_later", "the agreement begins on %s; here it would begin when it is accepted",
		from.UTC().Format(time.RFC3339)).At("valid_from").Do("offer it when it begins")
	err.RetryAfter = wait
	return err
}

// maySupply refuses an agreement of who does not sell to us.
func maySupply(p member.Partner) error {
	if p.Has(member.Supplier) {
		return nil
	}
	return fault.New(fault.Precondition, "partner_role", "%s is not a supplier of the other side", p.Origin).
		Do("propose the partnership as a supplier: hanse partner add RESELLER --as reseller; or the reseller runs: hanse partner add " + p.Origin + " --as supplier")
}

// maxOffers bounds how many agreements of one supplier may wait for our operator.
const maxOffers = 16

func (s *Service) roomForOffer(tx Tx, supplier string) error {
	list, err := tx.Agreements().Between(supplier, s.Self)
	if err != nil {
		return err
	}
	open := 0
	for _, a := range list {
		if a.State == Offered {
			open++
		}
	}
	if open >= maxOffers {
		return fault.New(fault.Exhausted, "offers_limit", "%d agreements of yours wait for an operator here", open)
	}
	return nil
}
