package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// forkShown is what hanse ledger fork show -o json has.
type forkShown struct {
	Books, Reason, Draft, Missing string
	Subjects                      []struct{ Subscription, Supplier, State, Pays, Ours, Theirs string }
	Documents                     []struct{ ID, State, Reason string }
}

func forkOf(t *testing.T, d *sidecartest.Daemon, partner string) (v forkShown) {
	t.Helper()
	out := d.Must("ledger", "fork", "show", partner, "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// forks makes a fork as they are made: the reseller's database is put back from a copy while its supplier is away, its operator vouches for
// it, and it signs anew where it had signed before: less than it had, which leaves it behind, or as much, which both see as a fork. It returns
// the subscription of which only the supplier knows then.
func (p *pair) forks(name string, anew int) (lost string) {
	p.t.Helper()
	p.completed(name+"-0001", p.purchase())
	p.known(p.reseller)
	putBack := copied(p.t, p.reseller)
	lost = p.completed(name+"-0002", p.purchase()).GetItems()[0].GetSubscriptionId()
	p.known(p.reseller)
	p.supplier.Stop()
	putBack()
	sidecartest.Eventually(p.t, time.Minute, "the operator vouches", func() error {
		_, err := p.reseller.Run("partner", "vouch", p.supplier.Origin, "--reason", "I am sure", "--yes")
		return err
	})
	for i := range anew {
		if err := p.place(fmt.Sprintf("%s-000%d", name, 3+i), p.purchase()); err != nil {
			p.t.Fatal(err)
		}
	}
	p.supplier.Start()
	sidecartest.Eventually(p.t, time.Minute, "a fork is known", func() error {
		for _, d := range []*sidecartest.Daemon{p.supplier, p.reseller} {
			partner := p.reseller.Origin
			if d == p.reseller {
				partner = p.supplier.Origin
			}
			if books, _ := stands(p.t, d, partner); books == "forked" {
				return nil
			}
		}
		return errors.New(tail(p.supplier.Log()))
	})
	return lost
}

// TestAForkEndsWithANewLifeThatBothSign: what only one side knows gets the end that both operators agreed on, what was not decided is decided
// in the new life, and business goes on.
func TestAForkEndsWithANewLifeThatBothSign(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	lost := p.forks("order", 1)
	sidecartest.Eventually(t, time.Minute, "both operators see that they have to act", func() error {
		for d, partner := range map[*sidecartest.Daemon]string{p.reseller: p.supplier.Origin, p.supplier: p.reseller.Origin} {
			if out := d.Must("partner", "show", partner); !strings.Contains(out, "fork") {
				return fmt.Errorf("%s shows %s", d.Name, out)
			}
		}
		return nil
	})
	shown := forkOf(t, p.supplier, p.reseller.Origin)
	if shown.Draft == "" || len(shown.Subjects) == 0 {
		t.Fatalf("the supplier shows %+v", shown)
	}
	if out, err := p.reseller.Run("ledger", "fork", "sign", p.supplier.Origin, "--yes"); err == nil || !strings.Contains(err.Error(), "life_unknown") {
		t.Errorf("there is nothing to sign: %v\n%s", err, out)
	}
	propose := func(state string) {
		t.Helper()
		p.supplier.Must("ledger", "fork", "propose", p.reseller.Origin, "--set", lost+"="+state, "--yes", "--reason", "as told on the phone")
	}
	propose("active,reseller")
	arrived := func(rounds int) {
		t.Helper()
		sidecartest.Eventually(t, time.Minute, "the proposal is there", func() error {
			if v := forkOf(t, p.reseller, p.supplier.Origin); len(v.Documents) < rounds {
				return fmt.Errorf("there are %+v\n%s", v.Documents, tail(p.supplier.Log()))
			}
			return nil
		})
	}
	arrived(1)
	if out, err := p.reseller.Run("ledger", "fork", "sign", p.supplier.Origin, "--yes"); err == nil || !strings.Contains(err.Error(), "life_state") {
		t.Errorf("of what is not here nobody can say that it runs: %v\n%s", err, out)
	}
	if out, err := p.supplier.Run("ledger", "fork", "sign", p.reseller.Origin, "--alone", "--yes"); err == nil || !strings.Contains(err.Error(), "life_alone_early") {
		t.Errorf("the first day nobody ends anything alone: %v\n%s", err, out)
	}
	p.supplier.Must("ledger", "fork", "withdraw", p.reseller.Origin, "--reason", "it does not run there")
	if v := forkOf(t, p.supplier, p.reseller.Origin); v.Documents[0].State != "withdrawn" || v.Documents[0].Reason != "it does not run there" {
		t.Errorf("it is %+v", v.Documents[0])
	}
	propose("terminated,reseller")
	arrived(2)
	p.reseller.Must("ledger", "fork", "sign", p.supplier.Origin, "--yes")
	becomes(t, p.supplier, p.reseller.Origin, "level")
	becomes(t, p.reseller, p.supplier.Origin, "level")
	p.completed("order-0003", p.purchase())
	p.completed("order-0004", p.purchase())
	p.completed("order-end", p.termination(p.ordered("order-0001")))
	sidecartest.Eventually(t, time.Minute, "what both ended is wound down", func() error {
		if n := p.programs(); n != 2 {
			return fmt.Errorf("%d programs run", n)
		}
		return nil
	})
	p.verifies()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		partner := p.supplier.Origin
		if d == p.supplier {
			partner = p.reseller.Origin
		}
		if out := d.Must("ledger", "show", partner, "--life", "0", "-o", "json"); !strings.Contains(out, "agreement.") {
			t.Errorf("the ended life of %s cannot be read: %s", d.Name, out)
		}
		if out := d.Must("ledger", "show", partner, "--life", "1"); !strings.Contains(out, "life.opened") {
			t.Errorf("the new life of %s begins with %s", d.Name, out)
		}
		if out, _ := d.Run("job", "list"); strings.Contains(out, "life.") {
			t.Errorf("jobs are left: %s", out)
		}
	}
}

// TestANewLifeIsKilledAtEachStep of its way, on either side, and goes on from there with the next start: fork after fork, life after life.
func TestANewLifeIsKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	running := 0
	for i, point := range failpoint.Names {
		if !strings.HasPrefix(point, "life.") {
			continue
		}
		name := fmt.Sprintf("order-%d", i)
		lost := p.forks(name, 1)
		running += 2 // what only the supplier knows is ended
		killed := p.supplier
		if strings.HasPrefix(point, "life.sign.") {
			killed = p.reseller
		}
		killed.Stop()
		killed.Launch("HANSE_FAILPOINT=" + point)
		propose := func() error {
			_, err := p.supplier.Run("ledger", "fork", "propose", p.reseller.Origin, "--set", lost+"=terminated,supplier", "--yes")
			return err
		}
		sign := func() error {
			_, err := p.reseller.Run("ledger", "fork", "sign", p.supplier.Origin, "--yes")
			return err
		}
		dies := func() {
			t.Helper()
			if err := killed.WaitKilled(time.Minute); err != nil {
				t.Fatalf("%s of %s was not passed: %v\n%s", point, killed.Name, err, tail(killed.Log()))
			}
			killed.Start()
		}
		again := func(what string, do func() error) {
			t.Helper()
			sidecartest.Eventually(t, time.Minute, what, do)
		}
		again("the proposal", func() error {
			if err := propose(); err == nil || told(killed, point) > 0 {
				return nil
			} else if strings.HasPrefix(point, "life.propose.") && killed.WaitKilled(time.Second) == nil {
				return nil
			} else {
				return err
			}
		})
		if strings.HasPrefix(point, "life.propose.") {
			dies()
			if v := forkOf(t, p.supplier, p.reseller.Origin); len(v.Documents) == 0 || v.Documents[0].State != "proposed" {
				again("the proposal once more", propose)
			}
		}
		again("the signature", func() error {
			if err := sign(); err != nil && !(strings.HasPrefix(point, "life.sign.") && killed.WaitKilled(time.Second) == nil) {
				return err
			}
			return nil
		})
		if strings.HasPrefix(point, "life.sign.") {
			dies()
			if v := forkOf(t, p.reseller, p.supplier.Origin); v.Documents[0].State == "proposed" {
				again("the signature once more", sign)
			}
		}
		if strings.HasPrefix(point, "life.apply.") {
			dies()
		}
		becomes(t, p.supplier, p.reseller.Origin, "level")
		becomes(t, p.reseller, p.supplier.Origin, "level")
		p.completed(name+"-0003", p.purchase())
		again("what both ended is wound down", func() error {
			if n := p.programs(); n != running {
				return fmt.Errorf("killed at %s, %d programs run, not %d", point, n, running)
			}
			return nil
		})
	}
	p.verifies()
}
