package retail

import (
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
)

// Order is what a customer ordered in a portal (TMF622 ProductOrder).
type Order struct {
	// Portal and ID name it; the portal chose the id.
	Portal   string
	ID       string
	Customer string
	// RequestDigest is the SHA-256 of what the caller asked, to tell a repetition from a conflict.
	RequestDigest []byte
	Items         []Item
	PlacedAt      time.Time
	UpdatedAt     time.Time
	// ErasedAt is when what the order says of its customer was erased; zero where it was not. It has no customer and no RequestDigest then.
	ErasedAt time.Time
	Version  int64
}

// Item is one line of the order: a deal with one supplier.
type Item struct {
	order.Item
	// CorrelationID ties it to the supplier's order, whose id it is; made here, once.
	CorrelationID string
	Partner       string
	ListingID     string
	// Retail is what the customer owes.
	Retail price.Line
	// Escrow is what its supplier keeps for us beside the document. It is written with a new order; of one that was read it is nil, and
	// Store.Escrow reads it.
	Escrow []byte
	// CancelDocument is the signed cancel (compact JWS), where the customer wants the item no more; CancelDigest the SHA-256 of its
	// payload.
	CancelDocument string
	CancelDigest   []byte
	// Unsigned is the payload of the item's document where it was acknowledged before our books with the supplier were proved level, and
	// UnsignedCancel that of its cancel: nothing is signed, written into our ledger or sent about it yet. Document or CancelDocument is ""
	// until it is, and these are nil then.
	Unsigned, UnsignedCancel []byte
	// EraseDocument is the signed request to erase the item (compact JWS), where its order was; EraseDigest the SHA-256 of its payload.
	EraseDocument string
	EraseDigest   []byte
	// Abandoned is there where an operator gave the item up: its State is what the customer was told.
	Abandoned *Abandoned
}

// Abandoned is what became of an item after it was given up, or is to become.
type Abandoned struct {
	At time.Time
	// There is where the supplier's ledger has the item; "" where it says nothing yet.
	There order.State
	// Ending is the correlation id of the item that ends what the supplier made of this one; "" where there is nothing to end.
	Ending string
}

// wantsCancel reports whether a cancel of the item is still to be sent.
func (i Item) wantsCancel() bool {
	return i.cancelling() || i.Abandoned != nil && !i.Abandoned.There.Ended()
}

// taken reports whether the supplier has accepted the item, as its log told us.
func (i Item) taken() bool {
	return slices.ContainsFunc(i.Events, func(e order.Event) bool { return e.State == order.InProgress })
}

// cancellable reports whether a cancel may be sent: there is one per item.
func (i Item) cancellable() bool {
	return i.CancelDocument == "" && (i.State.Undecided() || i.State == order.InProgress)
}

// cancelling reports whether the item's cancel is on its way, or waits to be signed.
func (i Item) cancelling() bool {
	return i.State == order.AssessingCancel || i.State == order.PendingCancellation
}

// State of the order, from those of its items.
func (o Order) State() order.State {
	states := make([]order.State, len(o.Items))
	for i, it := range o.Items {
		states[i] = it.State
	}
	return order.Sum(states)
}

// Timeline is what happened to the order, oldest first.
func (o Order) Timeline() []order.Event {
	items := make([]order.Item, len(o.Items))
	for i, it := range o.Items {
		items[i] = it.Item
	}
	return order.Timeline(items)
}

// Telling is the first item whose state is the order's: its reason and message are the order's too. Where no item is in that
// state, it is the first that is open, and where all have ended, the first that did not end well.
func (o Order) Telling() Item {
	state := o.State()
	for _, tells := range []func(order.State) bool{
		func(s order.State) bool { return s == state },
		func(s order.State) bool { return !s.Ended() },
		func(s order.State) bool { return s != order.Completed },
	} {
		if i := slices.IndexFunc(o.Items, func(it Item) bool { return tells(it.State) }); i >= 0 {
			return o.Items[i]
		}
	}
	return o.Items[0]
}

// Place is where the order stands in lists.
func (o Order) Place() order.Place { return order.Place{At: o.PlacedAt, Key: o.Portal + "\n" + o.ID} }

// move is the order with one item in its next state.
func (o Order) move(i int, now time.Time, to order.State, reason, source string) (Order, error) {
	_, message := told(reason, o.Items[i].Intent, to)
	it, err := o.Items[i].Move(now, to, reason, message, source)
	if err != nil {
		return o, err
	}
	items := make([]Item, len(o.Items))
	copy(items, o.Items)
	items[i].Item = it
	o.Items, o.UpdatedAt = items, now
	return o, nil
}

// along is the order with one item moved through several states, for one reason.
func (o Order) along(i int, now time.Time, reason, source string, through ...order.State) (_ Order, err error) {
	for _, to := range through {
		if o, err = o.move(i, now, to, reason, source); err != nil {
			return o, err
		}
	}
	return o, nil
}

// wait is the order with one item that waits for its supplier, for this reason now.
func (o Order) wait(i int, now time.Time, reason string) (Order, error) {
	o, err := o.move(i, now, order.PendingUnreachable, reason, "")
	if err != nil {
		return o, err
	}
	return o.because(i, now, reason), nil
}

// because is the order with one item that is where it is for another reason now.
func (o Order) because(i int, now time.Time, reason string) Order {
	o.Items = slices.Clone(o.Items)
	o.Items[i].Reason, o.UpdatedAt = reason, now
	_, o.Items[i].Message = told(reason, o.Items[i].Intent, o.Items[i].State)
	return o
}

// Key names an order: each portal makes its own ids.
type Key struct{ Portal, ID string }

// Store keeps retail orders.
type Store interface {
	// Get reads one; fault.NotFound with reason order_not_found.
	Get(portal, id string) (Order, error)
	// There reports which of the orders there are.
	There(keys []Key) (map[Key]bool, error)
	// ByCorrelation finds the order of an item and the item's index; fault.NotFound.
	ByCorrelation(correlationID string) (Order, int, error)
	// Put inserts (Version 0, fault.Conflict if there is one) or compares and swaps (fault.Conflict).
	Put(Order) (Order, error)
	// Escrow reads that of an item, nil where there is none; PutEscrow writes it.
	Escrow(correlationID string) ([]byte, error)
	PutEscrow(correlationID string, escrow []byte) error
	// Take removes an order as it was read, whose items go into another; fault.Conflict with unit.ErrStale where it has changed.
	Take(Order) error
	// OfCustomer pages through a portal's orders, newest first; customer "" is all customers'.
	OfCustomer(portal, customer, pageToken string, limit int) ([]Order, string, error)
	// List lists orders after a place, newest first.
	List(openOnly bool, after order.Place, limit int) ([]Order, error)
	// PlacedBefore lists the open orders that were placed before a time, oldest first, from the one behind the place on.
	PlacedBefore(before time.Time, after order.Place, limit int) ([]Order, error)
	// Find lists the orders that have an id or an item of that correlation id, newest first.
	Find(id string) ([]Order, error)
	// CountOpen counts the open ones by state and gives the oldest one's time, zero where none is open; CountEnded counts the others,
	// which takes the longer the more there were.
	CountOpen() (map[order.State]int64, time.Time, error)
	CountEnded() (map[order.State]int64, error)
}
