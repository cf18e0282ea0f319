package resale

import (
	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/member"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
)

// Look reads the facts of a partner's orders in one transaction, and what they share once. What is not there is the zero value,
// which is a fact like others.
type Look struct {
	tx         Tx
	self       string
	reseller   string
	partner    *member.Partner
	agreements map[string]agreement.Agreement
	revisions  map[revision]catalog.Offering
	current    map[string]catalog.Offering
}

type revision struct {
	offering string
	number   int64
}

// Look begins a look at the books of one partner.
func (s *Service) Look(tx Tx, partner string) *Look {
	return &Look{
		tx: tx, self: s.Self, reseller: partner, agreements: make(map[string]agreement.Agreement),
		revisions: make(map[revision]catalog.Offering), current: make(map[string]catalog.Offering),
	}
}

func (l *Look) partnership() (member.Partner, error) {
	if l.partner == nil {
		p, err := l.tx.Partners().Get(l.reseller)
		if err != nil {
			return p, err
		}
		l.partner = &p
	}
	return *l.partner, nil
}

func (l *Look) agreement(id string) (agreement.Agreement, error) {
	return remember(l.agreements, id, func() (agreement.Agreement, error) { return l.tx.Agreements().Get(l.self, id) })
}

// revision is nearly always the current one, which is read with it.
func (l *Look) revision(offering string, number int64) (catalog.Offering, error) {
	if current, err := l.currentOf(offering); err != nil || current.Revision == number {
		return current, err
	}
	return remember(l.revisions, revision{offering, number}, func() (catalog.Offering, error) {
		return l.tx.Catalog().Revision(offering, number)
	})
}

func (l *Look) currentOf(offering string) (catalog.Offering, error) {
	return remember(l.current, offering, func() (catalog.Offering, error) { return l.tx.Catalog().Current(offering) })
}

// subscription is read each time: two documents of one subscription are never looked at together.
func (l *Look) subscription(id string) (subscription.Subscription, error) {
	sub, err := l.tx.Subscriptions().Get(subscription.ResaleKey(l.reseller, id))
	return sub, absent(err)
}

func remember[K comparable, V any](known map[K]V, key K, read func() (V, error)) (V, error) {
	if v, ok := known[key]; ok {
		return v, nil
	}
	v, err := read()
	if err = absent(err); err == nil {
		known[key] = v
	}
	return v, err
}

// absent takes what is not there for the zero value.
func absent(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
