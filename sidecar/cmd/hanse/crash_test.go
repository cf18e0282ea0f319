package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/hanse-market/hanse/adapters/process"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1/portalv1connect"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/testserver"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// pair is a reseller and a supplier as real daemons, with an agreement and one offering that the process adapter provides.
type pair struct {
	t                  *testing.T
	reseller, supplier *sidecartest.Daemon
	apps, ca           string
	portalKey          string
	listing            string
	// active are the subscriptions that were bought and not ended, agreements how many there are beside the first.
	active, agreements int
}

const notesOffering = `apiVersion: hanse/v1
kind: Offering
id: notes-s
name: Notes S
summary: A private place for notes and checklists.
category: collaboration
region: helsinki
country: FI
currency: EUR
prices:
  - {id: setup, name: Setup, kind: one_off, amount: "5.00"}
  - {id: monthly, name: Monthly fee, kind: recurring, period: P1M, amount: "4.90"}
recipe:
  inputs:
    type: object
    additionalProperties: false
    # Like the demo's: what has a default is required, and nobody has to give it.
    required: [title, readers]
    properties:
      title: {type: string, title: Name of the space, minLength: 1, maxLength: 40}
      readers: {type: string, title: For whom, enum: [everyone, sales], default: everyone}
  outputs:
    type: object
    properties:
      url: {type: string, title: Address}
      password: {type: string, title: Password, writeOnly: true}
  step:
    adapter: process
    connection: apps
    with: {program: notes, settings: {title: "${inputs.title} (${inputs.readers})"}}
`

func newPair(t *testing.T) *pair { return newPairOn(t, func() string { return "" }) }

// newPairOn is newPair with a database for each daemon; "" is the file in its own folder.
func newPairOn(t *testing.T, database func() string) *pair {
	t.Helper()
	p := twoDaemons(t, func(name string) sidecartest.DaemonConfig { return sidecartest.DaemonConfig{Extra: database()} })
	p.trades()
	return p
}

// twoDaemons are a supplier and a reseller that do not run and do not know each other, each as config says.
func twoDaemons(t *testing.T, config func(name string) sidecartest.DaemonConfig) *pair {
	t.Helper()
	ca := t.TempDir()
	apps := t.TempDir()
	for d := apps; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := process.StopAll(context.Background(), apps); err != nil {
			t.Error(err)
		}
	})
	p := &pair{t: t, apps: apps, ca: ca}
	daemon := func(name, extra string) *sidecartest.Daemon {
		cfg := config(name)
		cfg.Name, cfg.DevCA, cfg.Extra = name, ca, extra+cfg.Extra
		return sidecartest.NewDaemon(t, cfg)
	}
	p.supplier = daemon("supplier", fmt.Sprintf(`adapters:
  connections:
    apps: {adapter: process, config: {data_dir: %q, programs: {notes: {command: "self:notes"}}, dev: true}}
`, apps))
	p.reseller = daemon("reseller", "")
	return p
}

// trades starts both and has them agree; the supplier sells its notes through the reseller's shop then.
func (p *pair) trades() {
	t := p.t
	t.Helper()
	p.supplier.Start()
	p.reseller.Start()
	file := filepath.Join(p.supplier.Dir, "offerings.yaml")
	if err := os.WriteFile(file, []byte(notesOffering), 0o600); err != nil {
		t.Fatal(err)
	}
	p.supplier.Must("offering", "apply", "-f", file)
	p.reseller.Must("partner", "add", p.supplier.Origin, "--as", "supplier", "--yes")
	p.supplier.Must("agreement", "offer", p.reseller.Origin, "--discount", "20%", "--currency", "EUR")
	sidecartest.Eventually(t, 20*time.Second, "the offer arrives and is accepted", func() error {
		_, err := p.reseller.Run("partner", "accept", p.supplier.Origin, "--yes")
		return err
	})
	p.opens()
	p.sees()
}

