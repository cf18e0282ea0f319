package exchange_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/federation"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/markettest"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/recipe"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	resellerOrigin = "https://reseller.localhost:1"
	firstOrigin    = "https://first.localhost:2"
	secondOrigin   = "https://second.localhost:3"
)

// office is a reseller with an outbox and a job runner, and two suppliers with a desk each, in one bubble of fake time. Listings are named
// after the supplier and the agreement: "first/a".
type office struct {
	*markettest.Member
	t         *testing.T
	retail    *retail.Service
	box       *exchange.Outbox
	runner    *job.Runner
	suppliers map[string]*supplier
	stop      func()

	mu sync.Mutex
	// calls are what was sent; on is asked before each, and answered instead of the supplier where it says so.
	calls  []call
	on     func(c call) (*exchange.Answer, error)
	after  func(c call, a *exchange.Answer)
	behind []string
	// flushed is another replica's word that an operator flushed a partner.
	flushed chan struct{}
	// errors are what operators were told as errors.
	errors []string
}

type supplier struct {
	*markettest.Member
	desk   *exchange.Desk
	agreed map[string]agreement.Agreement
	sold   catalog.Offering
}

// call is one that was sent; at is when.
type call struct {
	partner string
	exchange.Submission
	at time.Time
}

// about reports whether the call carries the document of an order.
func (c call) about(o retail.Order) bool {
	return slices.ContainsFunc(c.Documents, func(d dispatch.Document) bool { return d.JWS == o.Items[0].Document })
}

// inOffice runs a test in a bubble that begins at noon.
func inOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(markettest.Noon()))
		o := &office{t: t, Member: markettest.NewMember(t, resellerOrigin), suppliers: make(map[string]*supplier)}
		for _, origin := range []string{firstOrigin, secondOrigin} {
			o.suppliers[origin] = o.newSupplier(origin)
		}
		o.retail = &retail.Service{
			Self: resellerOrigin, Work: store.For[retail.Tx](o.Store), Offers: o, Schemas: recipe.NewSchemas(0), Book: o.Book, Signer: o.Keys,
			Pseudonym: func(_, _, customer string) string { return "cus-" + customer }, Now: o.Clock.Now,
			Correlate: func(_, id string, position int) string { return fmt.Sprintf("corr-%s-%d", id, position) },
			Rand:      func(b []byte) { _, _ = rand.Read(b) },
		}
		o.start("here")
		defer func() { o.stop() }()
		test(t, o)
	})
}

func (o *office) newSupplier(origin string) *supplier {
	s := &supplier{Member: markettest.Open(o.t, origin, markettest.Config{Clock: o.Clock}), agreed: make(map[string]agreement.Agreement)}
	o.Meet(s.Member)
	for _, id := range []string{"a", "b"} {
		s.agreed[id] = markettest.Agree(s.Member, o.Member, "agr-"+id, agreement.Terms{WholesaleDiscountBP: 1000, Currency: "EUR"})
	}
	s.sold = s.Offer(markettest.Offering{})
	relations := &agreement.Relations{Self: origin, Work: store.For[agreement.Tx](s.Store), Now: o.Clock.Now}
	reader := &federation.LedgerReader{Self: origin, Work: store.For[federation.Tx](s.Store), Now: o.Clock.Now, Handlers: map[ledger.Kind]federation.Handler{}}
	for _, kind := range ledger.Kinds() {
		reader.Handlers[kind] = func(federation.Tx, ledger.Entry) error { return nil }
	}
	s.desk = &exchange.Desk{
		Reader: reader,
		Self:   origin, Work: store.For[exchange.Tx](s.Store), Book: s.Book, Signer: s.Keys, Now: o.Clock.Now, Allowed: relations.Allowed,
		Logger: slog.New(slog.DiscardHandler),
		Orders: &resale.Service{Self: origin, Work: store.For[resale.Tx](s.Store), Schemas: recipe.NewSchemas(0), Now: o.Clock.Now, Book: s.Book},
	}
	return s
}

