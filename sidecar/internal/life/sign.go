package life

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// Sign countersigns a partner's proposal that our operator was shown, whole: digest is the lower-case hex SHA-256 of its payload. Our log
// begins the new life with it.
func (s *Service) Sign(ctx context.Context, partner, id, digest string, w act.Word) (Record, error) {
	var r Record
	var d Document
	err := s.Work.View(ctx, func(tx Tx) (err error) {
		if r, err = find(tx, partner, id, false); err == nil {
			d, err = Parse(r.Payload)
		}
		return err
	})
	if err == nil && signed.Digest(r.Payload) != digest {
		err = fault.New(fault.Conflict, "life_differs", "proposal %s is another document than the one that was shown", id).Do("hanse ledger fork show " + partner)
	}
	if err != nil {
		return Record{}, err
	}
	if r.State == Opened {
		return r, nil
	}
	if r.Countersigned, err = s.Signer.Sign(keys.Business, signed.Life, r.Payload); err != nil {
		return Record{}, err
	}
	send := dispatch.Sender{Outbox: s.Outbox}
	err = unit.Fresh(func() error {
		open, err := s.Retail.OpenAbout(ctx, partner, d.ended(partner))
		if err != nil {
			return err
		}
		s.Fail.Hit("life.sign.before_commit")
		return s.Work.Do(ctx, func(tx Tx) error {
			send.Begin()
			now, err := find(tx, partner, id, false)
			if err != nil {
				return err
			}
			if now.State != Proposed {
				return fault.New(fault.Precondition, "life_"+string(now.State), "proposal %s is %s: it does not wait for a signature", id, now.State).
					Do("hanse ledger fork show " + partner)
			}
			ours, err := waiting(tx, partner, true)
			if err != nil {
				return err
			}
			heard, err := out(tx, ours)
			if err == nil && heard {
				err = heardFirst(partner)
			}
			if err != nil {
				return err
			}
			if err := s.check(tx, partner, d); err != nil {
				return err
			}
			if err := s.begin(tx, r, d, open, ledger.ReasonOpening); err != nil {
				return err
			}
			if err := tx.Acts().Add(w.On(s.Now(), "ledger fork sign", partner, id, fmt.Sprintf("life %d, digest %s", d.Life, digest))); err != nil {
				return err
			}
			return send.Add(tx, sending(JobCountersign, r), countersignature(r), s.Now().UTC())
		})
	})
	if err != nil {
		return Record{}, fmt.Errorf("sign life %d with %s: %w", d.Life, partner, err)
	}
	s.Fail.Hit("life.sign.after_commit")
	send.Send()
	r.State = Opened
	return r, nil
}

// Withdraw has our own proposal wait no more: it is sent to nobody from now on. It binds us all the same, and a signature that the partner
// gives it counts. fault.Precondition where it does not wait, or where we ended something alone by it.
func (s *Service) Withdraw(ctx context.Context, partner, id string, w act.Word) (r Record, err error) {
	err = s.Work.Do(ctx, func(tx Tx) (err error) {
		if r, err = find(tx, partner, id, true); err != nil {
			return err
		}
		if r.State == Withdrawn {
			return nil
		}
		if r.State != Proposed || !r.Alone.IsZero() {
			return fault.New(fault.Precondition, "life_"+string(r.State), "proposal %s is %s, or what it ends was ended here: it cannot be withdrawn", id, r.State)
		}
		a := w.On(s.Now(), "ledger fork withdraw", partner, id, fmt.Sprintf("life %d, round %d", r.Life, r.Round))
		r.State, r.Reason, r.At = Withdrawn, a.Reason, a.At
		if err := tx.Lives().Put(r); err != nil {
			return err
		}
		if err := tx.Jobs().Drop(JobPropose, r.ID, r.Partner); err != nil {
			return err
		}
		return tx.Acts().Add(a)
	})
	return r, err
}

// Refuse has a partner's proposal not be signed; the partner is told why when it sends it again.
func (s *Service) Refuse(ctx context.Context, partner, id string, w act.Word) (r Record, err error) {
	err = s.Work.Do(ctx, func(tx Tx) (err error) {
		if r, err = find(tx, partner, id, false); err != nil {
			return err
		}
		if r.State == Refused {
			return nil
		}
		if r.State != Proposed {
			return fault.New(fault.Precondition, "life_"+string(r.State), "proposal %s is %s: it cannot be refused", id, r.State)
		}
		a := w.On(s.Now(), "ledger fork refuse", partner, id, fmt.Sprintf("life %d, round %d", r.Life, r.Round))
		r.State, r.Reason, r.At = Refused, a.Reason, a.At
		if err := tx.Lives().Put(r); err != nil {
			return err
		}
		return tx.Acts().Add(a)
	})
	return r, err
}
