package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// lives forks the books of a pair and has both sign a new life, in which what only the supplier knows is ended. It returns that subscription.
func (p *pair) lives(name string) (lost string) {
	p.t.Helper()
	lost = p.forks(name, 1)
	p.agree(lost)
	p.completed(name+"-0003", p.purchase())
	return lost
}

// agree has both sign a new life in which a subscription is ended.
func (p *pair) agree(lost string) {
	p.t.Helper()
	propose := []string{"ledger", "fork", "propose", p.reseller.Origin, "--set", lost + "=terminated,supplier", "--yes"}
	sidecartest.Eventually(p.t, time.Minute, "it is proposed", func() error { _, err := p.supplier.Run(propose...); return err })
	sidecartest.Eventually(p.t, time.Minute, "it is signed", func() error {
		_, err := p.reseller.Run("ledger", "fork", "sign", p.supplier.Origin, "--yes")
		return err
	})
	becomes(p.t, p.supplier, p.reseller.Origin, "level")
	becomes(p.t, p.reseller, p.supplier.Origin, "level")
}

// same asks that everything is as it was: the orders, what runs, both ledgers.
func (p *pair) same(running int, ids ...string) {
	p.t.Helper()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		partner := p.supplier.Origin
		if d == p.supplier {
			partner = p.reseller.Origin
		}
		becomes(p.t, d, partner, "level")
		if n := told(d, "level=ERROR msg=\"nobody gave back"); n != 0 {
			p.t.Errorf("%s: %d entries came back without what they had made:\n%s", d.Name, n, tail(d.Log()))
		}
	}
	for _, id := range ids {
		if o := p.ordered(id); o.GetState() != "completed" || o.GetId() != id {
			p.t.Errorf("order %s is %s (%s) under id %s\n%s", id, o.GetState(), o.GetReason(), o.GetId(), tail(p.reseller.Log()))
		}
		if err := p.place(id, p.purchase()); err != nil {
			p.t.Errorf("the portal repeats %s: %v", id, err)
		}
	}
	sidecartest.Eventually(p.t, time.Minute, "what both ended is wound down, and nothing else", func() error {
		if n := p.programs(); n != running {
			return fmt.Errorf("%d programs run, not %d", n, running)
		}
		return nil
	})
	p.verifies()
}

// TestACopyFromBeforeNewLivesCatchesUp on either side, over one life and over two, and from nothing but keys.
func TestACopyFromBeforeNewLivesCatchesUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-old", p.purchase())
	reseller, supplier := copied(t, p.reseller), copied(t, p.supplier)
	p.completed("order-after", p.purchase())
	p.lives("one")
	p.known(p.reseller)
	p.known(p.supplier)
	all := []string{"order-old", "order-after", "one-0001", "one-0003"}
	_, wrote := stands(t, p.reseller, p.supplier.Origin)
	reseller()
	p.same(4, all...)
	if _, own := stands(t, p.reseller, p.supplier.Origin); own < wrote {
		t.Errorf("our ledger has %d entries of this life, %d were signed", own, wrote)
	}
	supplier()
	p.same(4, all...)
	p.completed("order-one", p.purchase())
	all = append(all, "order-one")
	p.known(p.reseller)
	p.known(p.supplier)

	p.lives("two")
	p.known(p.reseller)
	p.known(p.supplier)
	all = append(all, "two-0001", "two-0003")
	reseller()
	p.same(7, all...)
	p.known(p.reseller)
	supplier()
	p.same(7, all...)
	p.known(p.supplier)

	p.emptied(p.reseller)
	p.sells()
	p.same(7, all...)
	p.known(p.reseller)
	p.emptied(p.supplier)
	p.same(7, all...)
	offerings := filepath.Join(p.supplier.Dir, "offerings.yaml")
	if err := os.WriteFile(offerings, []byte(notesOffering), 0o600); err != nil {
		t.Fatal(err)
	}
	p.supplier.Must("offering", "apply", "-f", offerings)
	anew := p.buysAnew()
	p.completed("order-ended", p.termination(p.ordered("two-0001")))
	p.same(7, anew)
}