// opens gives the shop a key.
func (p *pair) opens() {
	p.t.Helper()
	var added struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(p.reseller.Must("portal", "add", "shop", "-o", "json")), &added); err != nil {
		p.t.Fatal(err)
	}
	p.portalKey = added.Key
}

// sells gives the shop a key, and waits until it has the supplier's offering.
func (p *pair) sells() {
	p.t.Helper()
	p.opens()
	p.sees()
}

// sees waits until the shop has the supplier's offering.
func (p *pair) sees() {
	t := p.t
	t.Helper()
	sidecartest.Eventually(t, 30*time.Second, "the offering is listed", func() error {
		res, err := portalv1connect.NewCatalogServiceClient(http.DefaultClient, p.reseller.PortalURL, sidecartest.Bearer(p.portalKey)).
			SearchListings(context.Background(), connect.NewRequest(&portalv1.SearchListingsRequest{}))
		if err != nil {
			return err
		}
		if len(res.Msg.GetListings()) != 1 {
			return fmt.Errorf("%d listings", len(res.Msg.GetListings()))
		}
		p.listing = res.Msg.GetListings()[0].GetId()
		return nil
	})
}

func (p *pair) orders() portalv1connect.OrderServiceClient {
	return portalv1connect.NewOrderServiceClient(http.DefaultClient, p.reseller.PortalURL, sidecartest.Bearer(p.portalKey))
}

func (p *pair) subscriptions() portalv1connect.SubscriptionServiceClient {
	return portalv1connect.NewSubscriptionServiceClient(http.DefaultClient, p.reseller.PortalURL, sidecartest.Bearer(p.portalKey))
}

// place sends the order; an error is the caller's to judge, since the reseller may have been killed while answering.
func (p *pair) place(id string, item *portalv1.OrderItem) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := p.orders().PlaceOrder(ctx, connect.NewRequest(&portalv1.PlaceOrderRequest{Id: id, Customer: "c-1", Items: []*portalv1.OrderItem{item}}))
	return err
}

func (p *pair) purchase() *portalv1.OrderItem {
	inputs, err := structpb.NewStruct(map[string]any{"title": "Team"})
	if err != nil {
		p.t.Fatal(err)
	}
	return &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_ADD, ListingId: p.listing, Inputs: inputs}
}

// completed places the order again and again, as a portal does that lost the answer, until it is completed.
func (p *pair) completed(id string, item *portalv1.OrderItem) *portalv1.Order {
	p.t.Helper()
	var order *portalv1.Order
	sidecartest.Eventually(p.t, 60*time.Second, "order "+id+" is completed", func() error {
		if err := p.place(id, item); err != nil {
			return err
		}
		res, err := p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		if err != nil {
			return err
		}
		order = res.Msg.GetOrder()
		if order.GetState() != "completed" {
			return fmt.Errorf("it is %s (%s)\nreseller:\n%s\nsupplier:\n%s", order.GetState(), order.GetReason(), tail(p.reseller.Log()), tail(p.supplier.Log()))
		}
		return nil
	})
	return order
}

func tail(s string) string {
	if len(s) > 3000 {
		return s[len(s)-3000:]
	}
	return s
}

// used opens the access data and calls the app that was bought.
func (p *pair) used(subscription string) error {
	res, err := p.subscriptions().RevealAccessData(context.Background(), connect.NewRequest(&portalv1.RevealAccessDataRequest{SubscriptionId: subscription}))
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, f := range res.Msg.GetFields() {
		values[f.GetName()] = f.GetValue()
	}
	req, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(values["url"], "/")+"/api/notes", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+values["password"])
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the app answers %d", answer.StatusCode)
	}
	return nil
}

