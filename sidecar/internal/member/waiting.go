package member

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// Anybody with a domain may propose, and what waits for our operator is bounded.
const (
	// ProposalLife is how long a proposal waits for our operator; proposing again begins it anew.
	ProposalLife = 30 * 24 * time.Hour
	// RefusalLife is how long a member that we refused is told so.
	RefusalLife = 30 * 24 * time.Hour
	// MaxRefusal bounds the reason of a refusal, in characters.
	MaxRefusal = 200

	// maxTold bounds what is kept of another's reason: its words, and until when they hold.
	maxTold = MaxRefusal + 50

	maxPending     = 1000
	maxPendingSite = 10
)

// drop is a proposal that is forgotten.
type drop struct {
	partner Partner
	why     string
}

func (s *Service) tell(dropped []drop) {
	for _, d := range dropped {
		if s.Dropped != nil {
			s.Dropped(d.partner, d.why)
		}
	}
}

// makeRoom lets one more proposal wait. What waited too long is forgotten first, then the one that waits longest: it was nobody's
// wish here, and may propose again. One party cannot drive out the others, for only so many of a site wait at once.
func (s *Service) makeRoom(tx Tx, origin string, now time.Time) ([]drop, error) {
	all, err := tx.Partners().List()
	if err != nil {
		return nil, err
	}
	var waiting []Partner
	var dropped []drop
	ofSite, site := 0, s.Site(origin)
	for _, p := range all {
		switch {
		case p.State != Pending:
		case now.Sub(p.UpdatedAt) >= ProposalLife:
			dropped = append(dropped, drop{p, "expired"})
		default:
			waiting = append(waiting, p)
			if s.Site(p.Origin) == site {
				ofSite++
			}
		}
	}
	if ofSite >= maxPendingSite {
		return nil, fault.New(fault.Exhausted, "proposals_site_limit", "%d proposals of %s wait for an operator here", ofSite, site).
			Do("ask the member over another channel to add you or to refuse some")
	}
	slices.SortStableFunc(waiting, func(a, b Partner) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	for ; len(waiting) >= maxPending; waiting = waiting[1:] {
		dropped = append(dropped, drop{waiting[0], "gave way"})
	}
	for _, d := range dropped {
		if err := tx.Partners().Remove(d.partner.Origin); err != nil {
			return nil, err
		}
	}
	return dropped, nil
}

// Refuse is our operator's no to a member that waits for its word, with a reason that the member is told when it proposes again. It
// holds for RefusalLife, whatever key the member shows; our operator may add the member before. Repeating it changes the reason.
// fault.NotFound; fault.Precondition partnership_state for a partner that does not wait.
func (s *Service) Refuse(ctx context.Context, origin, reason string) (Partner, error) {
	clean, err := text.Check(reason)
	if err != nil || text.CleanLine(clean, MaxRefusal) != clean {
		return Partner{}, fault.New(fault.Invalid, "reason_invalid", "a reason is one line of at most %d characters", MaxRefusal).At("reason").Because(err)
	}
	var out Partner
	err = s.Work.Do(ctx, func(tx Tx) error {
		p, err := tx.Partners().Get(origin)
		if err != nil {
			return err
		}
		ours := p.State == Refused && !p.RefusedUntil.IsZero()
		if p.State != Pending && !ours {
			return fault.New(fault.Precondition, "partnership_state", "%s does not wait for our word: the partnership is %s", origin, p.State).At("origin").
				Do("hanse partner list shows who is pending")
		}
		if p, err = p.Move(Refused); err != nil {
			return err
		}
		now := s.Now()
		p.Refusal, p.RefusedUntil, p.UpdatedAt = clean, now.Add(RefusalLife), now
		out, err = tx.Partners().Put(p)
		return err
	})
	if err != nil {
		return Partner{}, fmt.Errorf("refuse %s: %w", origin, err)
	}
	return out, nil
}

// answer is what the member hears of its proposal.
func (p Partner) answer() Answer {
	if p.State != Refused {
		return Answer{State: p.State}
	}
	reason := p.Refusal
	if !p.RefusedUntil.IsZero() {
		if reason != "" {
			reason += " "
		}
		reason += "(refused until " + p.RefusedUntil.UTC().Format(time.DateOnly) + ")"
	}
	return Answer{State: Refused, Reason: reason}
}
