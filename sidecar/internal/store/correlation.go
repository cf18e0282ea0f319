package store

import (
	"context"
	"fmt"
	"io"
)

// Origin is the member's, to which the store belongs since its first start: the one given then.
func (s *Store) Origin(ctx context.Context, first string) (string, error) {
	of, err := s.fact(ctx, "origin", []byte(first))
	return string(of), err
}

// CorrelationKey is the member's key from which correlation ids are derived: 32 random bytes, made once, sealed under the site key.
// It never changes, because ids that are derived anew must be those that partners know.
func (s *Store) CorrelationKey(ctx context.Context) ([]byte, error) {
	return s.lastingKey(ctx, "correlation_key")
}

// RecoveryKey is the member's key to which what partners keep for it alone is sealed: 32 random bytes, made once, sealed under the site key.
// It never changes, because what was sealed years ago must open after the disk is lost.
func (s *Store) RecoveryKey(ctx context.Context) ([]byte, error) {
	return s.lastingKey(ctx, "recovery_key")
}

// lastingKey is a key of that name; keys are exported by the end of their names.
func (s *Store) lastingKey(ctx context.Context, name string) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.Rand, key); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	sealed, err := s.vault.seal(s.vault.member, key, row("site", name))
	if err != nil {
		return nil, err
	}
	if sealed, err = s.fact(ctx, name, sealed); err != nil {
		return nil, err
	}
	if key, err = open(s.vault.member, sealed, row("site", name)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return key, nil
}
