package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// explain adds to each item's message what its jobs met: nothing stands still without an operator reading why.
func (o *Order) explain(tx Tx) error {
	for i := range o.Items {
		told, err := o.Items[i].troubles(tx, o.Side)
		if err != nil {
			return err
		}
		o.Items[i].Message = joined(o.Items[i].Message, told)
		if len(o.Items) == 1 {
			o.Message = joined(o.Message, told)
		}
	}
	return nil
}

// troubles are the jobs of an item that failed last, in words.
func (it Item) troubles(tx Tx, side Side) (told []string, err error) {
	jobs, err := it.jobs(tx, side)
	for _, j := range jobs {
		switch {
		case j.LastError == "":
		case side == Resale && it.State == order.HeldIndeterminate && j.State == job.Parked:
			told = append(told, j.LastError) // says what ends it
		default:
			told = append(told, trouble(j))
		}
	}
	return told, err
}

// jobs are those of an item that are there.
func (it Item) jobs(tx Tx, side Side) (all []job.Job, err error) {
	work := it.work(side)
	for _, kind := range slices.Sorted(maps.Keys(work)) {
		j, found, err := tx.Jobs().Find(kind, it.Partner, work[kind])
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, j)
		}
	}
	return all, nil
}

func trouble(j job.Job) string {
	if j.State == job.Parked {
		return fmt.Sprintf("job %s is parked: %s; when it is mended: hanse job retry %d", j.Kind, j.LastError, j.ID)
	}
	return fmt.Sprintf("job %s failed %d times and is tried again at %s: %s", j.Kind, j.Attempts, j.DueAt.UTC().Format(time.RFC3339), j.LastError)
}

func joined(message string, more []string) string {
	if message != "" {
		more = append([]string{message}, more...)
	}
	return strings.Join(more, "; ")
}

// work are the kinds of jobs of a deal, and their keys.
func (it Item) work(side Side) map[string]string {
	if side == Resale {
		return map[string]string{resale.JobProvision: it.CorrelationID, resale.JobLook: it.CorrelationID, jobDiffers: it.CorrelationID}
	}
	return map[string]string{
		retail.JobSubmit: it.CorrelationID, retail.JobSign: it.CorrelationID, retail.JobCancel: it.CorrelationID, retail.JobSignCancel: it.CorrelationID,
		retail.JobErase:             it.CorrelationID,
		subscription.JobAccessFetch: it.SubscriptionID, subscription.JobAccessConfirm: it.SubscriptionID, jobDiffers: it.CorrelationID,
	}
}
