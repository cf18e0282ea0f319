package store

import (
	"strings"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var orderTable = newTable("order", `"order"`, []string{"side", "key"},
	[]string{"id", "correlation_id", "partner", "portal", "customer", "state", "ended", "placed_at"})

type orders struct{ tx *Tx }

func orderNotFound(id string) error {
	return fault.New(fault.NotFound, "order_not_found", "there is no order %s", id)
}

func (s orders) Get(side order.Side, key string) (order.Order, error) {
	var rec storepb.Order
	version, found, err := s.tx.get(&orderTable, []any{string(side), key}, &rec)
	if err != nil {
		return order.Order{}, err
	}
	if !found {
		return order.Order{}, orderNotFound(key)
	}
	return orderOf(&rec, version), nil
}

// ByCorrelation on the retail side leaves out the partner when it is "": the id was minted here.
func (s orders) ByCorrelation(side order.Side, partner, correlationID string) (order.Order, error) {
	query := `SELECT version, record FROM "order" WHERE correlation_id = $1 AND side = $2`
	args := []any{correlationID, string(side)}
	if side == order.Resale || partner != "" {
		query += ` AND partner = $3`
		args = append(args, partner)
	}
	all, err := s.list(query, args...)
	if err != nil {
		return order.Order{}, err
	}
	if len(all) == 0 {
		return order.Order{}, orderNotFound(correlationID)
	}
	return all[0], nil
}

func (s orders) Put(o order.Order) (order.Order, error) {
	var rec storepb.Order
	version, err := s.tx.put(&orderTable, []any{string(o.Side), o.Key()},
		[]any{
			o.ID, o.CorrelationID, o.Partner, o.Portal, o.Customer, string(o.State), flag(o.State.Ended()), ns(o.PlacedAt),
		},
		o.Version, &rec, func() { fillOrder(&rec, o) })
	if err != nil {
		return order.Order{}, err
	}
	if o.Side == order.Retail {
		s.tx.wake(unit.Order(o.Portal, o.ID))
	}
	o.Version = version
	return o, nil
}

// The lists walk an index backwards from the page's place; the conditions on portal and ended repeat those of the partial
// indexes word by word, because the planners compare text.
const (
	orderPage    = `SELECT placed_at, side, key, version, record FROM "order" WHERE (placed_at, side, key) < ($1, $2, $3)`
	orderNewest  = ` ORDER BY placed_at DESC, side DESC, key DESC LIMIT $4`
	ofPortal     = ` AND portal = $5 AND portal <> ''`
	ofCustomer   = ` AND customer = $6`
	onlyOpen     = ` AND ended = 0`
	ofSide       = ` AND side = $5`
	orderHistory = `SELECT version, record FROM "order" WHERE id = $1 OR correlation_id = $1 ORDER BY placed_at DESC, side DESC, key DESC`
)

func (s orders) OfCustomer(portal, customer, pageToken string, limit int) ([]order.Order, string, error) {
	if customer == "" {
		return s.page(orderPage+ofPortal+orderNewest, pageToken, limit, portal)
	}
	return s.page(orderPage+ofPortal+ofCustomer+orderNewest, pageToken, limit, portal, customer)
}

func (s orders) List(side order.Side, openOnly bool, pageToken string, limit int) ([]order.Order, string, error) {
	var query strings.Builder
	query.WriteString(orderPage)
	var args []any
	if side != "" {
		query.WriteString(ofSide)
		args = append(args, string(side))
	}
	if openOnly {
		query.WriteString(onlyOpen)
	}
	return s.page(query.String()+orderNewest, pageToken, limit, args...)
}

func (s orders) page(query, token string, limit int, args ...any) ([]order.Order, string, error) {
	from, err := parsePlace(token)
	if err != nil {
		return nil, "", err
	}
	limit = orMost(limit)
	var all []order.Order
	var places []place
	var here place
	var version int64
	var raw []byte
	err = s.tx.rows(query, append([]any{from.At, from.Side, from.Key, limit + 1}, args...),
		func() []any { return []any{&here.At, &here.Side, &here.Key, &version, &raw} },
		func() error {
			var rec storepb.Order
			if err := decode(raw, &rec); err != nil {
				return err
			}
			all, places = append(all, orderOf(&rec, version)), append(places, here)
			return nil
		})
	if err != nil {
		return nil, "", err
	}
	all, next := page(all, places, limit)
	return all, next, nil
}

func (s orders) Find(id string) ([]order.Order, error) { return s.list(orderHistory, id) }

func (s orders) list(query string, args ...any) ([]order.Order, error) {
	var all []order.Order
	var version int64
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&version, &raw} }, func() error {
		var rec storepb.Order
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, orderOf(&rec, version))
		return nil
	})
	return all, err
}

