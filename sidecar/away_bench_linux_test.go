package sidecar_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/hanse-market/hanse/auth/keys"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// BenchmarkBackAfterAMonth has a supplier come back that was away for 30 days and lacks 100,000 entries of its reseller's ledger,
// HANSE_BENCH_ENTRIES another number, with 1,000 signed orders waiting for it, while the reseller orders with another supplier from 4
// callers. All three are processes of their own. Reported are how long those orders take, from placed to decided, while the ledger is
// drained against before and after, what of that is noise, the entries a second, and what an entry costs either side in CPU time, and the
// memory of both. The entries are of that long ago, and of orders that are nowhere.
func BenchmarkBackAfterAMonth(b *testing.B) {
	const waiting = 1000
	entries := benchSize(b, "HANSE_BENCH_ENTRIES", 100_000)
	ca := b.TempDir()
	const plenty = "limits: {rate_per_second: 1000000, rate_burst: 1000000}\n"
	reseller := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "reseller", DevCA: ca, Extra: plenty})
	away := sidecartest.NewDaemon(b, sidecartest.DaemonConfig{Name: "away", DevCA: ca, Extra: plenty +
		"adapters: {connections: {nowhere: {adapter: postgres, config: {user: nobody, port: 1}}}}\n"})
	reseller.Start()
	away.Start()
	var healthy children
	us := sidecartest.At(b, reseller.Address())
	p := onFiles(b, partnered(b, []*sidecartest.Member{us, sidecartest.At(b, healthy.start(b, role{Member: "healthy", DevCA: ca}))}))
	there := sidecartest.At(b, away.Address())
	there.Apply(strings.NewReplacer("accepting", "postgres", "name: Bench", "name: Away", "{type: object, properties: {url: {type: string}}}", "{type: object}").Replace(benchOffering))
	sidecartest.Connect(b, us, there, 2000, "EUR")
	a := &awayBench{b: b, p: p, away: away, reseller: reseller, quick: p.listings[0], late: p.listed(b, "Away")}
	a.each(1, "first", a.late)
	if err := a.decided("order-first-0"); err != nil {
		b.Fatal(err)
	}
	away.Stop()
	reseller.Stop()
	a.seed(entries)
	reseller.Start()
	reseller.Must("partner", "vouch", away.Origin, "--reason", "a benchmark", "--yes")
	a.each(waiting, "waiting", a.late)
	a.window("warm", func() bool { return true }, 200)
	for b.Loop() {
		a.measure()
	}
}

type awayBench struct {
	b              *testing.B
	p              *realPipe
	away, reseller *sidecartest.Daemon
	quick, late    string
	windows        int
}

// listed is the listing of a name, once it is there.
func (p *realPipe) listed(b *testing.B, name string) (id string) {
	b.Helper()
	catalog := portalv1connect.NewCatalogServiceClient(http.DefaultClient, p.members[0].PortalURL, p.bearer)
	sidecartest.Eventually(b, time.Minute, name+" is listed", func() error {
		res, err := catalog.SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{}))
		for _, l := range res.Msg.GetListings() {
			if l.GetName() == name {
				id = l.GetId()
				return nil
			}
		}
		return fmt.Errorf("it is not: %w", err)
	})
	return id
}

func (a *awayBench) place(id, listing string) error {
	_, err := a.p.clients[0].PlaceOrder(context.Background(), connect.NewRequest(&portalv1.PlaceOrderRequest{
		Id: id, Customer: "c", Items: []*portalv1.OrderItem{{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: listing}},
	}))
	return err
}

// each places so many orders.
func (a *awayBench) each(n int, name, listing string) {
	a.b.Helper()
	for i := range n {
		if err := a.place(fmt.Sprintf("order-%s-%d", name, i), listing); err != nil {
			a.b.Fatal(err)
		}
	}
}

// decided waits until an order is, and returns why it cannot be.
func (a *awayBench) decided(id string) error {
	for {
		res, err := a.p.clients[0].GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		if err != nil {
			return err
		}
		switch state := res.Msg.GetOrder().GetItems()[0].GetState(); {
		case state == "inProgress", state == "completed":
			return nil
		case res.Msg.GetOrder().GetEnded():
			return fmt.Errorf("order %s is %s", id, state)
		}
		<-time.After(time.Millisecond)
	}
}

