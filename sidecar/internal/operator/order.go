package operator

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
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
	// Portal is set on the retail side.
	Portal string
	State  order.State
	// Reason and Message explain the state where it does not explain itself.
	Reason    string
	Message   string
	Items     []Item
	Timeline  []order.Event
	PlacedAt  time.Time
	UpdatedAt time.Time

	place order.Place
}

// Item is one deal of it.
type Item struct {
	order.Item
	CorrelationID string
	Partner       string
}

func ofRetail(o retail.Order) Order {
	telling := o.Telling()
	out := Order{
		Side: Retail, ID: o.ID, Portal: o.Portal, State: o.State(), Reason: telling.Reason, Message: telling.Message,
		Timeline: o.Timeline(), PlacedAt: o.PlacedAt, UpdatedAt: o.UpdatedAt, place: o.Place(),
	}
	for _, it := range o.Items {
		out.Items = append(out.Items, Item{Item: it.Item, CorrelationID: it.CorrelationID, Partner: it.Partner})
	}
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

// Order finds the one order of an id or correlation id. Errors: fault.NotFound; fault.Precondition with reason
// order_id_ambiguous where several have that id.
func (d *Desk) Order(ctx context.Context, id string) (Order, error) {
	var found []Order
	err := d.Work.View(ctx, func(tx Tx) error {
		found = nil
		ours, err := tx.RetailOrders().Find(id)
		if err != nil {
			return err
		}
		for _, o := range ours {
			found = append(found, ofRetail(o))
		}
		theirs, err := tx.ResaleOrders().Find(id)
		if err != nil {
			return err
		}
		for _, o := range theirs {
			found = append(found, ofResale(o))
		}
		for i := range found {
			if err := found[i].explain(tx); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return Order{}, err
	case len(found) == 0:
		return Order{}, fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
	case len(found) > 1:
		return Order{}, fault.New(fault.Precondition, "order_id_ambiguous", "%d orders have the id %s", len(found), id).At("id").
			Do("name the order by a correlation id")
	}
	return found[0], nil
}
