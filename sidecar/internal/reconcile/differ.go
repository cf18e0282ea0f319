package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/text"
)

// mend applies what the partner's log says of a deal again, where the partner decides it.
func (r *Reconciler) mend(ctx context.Context, partner string, d Difference) (Difference, error) {
	if d.Sold {
		d.Note = "we decide it, so the partner has to mend its side: its operator runs hanse partner reconcile " + r.Self
		return d, nil
	}
	entries, released, err := r.said(ctx, partner, d.Subject)
	if err != nil {
		return d, err
	}
	switch {
	case len(entries) == 0:
		d.Note = "the partner decides it, and its ledger says nothing of it"
		return d, nil
	case released:
		d.Note = "the partner decides it, and an operator left aside what its ledger says of it"
		return d, nil
	}
	if err := r.Again(ctx, partner, d.Subject, entries); err != nil {
		if ctx.Err() != nil {
			return d, err
		}
		d.Note = text.Foreign(err.Error())
		return d, nil
	}
	left, underWay, err := r.settle(ctx, partner, []string{d.Subject})
	if err != nil {
		return d, err
	}
	if d.Repaired = underWay == 0 && !slices.ContainsFunc(left, func(l Difference) bool { return l.DealKey == d.DealKey }); !d.Repaired {
		d.Note = "what the partner's ledger says of it is applied, and both sides still have something else"
	}
	return d, nil
}

// said are the entries of our copy of a partner's log about a subject, and whether an operator left one of them aside.
func (r *Reconciler) said(ctx context.Context, partner, subject string) (entries []ledger.Entry, released bool, err error) {
	for after := (ledger.Position{}); ; {
		var page []ledger.Entry
		err := r.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Ledger().Entries(partner, ledger.Theirs, after, 500)
			return err
		})
		if err != nil {
			return nil, false, err
		}
		for _, e := range page {
			if after = e.Position(); e.Subject == subject {
				entries = append(entries, e)
			}
		}
		if len(page) < 500 {
			break
		}
	}
	err = r.Work.View(ctx, func(tx Tx) error {
		acts, err := tx.Acts().About(partner, subject)
		for _, a := range acts {
			released = released || a.Verb == "ledger parked release"
		}
		return err
	})
	return entries, released, err
}

// keep keeps what a comparison found: when, a parked job for each deal that differs, and none for what does not any more.
func (r *Reconciler) keep(ctx context.Context, result Result) error {
	value, err := json.Marshal(operator.Compared{At: result.At, Deals: result.Compared, UnderWay: result.UnderWay, Differ: result.Open()})
	if err != nil {
		return err
	}
	differ, err := r.differing(ctx, result.Partner)
	if err != nil {
		return err
	}
	var raised []Difference
	err = r.Work.Do(ctx, func(tx Tx) error {
		raised = raised[:0]
		if err := tx.Cursors().SetCursor(result.Partner, operator.ComparedCursor, value); err != nil {
			return err
		}
		open := map[string]bool{}
		for _, d := range result.Differences {
			if d.Repaired {
				continue
			}
			key := order.Maker(d.Subject)
			if open[key] = true; len(open) > raiseMost {
				continue
			}
			_, known, err := tx.Jobs().Find(JobDiffers, result.Partner, key)
			if err != nil || known {
				if err != nil {
					return err
				}
				continue
			}
			if err := r.raise(tx, result.Partner, key, d); err != nil {
				return err
			}
			raised = append(raised, d)
		}
		for _, key := range differ {
			if open[key] {
				continue
			}
			if err := tx.Jobs().Drop(JobDiffers, key, result.Partner); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range raised {
		r.Logger.Error("both sides have something else of a deal", "partner", result.Partner, "subject", d.Subject, "ours", d.Ours, "theirs", d.Theirs, "note", d.Note)
	}
	for _, d := range result.Differences {
		if d.Repaired {
			r.Logger.Warn("a deal differed and was repaired from the partner's ledger", "partner", result.Partner, "subject", d.Subject, "was", d.Ours, "is", d.Theirs)
		}
	}
	return nil
}

func (r *Reconciler) raise(tx Tx, partner, key string, d Difference) error {
	if err := tx.Jobs().At(JobDiffers, key, partner, r.Now().UTC()); err != nil {
		return err
	}
	j, found, err := tx.Jobs().Find(JobDiffers, partner, key)
	if err != nil || !found {
		return err
	}
	_, err = tx.Jobs().Stop(j.ID, d.why())
	return err
}

// why says it to an operator.
func (d Difference) why() string {
	return fmt.Sprintf("subscription %s is %s here and %s at the partner; %s", d.Subject, d.Ours, d.Theirs, d.Note)
}

// differing are the keys of the jobs about a partner's deals. The whole table is read, page by page, so that nobody who writes waits for it.
func (r *Reconciler) differing(ctx context.Context, partner string) (keys []string, err error) {
	for after := int64(0); ; {
		var page []job.Job
		err := r.Work.View(ctx, func(tx Tx) (err error) {
			page, err = tx.Jobs().After(after, 500)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, j := range page {
			if after = j.ID; j.Kind == JobDiffers && j.Partner == partner {
				keys = append(keys, j.Key)
			}
		}
		if len(page) < 500 {
			return keys, nil
		}
	}
}

// Look is the handler of JobDiffers: it looks at the one deal again.
func (r *Reconciler) Look(ctx context.Context, j job.Job) error {
	if err := r.fit(ctx, j.Partner); err != nil {
		return err
	}
	found, underWay, err := r.settle(ctx, j.Partner, []string{order.SubscriptionID(j.Key)})
	if err != nil {
		return err
	}
	for _, d := range found {
		if d, err = r.mend(ctx, j.Partner, d); err != nil {
			return err
		}
		if !d.Repaired {
			return &job.ParkError{Err: fault.New(fault.Conflict, "deals_differ", "%s", d.why())}
		}
	}
	if underWay > 0 {
		return job.Again(0, fault.New(fault.Unavailable, "deal_under_way", "the deal moved while it was compared"))
	}
	return job.Done(ctx, r.Work, j, func(Tx) error { return nil })
}
