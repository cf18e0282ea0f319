package exchange_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// TestCancelsOfWhatNeverCameAreBounded: what is beyond waits for the next day, alone, and leaves nothing. A cancel of what is there is not counted.
func TestCancelsOfWhatNeverCameAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	there := b.purchase("order-there")
	b.submit(b.order(there))
	b.Do(func(tx *store.Tx) error {
		for range 9_998 {
			if _, err := tx.Decisions().CountEarly(buyer, b.Clock.Now(), time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	b.Clock.Pass(time.Hour)
	early := func(n int) exchange.Document { return b.cancelling(b.purchase(fmt.Sprintf("order-%04d", n))) }
	call := []exchange.Document{early(1), early(2), b.cancelling(there), early(3)}
	for pass := range 2 { // all three together, and the one that is left by itself
		left := b.traces()
		if pass == 0 { // an entry each of the two that nobody ordered and of the one that is there, whose work is called off
			left.entries += 3
			left.jobs--
		}
		reply := b.submit(call...)
		decided := 0
		for i := range call {
			if reply.Outcomes[i].Undecided == nil {
				if e := b.decided(reply, i); e.Kind != ledger.OrderCancelled {
					t.Errorf("cancel %d was decided as %s", i, e.Bytes)
				}
				decided++
				continue
			}
			wantUndecided(t, reply.Outcomes[i], "cancels_limit", false)
			if wait := reply.Outcomes[i].Undecided.RetryAfter; wait != 23*time.Hour {
				t.Errorf("to be sent again after %s", wait)
			}
		}
		if after := b.traces(); decided != 3 || after != left {
			t.Errorf("%d were decided, left %+v, want %+v", decided, after, left)
		}
	}
	b.Clock.Pass(23 * time.Hour)
	reply := b.submit(call...)
	for i := range call {
		if e := b.decided(reply, i); e.Kind != ledger.OrderCancelled {
			t.Errorf("cancel %d was decided as %s", i, e.Bytes)
		}
	}
}
