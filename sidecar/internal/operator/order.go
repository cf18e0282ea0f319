package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/price"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
)

// Side says whose orders are meant.
type Side string

const (
	// Both sides.
	Both   Side = ""
	Retail Side = "retail"
	Resale Side = "resale"
)

// Order is a retail order or a resale order as an operator sees it.
type Order struct {
	Side Side
	ID   string
	// Portal and Customer are set on the retail side.
	Portal   string
	Customer string
	State    order.State
	// Reason and Message explain the state where it does not explain itself.
	Reason  string
	Message string
	Items   []Item
	// Totals are what a retail order comes to; see Total.
	Totals    []Total
	Timeline  []order.Event
	PlacedAt  time.Time
	UpdatedAt time.Time
	// ErasedAt is when what a retail order says of its customer was erased; zero where it was not.
	ErasedAt time.Time

	place order.Place
}

// Item is one deal of it.
type Item struct {
	order.Item
	CorrelationID string
	Partner       string
	// ListingID, Retail and Margin are of the retail side: what the customer owes, and what is ours of it.
	ListingID string
	Retail    price.Line
	Margin    price.Line
	// AcceptBy is until when the supplier may take it, on the retail side of what is not decided; else zero.
	AcceptBy time.Time
	// MayAbandon is from when on it may be given up, on the retail side of what has not ended. Abandoned is there where it was.
	MayAbandon time.Time
	Abandoned  *retail.Abandoned
	// Pseudonym is what the partner calls its customer; on the resale side, of one order that was asked for.
	Pseudonym string
}

func ofRetail(o retail.Order) Order {
	telling := o.Telling()
	out := Order{
		Side: Retail, ID: o.ID, Portal: o.Portal, Customer: o.Customer, State: o.State(), Reason: telling.Reason, Message: telling.Message,
		Timeline: o.Timeline(), PlacedAt: o.PlacedAt, UpdatedAt: o.UpdatedAt, ErasedAt: o.ErasedAt, place: o.Place(),
	}
	for _, it := range o.Items {
		shown := Item{
			Item: it.Item, CorrelationID: it.CorrelationID, Partner: it.Partner,
			ListingID: it.ListingID, Retail: it.Retail, Margin: margin(it.Retail, it.Wholesale), Abandoned: it.Abandoned,
		}
		if !it.State.Ended() {
			shown.AcceptBy, shown.MayAbandon = it.AcceptBy(), it.MayAbandon()
		}
		out.Items = append(out.Items, shown)
	}
	out.Totals = totals(out.Items)
	return out
}

func ofResale(o resale.Order) Order {
	return Order{
		Side: Resale, ID: o.ID, State: o.State, Reason: o.Reason, Message: o.Message, Timeline: o.Events,
		Items: []Item{{Item: o.Item, CorrelationID: o.ID, Partner: o.Partner}}, PlacedAt: o.PlacedAt, UpdatedAt: o.UpdatedAt, place: o.Place(),
	}
}

// token is where a page of both lists ends: each list's own place.
type token struct {
	Retail order.Place `json:"t"`
	Resale order.Place `json:"s"`
}

func parseToken(s string) (t token, err error) {
	if s == "" {
		return t, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil {
		return t, fault.New(fault.Invalid, "page_token", "the page token is not one of ours").At("page_token")
	}
	return t, nil
}

func (t token) String() string {
	raw, _ := json.Marshal(t) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Orders pages through the orders of a side, newest first.
func (d *Desk) Orders(ctx context.Context, side Side, openOnly bool, pageToken string, limit int) (list []Order, next string, err error) {
	at, err := parseToken(pageToken)
	if err != nil {
		return nil, "", err
	}
	err = d.Work.View(ctx, func(tx Tx) error {
		list = nil
		if side != Resale {
			found, err := tx.RetailOrders().List(openOnly, at.Retail, limit+1)
			if err != nil {
				return err
			}
			for _, o := range found {
				list = append(list, ofRetail(o))
			}
		}
		if side != Retail {
			found, err := tx.ResaleOrders().List(openOnly, at.Resale, limit+1)
			if err != nil {
				return err
			}
			for _, o := range found {
				list = append(list, ofResale(o))
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortStableFunc(list, func(a, b Order) int { return b.PlacedAt.Compare(a.PlacedAt) })
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	for _, o := range list {
		if o.Side == Retail {
			at.Retail = o.place
		} else {
			at.Resale = o.place
		}
	}
	return list, at.String(), nil
}

// Query names an order: by its id or a correlation id, and where several have that id, by its side, its partner or its portal.
type Query struct {
	ID   string
	Side Side
	// Partner is a supplier of one of its items, or the reseller who placed it; "" is any.
	Partner string
	// Portal is where it was placed; "" is any, and resale orders have none.
	Portal string
}

func (q Query) fits(o Order) bool {
	if q.Portal != "" && o.Portal != q.Portal || q.Side != Both && o.Side != q.Side {
		return false
	}
	return q.Partner == "" || slices.ContainsFunc(o.Items, func(it Item) bool { return it.Partner == q.Partner })
}

// Order finds one order. Errors: fault.NotFound; fault.Precondition with reason order_id_ambiguous where several fit.
func (d *Desk) Order(ctx context.Context, q Query) (Order, error) {
	var found []Order
	err := d.Work.View(ctx, func(tx Tx) error {
		found = nil
		ours, err := tx.RetailOrders().Find(q.ID)
		if err != nil {
			return err
		}
		for _, o := range ours {
			found = append(found, ofRetail(o))
		}
		theirs, err := tx.ResaleOrders().Find(q.ID)
		if err != nil {
			return err
		}
		for _, o := range theirs {
			sub, err := tx.Subscriptions().Get(o.Subscription())
			if err != nil && !fault.Is(err, fault.NotFound) { // a rejected order made none
				return err
			}
			seen := ofResale(o)
			seen.Items[0].Pseudonym = sub.Pseudonym
			found = append(found, seen)
		}
		for i := range found {
			if err := found[i].explain(tx); err != nil {
				return err
			}
		}
		return nil
	})
	found = slices.DeleteFunc(found, func(o Order) bool { return !q.fits(o) })
	switch {
	case err != nil:
		return Order{}, err
	case len(found) == 0:
		return Order{}, fault.New(fault.NotFound, "order_not_found", "there is no order %s", q.ID)
	case len(found) > 1:
		return Order{}, fault.New(fault.Precondition, "order_id_ambiguous", "%d orders have the id %s: %s", len(found), q.ID, owners(found)).At("id").
			Do("name the one that is meant: --side retail or resale, --portal NAME, --partner ORIGIN")
	}
	return found[0], nil
}

// owners says whose the orders are, the first few of them.
func owners(list []Order) string {
	const most = 5
	var names []string
	for _, o := range list {
		if len(names) == most {
			names = append(names, "...")
			break
		}
		if o.Side == Retail {
			names = append(names, "portal "+o.Portal)
		} else {
			names = append(names, "partner "+o.Items[0].Partner)
		}
	}
	return strings.Join(names, ", ")
}
