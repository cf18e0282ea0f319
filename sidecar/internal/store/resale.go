package store

import (
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/resale"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var resaleTable = newTable("order", "resale_order", []string{"partner", "id"}, []string{"placed_at"}, []string{"state", "ended"})

type resaleOrders struct{ tx *Tx }

func (s resaleOrders) Get(partner, id string) (resale.Order, error) {
	var rec storepb.ResaleOrder
	version, found, err := s.tx.get(&resaleTable, []any{partner, id}, &rec)
	if err != nil {
		return resale.Order{}, err
	}
	if !found {
		return resale.Order{}, orderNotFound(id)
	}
	return resaleOf(&rec, version), nil
}

func (s resaleOrders) Put(o resale.Order) (resale.Order, error) {
	var rec storepb.ResaleOrder
	version, err := s.tx.put(&resaleTable, []any{o.Partner, o.ID},
		[]any{ns(o.PlacedAt), string(o.State), flag(o.State.Ended())}, o.Version, &rec, func() {
			s.tx.walks(string(subscription.Resale), rec.GetItem().GetEvents(), o.Item)
			fillResale(&rec, o)
		})
	if err != nil {
		return resale.Order{}, err
	}
	o.Version = version
	return o, nil
}

const (
	resalePage   = `SELECT version, record FROM resale_order WHERE (placed_at, partner, id) < ($1, $2, $3)`
	resaleOpen   = ` AND ended = 0`
	resaleNewest = ` ORDER BY placed_at DESC, partner DESC, id DESC LIMIT $4`
	resaleFind   = `SELECT version, record FROM resale_order WHERE id = $1 ORDER BY placed_at DESC, partner DESC`
)

func (s resaleOrders) List(openOnly bool, after order.Place, limit int) ([]resale.Order, error) {
	query := resalePage
	if openOnly {
		query += resaleOpen
	}
	at, partner, id := placeColumns(after)
	return s.list(query+resaleNewest, at, partner, id, orMost(limit))
}

func (s resaleOrders) Find(id string) ([]resale.Order, error) { return s.list(resaleFind, id) }

func (s resaleOrders) list(query string, args ...any) ([]resale.Order, error) {
	var all []resale.Order
	var version int64
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&version, &raw} }, func() error {
		var rec storepb.ResaleOrder
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, resaleOf(&rec, version))
		return nil
	})
	return all, err
}

func (s resaleOrders) CountOpen() (map[order.State]int64, time.Time, error) {
	return s.tx.countOpen("resale_order")
}

func (s resaleOrders) CountEnded() (map[order.State]int64, error) {
	return s.tx.countOrders("resale_order", "ended = 1")
}

func fillResale(rec *storepb.ResaleOrder, o resale.Order) {
	rec.Partner, rec.Id = o.Partner, o.ID
	rec.PlacedAt, rec.UpdatedAt = ns(o.PlacedAt), ns(o.UpdatedAt)
	if rec.Item == nil {
		rec.Item = &storepb.OrderItem{}
	}
	fillItem(rec.Item, o.Item)
}

func resaleOf(rec *storepb.ResaleOrder, version int64) resale.Order {
	return resale.Order{
		Item: itemOf(rec.Item), Partner: rec.Partner, ID: rec.Id,
		PlacedAt: at(rec.PlacedAt), UpdatedAt: at(rec.UpdatedAt), Version: version,
	}
}