// seed appends entries to the stopped reseller's log towards the supplier that is away, like the one of the first order.
func (a *awayBench) seed(n int) {
	a.b.Helper()
	began, ctx := time.Now(), context.Background()
	st := openStore(a.b, a.reseller)
	signer, err := keys.New(ctx, keys.Config{Store: st, Now: time.Now})
	if err != nil {
		a.b.Fatal(err)
	}
	month := func() time.Time { return time.Now().Add(-30 * 24 * time.Hour) }
	book := &ledger.Book{
		Self: a.reseller.Origin, Work: store.For[ledger.Tx](st), Signer: signer, Now: month,
		OwnKeys: func() signed.Pinned { return signed.PinSet(signer.Public(keys.Business)) },
	}
	var model ledger.Told
	var first order.Body
	if err := st.View(ctx, func(tx *store.Tx) error {
		all, err := tx.Ledger().Entries(a.away.Origin, ledger.Own, ledger.Position{}, 100)
		for _, e := range all {
			if e.Kind == ledger.OrderPlaced {
				model, err = ledger.ReadBody(e)
				return errors.Join(err, json.Unmarshal(e.Body, &first))
			}
		}
		return err
	}); err != nil || model.Order == "" {
		a.b.Fatalf("no entry to copy: %v", err)
	}
	const batch = 500
	for at := 0; at < n; at += batch {
		if err := st.Do(ctx, func(tx *store.Tx) error {
			var drafts []ledger.Draft
			for i := at; i < min(n, at+batch); i++ {
				body := first
				body.Order = fmt.Sprintf("%08d", i) + model.Order[8:]
				body.Subscription = order.SubscriptionID(body.Order)
				drafts = append(drafts, ledger.Draft{Kind: ledger.OrderPlaced, Subject: body.Subscription, Body: body})
			}
			_, err := book.AppendAll(tx, a.away.Origin, drafts)
			return err
		}); err != nil {
			a.b.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		a.b.Fatal(err)
	}
	a.b.Logf("seeded %d entries in %s", n, time.Since(began).Round(time.Second))
}

// window has 4 callers order with the supplier that is there until done says so, and at least so many orders were decided. It returns how
// long each took.
func (a *awayBench) window(name string, done func() bool, least int) []float64 {
	a.b.Helper()
	a.windows++
	var mu sync.Mutex
	var wg sync.WaitGroup
	var took []float64
	var over atomic.Bool
	for c := range 4 {
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				id, began := fmt.Sprintf("order-%s-%d-%d-%d", name, a.windows, c, i), time.Now()
				err := a.place(id, a.quick)
				if err == nil {
					err = a.decided(id)
				}
				if err != nil {
					over.Store(true)
					a.b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, float64(time.Since(began).Microseconds())/1e3)
				n := len(took)
				mu.Unlock()
				if c == 0 && n >= least && done() {
					over.Store(true)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took
}

func p99(sorted []float64) float64 { return sorted[len(sorted)*99/100] }

// measure measures the orders before, while and after the log is drained, and all that it took.
func (a *awayBench) measure() {
	b := a.b
	b.Helper()
	const least = 1500
	always := func() bool { return true }
	cpu := func() float64 { return cpuOf(b, a.reseller.PID()) }
	at := cpu()
	before := a.window("before", always, least)
	perOrder := (cpu() - at) / float64(len(before))
	rss := rssOf(b, a.reseller.PID())

	copied := beside(b, sidecartest.At(b, a.away.Address()))
	had := a.head(copied, "theirs", a.reseller.Origin)
	at = cpu()
	began := time.Now()
	a.away.Launch()
	var took time.Duration
	var spent float64
	var most float64
	drained := func() bool {
		most = max(most, rssOf(b, a.reseller.PID()))
		if took == 0 && a.head(copied, "theirs", a.reseller.Origin) == a.head(a.p.database, "own", a.away.Origin) {
			took, spent = time.Since(began), cpu()-at
			return true
		}
		return took > 0
	}
	during := a.window("during", drained, 1)
	far := cpuOf(b, a.away.PID())
	n := float64(a.head(copied, "theirs", a.reseller.Origin).seq - had.seq)
	after := a.window("after", always, least)
	quiet := slices.Sorted(slices.Values(slices.Concat(before, after)))

	b.ReportMetric(p99(during)/p99(quiet), "p99-of-quiet")
	b.ReportMetric(median(during)/median(quiet), "p50-of-quiet")
	b.ReportMetric(p99(quiet), "quiet-p99-ms")
	b.ReportMetric(100*math.Abs(p99(after)/p99(before)-1), "noise-p99-%")
	b.ReportMetric(n/took.Seconds(), "entries/s")
	b.ReportMetric((spent-perOrder*float64(len(during)))/n, "cpu-µs/entry")
	b.ReportMetric(far/n, "reader-cpu-µs/entry")
	b.ReportMetric(most-rss, "more-rss-MiB")
	b.ReportMetric(rssOf(b, a.away.PID()), "reader-rss-MiB")
	a.inOrder(copied)
	sidecartest.Eventually(b, 2*time.Minute, "what waited is decided", func() error {
		var open int
		err := a.p.database.QueryRow(`SELECT count(*) FROM retail_order WHERE id LIKE 'order-waiting-%' AND state <> 'inProgress'`).Scan(&open)
		if err == nil && open > 0 {
			err = fmt.Errorf("%d orders are not", open)
		}
		return err
	})
}

type headAt struct {
	seq  int
	hash string
}

func (a *awayBench) head(db *sql.DB, direction, partner string) (h headAt) {
	a.b.Helper()
	if err := db.QueryRow(`SELECT seq, hex(hash) FROM ledger_head WHERE direction = $1 AND partner = $2`, direction, partner).Scan(&h.seq, &h.hash); err != nil {
		a.b.Fatal(err)
	}
	return h
}

// inOrder checks that each entry was written after the one before it, that none is missing and that none is parked.
func (a *awayBench) inOrder(db *sql.DB) {
	a.b.Helper()
	var n, last, wrong, parked int
	if err := db.QueryRow(`SELECT count(*), max(seq), sum(seq <> row), (SELECT count(*) FROM parked_entry)
		FROM (SELECT seq, row_number() OVER (ORDER BY rowid) AS row FROM ledger_entry WHERE direction = 'theirs' AND partner = $1)`,
		a.reseller.Origin).Scan(&n, &last, &wrong, &parked); err != nil || n != last || wrong+parked > 0 {
		a.b.Errorf("of %d entries up to %d %d are not in order and %d parked: %v", n, last, wrong, parked, err)
	}
}
