package life

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Received is a document that a partner submitted.
type Received struct {
	Document
	Partner string
	JWS     string
	Payload []byte
	Digest  [32]byte
	// given is our own signature of what the partner countersigns, as it gave that back; "" where it did not.
	given string
	// open is what was found open about the subjects that both end.
	open retail.Open
}

// Proposal reports whether the partner proposes; else it countersigns what we proposed.
func (r *Received) Proposal() bool { return r.Proposer == r.Partner }

// Open reads a verified document of a partner; proposal is what lies beside it. Beside a countersignature that is what we signed
// lately, and where it is not it counts as nothing.
func (s *Service) Open(partner, jws, proposal string, payload []byte) (*Received, error) {
	d, err := Parse(payload)
	if err != nil {
		return nil, err
	}
	parties := [2]string{d.Proposer, d.Recipient}
	if parties != [2]string{partner, s.Self} && parties != [2]string{s.Self, partner} {
		return nil, fault.New(fault.Denied, "document_parties", "the document is between other parties")
	}
	r := &Received{Document: d, Partner: partner, JWS: jws, Payload: payload, Digest: opening(d, payload).Digest}
	if r.Proposal() {
		if proposal != "" {
			return nil, fault.New(fault.Invalid, "attachment_unexpected", "nothing lies beside a proposal").At("jws")
		}
		return r, nil
	}
	if proposal != "" && s.signs(proposal) {
		if ours, err := s.Book.OwnKeys().Open(proposal, signed.Life); err == nil && bytes.Equal(ours, payload) {
			r.given = proposal
		}
	}
	return r, nil
}

// signs reports whether the key that a document names is our present one, or was not long ago: who comes by a key that we retired
// proposes nothing in our name.
func (s *Service) signs(jws string) bool {
	kid, err := keys.KID(jws)
	if err != nil {
		return false
	}
	return s.signedAt(kid, s.Now())
}

// signedAt reports whether a key of ours signed at a time, or what it had signed was on its way then.
func (s *Service) signedAt(kid string, at time.Time) bool {
	ours := s.Signer.Standing()
	return kid == ours.Current || slices.ContainsFunc(ours.Past, func(k keys.Signed) bool {
		return k.KID == kid && at.Before(k.Until.Add(member.Grace))
	})
}

// Keep notes a partner's proposal until our operator signs or refuses it. The same again changes nothing. fault.Precondition, final, with
// reason life_not_next, life_replaced or life_refused; fault.Unavailable with reason life_crossed while ours is heard; fault.Exhausted with
// reason life_rounds after MaxRounds for one life.
func (s *Service) Keep(ctx context.Context, r *Received) error {
	return s.Work.Do(ctx, func(tx Tx) error {
		now := s.Now().UTC()
		head, err := tx.Ledger().Head(r.Partner, ledger.Own)
		if err != nil {
			return err
		}
		all, err := tx.Lives().List(r.Partner)
		if err != nil {
			return err
		}
		for _, before := range all {
			if before.Ours || before.ID != r.ID {
				continue
			}
			switch {
			case opening(r.Document, before.Payload).Digest != r.Digest:
				return fault.New(fault.Conflict, "document_conflict", "a document %s with other content came before", r.ID)
			case before.State == Refused:
				return fault.New(fault.Precondition, "life_refused", "the operator refused it: %s", before.Reason)
			case before.State == Replaced:
				return fault.New(fault.Precondition, "life_replaced", "another proposal counts instead of round %d", r.Round)
			}
			return nil
		}
		if r.Life != head.Life+1 {
			return ledger.NotNext(r.Life, head.Life)
		}
		if rounds(all, r.Life) >= MaxRounds {
			return fault.New(fault.Exhausted, "life_rounds", "%d of your proposals for life %d came; it is ours to propose", MaxRounds, r.Life)
		}
		for _, before := range all {
			switch {
			case before.Life != r.Life:
			case !before.Ours && before.Round >= r.Round:
				return fault.New(fault.Precondition, "life_replaced", "another proposal counts instead of round %d", r.Round)
			case before.State != Proposed:
			default:
				heard, err := out(tx, before)
				if err == nil && heard && s.Self < r.Partner {
					err = crossed(s.Self)
				}
				if err == nil {
					err = replace(tx, before, now)
				}
				if err != nil {
					return err
				}
			}
		}
		return tx.Lives().Put(Record{
			Partner: r.Partner, ID: r.ID, Life: r.Life, Round: r.Round, State: Proposed, Payload: r.Payload, JWS: r.JWS, At: now,
		})
	})
}

// rounds counts the partner's proposals for a life.
func rounds(all []Record, life int64) (n int) {
	for _, r := range all {
		if !r.Ours && r.Life == life {
			n++
		}
	}
	return n
}
