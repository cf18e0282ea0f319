package agreement

import (
	"encoding/hex"

	"github.com/hanse-market/hanse/auth/scope"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
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
	b, err := parseSummary(e)
	if err != nil {
		return err
	}
	if b != a.summary() {
		return fault.New(fault.Precondition, "document_mismatch", "the entry is about another document than agreement %s", e.Subject)
	}
	return nil
}

func parseSummary(e ledger.Entry) (b summary, err error) {
	if err := signed.Decode(e.Body, &b); err != nil {
		return b, fault.New(fault.Invalid, "ledger_body_malformed", "the body of entry %d cannot be read", e.Seq).Because(err)
	}
	return b, nil
}

// ApplyReceived applies the reseller's ledger entry agreement.received: our offer is there.
func (s *Service) ApplyReceived(tx Tx, e ledger.Entry) error {
	if err := s.told(tx, s.Self, e); err != nil {
		return err
	}
	return tx.Jobs().Drop(JobOffer, e.Subject, e.Partner)
}

// ApplyActive applies the supplier's ledger entry agreement.active: our acceptance is there.
func (s *Service) ApplyActive(tx Tx, e ledger.Entry) error {
	if err := s.told(tx, e.Partner, e); err != nil {
		return err
	}
	if err := tx.Jobs().Drop(JobAccept, e.Subject, e.Partner); err != nil {
		return err
	}
	return s.activate(tx, e.Partner, e.Subject)
}
