package agreement

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
)

// Offers are the agreements that wait for the other side, as a partnership ends them; member.Offers.
type Offers struct {
	Store Store
	Jobs  job.Store
}

// Refuse ends what one of the two offered the other and nobody signed back, and what we signed back and had no answer to: that is not sent
// any more. Where the supplier had taken our signature before, its ledger says so, and that counts.
func (o Offers) Refuse(partner, reason string, now time.Time) error {
	all, err := o.Store.With(partner)
	if err != nil {
		return err
	}
	for _, a := range all {
		switch a.State {
		case Offered, Countered:
		case Agreed:
			if err := o.Jobs.Drop(sending(JobAccept, a.ID, a.Supplier)); err != nil {
				return err
			}
		default:
			continue
		}
		if a, err = a.Move(Refused); err != nil {
			return err
		}
		a.Refusal, a.UpdatedAt = reason, now
		if _, err := o.Store.Put(a); err != nil {
			return err
		}
	}
	return nil
}