func (s orders) Count() (map[order.Side]map[order.State]int64, map[order.Side]time.Time, error) {
	counts, oldest := map[order.Side]map[order.State]int64{}, map[order.Side]time.Time{}
	var side, state string
	var n int64
	err := s.tx.rows(`SELECT side, state, count(*) FROM "order" GROUP BY side, state`, nil,
		func() []any { return []any{&side, &state, &n} },
		func() error {
			if counts[order.Side(side)] == nil {
				counts[order.Side(side)] = map[order.State]int64{}
			}
			counts[order.Side(side)][order.State(state)] = n
			return nil
		})
	if err != nil {
		return nil, nil, err
	}
	err = s.tx.rows(`SELECT side, min(placed_at) FROM "order" WHERE ended = 0 GROUP BY side`, nil,
		func() []any { return []any{&side, &n} },
		func() error { oldest[order.Side(side)] = at(n); return nil })
	return counts, oldest, err
}

func fillOrder(rec *storepb.Order, o order.Order) {
	rec.Side, rec.Id, rec.CorrelationId = string(o.Side), o.ID, o.CorrelationID
	rec.Partner, rec.Portal, rec.Customer = o.Partner, o.Portal, o.Customer
	rec.State, rec.Reason, rec.Message = string(o.State), o.Reason, o.Message
	rec.Action, rec.Intent = string(o.Action), string(o.Intent)
	rec.AgreementId, rec.OfferingId, rec.Revision = o.AgreementID, o.OfferingID, o.Revision
	rec.ListingId, rec.Name, rec.Quantity, rec.SubscriptionId = o.ListingID, o.Name, o.Quantity, o.SubscriptionID
	rec.WholesaleOneOff = fillAmount(rec.WholesaleOneOff, o.WholesaleOneOff)
	rec.WholesaleRecurring = fillAmount(rec.WholesaleRecurring, o.WholesaleRecurring)
	rec.RetailOneOff = fillAmount(rec.RetailOneOff, o.RetailOneOff)
	rec.RetailRecurring = fillAmount(rec.RetailRecurring, o.RetailRecurring)
	rec.Period = o.Period
	rec.RequestDigest, rec.Document, rec.PayloadDigest = o.RequestDigest, o.Document, o.PayloadDigest
	rec.InputsSalt, rec.DecisionSeq = o.InputsSalt, o.DecisionSeq
	rec.PlacedAt, rec.UpdatedAt = ns(o.PlacedAt), ns(o.UpdatedAt)
	known := rec.Events
	rec.Events = make([]*storepb.OrderEvent, len(o.Events))
	for i, e := range o.Events { // events are only ever appended: the i-th stored one is this one
		ev := &storepb.OrderEvent{}
		if i < len(known) {
			ev = known[i]
		}
		ev.At, ev.State, ev.Message, ev.Source = ns(e.At), string(e.State), e.Message, e.Source
		rec.Events[i] = ev
	}
}

func orderOf(rec *storepb.Order, version int64) order.Order {
	o := order.Order{
		Side: order.Side(rec.Side), ID: rec.Id, CorrelationID: rec.CorrelationId,
		Partner: rec.Partner, Portal: rec.Portal, Customer: rec.Customer,
		State: order.State(rec.State), Reason: rec.Reason, Message: rec.Message,
		Action: order.Action(rec.Action), Intent: order.Intent(rec.Intent),
		AgreementID: rec.AgreementId, OfferingID: rec.OfferingId, Revision: rec.Revision,
		ListingID: rec.ListingId, Name: rec.Name, Quantity: rec.Quantity, SubscriptionID: rec.SubscriptionId,
		WholesaleOneOff: amount(rec.WholesaleOneOff), WholesaleRecurring: amount(rec.WholesaleRecurring),
		RetailOneOff: amount(rec.RetailOneOff), RetailRecurring: amount(rec.RetailRecurring), Period: rec.Period,
		RequestDigest: rec.RequestDigest, Document: rec.Document, PayloadDigest: rec.PayloadDigest,
		InputsSalt: rec.InputsSalt, DecisionSeq: rec.DecisionSeq,
		PlacedAt: at(rec.PlacedAt), UpdatedAt: at(rec.UpdatedAt), Version: version,
	}
	for _, e := range rec.Events {
		o.Events = append(o.Events, order.Event{At: at(e.At), State: order.State(e.State), Message: e.Message, Source: e.Source})
	}
	return o
}
