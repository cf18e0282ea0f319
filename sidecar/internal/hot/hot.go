package hot

import (
	"context"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// State is what both implementations give. An error means that nobody knows; callers that protect something fail closed.
type State interface {
	// Claim sets a key that is absent, atomically, for ttl; fresh reports whether it was absent.
	Claim(ctx context.Context, key string, ttl time.Duration) (fresh bool, err error)
	// Birth is since when claims are remembered: a proof older than it may have been used before.
	Birth(ctx context.Context) (time.Time, error)
	// Mark puts a key on the deny list for ttl; Marked asks.
	Mark(ctx context.Context, key string, ttl time.Duration) error
	Marked(ctx context.Context, key string) (bool, error)
	// Allow takes one of perSecond calls, burst of them at once (GCRA); when there is none left it says when there will be.
	Allow(ctx context.Context, key string, perSecond float64, burst int) (ok bool, retryAfter time.Duration, err error)
	// Lease takes or renews a name for an owner; false while another one holds it. Release gives it back.
	Lease(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	Release(ctx context.Context, name, owner string) error
	// Publish wakes the subscribers of a topic: those of this process at once, those of other replicas while Run runs on both
	// sides. Wake-ups coalesce and may be lost; subscribers also poll.
	Publish(ctx context.Context, topic unit.Topic) error
	// Subscribe gives a channel with room for one wake-up; cancel ends it.
	Subscribe(topic unit.Topic) (ch <-chan struct{}, cancel func())
	// Run carries wake-ups between replicas until ctx ends. Everything else works without it.
	Run(ctx context.Context) error
	// Close releases the connections; call it when Run has returned.
	Close() error
}
