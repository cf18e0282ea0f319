package exchange

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Signs are the signs of life of partners with each of whom something is tried until it succeeds, one try at a time: a pause between two
// tries ends early where one comes. The zero Signs knows nobody.
type Signs struct {
	mu   sync.Mutex
	busy map[string]*Sign
}

// Sign is what is heard of one partner while it is tried.
type Sign struct {
	back, heard, read chan struct{}
	// last is when it was heard last and tried for that.
	last time.Time
}

func newSign() *Sign {
	return &Sign{back: make(chan struct{}, 1), heard: make(chan struct{}, 1), read: make(chan struct{}, 1)}
}

// Begin is for who tries; nil where somebody does.
func (s *Signs) Begin(partner string) *Sign {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[partner] != nil {
		return nil
	}
	if s.busy == nil {
		s.busy = make(map[string]*Sign)
	}
	of := newSign()
	s.busy[partner] = of
	return of
}

// End is for who has begun.
func (s *Signs) End(partner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, partner)
}

// Back is told when a partner is reached again: it is tried at once, for it was tried in vain while it was away.
func (s *Signs) Back(partner string) {
	s.tell(partner, func(of *Sign) chan struct{} { return of.back })
}

// Heard is told when a partner calls us: it is tried again, at most every ten seconds.
func (s *Signs) Heard(partner string) {
	s.tell(partner, func(of *Sign) chan struct{} { return of.heard })
}

// Read is told when our copy of a partner's log was read on. It ends no pause.
func (s *Signs) Read(partner string) {
	s.tell(partner, func(of *Sign) chan struct{} { return of.read })
}

func (s *Signs) tell(partner string, to func(*Sign) chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.busy[partner]; of != nil {
		select {
		case to(of) <- struct{}{}:
		default:
		}
	}
}

// Rest pauses, until the partner is reached again or heard at the most; a second time within ten seconds that ends it when they are over, or a
// little later.
func (of *Sign) Rest(ctx context.Context, pause time.Duration, now func() time.Time, after func(time.Duration) <-chan time.Time) {
	over := after(pause)
	heard := of.heard
	var early <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-of.back:
			return
		case <-heard:
			wait := heardEvery - now().Sub(of.last)
			if wait <= 0 {
				of.last = now()
				return
			}
			early, heard = after(min(wait, heardEvery)+rand.N(heardSpread)), nil
		case <-early:
			of.last = now()
			return
		}
	}
}
