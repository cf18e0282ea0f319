package portal

import "time"

// Client is a portal that may call the Portal API.
type Client struct {
	Name   string
	Scopes []string
	// KeyHash is HMAC-SHA-256 of the key under the site's key; OldKeyHash is the one before until OldKeyUntil.
	KeyHash     []byte
	OldKeyHash  []byte
	OldKeyUntil time.Time
	CreatedAt   time.Time
	RotatedAt   time.Time
	// RemovedAt is set on a client that was removed. It has no keys, and stays because what was ordered under its name stays.
	RemovedAt time.Time
	Version   int64
}

// Removed reports whether the client was removed.
func (c Client) Removed() bool { return !c.RemovedAt.IsZero() }

// Scopes of the Portal API.
const (
	ScopeCatalogRead       = "catalog:read"
	ScopeOrdersWrite       = "orders:write"
	ScopeOrdersRead        = "orders:read"
	ScopeSubscriptionsRead = "subscriptions:read"
	ScopeAccessReveal      = "access:reveal"
	ScopeSessionsWrite     = "sessions:write"
)

// Store keeps portal clients, for ever.
type Store interface {
	// Get reads one, removed or not; fault.NotFound with reason portal_not_found.
	Get(name string) (Client, error)
	// ByKeyHash finds the client by its present or old key; fault.NotFound.
	ByKeyHash(hash []byte) (Client, error)
	// List lists them by name, removed ones too.
	List() ([]Client, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict.
	Put(Client) (Client, error)
}
