package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/retail"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var retailTable = newTable("order", "retail_order", []string{"portal", "id"}, []string{"customer", "placed_at"}, []string{"state", "ended"})

// retailItem finds the order of an item by the id that its partner knows.
var retailItem = newInsertion("order", "retail_item", []string{"correlation_id", "portal", "order_id", "position", "escrow"}, []string{"correlation_id"}).
	or(errors.New("another order has an item of this correlation id"))

type retailOrders struct{ tx *Tx }

func orderNotFound(id string) error {
	return fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
}

func (s retailOrders) Get(portal, id string) (retail.Order, error) {
	var rec storepb.RetailOrder
	version, found, err := s.tx.get(&retailTable, []any{portal, id}, &rec)
	if err != nil {
		return retail.Order{}, err
	}
	if !found {
		return retail.Order{}, orderNotFound(id)
	}
	return retailOf(&rec, version), nil
}

// thereMost is how many orders one statement looks for; what is short of it is filled up with the last.
const thereMost = 64

var retailThere = `WITH wanted (portal, id) AS (VALUES ` + tuples(thereMost, 2, 1) + `)
	SELECT o.portal, o.id FROM wanted CROSS JOIN retail_order o WHERE o.portal = wanted.portal AND o.id = wanted.id`

func (s retailOrders) There(keys []retail.Key) (map[retail.Key]bool, error) {
	there := make(map[retail.Key]bool)
	for some := range slices.Chunk(keys, thereMost) {
		args := make([]any, 0, 2*thereMost)
		for i := range thereMost {
			k := some[min(i, len(some)-1)]
			args = append(args, k.Portal, k.ID)
		}
		var k retail.Key
		err := s.tx.rows(retailThere, args, func() []any { return []any{&k.Portal, &k.ID} }, func() error { there[k] = true; return nil })
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

func (s retailOrders) ByCorrelation(correlationID string) (retail.Order, int, error) {
	var position int
	var version int64
	var raw []byte
	found, err := s.tx.row(`SELECT i.position, o.version, o.record FROM retail_item i
		JOIN retail_order o ON o.portal = i.portal AND o.id = i.order_id WHERE i.correlation_id = $1`,
		[]any{correlationID}, &position, &version, &raw)
	if err != nil {
		return retail.Order{}, 0, err
	}
	if !found {
		return retail.Order{}, 0, orderNotFound(correlationID)
	}
	var rec storepb.RetailOrder
	if err := decode(raw, &rec); err != nil {
		return retail.Order{}, 0, err
	}
	s.tx.remember(&retailTable, []any{rec.Portal, rec.Id}, stored{version: version, raw: raw})
	return retailOf(&rec, version), position, nil
}

func (s retailOrders) Escrow(correlationID string) (escrow []byte, err error) {
	_, err = s.tx.row(`SELECT escrow FROM retail_item WHERE correlation_id = $1`, []any{correlationID}, &escrow)
	if len(escrow) == 0 {
		return nil, err
	}
	return escrow, err
}

func (s retailOrders) PutEscrow(correlationID string, escrow []byte) error {
	_, err := s.tx.exec(`UPDATE retail_item SET escrow = $2 WHERE correlation_id = $1`, correlationID, bytesOf(escrow))
	return err
}

func (s retailOrders) Put(o retail.Order) (retail.Order, error) {
	var rec storepb.RetailOrder
	state, customer := o.State(), ""
	version, err := s.tx.put(&retailTable, []any{o.Portal, o.ID},
		[]any{o.Customer, ns(o.PlacedAt), string(state), flag(state.Ended())},
		o.Version, &rec, func() {
			customer = rec.Customer
			for i, it := range o.Items {
				var was []*storepb.OrderEvent
				if i < len(rec.Items) {
					was = rec.Items[i].GetItem().GetEvents()
				}
				s.tx.walks(string(subscription.Retail), was, it.Item)
			}
			fillRetail(&rec, o)
		})
	if err == nil && o.Version > 0 && customer != o.Customer { // one that was rebuilt has its customer later
		_, err = s.tx.exec(`UPDATE retail_order SET customer = $3 WHERE portal = $1 AND id = $2`, o.Portal, o.ID, o.Customer)
	}
	if err != nil {
		return retail.Order{}, err
	}
	if o.Version == 0 {
		for i, it := range o.Items {
			if err := s.tx.insert(&retailItem, it.CorrelationID, o.Portal, o.ID, i, bytesOf(it.Escrow)); err != nil {
				return retail.Order{}, err
			}
		}
	}
	s.tx.wake(unit.Order(o.Portal, o.ID))
	o.Version = version
	return o, nil
}

func (s retailOrders) Take(o retail.Order) error {
	n, err := s.tx.exec(`DELETE FROM retail_order WHERE portal = $1 AND id = $2 AND version = $3`, o.Portal, o.ID, o.Version)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("take order %s: %w", o.ID, unit.ErrStale)
	}
	_, err = s.tx.exec(`DELETE FROM retail_item WHERE portal = $1 AND order_id = $2`, o.Portal, o.ID)
	return err
}

// The lists walk an index backwards from the page's place; the condition on ended repeats the one of the partial index word by
// word, because the planners compare text.
const (
	retailPage   = `SELECT version, record FROM retail_order WHERE (placed_at, portal, id) < ($1, $2, $3)`
	retailOpen   = ` AND ended = 0`
	retailNewest = ` ORDER BY placed_at DESC, portal DESC, id DESC LIMIT $4`
	retailBefore = `SELECT version, record FROM retail_order WHERE ended = 0 AND placed_at < $1 AND (placed_at, portal, id) > ($2, $3, $4)
		ORDER BY placed_at, portal, id LIMIT $5`
	retailFind = `SELECT version, record FROM retail_order WHERE id = $1
		UNION SELECT o.version, o.record FROM retail_item i JOIN retail_order o ON o.portal = i.portal AND o.id = i.order_id
		WHERE i.correlation_id = $1`

	portalPage     = `SELECT version, record FROM retail_order WHERE portal = $1 AND (placed_at, id) < ($2, $3)`
	portalCustomer = ` AND customer = $5`
	portalNewest   = ` ORDER BY placed_at DESC, id DESC LIMIT $4`
)

func (s retailOrders) OfCustomer(portal, customer, pageToken string, limit int) ([]retail.Order, string, error) {
	from, err := parsePlace(pageToken)
	if err != nil {
		return nil, "", err
	}
	limit = orMost(limit)
	query, args := portalPage, []any{portal, from.At, from.Key, limit + 1}
	if customer != "" {
		query, args = query+portalCustomer, append(args, customer)
	}
	all, err := s.list(query+portalNewest, args...)
	if err != nil || len(all) <= limit {
		return all, "", err
	}
	last := all[limit-1]
	return all[:limit], place{At: ns(last.PlacedAt), Key: last.ID}.token(), nil
}

func (s retailOrders) List(openOnly bool, after order.Place, limit int) ([]retail.Order, error) {
	query := retailPage
	if openOnly {
		query += retailOpen
	}
	at, portal, id := placeColumns(after)
	return s.list(query+retailNewest, at, portal, id, orMost(limit))
}

func (s retailOrders) PlacedBefore(before time.Time, after order.Place, limit int) ([]retail.Order, error) {
	at, portal, id := int64(math.MinInt64), "", ""
	if !after.At.IsZero() {
		at, portal, id = placeColumns(after)
	}
	return s.list(retailBefore, ns(before), at, portal, id, orMost(limit))
}

// placeColumns are the columns of a place in a list by time, owner and id.
func placeColumns(p order.Place) (at int64, owner, id string) {
	if p.At.IsZero() {
		return math.MaxInt64, "", ""
	}
	owner, id, _ = strings.Cut(p.Key, "\n")
	return ns(p.At), owner, id
}

func (s retailOrders) Find(id string) ([]retail.Order, error) { return s.list(retailFind, id) }

func (s retailOrders) list(query string, args ...any) ([]retail.Order, error) {
	var all []retail.Order
	var version int64
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&version, &raw} }, func() error {
		var rec storepb.RetailOrder
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, retailOf(&rec, version))
		return nil
	})
	return all, err
}

