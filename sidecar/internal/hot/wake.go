package hot

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// newInstance tells our own wake-ups from those of other replicas.
func newInstance() string { return uuid.NewString() }

// maxPending bounds the topics that wait for Run: a host that never runs must not fill its memory with them.
const maxPending = 4096

// Publish implements State. Subscribers of this process are woken at once, the other replicas by Run, so that no commit waits
// for Redis. It never fails; what gets lost is found by polling.
func (r *Redis) Publish(_ context.Context, topic unit.Topic) error {
	r.wake(topic)
	r.mu.Lock()
	if len(r.pend) < maxPending {
		r.pend[topic] = true
	}
	r.mu.Unlock()
	nudge(r.send)
	return nil
}

// Run implements State. A new subscription wakes everybody, so that nothing is lost of what other replicas said before Run.
func (r *Redis) Run(ctx context.Context) error {
	var publishing sync.WaitGroup
	publishing.Go(func() { r.publish(ctx) })
	r.listen(ctx)
	publishing.Wait()
	return nil
}

// publish sends what waits until ctx ends, and then once more: the last commits wake other replicas, too.
func (r *Redis) publish(ctx context.Context) {
	calls := context.WithoutCancel(ctx)
	healthy := true
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-r.send:
		}
		err := r.flush(calls)
		if err != nil && healthy && !ended {
			r.cfg.Logger.Warn("wake-ups do not reach other replicas, they poll", "error", err)
		}
		healthy = err == nil
	}
}

// flush sends the topics that wait.
func (r *Redis) flush(ctx context.Context) error {
	r.mu.Lock()
	topics := slices.Collect(maps.Keys(r.pend))
	clear(r.pend)
	r.mu.Unlock()
	if len(topics) == 0 {
		return nil
	}
	_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, topic := range topics {
			p.Publish(ctx, r.key("wake"), r.self+" "+string(topic))
		}
		return nil
	})
	return err
}

// listen wakes subscribers for other replicas. A new subscription may have missed some, so it wakes all.
func (r *Redis) listen(ctx context.Context) {
	sub := r.client.Subscribe(ctx, r.key("wake"))
	defer sub.Close()
	const retry = 100 * time.Millisecond
	messages := sub.ChannelWithSubscriptions(redis.WithChannelHealthCheckInterval(3*time.Second), redis.WithChannelSendTimeout(retry))
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-messages:
			if !open {
				return
			}
			switch m := m.(type) {
			case *redis.Subscription:
				r.wakeAll()
			case *redis.Message:
				if from, topic, ok := strings.Cut(m.Payload, " "); ok && from != r.self {
					r.wake(unit.Topic(topic))
				}
			}
		}
	}
}
