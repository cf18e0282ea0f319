package store

import (
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

var subscriptionTable = newTable("subscription", "subscription", []string{"id", "partner", "side"},
	[]string{"counterpart", "portal", "customer", "created_at"}, []string{"state"})

func subscriptionKey(k subscription.Key) []any { return []any{k.ID, k.Partner, string(k.Side)} }

// subscriptions keeps the records here and their secrets in secret.go.
type subscriptions struct{ tx *Tx }

func (s subscriptions) Get(k subscription.Key) (subscription.Subscription, error) {
	var rec storepb.Subscription
	version, found, err := s.tx.get(&subscriptionTable, subscriptionKey(k), &rec)
	if err != nil {
		return subscription.Subscription{}, err
	}
	if !found {
		return subscription.Subscription{}, fault.New(fault.NotFound, "subscription_not_found", "there is no subscription %s", k.ID)
	}
	return subscriptionOf(&rec, version), nil
}

func (s subscriptions) Put(u subscription.Subscription) (subscription.Subscription, error) {
	var rec storepb.Subscription
	var partner, portal, customer string
	version, err := s.tx.put(&subscriptionTable, subscriptionKey(u.Key()),
		[]any{u.Partner, u.Portal, u.Customer, ns(u.CreatedAt), string(u.State)}, u.Version, &rec,
		func() {
			partner, portal, customer = rec.Partner, rec.Portal, rec.Customer
			s.tx.takes("subscription", string(u.Side), rec.State, string(u.State))
			fillSubscription(&rec, u)
		})
	if err == nil && u.Version > 0 && (partner != u.Partner || portal != u.Portal || customer != u.Customer) { // what was rebuilt may say other than was here
		_, err = s.tx.exec(`UPDATE subscription SET counterpart = $4, portal = $5, customer = $6 WHERE id = $1 AND partner = $2 AND side = $3`,
			append(subscriptionKey(u.Key()), u.Partner, u.Portal, u.Customer)...)
	}
	if err != nil {
		return subscription.Subscription{}, err
	}
	u.Version = version
	return u, nil
}

const (
	subscriptionPage   = `SELECT created_at, side, id, partner, version, record FROM subscription WHERE (created_at, side, id, partner) < ($1, $2, $3, $4)`
	subscriptionNewest = ` ORDER BY created_at DESC, side DESC, id DESC, partner DESC LIMIT $5`
	// The condition on portal repeats the one of the partial indexes word by word, because the planners compare text.
	subscriptionOfPortal   = ` AND portal = $6 AND portal <> ''`
	subscriptionOfCustomer = ` AND customer = $7`
	subscriptionOfSide     = ` AND side = $6`
)

func (s subscriptions) OfCustomer(portal, customer, pageToken string, limit int) ([]subscription.Subscription, string, error) {
	if customer == "" {
		return s.page(subscriptionPage+subscriptionOfPortal+subscriptionNewest, pageToken, limit, portal)
	}
	return s.page(subscriptionPage+subscriptionOfPortal+subscriptionOfCustomer+subscriptionNewest, pageToken, limit, portal, customer)
}

func (s subscriptions) List(side subscription.Side, pageToken string, limit int) ([]subscription.Subscription, string, error) {
	if side == "" {
		return s.page(subscriptionPage+subscriptionNewest, pageToken, limit)
	}
	return s.page(subscriptionPage+subscriptionOfSide+subscriptionNewest, pageToken, limit, string(side))
}

func (s subscriptions) page(query, token string, limit int, args ...any) ([]subscription.Subscription, string, error) {
	from, err := parsePlace(token)
	if err != nil {
		return nil, "", err
	}
	limit = orMost(limit)
	var all []subscription.Subscription
	var places []place
	var here place
	var version int64
	var raw []byte
	err = s.tx.rows(query, append([]any{from.At, from.Side, from.Key, from.Partner, limit + 1}, args...),
		func() []any { return []any{&here.At, &here.Side, &here.Key, &here.Partner, &version, &raw} },
		func() error {
			var rec storepb.Subscription
			if err := decode(raw, &rec); err != nil {
				return err
			}
			all, places = append(all, subscriptionOf(&rec, version)), append(places, here)
			return nil
		})
	if err != nil {
		return nil, "", err
	}
	all, next := page(all, places, limit)
	return all, next, nil
}

// subscriptionRunning repeats the condition of the partial index word by word, because the planners compare text.
const subscriptionRunning = `SELECT version, record FROM subscription
	WHERE counterpart = $1 AND (id, side) > ($2, $3) AND state <> 'aborted' AND state <> 'terminated' ORDER BY id, side LIMIT $4`

// Running: "resale" comes before "retail" in the index.
func (s subscriptions) Running(partner, afterID string, afterSide subscription.Side, limit int) ([]subscription.Subscription, error) {
	var all []subscription.Subscription
	var version int64
	var raw []byte
	err := s.tx.rows(subscriptionRunning, []any{partner, afterID, string(afterSide), orMost(limit)}, func() []any { return []any{&version, &raw} }, func() error {
		var rec storepb.Subscription
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, subscriptionOf(&rec, version))
		return nil
	})
	return all, err
}

