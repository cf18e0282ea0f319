package order

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Item is one deal as each side keeps it (TMF622 ProductOrderItem).
type Item struct {
	Action Action
	Intent Intent

	AgreementID string
	OfferingID  string
	Revision    int64
	Name        string
	Quantity    int64
	// SubscriptionID is made with the order (Add) or names what the order is about.
	SubscriptionID string
	// Wholesale is what the reseller owes, as in the document.
	Wholesale price.Line

	// Document is the signed order (compact JWS) as it travels; PayloadDigest the SHA-256 of its payload.
	Document      string
	PayloadDigest []byte
	InputsSalt    []byte

	State State
	// Reason and Message explain the state where it does not explain itself.
	Reason  string
	Message string
	Events  []Event
}

// Event is one line of a timeline.
type Event struct {
	At      time.Time
	State   State
	Reason  string
	Message string
	// Source is where it was written: "own ledger 17", "their ledger 4", "".
	Source string
}

// Row is what the item's intent means. An item is only ever made of a row that is taken.
func (i Item) Row() Row {
	r, _ := RowOf(i.Action, i.Intent)
	return r
}

// Course is how the item moves its subscription.
func (i Item) Course() subscription.Course { return i.Row().Course }

// Source names the place of an entry in a timeline.
func Source(e ledger.Entry) string {
	if e.Direction == ledger.Theirs {
		return "their ledger " + e.Position().String()
	}
	return "own ledger " + e.Position().String()
}
