package sidecar_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	"github.com/hanse-market/hanse/sidecar"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// reconciled compares one member's deals with another's.
func reconciled(t *testing.T, of, with *sidecartest.Member) *operatorv1.Comparison {
	t.Helper()
	res, err := operatorv1connect.NewPartnerServiceClient(http.DefaultClient, of.OperatorURL, of.OperatorAuth()).
		ReconcilePartner(context.Background(), connect.NewRequest(&operatorv1.ReconcilePartnerRequest{Origin: with.Origin}))
	if err != nil {
		t.Fatal(err)
	}
	return res.Msg.GetComparison()
}

// beneath writes into the database of a member that runs.
func beneath(t *testing.T, m *sidecartest.Member) copied {
	return copied{t: t, origin: m.Origin, path: filepath.Join(m.Dir, "hanse.db")}
}

// undone puts a completed purchase of the reseller back to where it was taken, as if what came last had not been applied.
func (c copied) undone(correlation string) {
	c.t.Helper()
	c.retailItem(correlation, func(it *storepb.RetailItem) {
		it.Item.State = "inProgress"
		it.Item.Events = it.Item.Events[:len(it.Item.Events)-1]
	})
	c.sql(c.path, `UPDATE retail_order SET state = 'inProgress', ended = 0 WHERE id = (SELECT order_id FROM retail_item WHERE correlation_id = ?)`, correlation)
	c.subscribed(correlation, "pendingActive")
}

// subscribed puts the subscription that an order made into another state.
func (c copied) subscribed(correlation, state string) {
	c.t.Helper()
	var rec storepb.Subscription
	c.record("subscription", `id = ?`, "sub-"+correlation, &rec, func() { rec.State = state })
	c.sql(c.path, `UPDATE subscription SET state = ? WHERE id = ?`, state, "sub-"+correlation)
}

func TestReconcile_RepairsWhatThePartnersLedgerDecides(t *testing.T) {
	m := newMarket(t, nil)
	for _, id := range []string{"order-equal", "order-undone"} {
		if _, err := m.order(id, nil); err != nil {
			t.Fatal(err)
		}
		m.reaches(id, "completed")
	}
	m.idle()
	if c := reconciled(t, m.reseller, m.supplier); c.GetCompared() != 2 || len(c.GetDifferences()) != 0 || c.GetReason() != "" {
		t.Fatalf("of what is equal: %v", c)
	}
	undone := m.correlation("order-undone")
	beneath(t, m.reseller).undone(undone)
	// Who only looks repairs nothing.
	v := verification(t, m.reseller, &operatorv1.VerifyRequest{})
	if d := v.GetComparisons()[0].GetDifferences(); v.GetVerified() || len(d) != 1 || d[0].GetRepaired() || d[0].GetOrderId() != undone || d[0].GetOurs() != "accepted" || d[0].GetTheirs() != "active" {
		t.Fatalf("verified %v", v)
	}
	c := reconciled(t, m.reseller, m.supplier)
	if d := c.GetDifferences(); len(d) != 1 || !d[0].GetRepaired() || d[0].GetNote() != "" || d[0].GetSold() {
		t.Fatalf("got %v", c)
	}
	m.reaches("order-undone", "completed")
	if c := reconciled(t, m.reseller, m.supplier); len(c.GetDifferences()) != 0 {
		t.Errorf("after the repair: %v", c)
	}
	for _, of := range []*sidecartest.Member{m.reseller, m.supplier} {
		v := verification(t, of, &operatorv1.VerifyRequest{})
		results := map[int32]string{}
		for _, i := range v.GetInvariants() {
			results[i.GetNumber()] = i.GetResult()
		}
		if !v.GetVerified() || results[1] != "ok" || results[3] != "ok" {
			t.Errorf("%s: %v", of.Origin, v)
		}
	}
}