// consistent checks what must hold after any crash: both ledgers verify, no order is open and no job is left (so the supplier
// has deleted its copy of the access data), each side has exactly the subscriptions that were bought, and exactly as many
// programs exist.
func (p *pair) consistent(active int) {
	p.t.Helper()
	ctx := context.Background()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		auth := sidecartest.Bearer(operatorToken(p.t, d))
		p.rests(d)
		open, err := operatorv1connect.NewOrderServiceClient(http.DefaultClient, d.OperatorURL, auth).
			ListOrders(ctx, connect.NewRequest(&operatorv1.ListOrdersRequest{OpenOnly: true}))
		if err != nil || len(open.Msg.GetOrders()) > 0 {
			p.t.Errorf("%s: open orders %v, %v", d.Name, open, err)
		}
		var v struct {
			Verified    bool  `json:"verified"`
			Differences int64 `json:"differences,string"`
		}
		if err := json.Unmarshal([]byte(d.Must("ledger", "verify", "-o", "json")), &v); err != nil || !v.Verified || v.Differences != 0 {
			p.t.Errorf("%s: ledgers do not verify: %+v, %v", d.Name, v, err)
		}
		states := p.states(d)
		if states["active"] != active {
			p.t.Errorf("%s: %d active subscriptions, %d were bought", d.Name, states["active"], active)
		}
		for _, over := range []string{"active", "terminated", "aborted"} { // aborted: cancelled
			delete(states, over)
		}
		if len(states) > 0 {
			p.t.Errorf("%s: there are subscriptions in between: %v", d.Name, states)
		}
	}
	programs, err := filepath.Glob(filepath.Join(p.apps, "instances", "*", "instance.json"))
	if err != nil || len(programs) != active {
		p.t.Errorf("%d programs for %d subscriptions, %v", len(programs), active, err)
	}
}

// rests waits until a daemon has no job left.
func (p *pair) rests(d *sidecartest.Daemon) {
	p.t.Helper()
	jobs := operatorv1connect.NewJobServiceClient(http.DefaultClient, d.OperatorURL, sidecartest.Bearer(operatorToken(p.t, d)))
	sidecartest.Eventually(p.t, time.Minute, d.Name+" has nothing left to do", func() error {
		res, err := jobs.ListJobs(context.Background(), connect.NewRequest(&operatorv1.ListJobsRequest{}))
		if err == nil && len(res.Msg.GetJobs()) > 0 {
			err = fmt.Errorf("jobs are left: %v", res.Msg.GetJobs())
		}
		return err
	})
}

// states counts a daemon's subscriptions by their state.
func (p *pair) states(d *sidecartest.Daemon) map[string]int {
	p.t.Helper()
	res, err := operatorv1connect.NewSubscriptionServiceClient(http.DefaultClient, d.OperatorURL, sidecartest.Bearer(operatorToken(p.t, d))).
		ListSubscriptions(context.Background(), connect.NewRequest(&operatorv1.ListSubscriptionsRequest{PageSize: 1000}))
	if err != nil {
		p.t.Fatal(err)
	}
	states := make(map[string]int)
	for _, s := range res.Msg.GetSubscriptions() {
		states[s.GetState()]++
	}
	return states
}

func operatorToken(t *testing.T, d *sidecartest.Daemon) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.Dir, "data", "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// crash is one point and the story that passes it, with the daemon that dies there.
type crash struct {
	point, story string
	supplier     bool
}

// Stories that pass a point.
const (
	purchase  = "purchase"
	terminate = "terminate"
	// rotated is new access data for what was bought.
	rotated = "rotate"
	// cancelled is an order that is cancelled while its supplier is away.
	cancelled = "cancel"
	// away is a purchase that waits for its supplier.
	away = "away"
	// started is the start alone, and a purchase after the next one.
	started = "start"
	// erased is a purchase that is ended, and its order erased.
	erased = "erase"
	// agreed is one more agreement.
	agreed = "agreement"
)

