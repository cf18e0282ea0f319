package agreement

import "time"

// Offers are the agreements that wait for the other side's signature, as a partnership ends them; member.Offers.
type Offers struct{ Store Store }

// Refuse ends what one of the two offered the other and nobody signed back.
func (o Offers) Refuse(partner, reason string, now time.Time) error {
	all, err := o.Store.With(partner)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.State != Offered && a.State != Countered {
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
