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
	Version     int64
}

// Scopes of the Portal API.
const (
	ScopeCatalogRead       = "catalog:read"
	ScopeOrdersWrite       = "orders:write"
	ScopeOrdersRead        = "orders:read"
	ScopeSubscriptionsRead = "subscriptions:read"
	ScopeAccessReveal      = "access:reveal"
	ScopeSessionsWrite     = "sessions:write"
)

// Store keeps portal clients.
type Store interface {
	// Get reads one; fault.NotFound with reason portal_not_found.
	Get(name string) (Client, error)
	// ByKeyHash finds the client by its present or old key; fault.NotFound.
	ByKeyHash(hash []byte) (Client, error)
	List() ([]Client, error)
	Put(Client) (Client, error)
	Remove(name string) error
}
