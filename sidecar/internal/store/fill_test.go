package store_test

import (
	"strconv"
	"testing"

	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestASchemaFillsInWhoseSubscriptionsAre what an older hanse wrote: as their records say, and nobody else's.
func TestASchemaFillsInWhoseSubscriptionsAre(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *store.Store, _ *topics) {
		for _, many := range []int{0, 1000, 2345} { // of none, all full batches, and a rest
			do(t, s, func(tx *store.Tx) error {
				return tx.BareRetail(many, func(i int) string { return "https://" + strconv.Itoa(i%7) })
			})
			do(t, s, func(tx *store.Tx) error { return tx.FillCounterparts() })
			var wrong int
			view(t, s, func(tx *store.Tx) (err error) {
				wrong, err = tx.MisfilledRetail(many, func(i int) string { return "https://" + strconv.Itoa(i%7) })
				return err
			})
			if wrong != 0 {
				t.Errorf("of %d subscriptions %d are filled in wrongly", many, wrong)
			}
		}
	})
}
