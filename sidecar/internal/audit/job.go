package audit

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// jobs audits what is to be sent and done: each job is still needed, and says what it waits for.
func (r *run) jobs() error {
	for after := int64(0); ; {
		var list []job.Job
		var needless []string
		err := r.Work.View(r.ctx, func(tx Tx) (err error) {
			needless = needless[:0]
			if list, err = tx.Jobs().After(after, page); err != nil {
				return err
			}
			for _, j := range list {
				why, err := needlessJob(tx, j)
				if err != nil {
					return err
				}
				needless = append(needless, why)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, j := range list {
			after = j.ID
			if !r.concerns(j.Partner) {
				continue
			}
			r.holds(needless[i] == "", drained, j.Partner, j.Key, "job %s %d %s", j.Kind, j.ID, needless[i])
			if needless[i] == "" {
				r.waits(j.Partner, j.Key, "job %s %d is %s since %s%s", j.Kind, j.ID, j.State, j.CreatedAt.UTC().Format(time.RFC3339), because(j))
			}
		}
		if len(list) < page {
			return nil
		}
	}
}

func because(j job.Job) string {
	if j.LastError == "" {
		return ""
	}
	return ": " + j.LastError
}

// needlessJob says why a document that is still to be sent never should be; "" where it should, or the job sends none.
func needlessJob(tx Tx, j job.Job) (string, error) {
	switch j.Kind {
	case retail.JobSubmit, retail.JobCancel:
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if fault.Is(err, fault.NotFound) {
			return "would send a document of an order that is not here", nil
		}
		if err != nil {
			return "", err
		}
		switch it := o.Items[i]; {
		case it.Partner != j.Partner:
			return "would send an order to another partner than it is placed with", nil
		case it.State == order.Cancelled, j.Kind == retail.JobSubmit && it.State.Ended():
			return "would send a document of an order that is " + string(it.State), nil
		case j.Kind == retail.JobSubmit && it.State == order.InProgress:
			return "would send an order that the partner has taken", nil
		}
	case retail.JobErase:
		o, i, err := tx.RetailOrders().ByCorrelation(j.Key)
		if fault.Is(err, fault.NotFound) || err == nil && o.Items[i].EraseDocument == "" {
			return "would send a request to erase that is not here", nil
		}
		return "", err
	case subscription.JobAccessConfirm:
		sub, err := tx.Subscriptions().Get(subscription.RetailKey(j.Key))
		if fault.Is(err, fault.NotFound) || err == nil && sub.Receipt == "" {
			return "would send a receipt that is not here", nil
		}
		return "", err
	}
	return "", nil
}
