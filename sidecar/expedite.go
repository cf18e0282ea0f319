package sidecar

import (
	"context"
	"sync"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// expediteEvery bounds how often a partner can make its waiting jobs due.
const expediteEvery = 10 * time.Second

// expedited remembers when each partner's jobs were made due last.
type expedited struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// may reports whether it is time again.
func (e *expedited) may(partner string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.last[partner]) < expediteEvery {
		return false
	}
	if e.last == nil || len(e.last) > 10_000 {
		e.last = make(map[string]time.Time)
	}
	e.last[partner] = now
	return true
}

// expedite makes the jobs due that wait for a partner: it is there again, and a long back-off must not outlast its absence.
func (s *Sidecar) expedite(partner string) {
	now := s.cfg.Now()
	if !s.expedited.may(partner, now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.streams), 10*time.Second)
	defer cancel()
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		for _, kind := range []string{
			retail.JobSubmit, subscription.JobAccessFetch, subscription.JobAccessConfirm, agreement.JobOffer, agreement.JobAccept,
		} {
			if err := tx.Jobs().Expedite(kind, partner, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.cfg.Logger.Warn("jobs not made due", "partner", partner, "error", err)
	}
}
