package sidecar_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/auth/keys"
	operatorv1 "github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1"
	"github.com/hanse-market/hanse/sdk/gen/hanse/operator/v1/operatorv1connect"
	portalv1 "github.com/hanse-market/hanse/sdk/gen/hanse/portal/v1"
	typev1 "github.com/hanse-market/hanse/sdk/gen/hanse/type/v1"
	"github.com/hanse-market/hanse/sidecar/internal/audit"
	"github.com/hanse-market/hanse/sidecar/internal/job"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// copied is the store of a member as it was at one moment, which nobody works on.
type copied struct {
	t              *testing.T
	origin, path   string
	key            []byte
	partner        string
	running, ended string
	// waiting is an order whose document could not be sent yet.
	waiting string
}

// storeCopies are those of the stores of a reseller and a supplier between whom an order runs, one was ended, and one waits because the supplier is away.
func storeCopies(t *testing.T) (reseller, supplier copied) {
	t.Helper()
	m := newMarket(t, nil)
	for _, id := range []string{"order-that-runs", "order-that-ended"} {
		if _, err := m.order(id, nil); err != nil {
			t.Fatal(err)
		}
	}
	m.reaches("order-that-runs", "completed")
	gone := m.reaches("order-that-ended", "completed").GetItems()[0]
	if _, err := m.order("order-the-end", func(r *portalv1.PlaceOrderRequest) {
		r.Items[0] = &portalv1.OrderItem{Action: typev1.OrderItemAction_ORDER_ITEM_ACTION_DELETE, SubscriptionId: gone.GetSubscriptionId()}
	}); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-the-end", "completed")
	m.idle()
	m.supplier.Unplug()
	defer m.supplier.Plug()
	waiting, err := m.order("order-that-waits", nil)
	if err != nil {
		t.Fatal(err)
	}
	of := func(id string) string { return m.correlation(id) }
	for member, c := range map[*sidecartest.Member]*copied{m.reseller: &reseller, m.supplier: &supplier} {
		*c = copied{t: t, origin: member.Origin, path: filepath.Join(t.TempDir(), "copy.db"), running: of("order-that-runs"), ended: of("order-that-ended"), waiting: of(waiting.GetId())}
		c.sql(filepath.Join(member.Dir, "hanse.db"), `VACUUM INTO '`+c.path+`'`)
		if c.key, err = os.ReadFile(filepath.Join(member.Dir, "site.key")); err != nil {
			t.Fatal(err)
		}
	}
	reseller.partner, supplier.partner = supplier.origin, reseller.origin
	return reseller, supplier
}

// correlation is the id by which both sides know an order of one item.
func (m *market) correlation(id string) string {
	m.t.Helper()
	res, err := operatorv1connect.NewOrderServiceClient(http.DefaultClient, m.reseller.OperatorURL, m.reseller.OperatorAuth()).
		GetOrder(context.Background(), connect.NewRequest(&operatorv1.GetOrderRequest{Id: id}))
	if err != nil {
		m.t.Fatal(err)
	}
	return res.Msg.GetOrder().GetCorrelationId()
}