// crashes are all points with the stories that pass them.
func crashes() []crash {
	var all []crash
	for _, point := range failpoint.Names {
		supplier := strings.HasPrefix(point, "resale.") || strings.HasPrefix(point, "job.begin.") // what is handed over is accepted work
		add := func(stories ...string) {
			for _, story := range stories {
				all = append(all, crash{point, story, supplier})
			}
		}
		in := func(names ...string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(point, n) })
		}
		switch {
		case in("retail.overdue.", "retail.abandon."): // days pass before: TestAnEndIsKilledAtItsCommit in package retail
		case in("recovery."): // an old copy is put back: TestARestoredStoreIsKilledAtEachStep
		case in("recall."): // it is from before a life began: TestACopyFromBeforeALifeIsKilledAtEachStep
		case in("key.", "member.follow."): // a key is not rolled over twice in minutes: TestARolloverIsKilledAtEachStep
		case in("life."): // a fork ends: TestANewLifeIsKilledAtEachStep
		case in("resale.destroy."):
			add(terminate)
		case in("resale.act."):
			add(rotated)
		case in("books.prove."):
			add(started)
			supplier = true
			add(started)
		case in("outbox.settle.", "retail.sign."):
			add(away)
		case in("retail.cancel.", "resale.cancel."):
			add(cancelled)
		case in("retail.erase.", "resale.erase."):
			add(erased)
		case in("exchange.agreement."):
			add(agreed)
			supplier = true
			add(agreed)
		case in("outbox."):
			add(purchase, terminate, cancelled, erased)
		case in("retail.place.", "retail.feed.", "resale.place."):
			add(purchase, terminate)
		default:
			add(purchase)
		}
	}
	return all
}

func (c crash) String() string { return c.point + "/" + c.story + "/" + c.victim() }

func (c crash) victim() string {
	if c.supplier {
		return "supplier"
	}
	return "reseller"
}

// TestKilledAtEveryFailpoint sends SIGKILL to the real daemon at each point of both sides, starts it again and demands that
// the story ends well, once.
func TestKilledAtEveryFailpoint(t *testing.T) {
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for engine, database := range map[string]func(*testing.T) string{
		"sqlite": func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string {
			return fmt.Sprintf("database: {driver: postgres, dsn: %q}\n", server.Database(t))
		},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel() // most of a story is waiting
			p := newPairOn(t, func() string { return database(t) })
			all := crashes()
			var report []string
			failed := false // the story before
			for i, c := range all {
				t.Run(c.String(), func(t *testing.T) {
					p.within(t)
					if failed {
						p.recount()
					}
					failed = true // also where it ends early
					victim := p.reseller
					if c.supplier {
						victim = p.supplier
					}
					outcome := p.survives(c, victim, fmt.Sprintf("crash-order-%d", i))
					p.consistent(p.active)
					if failed = t.Failed(); !failed {
						report = append(report, fmt.Sprintf("%-52s %s", c, outcome))
					}
				})
			}
			fmt.Printf("crash points on %s: %d passed, %d failed\n%s\n", engine, len(report), len(all)-len(report), strings.Join(report, "\n"))
		})
	}
}

// within has all that follows be part of a story.
func (p *pair) within(t *testing.T) {
	p.t = t
	p.reseller.Within(t)
	p.supplier.Within(t)
}

// recount begins anew after a story that failed, wherever it ended, so that it fails no other: both daemons run without a point, and what is
// there now is what the next stories begin with.
func (p *pair) recount() {
	p.t.Helper()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		d.Kill()
		d.Start()
	}
	p.rests(p.reseller)
	p.rests(p.supplier)
	p.active = p.states(p.reseller)["active"]
	all, err := p.agreed(p.supplier)
	if err != nil {
		p.t.Fatal(err)
	}
	p.agreements = len(all) - 1
}

