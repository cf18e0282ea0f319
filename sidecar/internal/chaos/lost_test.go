//go:build linux

package chaos

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/hanse-market/hanse/sidecar/sidecartest"
)

// marketOf is members that trade, and orders that alpha acknowledged and carried out.
func marketOf(t *testing.T, wishes ...Wish) *market {
	t.Helper()
	cfg := Config{Engine: sqliteEngine, Replicas: 1, Binary: sidecartest.Binary(t), Dir: filepath.Join(t.TempDir(), "market"), Progress: io.Discard}
	m, err := setUp(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	if err := m.play(t.Context(), Plan{Rounds: []Round{{Wishes: wishes}}}); err != nil {
		t.Fatal(err)
	}
	m.breathe(t.Context(), time.Minute)
	for _, w := range wishes {
		if o := m.history.of(w.ID); o.state != "completed" {
			t.Fatalf("%s is %+v", w.ID, o)
		}
	}
	return m
}

// at changes the database of a member that is stopped meanwhile.
func (m *market) at(t *testing.T, name string, statements ...string) {
	t.Helper()
	who := m.members[name]
	who.life.Lock()
	defer who.life.Unlock()
	who.stop()
	db, err := sql.Open("sqlite", filepath.Join(who.folder(), "data", "hanse.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := who.start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *market) has(invariant int, kind, id string) bool {
	for _, f := range m.findings {
		if f.Invariant == invariant && f.Kind == kind && f.ID == id {
			return true
		}
	}
	return false
}

// TestHeal_FindsWhatWasForgotten: placed again, an order would be there anew, under the ids that it had.
func TestHeal_FindsWhatWasForgotten(t *testing.T) {
	m := marketOf(t,
		Wish{Kind: Buy, Member: "alpha", ID: "order-00001", Supplier: "bravo", Offering: "box-a"},
		Wish{Kind: Buy, Member: "alpha", ID: "order-00002", Supplier: "charlie", Offering: "vm-a"},
	)
	m.at(t, "alpha", `DELETE FROM retail_order WHERE id = 'order-00001'`, `DELETE FROM retail_item WHERE order_id = 'order-00001'`)
	short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := m.heal(short); err != nil {
		t.Fatal(err)
	}
	if !m.has(1, lost, "order-00001") || m.has(1, lost, "order-00002") || m.report(Plan{}).Clean() {
		t.Errorf("found %+v", m.findings)
	}

	// Who was put back meanwhile may have forgotten it.
	m.findings = nil
	m.backs = append(m.backs, back{member: "alpha", at: time.Now()})
	m.at(t, "alpha", `DELETE FROM retail_order WHERE id = 'order-00002'`, `DELETE FROM retail_item WHERE order_id = 'order-00002'`)
	_ = m.place(t.Context(), "order-00002")
	if m.has(1, lost, "order-00002") {
		t.Errorf("found %+v", m.findings)
	}
}
