package order

import (
	"strconv"
	"strings"
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

// What Source begins with, for each log.
const (
	ownSource   = "own ledger "
	theirSource = "their ledger "
)

// Source names the place of an entry in a timeline.
func Source(e ledger.Entry) string {
	if e.Direction == ledger.Theirs {
		return theirSource + e.Position().String()
	}
	return ownSource + e.Position().String()
}

// Place is the log and the place in it that a Source names; false where the event was written nowhere.
func (e Event) Place() (dir ledger.Direction, at ledger.Position, is bool) {
	text, own := strings.CutPrefix(e.Source, ownSource)
	dir = ledger.Own
	if !own {
		dir = ledger.Theirs
		if text, is = strings.CutPrefix(e.Source, theirSource); !is {
			return "", at, false
		}
	}
	life, seq, later := strings.Cut(text, ".")
	if !later {
		life, seq = "0", text
	}
	var err, bad error
	at.Life, err = strconv.ParseInt(life, 10, 64)
	at.Seq, bad = strconv.ParseInt(seq, 10, 64)
	return dir, at, err == nil && bad == nil
}
