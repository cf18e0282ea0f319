package store_test

import (
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestRehearse: a store that rehearses finds the unit of work which reads what its first run changed, and writes what any other does once.
func TestRehearse(t *testing.T) {
	t.Parallel()
	for engine, config := range engines {
		t.Run(engine, func(t *testing.T) {
			woken := &topics{}
			cfg := config(t)
			cfg.Rehearse, cfg.Wake = true, woken.add
			s := open(t, cfg)
			withPartner(t, s)
			woken.take()
			runs := 0
			do(t, s, func(tx *store.Tx) error {
				runs++
				must(advance(tx, ledger.Own, "a"))
				return nil
			})
			if told := woken.take(); runs != 2 || len(told) != 1 {
				t.Errorf("%d runs woke %v", runs, told)
			}
			view(t, s, func(tx *store.Tx) error {
				if all := must(tx.Ledger().Entries(them, ledger.Own, ledger.Position{}, 9)); len(all) != 1 {
					t.Errorf("%d entries", len(all))
				}
				return nil
			})
			// The version that it compares with is the one that its first run wrote.
			var kept member.Partner
			view(t, s, func(tx *store.Tx) error { kept = must(tx.Partners().Get(them)); return nil })
			before := kept
			if err := s.Do(t.Context(), func(tx *store.Tx) (err error) {
				kept, err = tx.Partners().Put(kept)
				return err
			}); err == nil {
				t.Error("what cannot begin again passed")
			}
			view(t, s, func(tx *store.Tx) error {
				if now := must(tx.Partners().Get(them)); now.Version != before.Version {
					t.Errorf("it wrote version %d over %d", now.Version, before.Version)
				}
				return nil
			})
			// What fails in both runs fails as without.
			err := s.Do(t.Context(), func(tx *store.Tx) error { _, err := tx.Partners().Get("https://nobody.example"); return err })
			wantKind(t, err, fault.NotFound, "partner_not_found")
		})
	}
}

func TestHeadsAreBothAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		withPartner(t, s)
		same := func(when string) {
			t.Helper()
			view(t, s, func(tx *store.Tx) error {
				own, theirs, err := tx.Ledger().Heads(them)
				if err != nil || own != must(tx.Ledger().Head(them, ledger.Own)) || theirs != must(tx.Ledger().Head(them, ledger.Theirs)) {
					t.Errorf("%s: %v %v, %v", when, own, theirs, err)
				}
				return nil
			})
		}
		same("nothing written")
		do(t, s, func(tx *store.Tx) error { must(advance(tx, ledger.Theirs, "a")); return nil })
		same("one of them")
		do(t, s, func(tx *store.Tx) error { must(advance(tx, ledger.Own, "b")); return nil })
		same("both")
		view(t, s, func(tx *store.Tx) error {
			_, _, err := tx.Ledger().Heads("https://nobody.example")
			wantKind(t, err, fault.NotFound, "partner_not_found")
			return nil
		})
	})
}
