package exchange

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
)

// Early is how many cancels of a partner came before their orders since a time. Each leaves something behind for ever, and nothing says
// that its order will ever come.
type Early struct {
	Since time.Time
	Count int64
}

// maxEarly bounds them in earlyWindow: many more than who cancels what could not be delivered in a day's outage.
const (
	maxEarly    = 10_000
	earlyWindow = 24 * time.Hour
)

// beyond refuses one more than count of them until the window is over.
func (e Early) beyond(count int64, now time.Time) error {
	wait := e.Since.Add(earlyWindow).Sub(now)
	if e.Count <= count || wait <= 0 {
		return nil
	}
	err := fault.New(fault.Exhausted, "cancels_limit", "%d cancels of orders that never arrived were taken in a day", maxEarly).Do("send it again later")
	err.RetryAfter = wait
	return err
}

// roomForEarly refuses a cancel before anything is written for it.
func (b *batch) roomForEarly() error {
	e, err := b.tx.Decisions().Early(b.v.call.Partner)
	if err != nil {
		return err
	}
	return e.beyond(maxEarly-1, b.desk.Now())
}

// countEarly counts a cancel that is taken.
func (b *batch) countEarly() error {
	now := b.desk.Now()
	e, err := b.tx.Decisions().CountEarly(b.v.call.Partner, now, now.Add(-earlyWindow))
	if err != nil {
		return err
	}
	return e.beyond(maxEarly, now)
}
