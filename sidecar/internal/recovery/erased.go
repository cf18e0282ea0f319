package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/exchange"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
)

// erasures are the orders that our own log says were erased: those that we bought, and those that we sold, whose reseller asked for it.
type erasures struct {
	bought, sold map[string]bool
	// upTo is the place to which our log of all lives was read for them.
	upTo ledger.Position
}

// hear takes what an entry of our own log says.
func (g *erasures) hear(e ledger.Entry) {
	all := &g.bought
	switch e.Kind {
	case ledger.OrderErased:
		all = &g.sold
	case ledger.ErasePlaced:
	default:
		return
	}
	b, err := ledger.ReadBody(e)
	if err != nil {
		return
	}
	if *all == nil {
		*all = make(map[string]bool)
	}
	(*all)[b.Order] = true
}

func (g *erasures) add(other *erasures) {
	for to, from := range map[*map[string]bool]map[string]bool{&g.bought: other.bought, &g.sold: other.sold} {
		if *to == nil {
			*to = make(map[string]bool)
		}
		maps.Copy(*to, from)
	}
}

// beside is what a partner gives back with the document of an order, less what was erased of that.
func (g *erasures) beside(doc document, order string) document {
	if g.sold[order] {
		doc.Inputs, doc.InputsSalt, doc.Escrow = nil, nil, nil
	}
	return doc
}

// forget repeats the erasures that our log has, of what this store has still or again, before anything else of the log is taken.
func (l *Loop) forget(ctx context.Context, partner string, gone *erasures) error {
	bought := func(tx Tx, id string) error { return l.Retail.ForgetAgain(tx, partner, id) }
	sold := func(tx Tx, id string) error {
		if err := l.Resale.ForgetAgain(tx, partner, id); err != nil {
			return err
		}
		return tx.Decisions().DropEscrow(partner, exchange.Key{Type: signed.Order, ID: id})
	}
	if err := l.each(ctx, gone.bought, bought); err != nil {
		return err
	}
	return l.each(ctx, gone.sold, sold)
}

func (l *Loop) each(ctx context.Context, orders map[string]bool, again func(tx Tx, id string) error) error {
	for some := range slices.Chunk(slices.Sorted(maps.Keys(orders)), batchMost) {
		err := l.Work.Do(ctx, func(tx Tx) error {
			for _, id := range some {
				if err := again(tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("repeat what was erased: %w", err)
		}
	}
	return nil
}
