package retail_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// rush is a counter at which the first commit is held up, so that who comes meanwhile is placed together.
type rush struct {
	*counter
	begun, open chan struct{}
	writes      atomic.Int64
	// lost are the writes whose answer does not arrive.
	lost func(write int64) bool
	sent posted
}

// posted are the jobs whose documents were handed over.
type posted struct {
	mu   sync.Mutex
	keys map[string]int
}

func (p *posted) Claim(string, int) (string, time.Time) { return "here", time.Now().Add(time.Hour) }

func (p *posted) Post(parcels ...dispatch.Parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, parcel := range parcels {
		p.keys[parcel.Job.Key]++
	}
}

type held struct {
	unit.Work[retail.Tx]
	r *rush
}

func (h held) Do(ctx context.Context, fn func(tx retail.Tx) error) error {
	n := h.r.writes.Add(1)
	if n == 1 {
		close(h.r.begun)
		<-h.r.open
	}
	err := h.Work.Do(ctx, fn)
	if err == nil && h.r.lost != nil && h.r.lost(n) {
		return fault.New(fault.Unavailable, "store_unavailable", "the answer was lost")
	}
	return err
}

func newRush(t *testing.T) *rush {
	r := &rush{counter: newCounter(t), begun: make(chan struct{}), open: make(chan struct{})}
	r.sent.keys = make(map[string]int)
	r.service.Work, r.service.Outbox = held{r.service.Work, r}, &r.sent
	return r
}

func (r *rush) wish(i int) retail.PlaceCommand {
	c := retail.PlaceCommand{Portal: "shop", Customer: fmt.Sprint("c", i), ID: fmt.Sprintf("order-%04d", 10+i), Items: []retail.ItemCommand{add("lst")}}
	for n := range i % 3 {
		c.Items = append(c.Items, []retail.ItemCommand{add("dozen"), add("lst")}[n])
	}
	return c
}

// place places wishes at the same moment, behind one that is held up, and returns what each was told.
func (r *rush) place(wishes ...retail.PlaceCommand) (orders []retail.Order, errs []error) {
	r.t.Helper()
	orders, errs = make([]retail.Order, len(wishes)), make([]error, len(wishes))
	var wg sync.WaitGroup
	wg.Go(func() {
		c := r.wish(0)
		c.ID = "order-held-up"
		if _, err := r.service.Place(context.Background(), c); err != nil {
			r.t.Error(err)
		}
	})
	<-r.begun
	var over atomic.Int64
	for i, c := range wishes {
		wg.Go(func() {
			defer over.Add(1)
			orders[i], errs[i] = r.service.Place(context.Background(), c)
		})
	}
	r.gathered(len(wishes), &over)
	close(r.open)
	wg.Wait()
	return orders, errs
}

// gathered returns when as many callers wait for the one that is held up, but for those that are through.
func (r *rush) gathered(n int, over *atomic.Int64) {
	for r.service.Waiting()+int(over.Load()) < n {
		runtime.Gosched()
	}
}

// same holds what a caller was told against what is in the store and in the ledger.
func (r *rush) same(wish retail.PlaceCommand, told retail.Order) {
	r.t.Helper()
	if told.ID != wish.ID || told.Customer != wish.Customer || len(told.Items) != len(wish.Items) {
		r.t.Errorf("of %s was told %s of %s with %d items", wish.ID, told.ID, told.Customer, len(told.Items))
	}
	r.View(func(tx *store.Tx) error {
		stored, err := tx.RetailOrders().Get(wish.Portal, wish.ID)
		if d := cmp.Diff(stored, told); d != "" || err != nil {
			r.t.Error("told is another order than stored", d, err)
		}
		entries, err := tx.Ledger().Entries(vendor, ledger.Own, ledger.Position{}, 1000)
		for _, it := range stored.Items {
			of := 0
			for _, e := range entries {
				b, err := order.ParseBody(e)
				if err == nil && b.Order == it.CorrelationID {
					of++
					if last := it.Events[len(it.Events)-1]; last.Source != order.Source(e) || e.Subject != it.SubscriptionID {
						r.t.Errorf("item %s says %s of entry %d about %s", it.CorrelationID, last.Source, e.Seq, e.Subject)
					}
				}
			}
			if of != 1 {
				r.t.Errorf("item %s has %d entries", it.CorrelationID, of)
			}
			if n := r.sent.keys[it.CorrelationID]; n != 1 {
				r.t.Errorf("the document of %s was handed over %d times", it.CorrelationID, n)
			}
		}
		return err
	})
}

func TestOrdersThatComeTogetherArePlacedTogether(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	var wishes []retail.PlaceCommand
	for i := range 30 {
		wishes = append(wishes, r.wish(i))
	}
	orders, errs := r.place(wishes...)
	for i, wish := range wishes {
		if errs[i] != nil {
			t.Errorf("%s: %v", wish.ID, errs[i])
			continue
		}
		r.same(wish, orders[i])
	}
	if n := r.writes.Load(); n > 4 {
		t.Errorf("written in %d transactions", n)
	}
}

