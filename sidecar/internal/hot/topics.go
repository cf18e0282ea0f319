package hot

import (
	"sync"

	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// topics are the subscribers of this process.
type topics struct {
	mu   *sync.Mutex
	subs map[unit.Topic]map[chan struct{}]bool
}

func newTopics() topics {
	return topics{mu: &sync.Mutex{}, subs: map[unit.Topic]map[chan struct{}]bool{}}
}

// Subscribe implements State.
func (t topics) Subscribe(topic unit.Topic) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs[topic] == nil {
		t.subs[topic] = map[chan struct{}]bool{}
	}
	t.subs[topic][ch] = true
	return ch, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.subs[topic], ch)
		if len(t.subs[topic]) == 0 {
			delete(t.subs, topic)
		}
	}
}

func (t topics) wake(topic unit.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ch := range t.subs[topic] {
		nudge(ch)
	}
}

func (t topics) wakeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, subs := range t.subs {
		for ch := range subs {
			nudge(ch)
		}
	}
}

// nudge wakes whoever reads ch, once however often.
func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
