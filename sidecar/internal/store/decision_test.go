package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
			Partner: them, Key: exchange.Key{Type: "hanse-cancel+jwt", ID: "cnl-order-0001"}, Digest: []byte{1, 2}, At: ledger.Position{Life: 1, Seq: 2},
			Checkpoint: "a.b.c", Held: ledger.Checkpoint{Life: 3, Seq: 4, Tick: 5}, Document: "d.e.f", Escrow: []byte("sealed"),
		}
		bare := exchange.Decision{Partner: them, Key: exchange.Key{Type: "hanse-order+jwt", ID: "cnl-order-0001"}} // another type's id
		do(t, s, func(tx *store.Tx) error {
			if known := must(tx.Decisions().Decisions(them, []exchange.Key{full.Key, bare.Key})); len(known) > 0 {
				t.Errorf("nothing was decided, and there is %+v", known)
			}
			return tx.Decisions().PutDecisions([]exchange.Decision{full, bare})
		})
		other, fresh := full, bare
		other.Digest, fresh.ID = []byte{3}, "order-0002"
		for _, made := range [][]exchange.Decision{{other}, {fresh, other}, {fresh, fresh}} {
			if err := s.Do(t.Context(), func(tx *store.Tx) error { return tx.Decisions().PutDecisions(made) }); !fault.Is(err, fault.Conflict) || !errors.Is(err, unit.ErrStale) {
				t.Errorf("decided twice: %v", err)
			}
		}
		view(t, s, func(tx *store.Tx) error {
			want := map[exchange.Key]exchange.Decision{full.Key: full, bare.Key: bare}
			if diff := cmp.Diff(want, must(tx.Decisions().Decisions(them, []exchange.Key{full.Key, fresh.Key, bare.Key})), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if known := must(tx.Decisions().Decisions("https://another.example", []exchange.Key{full.Key})); len(known) > 0 {
				t.Errorf("another partner has %+v", known)
			}
			return nil
		})
	})
}

func TestCheckpointsThatCameWithDocumentsAreFoundByTheirPlace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		do(t, s, func(tx *store.Tx) error {
			var made []exchange.Decision
			for n, at := range []ledger.Position{{Seq: 3}, {Seq: 4}, {Seq: 4}, {Seq: 6}, {Seq: 7}, {Life: 1, Seq: 5}} {
				made = append(made, exchange.Decision{
					Partner: them, Key: exchange.Key{Type: "t", ID: fmt.Sprint(n)}, Checkpoint: at.String(), Held: ledger.Checkpoint{Life: at.Life, Seq: at.Seq},
				})
			}
			other := made[1]
			other.Partner, other.Checkpoint = "https://another.example", "other"
			return tx.Decisions().PutDecisions(append(made, other))
		})
		view(t, s, func(tx *store.Tx) error {
			var found []string
			err := tx.Ledger().HeldWithin(them, ledger.Position{Seq: 3}, ledger.Position{Seq: 6}, func(at ledger.Position, jws string) error {
				if at.String() != jws {
					t.Errorf("%s is at %s", jws, at)
				}
				found = append(found, jws)
				return nil
			})
			slices.Sort(found)
			if err != nil || !slices.Equal(found, []string{"4", "6"}) {
				t.Errorf("found %v, %v", found, err)
			}
			stop := errors.New("stop")
			if err := tx.Ledger().HeldWithin(them, ledger.Position{}, ledger.Position{Seq: 9}, func(ledger.Position, string) error { return stop }); !errors.Is(err, stop) {
				t.Errorf("it ended with %v", err)
			}
			return nil
		})
	})
}

func TestDecisionsAreReadAndWrittenTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for _, n := range []int{0, 1, 2, 4, 5, 16, 21, 63, 64, 65, 130} {
			made, keys := make([]exchange.Decision, n), make([]exchange.Key, n)
			for i := range n {
				keys[i] = exchange.Key{Type: "t", ID: fmt.Sprintf("%d-%d", n, i)}
				made[i] = exchange.Decision{Partner: them, Key: keys[i], At: ledger.Position{Seq: int64(i)}, Digest: []byte{byte(i)}}
			}
			do(t, s, func(tx *store.Tx) error { return tx.Decisions().PutDecisions(made) })
			view(t, s, func(tx *store.Tx) error {
				known := must(tx.Decisions().Decisions(them, keys))
				for _, want := range made {
					if diff := cmp.Diff(want, known[want.Key], cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%d at once: %s", n, diff)
					}
				}
				if len(known) != n {
					t.Errorf("%d at once: %d are there", n, len(known))
				}
				return nil
			})
		}
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
				key := exchange.Key{Type: "t", ID: step.id}
				return tx.Decisions().PutDecisions([]exchange.Decision{
					{Partner: them, Key: key, Checkpoint: step.id, Held: step.held},
					{Partner: "https://another.example", Key: key, Checkpoint: "x", Held: ledger.Checkpoint{Life: 9}},
				})
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

// TestDecisionsAreFoundByTheirKeys: a partner has as many as it ever had documents, and none of the others is walked through.
func TestDecisionsAreFoundByTheirKeys(t *testing.T) {
	t.Parallel()
	s := open(t, engines["sqlite"](t))
	view(t, s, func(tx *store.Tx) error {
		var plan []string
		tx.Plans(func(_, step string) { plan = append(plan, step) })
		for _, n := range []int{1, 4, 16, 64} {
			plan = nil
			must(tx.Decisions().Decisions(them, make([]exchange.Key, n)))
			if !slices.ContainsFunc(plan, func(step string) bool { return strings.HasSuffix(step, "(id=? AND type=? AND partner=?)") }) {
				t.Errorf("%d at once: %q", n, plan)
			}
		}
		return nil
	})
}

func TestCancelsBeforeTheirOrdersAreCounted(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for i, step := range []struct {
			partner    string
			now, after time.Time
			want       exchange.Early
		}{
			{them, start, start.Add(-time.Hour), exchange.Early{Since: start, Count: 1}},
			{them, start.Add(time.Minute), start.Add(-time.Hour), exchange.Early{Since: start, Count: 2}},
			{"https://another.example", start.Add(time.Minute), start.Add(-time.Hour), exchange.Early{Since: start.Add(time.Minute), Count: 1}},
			{them, start.Add(time.Hour), start, exchange.Early{Since: start.Add(time.Hour), Count: 1}},
		} {
			do(t, s, func(tx *store.Tx) error {
				if diff := cmp.Diff(step.want, must(tx.Decisions().CountEarly(step.partner, step.now, step.after))); diff != "" {
					t.Errorf("%d: %s", i, diff)
				}
				return nil
			})
			view(t, s, func(tx *store.Tx) error {
				if diff := cmp.Diff(step.want, must(tx.Decisions().Early(step.partner))); diff != "" {
					t.Errorf("%d, read: %s", i, diff)
				}
				if e := must(tx.Decisions().Early("https://third.example")); e.Count != 0 {
					t.Errorf("of a partner without any: %+v", e)
				}
				return nil
			})
		}
	})
}

func TestADocumentIsDecidedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		var won atomic.Int64
		together(20, func(int) {
			err := s.Do(t.Context(), func(tx *store.Tx) error {
				return tx.Decisions().PutDecisions([]exchange.Decision{{Partner: them, Key: exchange.Key{Type: "t", ID: "order-0001"}}})
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