// start runs an outbox and a job runner under a name.
func (o *office) start(owner string) {
	o.flushed = make(chan struct{}, 1)
	o.box = &exchange.Outbox{
		Subscribe: func(unit.Topic) (<-chan struct{}, func()) { return o.flushed, func() {} },
		Work:      store.For[federation.Tx](o.Store), Link: o, Book: o.Book, Now: time.Now, Rand: func() float64 { return 0.5 },
		Logger: slog.New(telling{slog.DiscardHandler, o}),
		Behind: func(partner string) { o.mu.Lock(); defer o.mu.Unlock(); o.behind = append(o.behind, partner) },
		Reader: &federation.LedgerReader{
			Self: o.Origin, Work: store.For[federation.Tx](o.Store), Now: o.Clock.Now, Handlers: map[ledger.Kind]federation.Handler{},
		},
		Sources: map[string]exchange.Source{
			retail.JobSubmit: {
				Command:  ledger.OrderDoc,
				Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) { return o.retail.OrderDocument(tx, j) },
				Waits:    func(tx federation.Tx, j job.Job, check bool) error { return o.retail.Waits(tx, j, check) },
			},
			retail.JobCancel: {Command: ledger.CancelDoc, Document: func(tx federation.Tx, j job.Job) (dispatch.Document, error) { return o.retail.CancelDocument(tx, j) }},
		},
	}
	for _, kind := range ledger.Kinds() {
		o.box.Reader.Handlers[kind] = func(federation.Tx, ledger.Entry) error { return nil }
		if strings.HasPrefix(string(kind), "order.") || kind == ledger.CancelRefused {
			o.box.Reader.Handlers[kind] = func(tx federation.Tx, e ledger.Entry) error { return o.retail.Apply(tx, e) }
		}
	}
	var err error
	o.runner, err = job.New(job.Config{
		Work: store.For[job.Tx](o.Store), Owner: owner, Documents: o.box,
		Handlers: map[string]job.Handler{
			"none": func(context.Context, job.Job) error { return nil }, retail.JobSign: o.retail.Sign, retail.JobSignCancel: o.retail.Sign,
		},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.box.Owner, o.box.Look, o.retail.Outbox = o.runner.Claim, o.runner.Look, o.box
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = o.runner.Run(ctx) })
	running.Go(func() { _ = o.box.Run(ctx) })
	o.stop = func() { cancel(); running.Wait() }
	synctest.Wait()
}

// telling keeps the errors of a log.
type telling struct {
	slog.Handler
	o *office
}

func (h telling) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (h telling) WithAttrs([]slog.Attr) slog.Handler               { return h }

func (h telling) Handle(_ context.Context, r slog.Record) error {
	h.o.mu.Lock()
	defer h.o.mu.Unlock()
	h.o.errors = append(h.o.errors, r.Message)
	return nil
}

// made are the calls so far.
func (o *office) made() []call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

// heard are all errors that operators were told.
func (o *office) heard() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.errors)
}

// told are the errors that operators were told, of those with some words in them.
func (o *office) told(words string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.errors {
		if strings.Contains(e, words) {
			n++
		}
	}
	return n
}

// books are set as people or evidence would, at our side with the first supplier or at its with us.
func books(m *markettest.Member, partner string, state ledger.BooksState) {
	m.Do(func(tx *store.Tx) error {
		b, err := tx.Ledger().Books(partner)
		if err != nil {
			return err
		}
		b.State = state
		_, err = tx.Ledger().PutBooks(b)
		return err
	})
}

// public is what a customer reads of why an order waits.
func (o *office) public(id string) string {
	o.t.Helper()
	seen, err := o.retail.Get(o.t.Context(), "shop", "c", id)
	if err != nil {
		o.t.Fatal(err)
	}
	return seen.Telling().PublicReason()
}

// Offer implements retail.Offers.
func (o *office) Offer(_ context.Context, id string) (listing.Offer, error) {
	name, agreed, _ := strings.Cut(id, "/")
	origin := firstOrigin
	if name == "second" {
		origin = secondOrigin
	}
	s := o.suppliers[origin]
	return listing.Offer{
		ListingID: id, Name: "Database", Digest: "d", Orderable: true, Partner: origin, Agreement: s.agreed[agreed],
		Foreign:  catalog.Foreign{Partner: origin, ID: "db", Revision: s.sold.Revision, Digest: s.sold.Digest},
		Document: catalog.Document{ID: "db", Currency: "EUR", Prices: []price.Component{{ID: "setup", Kind: price.OneOff, Amount: "10.00"}}, Inputs: json.RawMessage(`{"type":"object"}`)},
	}, nil
}

