package sidecar

import (
	"context"

	"github.com/hanse-market/hanse/auth/keys"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store"
)

// Keys lets a test speak for a member that runs: with its keys, and not by its rules.
func (s *Sidecar) Keys() *keys.Manager { return s.keys }

// CloseStore takes the database away from a sidecar that runs.
func (s *Sidecar) CloseStore() error { return s.store.Close() }

// StoreStats counts what the store did since it was opened.
func (s *Sidecar) StoreStats() store.Stats { return s.store.Stats() }

// PrivateKeys lets a test sign by hand what a manager would not.
func (s *Sidecar) PrivateKeys(p keys.Purpose) ([]keys.Record, error) {
	return s.store.Keys(context.Background(), p)
}

// Sweep looks once for orders that no supplier decided in time, as the loop does every minute.
func (s *Sidecar) Sweep(ctx context.Context) (int, error) {
	return (&retail.Sweep{Orders: s.overdue.Orders}).Once(ctx)
}
