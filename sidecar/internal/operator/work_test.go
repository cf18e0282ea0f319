package operator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/operator"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

const supplier = "https://supplier.localhost:1"

// TestAnOrderSaysWhatItsJobsMet: an operator who looks at an order reads why it stands still, without knowing of jobs.
func TestAnOrderSaysWhatItsJobsMet(t *testing.T) {
	t.Parallel()
	m := markettest.NewMember(t, "https://reseller.localhost:1")
	desk := &operator.Desk{Work: store.For[operator.Tx](m.Store), Now: m.Clock.Now}
	item := func(n string) order.Item {
		return order.Item{Action: order.Add, SubscriptionID: "sub-" + n, State: order.Completed}
	}
	m.Do(func(tx *store.Tx) error {
		o := retail.Order{Portal: "shop", ID: "order-1", Items: []retail.Item{
			{Item: item("1"), CorrelationID: "corr-1", Partner: supplier},
			{Item: item("2"), CorrelationID: "corr-2", Partner: supplier},
			{Item: item("3"), CorrelationID: "corr-3", Partner: supplier},
		}}
		if _, err := tx.RetailOrders().Put(o); err != nil {
			return err
		}
		_, err := tx.ResaleOrders().Put(resale.Order{ID: "corr-9", Partner: supplier, Item: order.Item{Message: "made", State: order.InProgress}})
		return err
	})
	// fails makes a job whose last run ended with err.
	fails := func(kind, key, err string, park bool) {
		m.Do(func(tx *store.Tx) error {
			if err := tx.Jobs().At(kind, key, supplier, m.Clock.Now()); err != nil {
				return err
			}
			j, _, e := tx.Jobs().Find(kind, supplier, key, "")
			if e != nil {
				return e
			}
			if j, e = tx.Jobs().Lease(j, "me", m.Clock.Now().Add(time.Minute)); e != nil {
				return e
			}
			if park {
				return tx.Jobs().Park(j, err)
			}
			return tx.Jobs().Reschedule(j, m.Clock.Now().Add(time.Hour), err, false)
		})
	}
	fails(subscription.JobAccessFetch, "sub-1", "access_data_gone: deleted", true)
	fails(retail.JobCancel, "corr-3", "decision_mismatch: another document", true)
	fails(resale.JobProvision, "corr-9", "the platform is down", false)
	m.Do(func(tx *store.Tx) error { return tx.Jobs().At(retail.JobSubmit, "corr-2", supplier, m.Clock.Now()) })

	theirs, err := desk.Order(t.Context(), operator.Query{ID: "corr-9"})
	if err != nil {
		t.Fatal(err)
	}
	if got := theirs.Items[0].Message; got != theirs.Message || got != "made; job order.provision failed 1 times and is tried again at 2026-11-21T13:00:00Z: the platform is down" {
		t.Errorf("the resale order says %q, its item %q", theirs.Message, got)
	}
	ours, err := desk.Order(t.Context(), operator.Query{ID: "order-1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := ours.Items[0].Message; !strings.HasPrefix(got, "job access.fetch is parked: access_data_gone: deleted; ") || !strings.Contains(got, "hanse job retry ") {
		t.Errorf("the item says %q", got)
	}
	if got := ours.Items[2].Message; !strings.HasPrefix(got, "job order.cancel is parked: decision_mismatch") || !strings.Contains(got, "hanse job retry ") {
		t.Errorf("the item whose cancel is parked says %q", got)
	}
	if ours.Items[1].Message != "" || ours.Message != "" {
		t.Errorf("what goes on says %q, the order of two says %q", ours.Items[1].Message, ours.Message)
	}
	var parked job.Job
	m.View(func(tx *store.Tx) (err error) {
		parked, _, err = tx.Jobs().Find(subscription.JobAccessFetch, supplier, "sub-1", "")
		return err
	})
	if parked.State != job.Parked {
		t.Errorf("looking changed the job: %s", parked.State)
	}
}