// survives tells a story in which the victim dies at the point and is started again.
func (p *pair) survives(c crash, victim *sidecartest.Daemon, id string) (outcome string) {
	item := p.purchase()
	if c.story == terminate || c.story == rotated {
		bought := p.completed("before-"+id, p.purchase())
		p.active++
		p.consistent(p.active)
		item = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: bought.GetItems()[0].GetSubscriptionId()}
		if c.story == rotated {
			item.Action, item.Intent = typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY, "rotate"
		}
	}
	if c.story == erased {
		return p.erases(c, victim, id)
	}
	if c.story == started {
		victim.Stop()
		victim.Launch("HANSE_FAILPOINT=" + c.point)
		if err := victim.WaitKilled(time.Minute); err != nil {
			p.t.Fatalf("the point was not passed: %v\n%s", err, tail(victim.Log()))
		}
		victim.Start()
		p.completed(id, item)
		p.active++
		return "completed after the next start"
	}
	alone := c.story == away || c.story == cancelled // the supplier is not there when it begins
	// What is sent in vain was signed, by a reseller that knew its books level.
	signs := alone && strings.HasPrefix(c.point, "outbox.")
	// What comes of an answer needs one, and so does what is signed when the books are level: nobody dies before the supplier is back.
	back := alone && (strings.HasSuffix(c.point, "_apply") || strings.HasPrefix(c.point, "retail.sign."))
	if alone && !signs {
		p.supplier.Stop()
	}
	armed := func() {
		victim.Stop()
		victim.Arm(c.point)
	}
	if !alone || victim == p.reseller {
		armed()
	}
	if signs {
		p.level()
		p.supplier.Stop()
	}
	switch c.story {
	case agreed:
		p.agrees()
	case cancelled:
		mayDie := victim == p.reseller && !back // and then both are repeated before the supplier is back
		if err := p.place(id, item); err != nil && !mayDie {
			p.t.Fatal(err)
		}
		if err := p.cancel(id); err != nil && !mayDie {
			p.t.Fatal(err)
		}
		if back {
			p.cancelTried()
		}
		if victim == p.supplier { // what waits for it may come, and end it, before anybody finds it ready
			victim.Launch("HANSE_FAILPOINT=" + c.point)
		}
	default:
		if err := p.place(id, item); err != nil && victim != p.reseller {
			p.t.Fatalf("the reseller's portal suffers from the supplier's crash: %v", err)
		}
	}
	if back {
		p.supplier.Start()
	}
	if err := victim.WaitKilled(time.Minute); err != nil {
		p.t.Fatalf("the point was not passed: %v\n%s", err, tail(victim.Log()))
	}
	victim.Start()
	if alone && !back && victim == p.reseller {
		if c.story == cancelled {
			p.cancels(id, item, "assessingCancellation", "cancelled")
		}
		p.supplier.Start()
	}
	switch c.story {
	case agreed:
		p.haveAgreed()
		return "agreed once"
	case cancelled:
		p.cancels(id, item, "cancelled")
		return "cancelled once"
	}
	order := p.completed(id, item)
	if c.story == terminate {
		p.active--
		return "terminated once"
	}
	if c.story != rotated {
		p.active++
	}
	bought := order.GetItems()[0].GetSubscriptionId()
	sidecartest.Eventually(p.t, 40*time.Second, "what was bought can be used", func() error { return p.used(bought) })
	return "completed once"
}

// level waits until the reseller knows that its books with the supplier are level.
func (p *pair) level() {
	p.t.Helper()
	sidecartest.Eventually(p.t, time.Minute, "the books are level", func() error {
		out, err := p.reseller.Run("partner", "show", p.supplier.Origin, "-o", "json")
		if err == nil && !strings.Contains(out, `"books": "level"`) && !strings.Contains(out, `"books":"level"`) {
			err = errors.New(out)
		}
		return err
	})
}

func (p *pair) cancel(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := p.orders().CancelOrder(ctx, connect.NewRequest(&portalv1.CancelOrderRequest{Id: id}))
	return err
}

