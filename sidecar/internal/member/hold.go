package member

import (
	"context"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Hold is an operator's word that a partner is sent nothing.
type Hold struct {
	Since time.Time
	// By said so, for this Reason.
	By, Reason string
}

// ReasonHeld is why nothing is sent to a partner.
const ReasonHeld = "partner_held"

// Held is why nothing may be sent to the partner; nil where it may.
func (p Partner) Held() error {
	if p.Hold == nil {
		return nil
	}
	return fault.New(fault.Precondition, ReasonHeld, "an operator holds back what is sent to %s since %s: %s", p.Origin, p.Hold.Since.UTC().Format(time.RFC3339), p.Hold.Reason).
		Do("hanse partner flush " + p.Origin)
}

// SetHold has nothing sent to a partner until Flush. One that is held stays as it is. fault.NotFound.
func (s *Service) SetHold(ctx context.Context, origin string, w act.Word) (Partner, error) {
	return s.steer(ctx, origin, w, "partner hold", func(p *Partner, a act.Act) bool {
		if p.Hold != nil {
			return false
		}
		p.Hold = &Hold{Since: a.At, By: a.By, Reason: a.Reason}
		return true
	})
}

// Flush ends a hold, and has all that waits for the partner sent now, whether it was held or not. fault.NotFound.
func (s *Service) Flush(ctx context.Context, origin string, w act.Word) (Partner, error) {
	p, err := s.steer(ctx, origin, w, "partner flush", func(p *Partner, _ act.Act) bool {
		p.Hold = nil
		return true
	})
	if err == nil && s.Flushed != nil {
		s.Flushed(origin)
	}
	return p, err
}

// steer writes what an operator's act changes of a partner, with the act, where it changes anything.
func (s *Service) steer(ctx context.Context, origin string, w act.Word, verb string, change func(*Partner, act.Act) bool) (out Partner, err error) {
	err = s.Work.Do(ctx, func(tx Tx) error {
		now := s.Now()
		p, err := Read(tx, origin, now)
		if err != nil {
			return err
		}
		a := w.On(now, verb, origin, "", "")
		if out = p; !change(&p, a) {
			return nil
		}
		if out, err = tx.Partners().Put(p); err != nil {
			return err
		}
		return tx.Acts().Add(a)
	})
	if err != nil {
		return Partner{}, fmt.Errorf("%s %s: %w", verb, origin, err)
	}
	return out, nil
}
