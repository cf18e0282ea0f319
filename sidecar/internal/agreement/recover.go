package agreement

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Recover brings an agreement to where an entry of our own log had brought it, by the document that the entry names: whose signature it is
// was verified. What was sent is sent again, until the partner's log says that it is there.
func (s *Service) Recover(tx Tx, e ledger.Entry, jws string, payload []byte) error {
	a, _, err := parse(payload)
	if err != nil {
		return err
	}
	writer := a.Supplier
	if e.Kind.Writer() == ledger.Reseller {
		writer = a.Reseller
	}
	if a.ID != e.Subject || a.Other(s.Self) != e.Partner || writer != s.Self {
		return fault.New(fault.Invalid, "document_mismatch", "the document is about another agreement than entry %s", e.Position())
	}
	have, err := tx.Agreements().Get(a.Supplier, a.ID)
	missing := fault.Is(err, fault.NotFound)
	if err != nil && !missing {
		return err
	}
	if e.Kind == ledger.AgreementOffered || e.Kind == ledger.AgreementReceived {
		if !missing {
			return nil
		}
		return s.recoverOffer(tx, e, a, jws)
	}
	if missing {
		return err
	}
	return s.recoverAcceptance(tx, e, have, jws)
}

func (s *Service) recoverOffer(tx Tx, e ledger.Entry, a Agreement, jws string) error {
	a, err := a.Move(Offered)
	if err != nil {
		return err
	}
	a.SupplierJWS, a.CreatedAt, a.UpdatedAt = jws, e.At, s.Now()
	if _, err := tx.Agreements().Put(a); err != nil || e.Kind == ledger.AgreementReceived {
		return err
	}
	_, err = tx.Jobs().Send(sending(JobOffer, a.ID, e.Partner), s.Now(), "", s.Now())
	return err
}

func (s *Service) recoverAcceptance(tx Tx, e ledger.Entry, have Agreement, jws string) error {
	if have.State == Offered {
		next, err := have.Move(Agreed)
		if err != nil {
			return err
		}
		next.ResellerJWS, next.UpdatedAt = jws, s.Now()
		if _, err := tx.Agreements().Put(next); err != nil {
			return err
		}
	}
	if e.Kind == ledger.AgreementAccepted {
		_, err := tx.Jobs().Send(sending(JobAccept, have.ID, e.Partner), s.Now(), "", s.Now())
		return err
	}
	if err := s.activate(tx, s.Self, have.ID); err != nil {
		return err
	}
	return tx.Jobs().At(JobPublish, have.ID, e.Partner, s.Now())
}
