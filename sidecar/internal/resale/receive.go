package resale

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// ReceiveCommand is a reseller's PlaceOrder as it arrived. Partner and AgreementID are what the access token proved.
type ReceiveCommand struct {
	Partner     string
	AgreementID string
	Document    string
	Inputs      []byte
	InputsSalt  []byte
	// Seen is the checkpoint of ours that the reseller countersigned; "" where none came.
	Seen string
}

// received is a command that can be trusted: who sent it, under which agreement, with what content.
type received struct {
	ReceiveCommand
	document order.Document
	acceptBy time.Time
	digest   []byte
	proof    *ledger.Proof
}

// Receive decides on a resale order, once: a repetition with the same payload returns the stored decision, another payload under
// the same id is fault.Conflict order_conflict. Business refusals are decisions with a ledger entry; what cannot be trusted
// (signature, parties, another's agreement) is an error that leaves no trace.
func (s *Service) Receive(ctx context.Context, c ReceiveCommand) (order.Receipt, error) {
	r, err := s.open(ctx, c)
	if err != nil {
		return order.Receipt{}, err
	}
	var entry ledger.Entry
	err = unit.Fresh(func() error {
		f, err := s.read(ctx, r)
		if err != nil || f.decision != nil {
			entry = f.decided()
			return err
		}
		v, err := s.assess(r, f)
		if err != nil {
			return err
		}
		s.Fail.Hit("resale.place.before_commit")
		return s.Work.Do(ctx, func(tx Tx) error {
			entry, err = s.commit(tx, r, f, v)
			return err
		})
	})
	if err != nil {
		return order.Receipt{}, fmt.Errorf("receive order %s: %w", r.document.ID, err)
	}
	s.Fail.Hit("resale.place.after_commit")
	checkpoint, err := s.Book.Checkpoint(c.Partner, entry.Position(), entry.Hash)
	if err != nil {
		return order.Receipt{}, err
	}
	return order.Receipt{Entry: entry.Bytes, Checkpoint: checkpoint}, nil
}

// open proves who speaks and what was said, before anything else is looked at.
func (s *Service) open(ctx context.Context, c ReceiveCommand) (*received, error) {
	var partner member.Partner
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		partner, err = tx.Partners().Get(c.Partner)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := &received{ReceiveCommand: c}
	if c.Seen != "" {
		proof, err := s.Book.OpenSeen(c.Partner, partner.BusinessKey, c.Seen)
		if err != nil {
			return nil, err
		}
		r.proof = &proof
	}
	payload, err := signed.Open(c.Document, signed.Order, partner.BusinessKey)
	if err != nil {
		return nil, err
	}
	if r.document, r.acceptBy, err = order.ParseDocument(payload); err != nil {
		return nil, err
	}
	switch d := r.document; {
	case d.Issuer != c.Partner || d.Audience != s.Self:
		return nil, fault.New(fault.Denied, "document_parties", "the order is between other parties")
	case d.Agreement != c.AgreementID:
		return nil, fault.New(fault.Denied, "agreement_mismatch", "the order names another agreement than the access token")
	case len(c.Inputs) > order.MaxInputsBytes:
		return nil, fault.New(fault.Invalid, "inputs_too_large", "inputs take at most %d bytes", order.MaxInputsBytes).At("inputs")
	}
	sum := sha256.Sum256(payload)
	r.digest = sum[:]
	return r, nil
}