func (s retailOrders) CountOpen() (map[order.State]int64, time.Time, error) {
	return s.tx.countOpen("retail_order")
}

func (s retailOrders) CountEnded() (map[order.State]int64, error) {
	return s.tx.countOrders("retail_order", "ended = 1")
}

// countOrders counts the orders of one table for which the condition of a partial index is true, by state.
func (tx *Tx) countOrders(table, condition string) (map[order.State]int64, error) {
	counts := map[order.State]int64{}
	var state string
	var n int64
	err := tx.rows(`SELECT state, count(*) FROM `+table+` WHERE `+condition+` GROUP BY state`, nil,
		func() []any { return []any{&state, &n} },
		func() error { counts[order.State(state)] = n; return nil })
	return counts, err
}

// countOpen counts the open orders of one table by state and finds the oldest.
func (tx *Tx) countOpen(table string) (map[order.State]int64, time.Time, error) {
	counts, err := tx.countOrders(table, "ended = 0")
	if err != nil {
		return nil, time.Time{}, err
	}
	var oldest int64
	_, err = tx.row(`SELECT placed_at FROM `+table+` WHERE ended = 0 ORDER BY placed_at LIMIT 1`, nil, &oldest)
	return counts, at(oldest), err
}

func fillRetail(rec *storepb.RetailOrder, o retail.Order) {
	rec.Portal, rec.Id, rec.Customer, rec.RequestDigest = o.Portal, o.ID, o.Customer, o.RequestDigest
	rec.PlacedAt, rec.UpdatedAt, rec.ErasedAt = ns(o.PlacedAt), ns(o.UpdatedAt), ns(o.ErasedAt)
	for i, it := range o.Items { // items are never added, removed or moved: the i-th stored one is this one
		if i == len(rec.Items) {
			rec.Items = append(rec.Items, &storepb.RetailItem{Item: &storepb.OrderItem{}})
		}
		item := rec.Items[i]
		fillItem(item.Item, it.Item)
		item.CorrelationId, item.Partner, item.ListingId = it.CorrelationID, it.Partner, it.ListingID
		item.Retail = fillLine(item.Retail, it.Retail)
		item.CancelDocument, item.CancelDigest = it.CancelDocument, it.CancelDigest
		item.Unsigned, item.UnsignedCancel = it.Unsigned, it.UnsignedCancel
		item.EraseDocument, item.EraseDigest = it.EraseDocument, it.EraseDigest
		if a := it.Abandoned; a != nil {
			if item.Abandoned == nil {
				item.Abandoned = &storepb.Abandoned{}
			}
			item.Abandoned.At, item.Abandoned.There, item.Abandoned.Ending = ns(a.At), string(a.There), a.Ending
		}
	}
}

