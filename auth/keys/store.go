package keys

import (
	"context"
	"time"
)

// Purpose of a key. No key serves two.
type Purpose string

const (
	// Token signs access tokens (at+jwt).
	Token Purpose = "token"
	// Client signs client assertions.
	Client Purpose = "client"
	// Business signs documents, ledger checkpoints and the member document.
	Business Purpose = "business"
	// Sealing opens access data (ECDH-ES).
	Sealing Purpose = "sealing"
)

// State of a key within its purpose.
type State string

const (
	// Next is published (or, for Business, committed to by digest) and not used yet.
	Next State = "next"
	// Current signs.
	Current State = "current"
	// Retired still verifies (or opens) until NotAfter.
	Retired State = "retired"
)

// Record is one private key at rest. The store encrypts Private under the site's key.
type Record struct {
	Purpose Purpose
	// KID is the RFC 7638 thumbprint.
	KID   string
	State State
	// Private is the private JWK as JSON.
	Private   []byte
	CreatedAt time.Time
	// NotAfter is zero while the key is Next or Current.
	NotAfter time.Time
}

// Store keeps the keys of this member; shared by its replicas.
type Store interface {
	Keys(ctx context.Context, purpose Purpose) ([]Record, error)
	// SaveKeys writes all given records in one transaction (insert or replace by purpose and KID). It is for first start and
	// rotation: guard says which KID is Current now ("" for none); a different one is a conflict and nothing is written.
	SaveKeys(ctx context.Context, purpose Purpose, guard string, records []Record) error
}
