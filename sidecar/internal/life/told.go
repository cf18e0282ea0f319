package life

import (
	"context"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/ledger"
)

// Told are the entries that this store has of our log of ended lives and that the life which a document opens tells again, in its order, from its
// second entry on. The life may tell more after them, which this store is too old to have.
func (s *Service) Told(ctx context.Context, g *Given) (all []ledger.Entry, err error) {
	err = s.Work.View(ctx, func(tx Tx) (err error) {
		all, err = s.toldBy(tx, g.from.Origin, g.Document)
		return err
	})
	return all, err
}

// ToldIn is Told of a life of which this store has the document: none where it has not.
func (s *Service) ToldIn(ctx context.Context, partner string, life int64) (all []ledger.Entry, err error) {
	err = s.Work.View(ctx, func(tx Tx) (err error) {
		all, err = s.toldIn(tx, partner, life)
		return err
	})
	return all, err
}

func (s *Service) toldIn(tx Tx, partner string, life int64) ([]ledger.Entry, error) {
	records, err := tx.Lives().List(partner)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(records, func(r Record) bool { return r.State == Opened && r.Life == life })
	if i < 0 {
		return nil, nil
	}
	d, err := Parse(records[i].Payload)
	if err != nil {
		return nil, err
	}
	return s.toldBy(tx, partner, d)
}

// toldAtOnce is how many entries are read in one step.
const toldAtOnce = 500

func (s *Service) toldBy(tx Tx, partner string, d Document) (all []ledger.Entry, err error) {
	ended, last := d.ended(s.Self), d.Mine(s.Self).Common.Position()
	for {
		some, err := tx.Ledger().Entries(partner, ledger.Own, last, toldAtOnce)
		if err != nil {
			return nil, err
		}
		some = slices.DeleteFunc(some, func(e ledger.Entry) bool { return e.Life >= d.Life })
		if len(some) == 0 {
			break
		}
		last = some[len(some)-1].Position()
		all = append(all, slices.DeleteFunc(some, func(e ledger.Entry) bool { return !tells(ended, e) })...)
	}
	if last.Life == 0 {
		return all, nil
	}
	// What the ended life had told again itself, and did not come back with it, is after what did.
	before, err := s.toldIn(tx, partner, last.Life)
	for i, e := range before {
		if int64(i)+2 > last.Seq && tells(ended, e) {
			all = append(all, e)
		}
	}
	return all, err
}

// Here has an entry that this store had before the present life told it again be that one: what it made is here, and goes on, and what it decided
// is found where it is told now.
func (s *Service) Here(tx Tx, was ledger.Entry, now ledger.Position) error {
	return s.moved(tx, was, now)
}

// Tells reports whether what our own log of the ended life says after what both have alike is told again in the new one.
func (s *Service) Tells(g *Given, e ledger.Entry) bool { return tells(g.ended(s.Self), e) }

func tells(ended map[string]bool, e ledger.Entry) bool {
	return e.Kind != ledger.LifeOpened && told(ended, e)
}
