package operator

import (
	"context"
	"fmt"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/life"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// dropping is what becomes of what a job of a kind is for, when it is dropped.
type dropping struct {
	// meaning says what is never done then; "" where a job of the kind is not dropped.
	meaning string
	// needed says why it is not dropped, instead what ends the wait.
	needed, instead string
}

const (
	endsOrder = "hanse order cancel ORDER asks the supplier to end it; hanse job park keeps the job from running until then"
	// jobLost is recovery.JobLost; that package is above this one.
	jobLost = "recovery.lost"
	// jobDiffers is reconcile.JobDiffers, above this one too.
	jobDiffers = "reconcile.deal"
	whoSigned  = "we signed the document and our ledger says so: the partner waits for it"
)

// drops is the table of all kinds.
var drops = map[string]dropping{
	retail.JobSubmit:              {needed: "the supplier may have taken the order already: its log alone says how the order ends", instead: endsOrder},
	retail.JobSign:                {needed: "the order is acknowledged and would wait for ever", instead: endsOrder},
	retail.JobCancel:              {needed: "the cancel is what keeps the supplier from taking the order when it is there again", instead: "leave it: it costs nothing while the supplier is away"},
	retail.JobSignCancel:          {needed: "the cancel is what keeps the supplier from taking the order when it is there again", instead: "leave it: it costs nothing until the books are level"},
	retail.JobErase:               {needed: "the supplier keeps what lies beside the order until it has the request, and our ledger says that it was made", instead: "leave it: it costs nothing while the supplier is away"},
	retail.JobRebuild:             {needed: "the order would wait for ever for what is missing of it", instead: "hanse order explain ORDER says which partner has to answer; where one is gone, hanse partner vouch, then hanse order abandon"},
	resale.JobProvision:           {needed: "the reseller waits for the end of the order, and something may have been made for it", instead: "mend what the job's last error says, then hanse job retry; hanse order explain ORDER says what else helps"},
	resale.JobLook:                {meaning: "the subscription counts as running, and is charged, whatever its platform has of it"},
	jobLost:                       {meaning: "nobody is told of the entry of our ledger any more; what it had made stays missing here"},
	jobDiffers:                    {meaning: "nobody is told of the difference any more, until the next comparison finds it again; both sides keep what they have"},
	agreement.JobOffer:            {needed: whoSigned, instead: "hanse job park keeps it from being sent"},
	agreement.JobAccept:           {needed: whoSigned, instead: "hanse job park keeps it from being sent"},
	life.JobPropose:               {needed: whoSigned, instead: "hanse job park keeps it from being sent, and hanse ledger fork propose replaces it"},
	life.JobCountersign:           {needed: whoSigned, instead: "our ledger is in the new life already: hanse job retry once the partner can be reached"},
	agreement.JobPublish:          {meaning: "the reseller of the agreement sees our offerings only when they change next"},
	catalog.JobNumber:             {meaning: "resellers who read a store of ours that was lost show of an offering what that one said, until it changes next"},
	subscription.JobAccessFetch:   {meaning: "the customer gets no access data of this order; the service runs and is charged"},
	subscription.JobAccessConfirm: {meaning: "the supplier keeps its sealed copy of the access data, which we have"},
}

// refusal of what is not dropped.
func (d dropping) refusal(j job.Job) error {
	return fault.New(fault.Precondition, "job_needed", "a job %s is not dropped: %s", j.Kind, d.needed).At("id").Do(named(d.instead, j.Key))
}

// RetryJob makes a waiting or parked job due now; fault.NotFound, fault.Precondition with reason order_held.
func (d *Desk) RetryJob(ctx context.Context, id int64, w act.Word) error {
	return d.Work.Do(ctx, func(tx Tx) error {
		j, err := tx.Jobs().Get(id)
		if err == nil {
			err = held(tx, j)
		}
		if err == nil {
			err = tx.Jobs().Retry(id, d.Now())
		}
		if err == nil {
			err = tx.Acts().Add(d.onJob(w, "job retry", j))
		}
		return err
	})
}

// held refuses to run a job again of whose last run nobody knows what it made.
func held(tx Tx, j job.Job) error {
	if j.Kind != resale.JobProvision || j.State != job.Parked {
		return nil
	}
	o, err := tx.ResaleOrders().Get(j.Partner, j.Key)
	if err == nil && o.State == order.HeldIndeterminate {
		err = fault.New(fault.Precondition, "order_held", "nobody knows what the platform did of order %s", o.ID).At("id").
			Do("look at the platform, then say what you saw: " + named(resolveOrder, o.ID))
	}
	return err
}

// ParkJob stops a waiting job until it is retried; one that is parked stays as it is. Errors as of job.Store.Stop.
func (d *Desk) ParkJob(ctx context.Context, id int64, w act.Word) (j job.Job, err error) {
	err = d.Work.Do(ctx, func(tx Tx) error {
		before, err := tx.Jobs().Get(id)
		if err != nil {
			return err
		}
		a := d.onJob(w, "job park", before)
		if j, err = tx.Jobs().Stop(id, "parked by "+w.By+": "+a.Reason); err != nil || before.State == job.Parked {
			return err
		}
		return tx.Acts().Add(a)
	})
	return j, err
}

// DropJob ends a job whose work is never to be done, and says what that means; with dry it says so only. Errors as of job.Store.Remove,
// and fault.Precondition with reason job_needed where something waits for its work.
func (d *Desk) DropJob(ctx context.Context, id int64, dry bool, w act.Word) (j job.Job, meaning string, err error) {
	err = d.Work.Do(ctx, func(tx Tx) error {
		if j, err = tx.Jobs().Get(id); err != nil {
			return err
		}
		what, known := drops[j.Kind]
		if !known {
			what.needed, what.instead = "this version does not know what it is for", "use the version that made it"
		}
		if meaning = what.meaning; meaning == "" {
			return what.refusal(j)
		}
		if dry {
			return nil
		}
		if j, err = tx.Jobs().Remove(id); err != nil {
			return err
		}
		return tx.Acts().Add(d.onJob(w, "job drop", j))
	})
	return j, meaning, err
}

func (d *Desk) onJob(w act.Word, verb string, j job.Job) act.Act {
	return w.On(d.Now(), verb, j.Partner, j.Key, fmt.Sprintf("job %s %d: %s", j.Kind, j.ID, j.LastError))
}
