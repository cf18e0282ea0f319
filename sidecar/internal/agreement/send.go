package agreement

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

func sending(kind, id, partner string) job.Sending {
	return job.Sending{Kind: kind, Key: id, Partner: partner, Subject: id}
}

// document is a signature over the agreement on its way; it goes under the partnership, for there is no agreement yet.
func (a Agreement) document(jws string) dispatch.Document {
	return dispatch.Document{Scope: scope.AgreementSign, JWS: jws, Digest: hex.EncodeToString(a.Digest[:])}
}

// OfferDocument is the document of a JobOffer.
func (s *Service) OfferDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	a, err := tx.Agreements().Get(s.Self, j.Key)
	if err == nil && a.State != Offered {
		err = dispatch.ErrSettled
	}
	return a.document(a.SupplierJWS), err
}

// AcceptDocument is the document of a JobAccept.
func (s *Service) AcceptDocument(tx Tx, j job.Job) (dispatch.Document, error) {
	a, err := tx.Agreements().Get(j.Partner, j.Key)
	if err == nil && a.State != Agreed {
		err = dispatch.ErrSettled
	}
	return a.document(a.ResellerJWS), err
}

// told proves that an entry of a partner's ledger is about the very agreement that we signed with it.
func (s *Service) told(tx Tx, supplier string, e ledger.Entry) error {
	a, err := tx.Agreements().Get(supplier, e.Subject)
	if err != nil {
		return err
	}
	if a.Other(s.Self) != e.Partner {
		return fault.New(fault.NotFound, "agreement_not_found", "there is no agreement %s with %s", e.Subject, e.Partner)
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return err
	}
	if b.Document != a.summary().DocumentSHA256 {
		return fault.New(fault.Precondition, "document_mismatch", "the entry is about another document than agreement %s", e.Subject)
	}
	return nil
}

// ApplyOffered reads the supplier's ledger entry agreement.offered: the offer itself follows.
func (s *Service) ApplyOffered(tx Tx, e ledger.Entry) error {
	if _, err := ledger.ReadBody(e); err != nil {
		return err
	}
	theirs, err := s.between(tx, e.Partner, e.Partner, e.Subject)
	if err != nil || theirs {
		return err
	}
	ours, err := s.between(tx, s.Self, e.Partner, e.Subject)
	if ours {
		return fault.New(fault.Precondition, "ledger_wrong_side", "the reseller of agreement %s tells of its offer, which is the supplier's", e.Subject)
	}
	return err
}

// between reports whether there is an agreement with the partner whose supplier is as given.
func (*Service) between(tx Tx, supplier, partner, id string) (bool, error) {
	a, err := tx.Agreements().Get(supplier, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && (a.Supplier == partner || a.Reseller == partner), err
}

// ApplyAccepted reads the reseller's ledger entry agreement.accepted: its signature follows.
func (s *Service) ApplyAccepted(tx Tx, e ledger.Entry) error { return s.told(tx, s.Self, e) }

// Sold is fault.NotFound with reason agreement_not_found where a partner buys nothing of us under an agreement, and
// fault.Precondition with reason ledger_wrong_side where it sells to us under it.
func (s *Service) Sold(tx Tx, partner, id string) error {
	sold, err := s.between(tx, s.Self, partner, id)
	if err != nil || sold {
		return err
	}
	bought, err := s.between(tx, partner, partner, id)
	switch {
	case err != nil:
		return err
	case bought:
		return fault.New(fault.Precondition, "ledger_wrong_side", "the supplier of agreement %s tells what its reseller does", id)
	}
	return fault.New(fault.NotFound, "agreement_not_found", "there is no agreement %s under which %s buys of us", id, partner)
}

// ApplyReceived applies the reseller's ledger entry agreement.received: our offer is there.
func (s *Service) ApplyReceived(tx Tx, e ledger.Entry) error {
	if err := s.told(tx, s.Self, e); err != nil {
		return err
	}
	return tx.Jobs().Drop(sending(JobOffer, e.Subject, e.Partner))
}

// ApplyActive applies the supplier's ledger entry agreement.active: our acceptance is there.
func (s *Service) ApplyActive(tx Tx, e ledger.Entry) error {
	if err := s.told(tx, e.Partner, e); err != nil {
		return err
	}
	if err := tx.Jobs().Drop(sending(JobAccept, e.Subject, e.Partner)); err != nil {
		return err
	}
	return s.activate(tx, e.Partner, e.Subject)
}