// buysAnew places orders until one is completed, and returns its id: a supplier that was put back has its offerings under other numbers, and what is
// ordered before its reseller has read them is rejected.
func (p *pair) buysAnew() (id string) {
	p.t.Helper()
	n := 0
	sidecartest.Eventually(p.t, 30*time.Second, "a new order goes through", func() error {
		n++
		id = fmt.Sprintf("order-new-%d", n)
		if err := p.place(id, p.purchase()); err != nil {
			return err
		}
		var o *portalv1.Order
		sidecartest.Eventually(p.t, time.Minute, "order "+id+" ends", func() error {
			if o = p.ordered(id); o.GetState() != "completed" && o.GetState() != "rejected" {
				return fmt.Errorf("it is %s (%s)", o.GetState(), o.GetReason())
			}
			return nil
		})
		if o.GetState() != "completed" {
			out, _ := p.supplier.Run("order", "list")
			return fmt.Errorf("it is %s (%s)\n%s", o.GetState(), o.GetReason(), out)
		}
		return nil
	})
	return id
}

// emptied loses all of a member but its keys.
func (p *pair) emptied(d *sidecartest.Daemon) {
	p.t.Helper()
	file := backedUp(p.t, d, "key", "export")
	d.Kill()
	elsewhere(p.t, d, file, nil, "key", "import")
	d.Start()
	partner := p.supplier.Origin
	if d == p.supplier {
		partner = p.reseller.Origin
	}
	becomes(p.t, d, partner, "level")
}

// TestACopyFromBeforeALifeIsKilledAtEachStep of its way over the beginning of that life, on either side, and goes on from there with the next
// start.
func TestACopyFromBeforeALifeIsKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-old", p.purchase())
	putBack := map[*sidecartest.Daemon]func(env ...string){p.reseller: copied(t, p.reseller), p.supplier: copied(t, p.supplier)}
	p.completed("order-after", p.purchase())
	p.lives("one")
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		p.known(d)
		for _, point := range failpoint.Names {
			if !strings.HasPrefix(point, "recall.") || d == p.supplier && strings.HasPrefix(point, "recall.ended.") {
				continue // the supplier's copy has all that both had alike of the reseller's ledger
			}
			putBack[d]("HANSE_FAILPOINT=" + point)
			if err := d.WaitKilled(time.Minute); err != nil {
				t.Fatalf("%s of %s was not passed: %v\n%s", point, d.Name, err, tail(d.Log()))
			}
			d.Start()
			p.same(4, "order-old", "order-after", "one-0001", "one-0003")
			p.known(d)
		}
	}
	p.buysAnew()
}

// TestACopyFromAForkCatchesUp: it was made while both operators still spoke about the fork. That both signed its end proves our own signature
// of the life that came then.
func TestACopyFromAForkCatchesUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for side, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		name := d.Name
		lost := p.forks(name, 1)
		putBack := copied(t, d)
		p.agree(lost)
		p.completed(name+"-0003", p.purchase())
		p.known(d)
		putBack()
		p.same(2*(side+1), name+"-0001", name+"-0003")
	}
	p.buysAnew()
}

// TestAnEndThatWasCalledOffBeforeItArrivedIsNothingAfterALostDisk: the supplier had its cancel alone, and keeps nothing else of it. The reseller has it
// cancelled again when it was made of its keys, and what came after it about the same service: that runs, and ends when it is ended.
func TestAnEndThatWasCalledOffBeforeItArrivedIsNothingAfterALostDisk(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	end := p.termination(p.completed("order-old", p.purchase()))
	p.known(p.reseller)
	p.supplier.Kill()
	if err := p.place("order-end", end); err != nil {
		t.Fatal(err)
	}
	if err := p.cancel("order-end"); err != nil {
		t.Fatal(err)
	}
	p.supplier.Start()
	p.cancelled("order-end")
	ended := p.termination(p.completed("order-second", p.purchase()))
	p.completed("order-ended", ended)
	p.known(p.reseller)
	p.known(p.supplier)

	p.emptied(p.reseller)
	p.sells()
	p.verifies()
	if parked := p.reseller.Must("ledger", "parked", "list", "-o", "json"); strings.Contains(parked, "order.cancelled") {
		t.Errorf("what the supplier says of it waits for an operator: %s", parked)
	}
	if err := p.place("order-end", end); err != nil {
		t.Errorf("its portal repeats it: %v", err)
	}
	p.cancelled("order-end")
	if o := p.ordered("order-end"); o.GetItems()[0].GetAction() != typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE {
		t.Errorf("it asks for %s", o.GetItems()[0].GetAction())
	}
	p.completed("order-old", p.purchase()) // the service is its customer's again once the portal says so
	p.completed("order-end-2", end)
	sidecartest.Eventually(t, time.Minute, "nothing runs any more", func() error {
		if n := p.programs(); n != 0 {
			return fmt.Errorf("%d programs run", n)
		}
		return nil
	})
	p.verifies()
}
