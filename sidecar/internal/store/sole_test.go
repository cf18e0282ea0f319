package store_test

import (
	"errors"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestWhoComesToADatabaseThatNobodyHasOpenIsSole: on a file it is whoever opens it; replicas share a server, and there the one that finds
// no other.
func TestWhoComesToADatabaseThatNobodyHasOpenIsSole(t *testing.T) {
	t.Parallel()
	for engine, make := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			cfg := make(t)
			sole := func(s *store.Store) (was bool) {
				if err := s.Sole(t.Context(), func(*store.Tx) error { was = true; return nil }); err != nil {
					t.Fatal(err)
				}
				return was
			}
			first := open(t, cfg)
			if boom := errors.New("boom"); !errors.Is(first.Sole(t.Context(), func(*store.Tx) error { return boom }), boom) {
				t.Error("what failed is not told")
			}
			if !sole(first) {
				t.Error("the first is not sole, though what failed is not done")
			}
			if engine == "postgres" {
				second := open(t, cfg)
				if sole(second) {
					t.Error("the second is sole")
				}
				third := open(t, cfg)
				if err := errors.Join(first.Close(), second.Close()); err != nil {
					t.Fatal(err)
				}
				until(t, func() bool { return sole(third) }) // the server notices in its own time that sessions have ended
				return
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if !sole(open(t, cfg)) {
				t.Error("the next is not sole")
			}
		})
	}
}

// TestAnAcceptedServerLeavesTheBooksToBeProved: whoever runs on it, with everybody to whom something was signed.
func TestAnAcceptedServerLeavesTheBooksToBeProved(t *testing.T) {
	t.Parallel()
	cfg := engines["postgres"](t)
	s := open(t, cfg)
	withPartner(t, s)
	do(t, s, func(tx *store.Tx) error { _, err := advance(tx, ledger.Own, "a"); return err })
	movedHere(t, cfg.DSN)
	if _, _, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil {
		t.Fatal(err)
	}
	books := func() (b ledger.Books) {
		view(t, s, func(tx *store.Tx) error { b = must(tx.Ledger().Books(them)); return nil })
		return b
	}
	first := books()
	if first.State != ledger.Unproven || first.Reason != ledger.ReasonServerChanged || first.Since.IsZero() {
		t.Errorf("the books are %+v", first)
	}
	if _, _, err := store.AcceptServer(t.Context(), cfg.DSN); err != nil || books() != first {
		t.Errorf("accepted again: %+v, %v", books(), err)
	}
}
