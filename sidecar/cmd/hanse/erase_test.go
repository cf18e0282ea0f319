package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// over is an order that was made, and ended.
func (p *pair) over(id string) {
	p.t.Helper()
	p.completed("end-"+id, p.termination(p.completed(id, p.purchase())))
}

// erasures are what a daemon's ledger says of erased orders, by kind.
func (p *pair) erasures(d *sidecartest.Daemon, partner string) map[string][]string {
	p.t.Helper()
	var log struct{ Entries []string }
	if err := json.Unmarshal([]byte(d.Must("ledger", "show", partner, "--limit", "5000", "-o", "json")), &log); err != nil {
		p.t.Fatal(err)
	}
	all := map[string][]string{}
	for _, raw := range log.Entries {
		if e := readEntry(raw); e.Kind == "erase.placed" || e.Kind == "order.erased" {
			all[e.Kind] = append(all[e.Kind], e.Subject)
		}
	}
	return all
}

// isErased waits until the order names nobody and its supplier has said so, once.
func (p *pair) isErased(id string) {
	p.t.Helper()
	var subscription string
	sidecartest.Eventually(p.t, time.Minute, "order "+id+" is erased", func() error {
		res, err := p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
		if err != nil {
			return err
		}
		o := res.Msg.GetOrder()
		subscription = o.GetItems()[0].GetSubscriptionId()
		if o.GetCustomer() != "" || o.GetErasedAt() == nil {
			return fmt.Errorf("it is %v", o)
		}
		jobs, err := operatorv1connect.NewJobServiceClient(http.DefaultClient, p.reseller.OperatorURL, sidecartest.Bearer(operatorToken(p.t, p.reseller))).
			ListJobs(context.Background(), connect.NewRequest(&operatorv1.ListJobsRequest{}))
		if err != nil {
			return err
		}
		for _, j := range jobs.Msg.GetJobs() {
			if j.GetKind() == "order.erase" {
				return fmt.Errorf("left is %v\nreseller:\n%s\nsupplier:\n%s", j, tail(p.reseller.Log()), tail(p.supplier.Log()))
			}
		}
		return nil
	})
	for d, partner := range map[*sidecartest.Daemon]string{p.reseller: p.supplier.Origin, p.supplier: p.reseller.Origin} {
		n := 0
		for _, subjects := range p.erasures(d, partner) {
			n += strings.Count(strings.Join(subjects, " ")+" ", subscription+" ")
		}
		if n != 1 {
			p.t.Errorf("%s says %d times that %s was erased: %v", d.Name, n, subscription, p.erasures(d, partner))
		}
	}
}

// erases tells the story of an order that is erased, in which the victim dies at the point and is started again.
func (p *pair) erases(c crash, victim *sidecartest.Daemon, id string) (outcome string) {
	p.over(id)
	p.consistent(p.active)
	p.level()
	victim.Stop()
	victim.Arm(c.point)
	p.level()
	if out, err := p.reseller.Run("order", "erase", id, "--portal", "shop", "--yes"); err != nil && victim != p.reseller {
		p.t.Fatalf("%v: %s", err, out)
	}
	if err := victim.WaitKilled(time.Minute); err != nil {
		p.t.Fatalf("the point was not passed: %v\n%s", err, tail(victim.Log()))
	}
	victim.Start()
	p.level()
	sidecartest.Eventually(p.t, time.Minute, "an operator who had no answer repeats it", func() error {
		out, err := p.reseller.Run("order", "erase", id, "--portal", "shop", "--yes")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	p.isErased(id)
	return "erased once"
}

// TestAnErasedOrderStaysErased: an old copy of the reseller's database is put back, in which it has its customer; then its disk is emptied, and
// so has the supplier an old copy put back, in which it has the escrow.
func TestAnErasedOrderStaysErased(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.over("order-gone")
	p.completed("order-kept", p.purchase())
	resellers, suppliers := copied(t, p.reseller), copied(t, p.supplier)
	p.level()
	out := p.reseller.Must("order", "erase", "order-gone", "--portal", "shop", "--yes")
	if strings.Contains(out, "c-1") {
		t.Errorf("it says %s", out)
	}
	p.isErased("order-gone")
	p.known(p.reseller)
	p.known(p.supplier)

	resellers()
	becomes(t, p.reseller, p.supplier.Origin, "level")
	p.isErased("order-gone")
	if err := p.place("order-gone", p.purchase()); err == nil || !strings.Contains(err.Error(), "erased") {
		t.Errorf("it is ordered again: %v", err)
	}

	suppliers()
	becomes(t, p.supplier, p.reseller.Origin, "level")
	p.level()
	p.isErased("order-gone")
	p.verifies()

	file := backedUp(t, p.reseller, "key", "export")
	p.reseller.Kill()
	elsewhere(t, p.reseller, file, nil, "key", "import")
	p.reseller.Start()
	becomes(t, p.reseller, p.supplier.Origin, "level")
	p.opens()
	p.isErased("order-gone")
	if o := p.ordered("order-kept"); o.GetState() != "completed" || o.GetErasedAt() != nil {
		t.Errorf("the other order is %v", o)
	}
	p.verifies()
	if n := told(p.reseller, "nobody gave back") + told(p.reseller, "came back without"); n != 0 {
		t.Errorf("something is lost:\n%s", tail(p.reseller.Log()))
	}
}

// TestWhatALaterLifeErasedComesBackInNone: a copy from before two new lives goes over the first one, and knows already what our ledger of the second
// one says was erased; so does the supplier's copy, in which it has the escrow.
func TestWhatALaterLifeErasedComesBackInNone(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-gone", p.purchase())
	reseller, supplier := copied(t, p.reseller), copied(t, p.supplier)
	p.completed("end-order-gone", p.termination(p.ordered("order-gone")))
	p.lives("one")
	p.lives("two")
	p.reseller.Must("order", "erase", "order-gone", "--portal", "shop", "--yes")
	p.isErased("order-gone")
	p.known(p.reseller)
	p.known(p.supplier)

	reseller("HANSE_FAILPOINT=recall.life.before_commit")
	if err := p.reseller.WaitKilled(time.Minute); err != nil {
		t.Fatalf("no life was gone over: %v\n%s", err, tail(p.reseller.Log()))
	}
	p.supplier.Stop()
	p.reseller.Start()
	if o := p.ordered("order-gone"); o.GetCustomer() != "" || o.GetErasedAt() == nil {
		t.Errorf("before the life that erased it is read, the copy has %v", o)
	}
	p.supplier.Start()
	becomes(t, p.reseller, p.supplier.Origin, "level")
	p.isErased("order-gone")
	if n := told(p.reseller, "nobody gave back"); n != 0 {
		t.Errorf("something is lost:\n%s\n%s", p.reseller.Log(), p.reseller.Must("ledger", "show", p.supplier.Origin))
	}
	supplier()
	becomes(t, p.supplier, p.reseller.Origin, "level")
	p.level()
	p.isErased("order-gone")
	p.verifies()
}
