package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// copied copies a daemon's folder while it is stopped, and returns what puts the copy back, which stops and starts it.
func copied(t *testing.T, d *sidecartest.Daemon) (putBack func()) {
	t.Helper()
	data, kept := filepath.Join(d.Dir, "data"), filepath.Join(t.TempDir(), "copy")
	d.Stop()
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	d.Start()
	return func() {
		t.Helper()
		d.Stop()
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(data, os.DirFS(kept)); err != nil {
			t.Fatal(err)
		}
		private(t, data)
		d.Start()
	}
}

// private takes away what os.CopyFS gives: it makes copies that everybody can read.
func private(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		mode := fs.FileMode(0o600)
		if err == nil && e.IsDir() {
			mode = 0o700
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stands is what a daemon says of its only partner.
func stands(t *testing.T, d *sidecartest.Daemon, partner string) (books string, own int64) {
	t.Helper()
	var shown struct {
		Partner struct {
			Books string `json:"books"`
			Own   int64  `json:"ownLedgerSeq,string"`
		} `json:"partner"`
	}
	out := d.Must("partner", "show", partner, "-o", "json")
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return shown.Partner.Books, shown.Partner.Own
}

func becomes(t *testing.T, d *sidecartest.Daemon, partner, want string) {
	t.Helper()
	sidecartest.Eventually(t, time.Minute, "the books of "+d.Name+" are "+want, func() error {
		if books, _ := stands(t, d, partner); books != want {
			return fmt.Errorf("they are %s\n%s", books, tail(d.Log()))
		}
		return nil
	})
}

func (p *pair) programs() int {
	p.t.Helper()
	all, err := filepath.Glob(filepath.Join(p.apps, "instances", "*", "instance.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(all)
}

func (p *pair) ordered(id string) *portalv1.Order {
	p.t.Helper()
	res, err := p.orders().GetOrder(context.Background(), connect.NewRequest(&portalv1.GetOrderRequest{Id: id}))
	if err != nil {
		p.t.Fatal(err)
	}
	return res.Msg.GetOrder()
}

// TestARestartIsProvedByOneAnswer: what is ordered right after a start is carried out, on either side, and nobody sees that it was asked.
func TestARestartIsProvedByOneAnswer(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-0001", p.purchase())
	for i, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		d.Stop()
		d.Start()
		p.completed(fmt.Sprintf("order-after-%d", i), p.purchase())
		if strings.Contains(d.Log(), "level=ERROR") {
			t.Errorf("%s tells of an error:\n%s", d.Name, tail(d.Log()))
		}
	}
	p.consistent(3)
	becomes(t, p.reseller, p.supplier.Origin, "level")
	becomes(t, p.supplier, p.reseller.Origin, "level")
}

// TestAnOperatorVouchesForAPartnerThatIsAway: nobody else can say that the database is the one that ran last.
func TestAnOperatorVouchesForAPartnerThatIsAway(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-0001", p.purchase())
	vouch := []string{"partner", "vouch", p.supplier.Origin, "--reason", "plain restart, the disk never left the machine", "--yes"}
	if out, err := p.reseller.Run(vouch...); err == nil || !strings.Contains(err.Error(), "exit status 5") || !strings.Contains(err.Error(), "partner_answers") {
		t.Errorf("while it answers: %v\n%s", err, out)
	}
	p.supplier.Stop()
	p.reseller.Stop()
	p.reseller.Start()
	if err := p.place("order-0002", p.purchase()); err != nil {
		t.Fatal(err)
	}
	if books, _ := stands(t, p.reseller, p.supplier.Origin); books != "unproven" {
		t.Errorf("the books are %s", books)
	}
	if list := p.reseller.Must("partner", "list"); !strings.Contains(list, "unproven") {
		t.Errorf("listed is %s", list)
	}
	sidecartest.Eventually(t, time.Minute, "it is known that the supplier is away", func() error { _, err := p.reseller.Run(vouch...); return err })
	if books, _ := stands(t, p.reseller, p.supplier.Origin); books != "level" {
		t.Errorf("vouched for, the books are %s", books)
	}
	if shown := p.reseller.Must("partner", "show", p.supplier.Origin); !strings.Contains(shown, "by operator: plain restart") {
		t.Errorf("shown is %s", shown)
	}
	p.supplier.Start()
	p.completed("order-0002", p.purchase())
	p.consistent(2)
}

// TestARestoredResellerBuysNothingAgain: an order id that was acknowledged after the copy is not bought a second time, whether it comes
// before the supplier answered or after.
func TestARestoredResellerBuysNothingAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-before", p.purchase())
	putBack := copied(t, p.reseller)
	p.completed("order-after", p.purchase())
	p.completed("order-after-2", p.purchase())
	putBack()
	_ = p.place("order-after", p.purchase()) // acknowledged, or refused, as the answer comes later or earlier
	becomes(t, p.reseller, p.supplier.Origin, "behind")
	if err := p.place("order-after-2", p.purchase()); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "older than what we signed") {
		t.Errorf("an id that it does not know: %v", err)
	}
	if err := p.place("order-before", p.purchase()); err != nil || p.ordered("order-before").GetState() != "completed" {
		t.Errorf("an id that it knows: %v", err)
	}
	if err := p.place("order-after", p.purchase()); err == nil {
		if o := p.ordered("order-after"); o.GetState() == "completed" || o.GetState() == "inProgress" {
			t.Errorf("it is bought again: %s", o.GetState())
		}
	}
	if _, own := stands(t, p.reseller, p.supplier.Origin); own < 1 || p.programs() != 3 {
		t.Errorf("its ledger has %d entries, %d programs run", own, p.programs())
	}
	if out, err := p.reseller.Run("ledger", "verify"); err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(out+err.Error(), "behind") {
		t.Errorf("its books verify: %s", out)
	}
	if n := strings.Count(p.reseller.Log(), "this store is older than what we signed"); n != 1 {
		t.Errorf("operators are told %d times:\n%s", n, tail(p.reseller.Log()))
	}
}

// TestARestoredSupplierSignsNothingTwice: nothing is appended and no platform is asked, and the reseller's customer reads that somebody
// must look.
func TestARestoredSupplierSignsNothingTwice(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.completed("order-before", p.purchase())
	putBack := copied(t, p.supplier)
	p.completed("order-after", p.purchase())
	putBack()
	becomes(t, p.supplier, p.reseller.Origin, "behind")
	_, before := stands(t, p.supplier, p.reseller.Origin)
	if err := p.place("order-new", p.purchase()); err != nil {
		t.Errorf("the reseller suffers: %v", err)
	}
	sidecartest.Eventually(t, time.Minute, "the order says that somebody must look", func() error {
		if o := p.ordered("order-new"); o.GetReason() != "order_check" {
			return fmt.Errorf("it is %s (%s)\n%s", o.GetState(), o.GetReason(), tail(p.reseller.Log()))
		}
		return nil
	})
	if books, after := stands(t, p.supplier, p.reseller.Origin); after != before || books != "behind" || p.programs() != 2 {
		t.Errorf("the books are %s, its ledger went from %d to %d, %d programs run", books, before, after, p.programs())
	}
	if out, err := p.supplier.Run("ledger", "verify"); err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(out+err.Error(), "behind") {
		t.Errorf("its books verify: %s", out)
	}
	if jobs := p.reseller.Must("job", "list"); !strings.Contains(jobs, "partner_behind") {
		t.Errorf("the reseller's operator reads %s", jobs)
	}
	if list := p.reseller.Must("partner", "list"); !strings.Contains(list, "level, partner behind") {
		t.Errorf("the reseller lists %s", list)
	}
	if n := strings.Count(p.reseller.Log(), "the database of a partner is older than what it signed"); n != 1 {
		t.Errorf("the reseller's operator is told %d times:\n%s", n, tail(p.reseller.Log()))
	}
}