func (c copied) sql(path, statement string, args ...any) {
	c.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	res, err := db.Exec(statement, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 && path == c.path {
		c.t.Fatalf("%s changed %d rows: %v", statement, n, err)
	}
}

// record changes the record of one row.
func (c copied) record(table, where, key string, rec proto.Message, change func()) {
	c.t.Helper()
	db, err := sql.Open("sqlite", c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var raw []byte
	if err := db.QueryRow(`SELECT record FROM `+table+` WHERE `+where, key).Scan(&raw); err != nil {
		c.t.Fatal(err)
	}
	if err := proto.Unmarshal(raw, rec); err != nil {
		c.t.Fatal(err)
	}
	change()
	if raw, err = proto.Marshal(rec); err != nil {
		c.t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE `+table+` SET record = ? WHERE `+where, raw, key); err != nil {
		c.t.Fatal(err)
	}
}

// retailItem changes the item of a retail order of one.
func (c copied) retailItem(correlation string, change func(*storepb.RetailItem)) {
	c.t.Helper()
	var rec storepb.RetailOrder
	c.record("retail_order", `(id, portal) = (SELECT order_id, portal FROM retail_item WHERE correlation_id = ?)`, correlation, &rec, func() { change(rec.Items[0]) })
}

func (c copied) resaleItem(id string, change func(*storepb.OrderItem)) {
	c.t.Helper()
	var rec storepb.ResaleOrder
	c.record("resale_order", `id = ?`, id, &rec, func() { change(rec.Item) })
}

// open works on the copy.
func (c copied) open(work func(st *store.Store, book *ledger.Book)) {
	c.t.Helper()
	st, err := store.Open(c.t.Context(), store.Config{Path: c.path, SiteKey: c.key, Now: time.Now})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	k, err := keys.New(c.t.Context(), keys.Config{Store: st, Now: time.Now})
	if err != nil {
		c.t.Fatal(err)
	}
	work(st, &ledger.Book{
		Self: c.origin, Work: store.For[ledger.Tx](st), Signer: k, Now: time.Now, OwnKeys: func() signed.Pinned { return signed.PinSet(k.Public(keys.Business)) },
	})
}

func (c copied) do(fn func(tx *store.Tx, book *ledger.Book) error) {
	c.t.Helper()
	c.open(func(st *store.Store, book *ledger.Book) {
		if err := st.Do(c.t.Context(), func(tx *store.Tx) error { return fn(tx, book) }); err != nil {
			c.t.Fatal(err)
		}
	})
}

// audited is what an audit of the copy finds.
func (c copied) audited() (report audit.Report) {
	c.t.Helper()
	c.open(func(st *store.Store, book *ledger.Book) {
		var err error
		report, err = (&audit.Auditor{Self: c.origin, Work: store.For[audit.Tx](st), Book: book, Now: time.Now}).Run(c.t.Context(), "", nil)
		if err != nil {
			c.t.Fatal(err)
		}
	})
	return report
}

// breaks runs a change on a copy of the copy, and returns the numbers that are broken then, with what was said of them.
func (c copied) breaks(t *testing.T, change func(c copied)) (broken []int, said string) {
	t.Helper()
	raw, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.t, c.path = t, filepath.Join(t.TempDir(), "broken.db")
	if err := os.WriteFile(c.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	change(c)
	for _, i := range c.audited().Invariants {
		if i.Result == audit.Broken {
			broken = append(broken, i.Number)
			said += fmt.Sprintf("%d %v\n", i.Number, i.Examples)
		}
	}
	return broken, said
}

// TestVerify_EachNumberCanFail: a store in order breaks nothing, and one that is broken in one way breaks that number alone.
func TestVerify_EachNumberCanFail(t *testing.T) {
	reseller, supplier := storeCopies(t)
	for name, c := range map[string]copied{"reseller": reseller, "supplier": supplier} {
		report := c.audited()
		checked := map[int]int64{}
		for _, i := range report.Invariants {
			if i.Result == audit.Broken {
				t.Errorf("%s: %d is broken in a store in order: %v", name, i.Number, i.Examples)
			}
			checked[i.Number] = i.Checked
		}
		want := []int{1, 3, 4, 5, 8, 10, 12, 14}
		if name == "reseller" {
			want = append(want, 15)
		}
		for _, n := range want {
			if checked[n] == 0 {
				t.Errorf("%s: nothing was looked at for %d", name, n)
			}
		}
	}
	for name, test := range map[string]struct {
		of   copied
		want int
		with func(c copied)
	}{
		"a retail order is gone": {reseller, 1, func(c copied) {
			c.sql(c.path, `DELETE FROM retail_order WHERE id = (SELECT order_id FROM retail_item WHERE correlation_id = ?)`, c.running)
			c.sql(c.path, `DELETE FROM retail_item WHERE correlation_id = ?`, c.running)
		}},
		"a resale order is gone": {supplier, 1, func(c copied) { c.sql(c.path, `DELETE FROM resale_order WHERE id = ?`, c.running) }},
		"an order was completed by an entry about another": {supplier, 1, func(c copied) {
			c.resaleItem(c.running, func(it *storepb.OrderItem) { it.Events[len(it.Events)-1].Source = "own ledger 1" })
		}},
		"a retail order says other than the ledger": {reseller, 3, func(c copied) {
			c.retailItem(c.running, func(it *storepb.RetailItem) {
				it.Item.State = string(order.Failed)
				it.Item.Events[len(it.Item.Events)-1].State = string(order.Failed)
			})
		}},
		"a subscription runs no more": {supplier, 3, func(c copied) {
			var rec storepb.Subscription
			c.record("subscription", `id = ?`, "sub-"+c.running, &rec, func() { rec.State = "aborted" })
		}},
		"an order was completed without being taken": {reseller, 4, func(c copied) {
			c.retailItem(c.running, func(it *storepb.RetailItem) { it.Item.Events = slices.Delete(it.Item.Events, 1, len(it.Item.Events)-1) })
		}},
		"an order is taken again after its end": {supplier, 4, func(c copied) {
			c.do(func(tx *store.Tx, book *ledger.Book) error {
				o, err := tx.ResaleOrders().Get(c.partner, c.running)
				if err != nil {
					return err
				}
				_, err = book.Append(tx, c.partner, ledger.OrderAccepted, o.SubscriptionID, order.Body{
					Action: o.Action, Agreement: o.AgreementID, DocumentSHA256: hex.EncodeToString(o.PayloadDigest), Order: o.ID, Subscription: o.SubscriptionID,
				})
				return err
			})
		}},
		"an order has nobody to end it": {reseller, 5, func(c copied) { c.sql(c.path, `DELETE FROM job WHERE key = ?`, c.waiting) }},
		"an order costs less": {supplier, 8, func(c copied) {
			c.resaleItem(c.running, func(it *storepb.OrderItem) { it.Wholesale.OneOff.Minor-- })
		}},
		"a subscription costs more": {supplier, 8, func(c copied) {
			var rec storepb.Subscription
			c.record("subscription", `id = ?`, "sub-"+c.running, &rec, func() { rec.Price.Recurring.Minor++ })
		}},
		"an entry says another time": {supplier, 10, func(c copied) {
			var rec storepb.LedgerEntry
			c.record("ledger_entry", `direction = 'own' AND seq = ?`, "3", &rec, func() { rec.At++ })
		}},
		"an entry is gone": {reseller, 10, func(c copied) {
			c.sql(c.path, `DELETE FROM ledger_entry WHERE direction = 'theirs' AND seq = 1`) // the offer: no order speaks of it
		}},
		"a document bears another signature": {supplier, 12, func(c copied) {
			c.resaleItem(c.running, func(it *storepb.OrderItem) {
				it.Document = it.Document[:len(it.Document)-4] + map[bool]string{true: "AAAA", false: "BBBB"}[it.Document[len(it.Document)-4:] != "AAAA"]
			})
		}},
		"a document is another than the entry names": {reseller, 12, func(c copied) {
			c.retailItem(c.running, func(it *storepb.RetailItem) { it.Item.PayloadDigest[0]++ })
		}},
		"an agreement never was in force": {supplier, 12, func(c copied) {
			var rec storepb.Agreement
			c.record("agreement", `supplier = ?`, c.origin, &rec, func() { rec.State = "offered" })
		}},
		"the last revision made way for none": {supplier, 14, func(c copied) { c.sql(c.path, `UPDATE offering SET superseded_at = 5`) }},
		"a partner's offering is not whole": {reseller, 14, func(c copied) {
			var rec storepb.ForeignOffering
			c.record("foreign_offering", `id = ?`, "db", &rec, func() { rec.Document = append(rec.Document, ' ') })
		}},
		"what is decided is still to be sent": {reseller, 15, func(c copied) {
			c.do(func(tx *store.Tx, _ *ledger.Book) error {
				_, err := tx.Jobs().Send(job.Sending{Kind: "order.submit", Key: c.running, Partner: c.partner, Subject: "sub-" + c.running}, time.Now(), "", time.Time{})
				return err
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if broken, said := test.of.breaks(t, test.with); !slices.Equal(broken, []int{test.want}) {
				t.Errorf("%v are broken, not %d alone:\n%s", broken, test.want, said)
			}
		})
	}
}

// TestVerify_TellsItsResultLast: on both engines, over the wire, by number.
func TestVerify_TellsItsResultLast(t *testing.T) {
	m := newMarket(t, nil)
	if _, err := m.order("order-verified", nil); err != nil {
		t.Fatal(err)
	}
	m.reaches("order-verified", "completed")
	m.idle()
	for _, member := range []*sidecartest.Member{m.reseller, m.supplier} {
		v := verification(t, member, &operatorv1.VerifyRequest{Offline: true})
		results := map[int32]string{}
		for _, i := range v.GetInvariants() {
			results[i.GetNumber()] = i.GetResult()
		}
		want := map[int32]string{
			1: "needs_partner", 2: "needs_chaos", 3: "needs_partner", 4: "ok", 5: "ok", 6: "not_yet", 7: "not_yet", 8: "ok", 9: "not_yet", 10: "ok",
			11: "needs_chaos", 12: "ok", 13: "needs_chaos", 14: "ok", 15: "ok", 16: "not_yet", 17: "needs_chaos", 18: "needs_chaos", 19: "needs_chaos", 20: "not_yet",
		}
		if !maps.Equal(results, want) || !v.GetVerified() || len(v.GetLedgers()) != 2 {
			t.Errorf("%s: %v", member.Origin, v)
		}
	}
}

func verification(t *testing.T, of *sidecartest.Member, req *operatorv1.VerifyRequest) *operatorv1.Verification {
	t.Helper()
	stream, err := operatorv1connect.NewLedgerServiceClient(http.DefaultClient, of.OperatorURL, of.OperatorAuth()).Verify(t.Context(), connect.NewRequest(req))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	var result *operatorv1.Verification
	for stream.Receive() {
		result = stream.Msg().GetResult()
	}
	if stream.Err() != nil || result == nil {
		t.Fatalf("%s: %v %v", of.Origin, result, stream.Err())
	}
	return result
}
