package exchange_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// died has processes die that held all documents, so often.
func (o *office) died(times int) {
	o.t.Helper()
	for range times {
		o.Do(func(tx *store.Tx) error {
			all, err := tx.Jobs().List(100)
			for _, j := range all {
				if err == nil {
					_, err = tx.Jobs().Lease(j, "gone", time.Now().Add(job.SendingLease))
				}
			}
			return err
		})
	}
}

// TestDocumentsWhoseProcessesDiedGoAlone: what was in the hands of processes that died goes one by one, each marked in the store while
// it is read and while it is sent and no longer, so that the next death counts for one. Nothing is parked for having been in company.
func TestDocumentsWhoseProcessesDiedGoAlone(t *testing.T) {
	for deaths, together := range map[int]bool{1: true, job.Suspect: false, job.Suspect + 5: false} {
		t.Run("", func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				marked := func() (keys []string) {
					for _, j := range o.jobs() {
						if j.Begun {
							keys = append(keys, j.Key)
						}
					}
					return keys
				}
				var mu sync.Mutex
				reads := 0
				source := o.box.Sources[retail.JobSubmit]
				read := source.Document
				source.Document = func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
					mu.Lock()
					defer mu.Unlock()
					if now, _, _ := tx.Jobs().Find(j.Kind, j.Partner, j.Key, j.Subject); now.Begun {
						reads++
					}
					return read(tx, j)
				}
				o.box.Sources[retail.JobSubmit] = source
				o.retail.Outbox = dying{}
				const n = 5
				o.place("first/a", ids("order", n)...)
				o.died(deaths - 1) // the last death is found by who takes over
				o.script(func(c call) (*exchange.Answer, error) {
					if keys := marked(); together && len(keys) > 0 || !together && (len(keys) != 1 || keys[0] != o.keyOf(c.Documents[0].JWS)) {
						t.Errorf("of %d documents %v are marked", len(c.Documents), keys)
					}
					return nil, nil
				})
				pass(time.Minute)
				if sizes := o.sent(); together != (len(sizes) < n) {
					t.Errorf("sent %v", sizes)
				}
				if got := o.states(); got[order.InProgress] != n || len(o.jobs()) > 0 || o.told(parked) > 0 {
					t.Errorf("orders are %v, left %+v", got, o.jobs())
				}
				mu.Lock()
				defer mu.Unlock()
				if !together && reads != n {
					t.Errorf("%d of %d were marked when they were read", reads, n)
				}
			})
		})
	}
}

// TestReadingThemOneByOneOutlastsNoLease: however many go alone and however slow the store is, the first are sent before the leases of all
// end, and the rest comes again.
func TestReadingThemOneByOneOutlastsNoLease(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		source := o.box.Sources[retail.JobSubmit]
		read := source.Document
		source.Document = func(tx federation.Tx, j job.Job) (dispatch.Document, error) {
			if now, _, _ := tx.Jobs().Find(j.Kind, j.Partner, j.Key, j.Subject); now.Begun {
				time.Sleep(job.SendingLease / 10)
			}
			return read(tx, j)
		}
		o.box.Sources[retail.JobSubmit] = source
		o.retail.Outbox = dying{}
		const n = 25
		o.place("first/a", ids("order", n)...)
		o.died(job.Suspect - 1)
		pass(2 * time.Minute)
		if got := o.states(); got[order.InProgress] != n || len(o.jobs()) > 0 {
			t.Errorf("orders are %v, %d jobs are left", got, len(o.jobs()))
		}
	})
}

// TestOfSuspectsToSeveralPartnersOneIsOnItsWay: what dies then is known to be that one, and nothing else is parked.
func TestOfSuspectsToSeveralPartnersOneIsOnItsWay(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		o.retail.Outbox = dying{}
		const n = 3
		o.place("first/a", ids("order", n)...)
		o.place("second/a", ids("other", n)...)
		o.died(job.Suspect - 1)
		o.script(func(c call) (*exchange.Answer, error) {
			time.Sleep(time.Second)
			var marked []string
			for _, j := range o.jobs() {
				if j.Begun {
					marked = append(marked, j.Key)
				}
			}
			if len(marked) != 1 || marked[0] != o.keyOf(c.Documents[0].JWS) {
				t.Errorf("while one is sent to %s %v are marked", c.partner, marked)
			}
			return nil, nil
		})
		pass(time.Minute)
		if got := o.states(); got[order.InProgress] != 2*n || len(o.jobs()) > 0 {
			t.Errorf("orders are %v, %d jobs are left", got, len(o.jobs()))
		}
	})
}
