package order

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/money"
)

// Side says which half of the deal a record is.
type Side string

const (
	// Retail is the reseller's order, placed by its portal.
	Retail Side = "retail"
	// Resale is the supplier's order, placed by the reseller's sidecar.
	Resale Side = "resale"
)

// Action is TMF622's item action.
type Action string

const (
	Add    Action = "add"
	Modify Action = "modify"
	Delete Action = "delete"
)

// Intent says what the action is for.
type Intent string

const (
	Purchase  Intent = "purchase"
	Terminate Intent = "terminate"
)

// Order is one side's record of a deal. Key is the primary key of a side: for Retail Portal + "/" + ID, for Resale the
// correlation id.
type Order struct {
	Side Side
	// ID is the portal's own order id (Retail) or the correlation id (Resale).
	ID string
	// CorrelationID is the resale order's id, minted once by the reseller, the same on both sides.
	CorrelationID string
	Partner       string
	Portal        string
	Customer      string
	State         State
	// Reason and Message explain the state where it does not explain itself.
	Reason  string
	Message string
	Action  Action
	Intent  Intent

	AgreementID string
	OfferingID  string
	Revision    int64
	ListingID   string
	Name        string
	Quantity    int64
	// SubscriptionID is minted with the order (Add) or names what to end (Delete).
	SubscriptionID string
	// Wholesale as in the document; Retail on the retail side.
	WholesaleOneOff    *money.Amount
	WholesaleRecurring *money.Amount
	RetailOneOff       *money.Amount
	RetailRecurring    *money.Amount
	Period             string

	// RequestDigest is the SHA-256 of what the caller asked, to tell a repetition from a conflict.
	RequestDigest []byte
	// Document is the signed order (compact JWS) as it travels; PayloadDigest the SHA-256 of its payload.
	Document      string
	PayloadDigest []byte
	InputsSalt    []byte
	// DecisionSeq is the sequence number, in the supplier's ledger, of the entry that decided it.
	DecisionSeq int64

	PlacedAt  time.Time
	UpdatedAt time.Time
	Events    []Event
	Version   int64
}

// Event is one line of an order's timeline.
type Event struct {
	At      time.Time
	State   State
	Message string
	// Source is where it was written: "own ledger 17", "their ledger 4", "".
	Source string
}

// Key is the primary key within the side.
func (o Order) Key() string {
	if o.Side == Retail {
		return o.Portal + "/" + o.ID
	}
	return o.CorrelationID
}

// Store keeps orders.
type Store interface {
	// Get reads by key; fault.NotFound with reason order_not_found.
	Get(side Side, key string) (Order, error)
	// ByCorrelation reads by correlation id; for Resale the partner must match too; fault.NotFound.
	ByCorrelation(side Side, partner, correlationID string) (Order, error)
	// Put inserts (Version 0, fault.Conflict if the key exists) or compares and swaps (fault.Conflict).
	Put(Order) (Order, error)
	// OfCustomer pages through a portal's orders, newest first; customer "" is all customers'.
	OfCustomer(portal, customer, pageToken string, limit int) ([]Order, string, error)
	// List pages through one side, or both with side "", newest first.
	List(side Side, openOnly bool, pageToken string, limit int) ([]Order, string, error)
	// Find looks for an id or correlation id on both sides.
	Find(id string) ([]Order, error)
	// Count counts by side and state and gives the oldest open order's time by side.
	Count() (map[Side]map[State]int64, map[Side]time.Time, error)
}
