package store_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

func TestADecisionStandsForEver(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		full := exchange.Decision{
			Partner: them, Type: "hanse-cancel+jwt", ID: "cnl-order-0001", Digest: []byte{1, 2}, At: ledger.Position{Life: 1, Seq: 2},
			Checkpoint: "a.b.c", Held: ledger.Checkpoint{Life: 3, Seq: 4, Tick: 5}, Document: "d.e.f", Escrow: []byte("sealed"),
		}
		bare := exchange.Decision{Partner: them, Type: "hanse-order+jwt", ID: "cnl-order-0001"}
		do(t, s, func(tx *store.Tx) error {
			_, err := tx.Decisions().Decision(full.Partner, full.Type, full.ID)
			wantKind(t, err, fault.NotFound, "decision_not_found")
			must(0, tx.Decisions().PutDecision(full))
			return tx.Decisions().PutDecision(bare) // another type's id
		})
		other := full
		other.Digest = []byte{3}
		if err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Decisions().PutDecision(other) }); !fault.Is(err, fault.Conflict) || !errors.Is(err, unit.ErrStale) {
			t.Errorf("decided twice: %v", err)
		}
		view(t, s, func(tx *store.Tx) error {
			for _, want := range []exchange.Decision{full, bare} {
				if diff := cmp.Diff(want, must(tx.Decisions().Decision(want.Partner, want.Type, want.ID)), cmpopts.EquateEmpty()); diff != "" {
					t.Error(diff)
				}
			}
			_, err := tx.Decisions().Decision("https://another.example", full.Type, full.ID)
			wantKind(t, err, fault.NotFound, "decision_not_found")
			return nil
		})
	})
}

func TestTheNewestCheckpointThatAPartnerLeft(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		view(t, s, func(tx *store.Tx) error {
			if _, jws, err := tx.Decisions().Held(them); err != nil || jws != "" {
				t.Errorf("held %q, %v", jws, err)
			}
			return nil
		})
		for _, step := range []struct {
			id   string
			held ledger.Checkpoint
			want string
		}{
			{"a", ledger.Checkpoint{Seq: 9, Tick: 1}, "a"},
			{"b", ledger.Checkpoint{Seq: 8, Tick: 7}, "a"},
			{"c", ledger.Checkpoint{Seq: 9, Tick: 2}, "c"},
			{"d", ledger.Checkpoint{Life: 1, Seq: 1}, "d"},
			{"e", ledger.Checkpoint{Seq: 10, Tick: 9}, "d"},
		} {
			do(t, s, func(tx *store.Tx) error {
				must(0, tx.Decisions().PutDecision(exchange.Decision{Partner: them, Type: "t", ID: step.id, Checkpoint: step.id, Held: step.held}))
				return tx.Decisions().PutDecision(exchange.Decision{Partner: "https://another.example", Type: "t", ID: step.id, Checkpoint: "x", Held: ledger.Checkpoint{Life: 9}})
			})
			view(t, s, func(tx *store.Tx) error {
				if _, jws := must2(tx.Decisions().Held(them)); jws != step.want {
					t.Errorf("after %s: held %s", step.id, jws)
				}
				return nil
			})
		}
	})
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func TestADocumentIsDecidedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var won atomic.Int64
		together(20, func(int) {
			err := s.Do(t.Context(), func(tx *store.Tx) error {
				return tx.Decisions().PutDecision(exchange.Decision{Partner: them, Type: "t", ID: "order-0001"})
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, unit.ErrStale):
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("decided %d times", won.Load())
		}
	})
}
