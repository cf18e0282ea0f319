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

// expired reports whether the proposal waited too long for our operator: whoever reads it then finds nobody.
func (p Partner) expired(now time.Time) bool {
	return p.State == Pending && now.Sub(p.UpdatedAt) >= ProposalLife
}

// Read is a partner of ours now; fault.NotFound, for one whose proposal has expired too.
func Read(tx Reader, origin string, now time.Time) (Partner, error) {
	p, err := tx.Partners().Get(origin)
	if err == nil && p.expired(now) {
		return Partner{}, fault.New(fault.NotFound, "partner_not_found", "there is no partner %s: its proposal waited for %d days and is forgotten",
			origin, ProposalLife/(24*time.Hour)).Do("hanse partner add " + origin + ", or the member proposes again")
	}
	return p, err
}

// waiting are the proposals that wait for our operator, the longest first.
func waiting(tx Tx) ([]Partner, error) {
	all, err := tx.Partners().List()
	all = slices.DeleteFunc(all, func(p Partner) bool { return p.State != Pending })
	slices.SortStableFunc(all, func(a, b Partner) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	return all, err
}

// forget removes proposals. One with whom we signed something nevertheless stays.
func forget(tx Tx, proposals []Partner, why string) (dropped []drop, err error) {
	for _, p := range proposals {
		err := tx.Partners().Remove(p.Origin)
		if fault.Is(err, fault.Precondition) {
			continue
		}
		if err != nil {
			return nil, err
		}
		dropped = append(dropped, drop{p, why})
	}
	return dropped, nil
}

// expire forgets whoever waited too long.
func expire(tx Tx, now time.Time) ([]drop, error) {
	all, err := waiting(tx)
	if err != nil {
		return nil, err
	}
	return forget(tx, slices.DeleteFunc(all, func(p Partner) bool { return !p.expired(now) }), "expired")
}

// makeRoom lets one more proposal wait, or says that a site has too many. The one that waits longest gives way: it was nobody's wish
// here, and may propose again. One party cannot drive out the others, for only so many of a site wait at once.
func (s *Service) makeRoom(tx Tx, origin string) (dropped []drop, full, err error) {
	all, err := waiting(tx)
	if err != nil {
		return nil, nil, err
	}
	ofSite, site := 0, s.Site(origin)
	for _, p := range all {
		if s.Site(p.Origin) == site {
			ofSite++
		}
	}
	if ofSite >= maxPendingSite {
		return nil, fault.New(fault.Exhausted, "proposals_site_limit", "%d proposals of %s wait for an operator here", ofSite, site).
			Do("ask the member over another channel to add you or to refuse some"), nil
	}
	dropped, err = forget(tx, all[:max(0, len(all)-maxPending+1)], "gave way")
	return dropped, nil, err
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
		p, err := Read(tx, origin, s.Now())
		if err != nil {
			return err
		}
		if p.State != Pending && !p.refusedByUs() {
			return fault.New(fault.Precondition, "partnership_state", "%s does not wait for our word: the partnership is %s", origin, p.State).At("origin").
				Do("hanse partner list shows who is pending")
		}
		if p, err = p.Move(Refused); err != nil {
			return err
		}
		now := s.Now()
		p.Refusal, p.RefusedUntil, p.UpdatedAt, p.Changes = clean, now.Add(RefusalLife), now, nil
		if out, err = tx.Partners().Put(p); err != nil {
			return err
		}
		return tx.Offers().Refuse(origin, "the partnership was refused", now)
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
