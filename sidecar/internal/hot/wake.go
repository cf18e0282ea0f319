package hot

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// newInstance tells our own wake-ups from those of other replicas.
func newInstance() string { return uuid.NewString() }

// Publish implements State. Subscribers of this process are woken at once, the other replicas by a goroutine, so that no
// commit waits for Redis. It never fails; what gets lost is found by polling.
func (r *Redis) Publish(_ context.Context, topic unit.Topic) error {
	r.wake(topic)
	r.mu.Lock()
	r.pend[topic] = true
	r.mu.Unlock()
	nudge(r.send)
	return nil
}

func (r *Redis) publish(ctx context.Context) {
	healthy := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.send:
		}
		r.mu.Lock()
		topics := make([]unit.Topic, 0, len(r.pend))
		for topic := range r.pend {
			topics = append(topics, topic)
		}
		clear(r.pend)
		r.mu.Unlock()
		_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, topic := range topics {
				p.Publish(ctx, r.key("wake"), r.self+" "+string(topic))
			}
			return nil
		})
		if err != nil && healthy && ctx.Err() == nil {
			r.cfg.Logger.Warn("wake-ups do not reach other replicas, they poll", "err", err)
		}
		healthy = err == nil
	}
}

// listen wakes subscribers for other replicas. A new subscription may have missed some, so it wakes all.
func (r *Redis) listen(ctx context.Context, sub *redis.PubSub) {
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
