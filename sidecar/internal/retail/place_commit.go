package retail

import (
	"context"
	"encoding/hex"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/dispatch"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/order"
	"github.com/hanse-market/hanse/sidecar/internal/plant"
	"github.com/hanse-market/hanse/sidecar/internal/subscription"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// placing is a prepared order on its way into the store, and what became of it: its order as it stands there, or why it does not.
type placing struct {
	prepared
	send    *dispatch.Sender
	refused error
}

// commit writes orders with their subscriptions, inputs, ledger entries and jobs, all of them or none, but for those that are refused
// by what is read before: that fails nobody else. Where an order of an id is there by now, or a fact changed while it writes, it fails
// with unit.ErrStale.
func (s *Service) commit(ctx context.Context, all []*placing) error {
	var orders []Order
	var fresh []*placing
	err := s.Work.Do(ctx, func(tx Tx) error {
		c := commitment{
			Service: s, tx: tx, drafts: make(map[string][]ledger.Draft), agreements: make(map[agreementKey]int64),
			stands: make(map[string]ledger.BooksState),
		}
		var err error
		if fresh, err = c.fresh(all); err != nil || len(fresh) == 0 {
			return err
		}
		orders = make([]Order, len(fresh))
		return tx.Together(func() error {
			for _, p := range fresh {
				if err := p.each(c.begin); err != nil {
					return err
				}
			}
			if err := c.append(); err != nil {
				return err
			}
			for i, p := range fresh {
				p.send.Begin()
				orders[i] = p.order
				orders[i].Items = slices.Clone(p.order.Items)
				if err := p.each(func(p *placing, n int) error { return c.dispatch(p, n, &orders[i].Items[n]) }); err != nil {
					return err
				}
			}
			for i := range orders {
				if orders[i], err = tx.RetailOrders().Put(orders[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for i, p := range fresh {
		p.order = orders[i]
		for n := range p.order.Items {
			p.order.Items[n].Escrow = nil // as it is read from now on
		}
	}
	return nil
}

// fresh refuses the orders whose facts are not what they were made of, and returns the others.
func (c *commitment) fresh(all []*placing) (fresh []*placing, err error) {
	var there map[Key]bool
	if len(all) > 1 { // one alone finds out when it is written
		keys := make([]Key, len(all))
		for i, p := range all {
			keys[i] = Key{p.order.Portal, p.order.ID}
		}
		if there, err = c.tx.RetailOrders().There(keys); err != nil {
			return nil, err
		}
	}
	for _, p := range all {
		if p.refused = nil; there[Key{p.order.Portal, p.order.ID}] {
			p.refused = unit.ErrStale
		} else {
			p.refused = p.each(c.still)
		}
		switch {
		case fault.Is(p.refused, fault.Unavailable):
			return nil, p.refused
		case p.refused == nil:
			fresh = append(fresh, p)
		}
	}
	return fresh, nil
}

// each calls fn for the items.
func (p *placing) each(fn func(p *placing, i int) error) error {
	for i := range p.items {
		if err := fn(p, i); err != nil {
			return fault.Under(field(i), err)
		}
	}
	return nil
}

// commitment is one transaction that places orders. Of each step all items go first, so that what is written of them goes together.
type commitment struct {
	*Service
	tx Tx
	// partners have drafts of entries, which become entries in the order of their drafts.
	partners []string
	drafts   map[string][]ledger.Draft
	entries  map[string][]ledger.Entry
	// agreements are the versions of those that were looked at.
	agreements map[agreementKey]int64
	// stands are the states of the books with the partners.
	stands map[string]ledger.BooksState
}

type agreementKey struct{ partner, id string }

// still is unit.ErrStale where a fact is no longer what the item was made of.
func (c *commitment) still(p *placing, i int) error {
	it, made := p.order.Items[i], p.items[i]
	key := agreementKey{it.Partner, made.agreement.ID}
	version, known := c.agreements[key]
	if !known {
		a, err := c.tx.Agreements().Get(it.Partner, made.agreement.ID)
		if err != nil {
			return err
		}
		version, c.agreements[key] = a.Version, a.Version
	}
	if version != made.agreement.Version {
		return unit.ErrStale
	}
	if made.subscription.Version != 0 {
		sub, err := c.tx.Subscriptions().Get(made.subscription.Key())
		if err != nil {
			return err
		}
		if sub.Version != made.subscription.Version {
			return unit.ErrStale
		}
	}
	state, known := c.stands[it.Partner]
	if !known {
		var err error
		if state, err = c.tx.Ledger().Standing(it.Partner); err != nil {
			return err
		}
		c.stands[it.Partner] = state
	}
	switch {
	case state == ledger.Behind: // it may have been placed before, by the store that knew of it
		return state.Closed()
	case it.Action == order.Add:
		return notOrderable(it, ledger.Fenced(c.tx, it.Partner))
	}
	return nil
}

// unsigned reports whether nothing may be signed for a supplier yet: what is ordered of it is acknowledged and waits for JobSign.
func (c *commitment) unsigned(partner string) bool { return c.stands[partner] == ledger.Unproven }

// begin writes the subscription and what the customer gave, and drafts the entry.
func (c *commitment) begin(p *placing, i int) error {
	it, made := p.order.Items[i], p.items[i]
	if _, err := subscription.Begin(c.tx, made.subscription, it.Course(), p.order.PlacedAt); err != nil {
		return err
	}
	if it.Action == order.Add {
		if err := c.tx.Subscriptions().PutSecret(made.subscription.Key(), subscription.SecretInputs, made.inputs); err != nil {
			return err
		}
	}
	if c.unsigned(it.Partner) {
		return nil
	}
	if !slices.Contains(c.partners, it.Partner) {
		c.partners = append(c.partners, it.Partner)
	}
	c.drafts[it.Partner] = append(c.drafts[it.Partner], it.placing())
	return nil
}

// placing is the entry that says that the item's document is on its way.
func (i Item) placing() ledger.Draft {
	return ledger.Draft{Kind: ledger.OrderPlaced, Subject: i.SubscriptionID, Body: order.Body{
		Order: i.CorrelationID, DocumentSHA256: hex.EncodeToString(i.PayloadDigest), Agreement: i.AgreementID,
		Subscription: i.SubscriptionID, Action: i.Action, Intent: i.Intent,
	}}
}

func (c *commitment) append() (err error) {
	slices.Sort(c.partners) // whoever locks several heads locks them in one order
	c.entries = make(map[string][]ledger.Entry, len(c.partners))
	for _, partner := range c.partners {
		if c.entries[partner], err = c.Book.AppendAll(c.tx, partner, c.drafts[partner]); err != nil {
			return err
		}
	}
	return nil
}

// dispatch moves the item to where its entry puts it, and adds the job that sends its document; or the one that signs it later.
func (c *commitment) dispatch(p *placing, i int, it *Item) (err error) {
	if c.unsigned(it.Partner) {
		it.Document, it.Unsigned = "", p.items[i].payload
		if it.Item, err = it.Move(p.order.PlacedAt, order.Acknowledged, "", "", ""); err != nil {
			return err
		}
		if plant.On(plant.NeverSignLater) {
			return nil
		}
		return c.tx.Jobs().At(JobSign, it.CorrelationID, it.Partner, p.order.PlacedAt)
	}
	entry := c.entries[it.Partner][0]
	c.entries[it.Partner] = c.entries[it.Partner][1:]
	if it.Item, err = it.Move(p.order.PlacedAt, order.Acknowledged, "", "", order.Source(entry)); err != nil {
		return err
	}
	return p.send.Add(c.tx, it.sending(JobSubmit), it.orderDocument(p.items[i].inputs, it.Escrow), p.order.PlacedAt)
}

// notOrderable tells the customer of an item that our side cannot sell now; what is an outage stays one.
func notOrderable(it Item, err error) error {
	if fault.ReasonOf(err) != reasonForked {
		return err
	}
	return fault.New(fault.Precondition, "listing_not_orderable", "%s cannot be ordered now", it.Name).At("listing_id").Because(err)
}