// Submit implements exchange.Link: the supplier's desk, with nothing between.
func (o *office) Submit(ctx context.Context, partner string, s exchange.Submission) (exchange.Answer, error) {
	c := call{partner, s, time.Now()}
	o.mu.Lock()
	o.calls = append(o.calls, c)
	on, after := o.on, o.after
	o.mu.Unlock()
	if on != nil {
		if instead, err := on(c); instead != nil || err != nil {
			if err != nil {
				return exchange.Answer{}, err
			}
			return *instead, nil
		}
	}
	in := exchange.Call{Partner: o.Origin, Agreement: s.Agreement, Scopes: s.Scopes, Seen: s.Seen, Checkpoint: s.Checkpoint, Entries: s.Entries}
	for _, d := range s.Documents {
		in.Documents = append(in.Documents, exchange.Document{JWS: d.JWS, Attachments: resale.Attachments{Inputs: d.Inputs, InputsSalt: d.InputsSalt, Escrow: d.Escrow}})
	}
	reply, err := o.suppliers[partner].desk.Submit(ctx, in)
	if err != nil {
		return exchange.Answer{}, err
	}
	a := exchange.Answer{Page: federation.LedgerPage{Entries: reply.Page.Entries, Checkpoint: reply.Page.Checkpoint, Seen: reply.Seen}, More: reply.Page.More}
	for _, out := range reply.Outcomes {
		told := exchange.Told{At: out.At}
		if u := out.Undecided; u != nil {
			told.Undecided = &exchange.NotYet{Reason: u.Reason, Cause: u.Cause, Final: out.Final(), RetryAfter: u.RetryAfter}
		}
		a.Outcomes = append(a.Outcomes, told)
	}
	if after != nil {
		after(c, &a)
	}
	return a, nil
}

func (o *office) script(on func(c call) (*exchange.Answer, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.on = on
}

// sent are the sizes of the calls so far.
func (o *office) sent() (sizes []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		sizes = append(sizes, len(c.Documents))
	}
	return sizes
}

// place orders one database each of n orders.
func (o *office) place(listing string, ids ...string) (placed []retail.Order) {
	o.t.Helper()
	for _, id := range ids {
		p, err := o.retail.Place(o.t.Context(), retail.PlaceCommand{
			Portal: "shop", Customer: "c", ID: id, Items: []retail.ItemCommand{{Action: order.Add, ListingID: listing}},
		})
		if err != nil {
			o.t.Fatal(err)
		}
		placed = append(placed, p)
	}
	return placed
}

func ids(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%06d", prefix, i))
	}
	return all
}

// states counts the states of all orders.
func (o *office) states() map[order.State]int {
	o.t.Helper()
	all := map[order.State]int{}
	o.View(func(tx *store.Tx) error {
		open, _, err := tx.RetailOrders().CountOpen()
		if err != nil {
			return err
		}
		ended, err := tx.RetailOrders().CountEnded()
		for _, counts := range []map[order.State]int64{open, ended} {
			for s, n := range counts {
				all[s] += int(n)
			}
		}
		return err
	})
	return all
}

func (o *office) jobs() (all []job.Job) {
	o.t.Helper()
	o.View(func(tx *store.Tx) (err error) { all, err = tx.Jobs().List(10_000); return err })
	return all
}

// decided checks that so many orders are accepted and nothing is left to do.
func (o *office) decided(n int) {
	o.t.Helper()
	if got := o.states(); got[order.InProgress] != n || len(got) != 1 {
		o.t.Fatalf("orders are %v, want %d accepted", got, n)
	}
	if left := o.jobs(); len(left) > 0 {
		o.t.Fatalf("%d jobs are left: %+v", len(left), left[0])
	}
}

// pass lets time pass and everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// dying is the outbox of a process that dies after the commit.
type dying struct{}

func (dying) Claim(string, int) (string, time.Time) { return "gone", time.Now().Add(job.SendingLease) }
func (dying) Post(...dispatch.Parcel)               {}

// partner is as our store has it.
func (o *office) partner(origin string) (p member.Partner) {
	o.t.Helper()
	o.View(func(tx *store.Tx) (err error) { p, err = tx.Partners().Get(origin); return err })
	return p
}

// damage adds to our copy of the first supplier's log an entry that it never wrote, as a bad disk might.
func (o *office) damage() {
	o.t.Helper()
	o.Do(func(tx *store.Tx) error {
		_, err := tx.Ledger().Advance(firstOrigin, ledger.Theirs, func(at ledger.Position, prev [32]byte) ([]ledger.Entry, error) {
			return []ledger.Entry{{Life: at.Life, Seq: at.Seq + 1, Prev: prev, Hash: [32]byte{1}, Bytes: []byte("damaged")}}, nil
		})
		return err
	})
}

// keyOf is the key of the job that sends a document.
func (o *office) keyOf(jws string) (key string) {
	o.View(func(tx *store.Tx) error {
		jobs, err := tx.Jobs().List(10_000)
		for _, j := range jobs {
			if d, err := o.retail.OrderDocument(tx, j); err == nil && d.JWS == jws {
				key = j.Key
			}
		}
		return err
	})
	return key
}
