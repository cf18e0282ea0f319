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
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/failpoint"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// copied copies a daemon's folder while it is stopped, and returns what puts the copy back, which stops and starts it; with variables it is
// launched, and may die at once.
func copied(t *testing.T, d *sidecartest.Daemon) (putBack func(env ...string)) {
	t.Helper()
	data, kept := filepath.Join(d.Dir, "data"), filepath.Join(t.TempDir(), "copy")
	d.Stop()
	if err := os.CopyFS(kept, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	d.Start()
	return func(env ...string) {
		t.Helper()
		d.Stop()
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(data, os.DirFS(kept)); err != nil {
			t.Fatal(err)
		}
		private(t, data)
		if len(env) > 0 {
			d.Launch(env...)
			return
		}
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

// verifies asks both members whether their books and each other's are one.
func (p *pair) verifies() {
	p.t.Helper()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		sidecartest.Eventually(p.t, time.Minute, "the books of "+d.Name+" verify", func() error {
			out, err := d.Run("ledger", "verify")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
}

// told counts the lines of a daemon's log since it was started with a text.
func told(d *sidecartest.Daemon, text string) int { return strings.Count(d.Log(), text) }

// known waits until the other side has read all that a daemon wrote for it: only that can come back.
func (p *pair) known(d *sidecartest.Daemon) {
	p.t.Helper()
	by := p.supplier
	if d == p.supplier {
		by = p.reseller
	}
	p.knownTo(d, by)
}

func (p *pair) knownTo(of, by *sidecartest.Daemon) {
	p.t.Helper()
	sidecartest.Eventually(p.t, time.Minute, by.Name+" has read what "+of.Name+" wrote", func() error {
		_, wrote := stands(p.t, of, by.Origin)
		var shown struct {
			Partner struct {
				Theirs int64 `json:"theirLedgerSeq,string"`
			} `json:"partner"`
		}
		if err := json.Unmarshal([]byte(by.Must("partner", "show", of.Origin, "-o", "json")), &shown); err != nil {
			return err
		}
		if shown.Partner.Theirs != wrote {
			return fmt.Errorf("it has %d of %d entries", shown.Partner.Theirs, wrote)
		}
		return nil
	})
}

// TestWhatTheSupplierNeverReadComesBackToARestoredReseller: all that the supplier decided since the copy was made, it decided while it could not
// read the reseller's ledger; what it needs to give back came with the documents.
func TestWhatTheSupplierNeverReadComesBackToARestoredReseller(t *testing.T) {
	t.Parallel()
	p := twoDaemons(t, func(name string) sidecartest.DaemonConfig { return sidecartest.DaemonConfig{Cable: name == "reseller"} })
	p.trades()
	before := p.completed("order-before", p.purchase())
	putBack := copied(t, p.reseller)
	p.known(p.reseller)
	p.reseller.Unplug()
	p.completed("order-after", p.purchase())
	p.completed("order-ended", p.termination(before))
	p.known(p.reseller) // though the supplier reaches nobody
	_, signed := stands(t, p.reseller, p.supplier.Origin)
	p.reseller.Kill()
	p.reseller.Plug()
	putBack()
	p.same(1, "order-before", "order-after")
	if o := p.ordered("order-ended"); o.GetState() != "completed" {
		t.Errorf("the end is %s (%s)", o.GetState(), o.GetReason())
	}
	if _, own := stands(t, p.reseller, p.supplier.Origin); own < signed {
		t.Errorf("its ledger has %d entries, it signed %d", own, signed)
	}
	p.completed("order-new", p.purchase())
}

func (p *pair) termination(o *portalv1.Order) *portalv1.OrderItem {
	return &portalv1.OrderItem{
		Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: o.GetItems()[0].GetSubscriptionId(),
	}
}

// TestARestoredResellerBuysNothingAgainAndCatchesUp: an order id that was acknowledged after the copy is not bought a second time, whether it
// comes before the supplier answered or after; what was ordered and ended after the copy is known again under the id that the portal chose.
func TestARestoredResellerBuysNothingAgainAndCatchesUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	before := p.completed("order-before", p.purchase())
	p.completed("order-kept", p.purchase())
	putBack := copied(t, p.reseller)
	after := p.completed("order-after", p.purchase())
	p.completed("order-after-2", p.purchase())
	p.completed("order-ended", p.termination(before))
	p.known(p.reseller)
	_, signed := stands(t, p.reseller, p.supplier.Origin)
	putBack()
	_ = p.place("order-after", p.purchase()) // acknowledged, or refused, as the answer comes later or earlier
	becomes(t, p.reseller, p.supplier.Origin, "level")
	if n := told(p.reseller, "this store is older than what we signed"); n != 1 {
		t.Errorf("operators are told %d times:\n%s", n, tail(p.reseller.Log()))
	}
	if _, own := stands(t, p.reseller, p.supplier.Origin); own < signed {
		t.Errorf("its ledger has %d entries, it signed %d", own, signed)
	}
	for _, id := range []string{"order-before", "order-kept", "order-after", "order-after-2", "order-ended"} {
		if o := p.ordered(id); o.GetState() != "completed" || o.GetId() != id {
			t.Errorf("order %s is %s (%s) under id %s\n%s", id, o.GetState(), o.GetReason(), o.GetId(), tail(p.reseller.Log()))
		}
	}
	if o := p.ordered("order-after"); o.GetItems()[0].GetSubscriptionId() != after.GetItems()[0].GetSubscriptionId() {
		t.Error("it is another subscription")
	}
	for _, id := range []string{"order-after", "order-after-2"} {
		if err := p.place(id, p.purchase()); err != nil {
			t.Errorf("the portal repeats %s: %v", id, err)
		}
	}
	if err := p.place("order-ended", p.termination(before)); err != nil {
		t.Errorf("the portal repeats the termination: %v", err)
	}
	p.buysAnew()
	p.completed("order-ended-2", p.termination(after))
	if n := p.programs(); n != 3 {
		t.Errorf("%d programs run", n)
	}
	p.verifies()
	if n := told(p.reseller, "nobody gave back"); n != 0 {
		t.Errorf("%d entries came back without what they had made:\n%s", n, tail(p.reseller.Log()))
	}
}

// TestARestoredSupplierSignsNothingTwiceAndCatchesUp: until its books are level nothing is appended and no platform is asked; then what it
// decided and made after the copy is there again, and can be ended.
func TestARestoredSupplierSignsNothingTwiceAndCatchesUp(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	before := p.completed("order-before", p.purchase())
	putBack := copied(t, p.supplier)
	after := p.completed("order-after", p.purchase())
	p.completed("order-kept", p.purchase())
	p.completed("order-ended", p.termination(before))
	p.known(p.supplier)
	_, signed := stands(t, p.supplier, p.reseller.Origin)
	putBack()
	if err := p.place("order-new-1", p.purchase()); err != nil {
		t.Errorf("the reseller suffers: %v", err)
	}
	becomes(t, p.supplier, p.reseller.Origin, "level")
	if _, own := stands(t, p.supplier, p.reseller.Origin); own < signed {
		t.Errorf("its ledger has %d entries, it signed %d", own, signed)
	}
	p.buysAnew()
	p.completed("order-ended-2", p.termination(after))
	if n := p.programs(); n != 2 {
		t.Errorf("%d programs run", n)
	}
	p.consistent(2)
	p.verifies()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		if n := told(d, "nobody gave back"); n != 0 {
			t.Errorf("%d entries came back without what they had made:\n%s", n, tail(d.Log()))
		}
	}
}

// TestARestoredStoreIsKilledAtEachStep of its way back, and goes on from there with the next start.
func TestARestoredStoreIsKilledAtEachStep(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	bought := 0
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		other := p.supplier.Origin
		if d == p.supplier {
			other = p.reseller.Origin
		}
		for i, point := range failpoint.Names {
			if !strings.HasPrefix(point, "recovery.") {
				continue
			}
			id := fmt.Sprintf("order-%s-%d", d.Name, i)
			putBack := copied(t, d)
			p.completed(id, p.purchase())
			p.completed(id+"-2", p.purchase())
			bought += 2
			p.known(d)
			putBack("HANSE_FAILPOINT=" + point)
			if err := d.WaitKilled(time.Minute); err != nil {
				t.Fatalf("%s of %s was not passed: %v\n%s", point, d.Name, err, tail(d.Log()))
			}
			d.Start()
			becomes(t, d, other, "level")
			for _, id := range []string{id, id + "-2"} {
				if o := p.ordered(id); o.GetState() != "completed" {
					t.Errorf("killed at %s of %s, order %s is %s", point, d.Name, id, o.GetState())
				}
			}
			if n := p.programs(); n != bought {
				t.Errorf("killed at %s of %s, %d programs run for %d orders", point, d.Name, n, bought)
			}
		}
	}
	p.verifies()
	for _, d := range []*sidecartest.Daemon{p.reseller, p.supplier} {
		if n := told(d, "nobody gave back"); n != 0 {
			t.Errorf("%d entries came back without what they had made:\n%s", n, tail(d.Log()))
		}
	}
}
