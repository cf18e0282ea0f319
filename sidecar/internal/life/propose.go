package life

import (
	"context"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// Propose signs a document that our operator was shown, whole, and sends it. It replaces our proposal before it; the partner's waits no
// more here. fault.Precondition where nothing is to be settled, or where the document is not true of our side;
// fault.Unavailable with reason books_behind where our own signature says that the life began before.
func (s *Service) Propose(ctx context.Context, partner string, payload []byte, w act.Word) (Record, error) {
	d, err := Parse(payload)
	if err != nil {
		return Record{}, err
	}
	if d.Proposer != s.Self || d.Recipient != partner {
		return Record{}, fault.New(fault.Invalid, "document_parties", "the document is between other parties")
	}
	if err := s.readable(ctx, partner); err != nil {
		return Record{}, err
	}
	jws, err := s.Signer.Sign(keys.Business, signed.Life, payload)
	if err != nil {
		return Record{}, err
	}
	r := Record{Partner: partner, ID: d.ID, Ours: true, Life: d.Life, Round: d.Round, State: Proposed, Payload: payload, JWS: jws}
	send := dispatch.Sender{Outbox: s.Outbox}
	s.Fail.Hit("life.propose.before_commit")
	err = s.Work.Do(ctx, func(tx Tx) error {
		send.Begin()
		now := s.Now().UTC()
		books, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		if settled(books) {
			return fault.New(fault.Precondition, "books_not_forked", "the books with %s are %s (%s): nothing is to be settled there", partner, books.State, books.Reason).
				Do("hanse partner show " + partner)
		}
		if err := ledger.Began(tx, partner, d.Life); err != nil {
			return err
		}
		if err := s.check(tx, partner, d); err != nil {
			return err
		}
		all, err := tx.Lives().List(partner)
		if err != nil {
			return err
		}
		for _, before := range all {
			if before.Ours && (before.Life == d.Life && before.Round >= d.Round || before.ID == d.ID) {
				return fault.New(fault.Conflict, "life_round", "we proposed round %d of life %d before", before.Round, before.Life).At("round")
			}
			if before.State != Proposed {
				continue
			}
			if !before.Ours && partner < s.Self {
				return crossed(partner)
			}
			if err := replace(tx, before, now); err != nil {
				return err
			}
		}
		r.At = now
		if err := tx.Lives().Put(r); err != nil {
			return err
		}
		if err := tx.Acts().Add(w.On(now, "ledger fork propose", partner, d.ID, fmt.Sprintf("life %d, round %d, digest %s", d.Life, d.Round, signed.Digest(payload)))); err != nil {
			return err
		}
		return send.Add(tx, sending(JobPropose, r), document(jws, payload), now)
	})
	if err != nil {
		return Record{}, fmt.Errorf("propose life %d with %s: %w", d.Life, partner, err)
	}
	s.Fail.Hit("life.propose.after_commit")
	send.Send()
	return r, nil
}

// settled reports whether nothing is known that a new life would settle: the books are level, or were, and the partner has not answered since, or they
// are in a new life already. An operator whose answer got lost, and who repeats it after that began, proposes no other one.
func settled(b ledger.Books) bool {
	return b.State == ledger.Level || b.Opening() || b.State == ledger.Unproven && (b.Reason == ledger.ReasonOpened || b.Reason == ledger.ReasonStarted)
}

// out reports whether a proposal of ours waits for an answer. One that the partner refused for good, or that an operator holds back, does not.
func out(tx Tx, r Record) (bool, error) {
	if !r.Ours || r.State != Proposed {
		return false, nil
	}
	j, found, err := tx.Jobs().Find(JobPropose, r.Partner, r.ID)
	return err == nil && found && j.State != job.Parked, err
}

// crossed refuses a proposal where one of the member that is heard first waits.
func crossed(heard string) error {
	return fault.New(fault.Unavailable, "life_crossed", "a proposal of %s waits for an answer, and of two that cross its own is heard", heard).
		Do("sign or refuse it: hanse ledger fork sign")
}

// heardFirst refuses a signature beside a proposal of ours that waits for an answer.
func heardFirst(partner string) error {
	return fault.New(fault.Unavailable, "life_crossed", "a proposal of ours waits for an answer of %s, and both must not be signed", partner).
		Do("wait for their answer, or hold yours back: hanse job park")
}

// replace has a proposal wait no more.
func replace(tx Tx, r Record, now time.Time) error {
	r.State, r.At = Replaced, now
	if err := tx.Lives().Put(r); err != nil {
		return err
	}
	if !r.Ours {
		return nil
	}
	return tx.Jobs().Drop(JobPropose, r.ID, r.Partner)
}

// readable refuses where the partner does not read such documents.
func (s *Service) readable(ctx context.Context, partner string) error {
	var p member.Partner
	err := s.Work.View(ctx, func(tx Tx) (err error) { p, err = tx.Partners().Get(partner); return err })
	if err == nil {
		_, err = signed.Pick(signed.LifeV1, partner, p.Documents)
	}
	return err
}
