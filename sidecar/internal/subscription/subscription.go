package subscription

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/price"
)

// Side says which half of the deal a record is.
type Side string

const (
	// Retail is the reseller's record, towards its customer.
	Retail Side = "retail"
	// Resale is the supplier's record, towards the reseller.
	Resale Side = "resale"
)

// Key names a record. A retail subscription is named by its id alone, which we made; a resale one by its id within its
// partner, who made it.
type Key struct {
	Side Side
	// Partner is "" on the retail side.
	Partner string
	ID      string
}

// RetailKey names what one of our customers has.
func RetailKey(id string) Key { return Key{Side: Retail, ID: id} }

// ResaleKey names what a partner resells.
func ResaleKey(partner, id string) Key { return Key{Side: Resale, Partner: partner, ID: id} }

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
	// OrderID is the order that made it: the retail order's or the resale order's id.
	OrderID     string
	AgreementID string
	OfferingID  string
	Revision    int64
	ListingID   string
	Name        string
	Quantity    int64
	State       State
	// Before is the state from which an order in progress took it; an order that comes to nothing gives it back there.
	Before State
	// Price is retail on the retail side, wholesale on the resale side.
	Price price.Line
	// Adapter and Binding say how it was provisioned, on the resale side.
	Adapter string
	Binding []byte
	// AccessDigest is the SHA-256 of the sealed access data, AccessOrder the id between the members of the order that brought them.
	AccessDigest []byte
	AccessOrder  string
	// AccessReady: the retail side has opened and kept the access data.
	AccessReady bool
	// Receipt is what tells the supplier so (compact JWS), on the retail side; ReceiptDigest the SHA-256 of its payload.
	Receipt       string
	ReceiptDigest []byte
	ActiveSince   time.Time
	EndedAt       time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Version       int64
}

// Key names the record.
func (s Subscription) Key() Key {
	if s.Side == Retail {
		return RetailKey(s.ID)
	}
	return ResaleKey(s.Partner, s.ID)
}

// Store keeps subscriptions, their inputs and their access data.
type Store interface {
	// Get reads one; fault.NotFound with reason subscription_not_found.
	Get(Key) (Subscription, error)
	// Put inserts (Version 0) or compares and swaps; fault.Conflict.
	Put(Subscription) (Subscription, error)
	// OfCustomer pages through a portal's subscriptions, newest first; customer "" is all customers'.
	OfCustomer(portal, customer, pageToken string, limit int) ([]Subscription, string, error)
	// List pages through one side, or both with side "", newest first.
	List(side Side, pageToken string, limit int) ([]Subscription, string, error)
	// Running pages through those with a partner that have not ended, on both sides, by (id, side): Resale is before Retail.
	Running(partner, afterID string, afterSide Side, limit int) ([]Subscription, error)
	// Count takes the longer the more there are.
	Count() (map[Side]map[State]int64, error)

	// PutSecret keeps bytes under the subscription's own data key; an existing one of that name is replaced. After Erase it is
	// fault.Precondition.
	PutSecret(k Key, name string, plain []byte) error
	// Secret reads them back; fault.NotFound.
	Secret(k Key, name string) ([]byte, error)
	DeleteSecret(k Key, name string) error
	// Erase destroys the subscription's data key: all its secrets are unreadable for ever.
	Erase(Key) error
}
