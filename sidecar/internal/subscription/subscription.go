package subscription

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Side says which half of the deal a record is.
type Side string

const (
	// Retail is the reseller's record, towards its customer.
	Retail Side = "retail"
	// Resale is the supplier's record, towards the reseller.
	Resale Side = "resale"
)

// Subscription is a running product (TMF637). Both sides use the same ID.
type Subscription struct {
	ID   string
	Side Side
	// Partner is the other side's origin.
	Partner string
	// Portal and Customer are set on the retail side; Pseudonym stands for the customer on the resale side.
	Portal    string
	Customer  string
	Pseudonym string
	// OrderID is the order that made it: the retail order's key or the resale order's id.
	OrderID     string
	AgreementID string
	OfferingID  string
	Revision    int64
	ListingID   string
	Name        string
	Quantity    int64
	State       State
	// Retail price on the retail side, wholesale on the resale side.
	OneOff    *money.Amount
	Recurring *money.Amount
	Period    string
	// Adapter and Binding say how it was provisioned, on the resale side.
	Adapter string
	Binding []byte
	// AccessDigest is the SHA-256 of the sealed access data.
	AccessDigest []byte
	// AccessReady: the retail side has opened and kept the access data.
	AccessReady bool
	ActiveSince time.Time
	EndedAt     time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Version     int64
}

// Store keeps subscriptions, their inputs and their access data.
type Store interface {
	// Get reads one; fault.NotFound with reason subscription_not_found.
	Get(side Side, id string) (Subscription, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict.
	Put(Subscription) (Subscription, error)
	// OfCustomer pages through a portal's subscriptions, newest first; customer "" is all customers'.
	OfCustomer(portal, customer, pageToken string, limit int) ([]Subscription, string, error)
	// List pages through one side, or both with side "", newest first.
	List(side Side, pageToken string, limit int) ([]Subscription, string, error)
	Count() (map[Side]map[State]int64, error)

	// PutSecret keeps bytes under the subscription's own data key; an existing one of that name is replaced.
	PutSecret(side Side, id, name string, plain []byte) error
	// Secret reads them back; fault.NotFound.
	Secret(side Side, id, name string) ([]byte, error)
	DeleteSecret(side Side, id, name string) error
	// Erase destroys the subscription's data key: all its secrets are unreadable for ever.
	Erase(side Side, id string) error
}
