package sidecar

import "github.com/hanse-market/hanse/auth/keys"

// Keys lets a test speak for a member that runs: with its keys, and not by its rules.
func (s *Sidecar) Keys() *keys.Manager { return s.keys }

// CloseStore takes the database away from a sidecar that runs.
func (s *Sidecar) CloseStore() error { return s.store.Close() }