func TestReconcile_RaisesWhatItCannotRepair(t *testing.T) {
	m := newMarket(t, nil)
	if _, err := m.order("order-contradicted", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-contradicted", "completed")
	m.idle()
	id, store := m.correlation("order-contradicted"), beneath(t, m.reseller)
	store.subscribed(id, "terminated")
	for range 2 { // raised once
		code, out := m.reseller.Command("partner", "reconcile", m.supplier.Origin, "-o", "json")
		var shown struct {
			Comparisons []struct {
				Differences []struct{ Ours, Theirs, Note, OrderID string }
			}
		}
		if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 7 || shown.Comparisons[0].Differences[0].Ours != "ended" || shown.Comparisons[0].Differences[0].Note == "" {
			t.Fatalf("exit %d, %v: %s", code, err, out)
		}
		jobs := booksOf(t, m.reseller).Jobs
		if len(jobs) != 1 || jobs[0].GetKind() != "reconcile.deal" || jobs[0].GetState() != "parked" || jobs[0].GetKey() != id || !strings.Contains(jobs[0].GetLastError(), "is ended here and active at the partner") {
			t.Fatalf("jobs are %v", jobs)
		}
	}
	if code, out := m.reseller.Command("order", "explain", "order-contradicted", "-o", "json"); code != 0 || !strings.Contains(out, `"wait": "differs"`) || !strings.Contains(out, "hanse partner reconcile "+m.supplier.Origin) {
		t.Errorf("explained with %d: %s", code, out)
	}
	if code, out := m.reseller.Command("partner", "show", m.supplier.Origin); code != 0 || !strings.Contains(out, "1 deals, 1 differ") {
		t.Errorf("shown with %d: %s", code, out)
	}
	// The supplier decides it: what differs is not its to repair.
	if c := reconciled(t, m.supplier, m.reseller); len(c.GetDifferences()) != 1 || !c.GetDifferences()[0].GetSold() || !strings.Contains(c.GetDifferences()[0].GetNote(), "its operator runs hanse partner reconcile "+m.supplier.Origin) {
		t.Errorf("at the supplier: %v", c)
	}
	store.subscribed(id, "active")
	for of, with := range map[*sidecartest.Member]*sidecartest.Member{m.reseller: m.supplier, m.supplier: m.reseller} {
		if c := reconciled(t, of, with); len(c.GetDifferences()) != 0 || len(booksOf(t, of).Jobs) != 0 {
			t.Errorf("%s: what is equal again: %v, jobs %v", of.Origin, c, booksOf(t, of).Jobs)
		}
	}
}

// TestReconcile_OneSideAlone: what only one of the two has, each from its own side.
func TestReconcile_OneSideAlone(t *testing.T) {
	m := newMarket(t, nil)
	if _, err := m.order("order-of-one-side", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-of-one-side", "completed")
	m.idle()
	store := beneath(t, m.supplier)
	store.sql(store.path, `DELETE FROM subscription WHERE id = ?`, "sub-"+m.correlation("order-of-one-side"))
	broken := func(of *sidecartest.Member) (numbers []int32) {
		for _, i := range verification(t, of, &operatorv1.VerifyRequest{}).GetInvariants() {
			if i.GetResult() == "broken" {
				numbers = append(numbers, i.GetNumber())
			}
		}
		return numbers
	}
	if n := broken(m.reseller); !slices.Equal(n, []int32{1}) {
		t.Errorf("at the reseller %v are broken", n)
	}
	if n := broken(m.supplier); !slices.Equal(n, []int32{1, 3}) { // its own order has no subscription: 3
		t.Errorf("at the supplier %v are broken", n)
	}
	m.supplier.Unplug()
	defer m.supplier.Plug()
	code, out := m.reseller.Command("ledger", "verify", "-o", "json")
	if code != 0 || !strings.Contains(out, `"needs_partner"`) || strings.Contains(out, `"reason": ""`) {
		t.Errorf("a partner that cannot be reached: exit %d %s", code, out)
	}
}

// TestReconcile_NothingDiffersWhileOrdersGoOn: what is under way on either side is no difference, on both engines.
func TestReconcile_NothingDiffersWhileOrdersGoOn(t *testing.T) {
	t.Run("on SQLite alone", func(t *testing.T) { goingOn(t, newMarket(t, nil)) })
	t.Run("on PostgreSQL and Redis", func(t *testing.T) {
		redis := servers.Redis(t).Socket
		goingOn(t, newMarketOn(t, nil, func(cfg *sidecar.Config) {
			cfg.Database = sidecar.Database{Driver: "postgres", DSN: servers.Postgres(t).Database(t)}
			cfg.Redis.Addresses = []string{redis}
		}))
	})
}

func goingOn(t *testing.T, m *market) {
	const orders = 60
	var placing sync.WaitGroup
	for lane := range 4 {
		placing.Go(func() {
			for n := range orders / 4 {
				if _, err := m.order(fmt.Sprintf("order-going-%d-%d", lane, n), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { placing.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		for of, with := range map[*sidecartest.Member]*sidecartest.Member{m.reseller: m.supplier, m.supplier: m.reseller} {
			if c := reconciled(t, of, with); len(c.GetDifferences()) != 0 || c.GetReason() != "" {
				t.Fatalf("%s: %v", of.Origin, c)
			}
		}
		if v := verification(t, m.reseller, &operatorv1.VerifyRequest{}); !v.GetVerified() {
			t.Fatalf("while orders go on: %v", v)
		}
	}
	for lane := range 4 {
		for n := range orders / 4 {
			m.reaches(fmt.Sprintf("order-going-%d-%d", lane, n), "completed")
		}
	}
	m.idle()
	for of, with := range map[*sidecartest.Member]*sidecartest.Member{m.reseller: m.supplier, m.supplier: m.reseller} {
		if c := reconciled(t, of, with); len(c.GetDifferences()) != 0 || c.GetCompared() != orders || c.GetUnderWay() != 0 {
			t.Errorf("%s: at the end %v", of.Origin, c)
		}
		if v := verification(t, of, &operatorv1.VerifyRequest{}); !v.GetVerified() {
			t.Errorf("%s: at the end %v", of.Origin, v)
		}
	}
}