func (s subscriptions) Count() (map[subscription.Side]map[subscription.State]int64, error) {
	counts := map[subscription.Side]map[subscription.State]int64{}
	var side, state string
	var n int64
	err := s.tx.rows(`SELECT side, state, count(*) FROM subscription GROUP BY side, state`, nil,
		func() []any { return []any{&side, &state, &n} },
		func() error {
			if counts[subscription.Side(side)] == nil {
				counts[subscription.Side(side)] = map[subscription.State]int64{}
			}
			counts[subscription.Side(side)][subscription.State(state)] = n
			return nil
		})
	return counts, err
}

func fillSubscription(rec *storepb.Subscription, u subscription.Subscription) {
	rec.Id, rec.Side, rec.Partner = u.ID, string(u.Side), u.Partner
	rec.Portal, rec.Customer, rec.Pseudonym = u.Portal, u.Customer, u.Pseudonym
	rec.OrderId, rec.AgreementId, rec.OfferingId = u.OrderID, u.AgreementID, u.OfferingID
	rec.Revision, rec.ListingId, rec.Name, rec.Quantity = u.Revision, u.ListingID, u.Name, u.Quantity
	rec.State = string(u.State)
	rec.Before, rec.Price = string(u.Before), fillLine(rec.Price, u.Price)
	rec.Adapter, rec.Binding = u.Adapter, u.Binding
	rec.AccessDigest, rec.AccessOrder, rec.AccessReady = u.AccessDigest, u.AccessOrder, u.AccessReady
	rec.Receipt, rec.ReceiptDigest = u.Receipt, u.ReceiptDigest
	rec.ActiveSince, rec.EndedAt = ns(u.ActiveSince), ns(u.EndedAt)
	rec.CreatedAt, rec.UpdatedAt = ns(u.CreatedAt), ns(u.UpdatedAt)
}

func subscriptionOf(rec *storepb.Subscription, version int64) subscription.Subscription {
	return subscription.Subscription{
		ID: rec.Id, Side: subscription.Side(rec.Side), Partner: rec.Partner,
		Portal: rec.Portal, Customer: rec.Customer, Pseudonym: rec.Pseudonym,
		OrderID: rec.OrderId, AgreementID: rec.AgreementId, OfferingID: rec.OfferingId,
		Revision: rec.Revision, ListingID: rec.ListingId, Name: rec.Name, Quantity: rec.Quantity,
		State: subscription.State(rec.State), Before: subscription.State(rec.Before), Price: lineOf(rec.Price),
		Adapter: rec.Adapter, Binding: rec.Binding, AccessDigest: rec.AccessDigest, AccessOrder: rec.AccessOrder, AccessReady: rec.AccessReady,
		Receipt: rec.Receipt, ReceiptDigest: rec.ReceiptDigest,
		ActiveSince: at(rec.ActiveSince), EndedAt: at(rec.EndedAt),
		CreatedAt: at(rec.CreatedAt), UpdatedAt: at(rec.UpdatedAt), Version: version,
	}
}
