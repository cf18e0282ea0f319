package provision

import "github.com/hanse-market/hanse/sidecar/internal/resale"

// Withdraw takes back the work for an order that nobody has begun: no step was brought anywhere for it, and no runner has begun its
// job. It reports whether there was such a job; otherwise nothing has changed.
func Withdraw(tx Tx, o resale.Order) (bool, error) {
	steps, err := tx.Steps().Of(o.Subscription())
	if err != nil {
		return false, err
	}
	for _, st := range steps {
		if st.Order == o.ID {
			return false, nil
		}
	}
	return tx.Jobs().Withdraw(resale.JobProvision, o.ID, o.Partner)
}
