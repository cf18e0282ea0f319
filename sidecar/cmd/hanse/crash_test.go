package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// pair is a reseller and a supplier as real daemons, with an agreement and one offering that the process adapter provides.
type pair struct {
	t                  *testing.T
	reseller, supplier *sidecartest.Daemon
	portalKey          string
	listing            string
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
    required: [title]
    properties:
      title: {type: string, title: Name of the space, minLength: 1, maxLength: 40}
  outputs:
    type: object
    properties:
      url: {type: string, title: Address}
      password: {type: string, title: Password, writeOnly: true}
  step:
    adapter: process
    connection: apps
    with: {program: notes, settings: {title: "${inputs.title}"}}
`

func newPair(t *testing.T) *pair {
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
	p := &pair{t: t}
	p.supplier = sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "supplier", DevCA: ca, Extra: fmt.Sprintf(`adapters:
  connections:
    apps: {adapter: process, config: {data_dir: %q, programs: {notes: {command: "self:notes"}}, dev: true}}
`, apps)})
	p.reseller = sidecartest.NewDaemon(t, sidecartest.DaemonConfig{Name: "reseller", DevCA: ca})
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
		_, err := p.reseller.Run("partner", "accept", p.supplier.Origin)
		return err
	})
	var added struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal([]byte(p.reseller.Must("portal", "add", "shop", "-o", "json")), &added); err != nil {
		t.Fatal(err)
	}
	p.portalKey = added.Key
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
	return p
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

// consistent checks what must hold after any crash: both ledgers verify, no order is open, each side has exactly the
// subscriptions that were bought, and no secret waits at the supplier.
func (p *pair) consistent(active int) {
	p.t.Helper()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		var v struct {
			Verified    bool  `json:"verified"`
			Differences int64 `json:"differences,string"`
		}
		if err := json.Unmarshal([]byte(d.Must("ledger", "verify", "-o", "json")), &v); err != nil || !v.Verified || v.Differences != 0 {
			p.t.Errorf("%s: ledgers do not verify: %+v, %v", d.Name, v, err)
		}
		client := operatorv1connect.NewSubscriptionServiceClient(http.DefaultClient, d.OperatorURL, sidecartest.Bearer(operatorToken(p.t, d)))
		res, err := client.ListSubscriptions(context.Background(), connect.NewRequest(&operatorv1.ListSubscriptionsRequest{PageSize: 1000}))
		if err != nil {
			p.t.Fatal(err)
		}
		have := 0
		for _, s := range res.Msg.GetSubscriptions() {
			if s.GetState() == "active" {
				have++
			} else if s.GetState() != "terminated" {
				p.t.Errorf("%s: subscription %s is %s", d.Name, s.GetId(), s.GetState())
			}
		}
		if have != active {
			p.t.Errorf("%s: %d active subscriptions, %d were bought", d.Name, have, active)
		}
	}
}

func operatorToken(t *testing.T, d *sidecartest.Daemon) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(d.Dir, "data", "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// TestKilledAtEveryFailpoint sends SIGKILL to the real daemon at each point of both sides, starts it again and demands that
// the order finishes, once.
func TestKilledAtEveryFailpoint(t *testing.T) {
	p := newPair(t)
	active := 0
	var report []string
	for _, point := range failpoint.Names {
		t.Run(point, func(t *testing.T) {
			p.t = t
			victim := p.reseller
			if strings.HasPrefix(point, "resale.") {
				victim = p.supplier
			}
			item := p.purchase()
			if strings.HasPrefix(point, "resale.destroy.") {
				bought := p.completed("before-"+point, p.purchase())
				item = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: bought.GetItems()[0].GetSubscriptionId()}
				active++
			}
			victim.Stop()
			victim.Start("HANSE_FAILPOINT=" + point)
			placed := p.place("crash-"+point, item)
			if placed != nil && victim != p.reseller {
				t.Fatalf("the reseller's portal suffers from the supplier's crash: %v", placed)
			}
			if err := victim.WaitKilled(30 * time.Second); err != nil {
				t.Fatalf("the point was not passed: %v\n%s", err, tail(victim.Log()))
			}
			victim.Start()
			order := p.completed("crash-"+point, item)
			outcome := "completed once"
			if item.GetAction() == typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE {
				active--
				outcome = "terminated once"
			} else {
				active++
				id := order.GetItems()[0].GetSubscriptionId()
				sidecartest.Eventually(t, 40*time.Second, "what was bought can be used", func() error { return p.used(id) })
			}
			p.consistent(active)
			if !t.Failed() {
				report = append(report, fmt.Sprintf("%-36s %-9s %s", point, victim.Name, outcome))
			}
		})
	}
	t.Logf("SIGKILL at %d points:\n%s", len(failpoint.Names), strings.Join(report, "\n"))
	fmt.Printf("crash points: %d passed, %d failed\n%s\n", len(report), len(failpoint.Names)-len(report), strings.Join(report, "\n"))
}