// TestNoOrderIsHeldUpByAnotherThatIsNotPlaced: those that are there already, or cannot be now, cost their neighbours nothing.
func TestNoOrderIsHeldUpByAnotherThatIsNotPlaced(t *testing.T) {
	t.Parallel()
	r := newRush(t)

	repeated, other := r.wish(1), r.wish(2)
	open := r.service.Work
	r.service.Work = store.For[retail.Tx](r.Store)
	first := map[string]retail.Order{}
	for _, c := range []retail.PlaceCommand{repeated, other} {
		o, err := r.service.Place(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		first[c.ID] = o
	}
	r.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(second)
		b.State = ledger.Forked
		if err == nil {
			_, err = tx.Ledger().PutBooks(b)
		}
		return err
	})
	r.service.Work = open
	other.Customer = "somebody else"
	forked := r.wish(3)
	forked.Items = []retail.ItemCommand{add("other")}
	wishes := []retail.PlaceCommand{repeated, other, forked}
	for i := range 20 {
		wishes = append(wishes, r.wish(100+i))
	}
	orders, errs := r.place(wishes...)
	if d := cmp.Diff(first[repeated.ID], orders[0]); d != "" || errs[0] != nil {
		t.Error("the same wish again", d, errs[0])
	}
	if fault.ReasonOf(errs[1]) != "order_id_conflict" || fault.ReasonOf(errs[2]) != "listing_not_orderable" {
		t.Errorf("another wish: %v; a partner with forked books: %v", errs[1], errs[2])
	}
	for i := 3; i < len(wishes); i++ {
		if errs[i] != nil {
			t.Errorf("%s: %v", wishes[i].ID, errs[i])
			continue
		}
		r.same(wishes[i], orders[i])
	}
	if n := r.writes.Load(); n > 6 {
		t.Errorf("written in %d transactions", n)
	}
}

// TestWhatIsPlacedIsSentThoughItsAnswerWasLost: the commit is found again, and its documents are handed over.
func TestWhatIsPlacedIsSentThoughItsAnswerWasLost(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	r.lost = func(write int64) bool { return write == 2 } // that of those who come together
	var wishes []retail.PlaceCommand
	for i := range 10 {
		wishes = append(wishes, r.wish(i))
	}
	orders, errs := r.place(wishes...)
	for i, wish := range wishes {
		if errs[i] != nil {
			t.Errorf("%s: %v", wish.ID, errs[i])
			continue
		}
		r.same(wish, orders[i])
	}
	// Its document is that of who placed it alone.
	if _, err := r.service.Place(t.Context(), wishes[0]); err != nil || r.sent.keys[orders[0].Items[0].CorrelationID] != 1 {
		t.Errorf("again: %v, handed over %v", err, r.sent.keys)
	}
	var jobs []job.Job
	r.View(func(tx *store.Tx) (err error) { jobs, err = tx.Jobs().List(1000); return err })
	if len(jobs) != len(r.sent.keys) {
		t.Errorf("%d jobs, %d documents handed over", len(jobs), len(r.sent.keys))
	}
}

// counting counts what was signed.
type counting struct {
	signed.Signer
	n *atomic.Int64
}

func (c counting) Sign(purpose keys.Purpose, typ string, payload []byte) (string, error) {
	defer c.n.Add(1)
	return c.Signer.Sign(purpose, typ, payload)
}

// TestWhatWaitedForTheProofIsSignedTogether: thousands may have, and each transaction moves the one head of the ledger.
func TestWhatWaitedForTheProofIsSignedTogether(t *testing.T) {
	t.Parallel()
	r := newRush(t)
	open := r.service.Work
	r.service.Work = store.For[retail.Tx](r.Store)
	r.stand(vendor, ledger.Unproven)
	for i := range 30 {
		if _, err := r.service.Place(t.Context(), r.wish(i)); err != nil { // some have several items
			t.Fatal(err)
		}
	}
	const cancelled = "order-0010" // the first
	if _, err := r.service.Cancel(t.Context(), "shop", "", cancelled); err != nil {
		t.Fatal(err)
	}
	r.stand(vendor, ledger.Level)
	var jobs []job.Job
	r.Do(func(tx *store.Tx) error {
		jobs = nil
		due, _, err := tx.Jobs().Due(r.Clock.Now(), 1000, 1000)
		for _, j := range due {
			j, err := tx.Jobs().Lease(j, "here", r.Clock.Now().Add(time.Hour))
			if err != nil {
				return err
			}
			jobs = append(jobs, j)
		}
		return err
	})
	r.service.Work = open
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	var signs atomic.Int64
	r.service.Signer = counting{r.service.Signer, &signs}
	var over atomic.Int64
	sign := func(i int) {
		wg.Go(func() {
			defer over.Add(1)
			errs[i] = r.service.Sign(context.Background(), jobs[i])
		})
	}
	sign(len(jobs) - 1)
	<-r.begun
	for i := range len(jobs) - 1 {
		sign(i)
	}
	r.gathered(len(jobs)-1, &over)
	if n := signs.Load(); n != int64(len(jobs)-1) { // all but the order whose cancel goes first
		t.Errorf("%d were signed", n)
	}
	close(r.open)
	wg.Wait()
	for i, j := range jobs {
		if errors.Is(errs[i], job.ErrFinished) {
			continue
		}
		if o := r.orderOf(j.Key); o.ID != cancelled || j.Kind != retail.JobSign {
			t.Errorf("%s of %s: %v", j.Kind, o.ID, errs[i])
		}
	}
	if n := r.writes.Load(); n > 4 {
		t.Errorf("%d were written in %d transactions", len(jobs), n)
	}
	for i := 1; i < 30; i++ {
		r.View(func(tx *store.Tx) error {
			o, err := tx.RetailOrders().Get("shop", r.wish(i).ID)
			for _, it := range o.Items {
				if it.Document == "" || it.Unsigned != nil || r.sent.keys[it.CorrelationID] != 1 {
					t.Errorf("item %s of %s, %q, was handed over %d times", it.CorrelationID, o.ID, it.Document, r.sent.keys[it.CorrelationID])
				}
			}
			return err
		})
	}
}

func (r *rush) orderOf(correlation string) (o retail.Order) {
	r.View(func(tx *store.Tx) (err error) { o, _, err = tx.RetailOrders().ByCorrelation(correlation); return err })
	return o
}