func retailOf(rec *storepb.RetailOrder, version int64) retail.Order {
	o := retail.Order{
		Portal: rec.Portal, ID: rec.Id, Customer: rec.Customer, RequestDigest: rec.RequestDigest,
		PlacedAt: at(rec.PlacedAt), UpdatedAt: at(rec.UpdatedAt), ErasedAt: at(rec.ErasedAt), Version: version,
	}
	for _, it := range rec.Items {
		item := retail.Item{
			Item: itemOf(it.Item), CorrelationID: it.CorrelationId, Partner: it.Partner, ListingID: it.ListingId, Retail: lineOf(it.Retail),
			CancelDocument: it.CancelDocument, CancelDigest: it.CancelDigest, Unsigned: it.Unsigned, UnsignedCancel: it.UnsignedCancel,
			EraseDocument: it.EraseDocument, EraseDigest: it.EraseDigest,
		}
		if a := it.Abandoned; a != nil {
			item.Abandoned = &retail.Abandoned{At: at(a.At), There: order.State(a.There), Ending: a.Ending}
		}
		o.Items = append(o.Items, item)
	}
	return o
}

// walks notes the steps of an item behind those that are stored.
func (tx *Tx) walks(side string, was []*storepb.OrderEvent, it order.Item) {
	if !tx.s.cfg.Fail.Edges() {
		return
	}
	from := ""
	if n := len(was); n > 0 {
		from = was[n-1].GetState()
	}
	for _, e := range it.Events[min(len(was), len(it.Events)):] {
		tx.takes("order", side, from, string(e.State))
		from = string(e.State)
	}
}

func fillItem(rec *storepb.OrderItem, it order.Item) {
	rec.Action, rec.Intent = string(it.Action), string(it.Intent)
	rec.AgreementId, rec.OfferingId, rec.Revision = it.AgreementID, it.OfferingID, it.Revision
	rec.Name, rec.Quantity, rec.SubscriptionId = it.Name, it.Quantity, it.SubscriptionID
	rec.Wholesale = fillLine(rec.Wholesale, it.Wholesale)
	rec.Document, rec.PayloadDigest, rec.InputsSalt = it.Document, it.PayloadDigest, it.InputsSalt
	rec.State, rec.Reason, rec.Message = string(it.State), it.Reason, it.Message
	for i, e := range it.Events { // events are only ever appended: the i-th stored one is this one
		if i == len(rec.Events) {
			rec.Events = append(rec.Events, &storepb.OrderEvent{})
		}
		event := rec.Events[i]
		event.At, event.State, event.Reason, event.Message, event.Source = ns(e.At), string(e.State), e.Reason, e.Message, e.Source
	}
}

func itemOf(rec *storepb.OrderItem) order.Item {
	it := order.Item{
		Action: order.Action(rec.GetAction()), Intent: order.Intent(rec.GetIntent()),
		AgreementID: rec.GetAgreementId(), OfferingID: rec.GetOfferingId(), Revision: rec.GetRevision(),
		Name: rec.GetName(), Quantity: rec.GetQuantity(), SubscriptionID: rec.GetSubscriptionId(), Wholesale: lineOf(rec.GetWholesale()),
		Document: rec.GetDocument(), PayloadDigest: rec.GetPayloadDigest(), InputsSalt: rec.GetInputsSalt(),
		State: order.State(rec.GetState()), Reason: rec.GetReason(), Message: rec.GetMessage(),
	}
	for _, e := range rec.GetEvents() {
		it.Events = append(it.Events, order.Event{
			At: at(e.At), State: order.State(e.State), Reason: e.Reason, Message: e.Message, Source: e.Source,
		})
	}
	return it
}
