package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

func TestWhatRunsWithoutASubscriptionIsFoundAndRemoved(t *testing.T) {
	p := newPair(t)
	kept := p.completed("order-kept", p.purchase()).GetItems()[0].GetSubscriptionId()
	lost := p.completed("order-lost", p.purchase()).GetItems()[0].GetSubscriptionId()
	p.active = 2
	p.consistent(2)
	type listed struct {
		Orphans []struct{ Connection, Adapter, Tag, Partner string }
		Seen    int64 `json:"seen,string"`
	}
	orphans := func() (l listed) {
		t.Helper()
		out := p.supplier.Must("orphan", "list", "-o", "json")
		if err := json.Unmarshal([]byte(out), &l); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return l
	}
	if l := orphans(); len(l.Orphans) != 0 || l.Seen != 2 {
		t.Fatalf("while all have a subscription: %+v", l)
	}
	p.reseller.Must("subscription", "rotate", kept, "--order", "rotate-kept")
	p.completed("rotate-kept", &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_MODIFY, Intent: "rotate", SubscriptionId: kept})
	sidecartest.Eventually(t, 40*time.Second, "the new access data work", func() error { return p.used(kept) })
	p.consistent(2)
	p.supplier.Stop()
	db, err := sqlite.OpenConn(filepath.Join(p.supplier.Dir, "data", "hanse.db"), sqlite.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"provision_step WHERE subscription_id", "subscription WHERE id"} {
		if err := sqlitex.ExecuteTransient(db, "DELETE FROM "+table+" = ?", &sqlitex.ExecOptions{Args: []any{lost}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.supplier.Start()
	p.level()
	l := orphans()
	if len(l.Orphans) != 1 || l.Orphans[0].Partner != p.reseller.Origin || l.Orphans[0].Connection != "apps" {
		t.Fatalf("orphans: %+v", l)
	}
	if err := p.used(lost); err != nil {
		t.Errorf("an orphan was stopped by looking at it: %v", err)
	}
	if out, err := p.supplier.Run("orphan", "destroy", l.Orphans[0].Tag, "--reason", "nobody has it"); err == nil || !strings.Contains(out+err.Error(), "not_confirmed") {
		t.Errorf("destroyed without a yes: %v, %s", err, out)
	}
	p.supplier.Must("orphan", "destroy", l.Orphans[0].Tag, "--reason", "nobody has it", "--yes")
	if l := orphans(); len(l.Orphans) != 0 || l.Seen != 1 {
		t.Errorf("after it was destroyed: %+v", l)
	}
	if err := p.used(lost); err == nil {
		t.Error("what was destroyed still works")
	}
	if err := p.used(kept); err != nil {
		t.Errorf("the other one was hurt: %v", err)
	}
}