// cancelTried waits until a cancel was sent to the supplier in vain. One call at a time is under way, so that none which began before the
// order was cancelled can still arrive: a cancel stops no call.
func (p *pair) cancelTried() {
	p.t.Helper()
	jobs := operatorv1connect.NewJobServiceClient(http.DefaultClient, p.reseller.OperatorURL, sidecartest.Bearer(operatorToken(p.t, p.reseller)))
	sidecartest.Eventually(p.t, time.Minute, "the cancel was tried", func() error {
		res, err := jobs.ListJobs(context.Background(), connect.NewRequest(&operatorv1.ListJobsRequest{}))
		if err != nil {
			return err
		}
		for _, j := range res.Msg.GetJobs() {
			if j.GetKind() == retail.JobCancel && j.GetAttempts() > 0 {
				return nil
			}
		}
		return fmt.Errorf("there are %v", res.Msg.GetJobs())
	})
}

// cancels places the order and cancels it again and again, as a portal does that lost the answers, until it is in one of the states.
func (p *pair) cancels(id string, item *portalv1.OrderItem, states ...string) {
	p.t.Helper()
	sidecartest.Eventually(p.t, 60*time.Second, "order "+id+" is "+states[0], func() error {
		if err := p.place(id, item); err != nil {
			return err
		}
		if err := p.cancel(id); err != nil {
			return fmt.Errorf("%w\nreseller:\n%s\nsupplier:\n%s", err, tail(p.reseller.Log()), tail(p.supplier.Log()))
		}
		res, err := p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		if err == nil && !slices.Contains(states, res.Msg.GetOrder().GetState()) {
			err = fmt.Errorf("it is %s\nreseller:\n%s\nsupplier:\n%s", res.Msg.GetOrder().GetState(), tail(p.reseller.Log()), tail(p.supplier.Log()))
		}
		return err
	})
}

// currencies are those of further agreements; each pair has one for each.
var currencies = []string{"SEK", "NOK", "DKK", "CHF", "PLN", "CZK"}

// agrees offers one more agreement, and accepts it as soon as it is there; either side may die meanwhile.
func (p *pair) agrees() {
	p.t.Helper()
	p.agreements++
	sidecartest.Eventually(p.t, 30*time.Second, "an agreement is offered", func() error {
		out, err := p.supplier.Run("agreement", "offer", p.reseller.Origin, "--discount", "20%", "--currency", currencies[p.agreements-1])
		if err != nil && !strings.Contains(out+err.Error(), "books_unproven") {
			p.t.Fatal(err, out)
		}
		return err
	})
	sidecartest.Eventually(p.t, 30*time.Second, "the offer arrives, or somebody dies of it", func() error {
		out, err := p.reseller.Run("partner", "accept", p.supplier.Origin, "--yes")
		if err != nil && strings.Contains(out+err.Error(), "agreement_not_offered") {
			return err
		}
		return nil
	})
}

// haveAgreed waits until all agreements so far are active on both sides.
func (p *pair) haveAgreed() {
	p.t.Helper()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		sidecartest.Eventually(p.t, time.Minute, "the agreements are active for "+d.Name, func() error {
			_, accepting := p.reseller.Run("partner", "accept", p.supplier.Origin, "--yes")
			all, err := p.agreed(d)
			if err != nil {
				return err
			}
			active := 0
			for _, a := range all {
				if a.GetState() == "active" {
					active++
				}
			}
			if active != 1+p.agreements || len(all) != active {
				return fmt.Errorf("%d of %d are active, want %d; accepting: %v", active, len(all), 1+p.agreements, accepting)
			}
			return nil
		})
	}
}

// agreed lists a daemon's agreements.
func (p *pair) agreed(d *sidecartest.Daemon) ([]*operatorv1.Agreement, error) {
	res, err := operatorv1connect.NewAgreementServiceClient(http.DefaultClient, d.OperatorURL, sidecartest.Bearer(operatorToken(p.t, d))).
		ListAgreements(context.Background(), connect.NewRequest(&operatorv1.ListAgreementsRequest{}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetAgreements(), nil
}
