package life

import (
	"context"
	"fmt"
	"time"

	"github.com/hanse-market/hanse/sidecar/internal/act"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/ledger"
	"github.com/hanse-market/hanse/sidecar/internal/signed"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

// aloneAfter is how long books are forked before one side alone may end what runs: neither is held hostage by the other.
const aloneAfter = 14 * 24 * time.Hour

// AloneFrom is when one side alone may end what runs with a partner; zero where nothing is forked, or is ending.
func AloneFrom(b ledger.Books) time.Time {
	if b.State != ledger.Forked || b.Opening() {
		return time.Time{}
	}
	return b.Since.Add(aloneAfter)
}

// Alone gives the subjects of our own proposal, which our operator was shown, whole, the ends that it says, without the partner: what runs here
// is wound down, and nothing new begins. What our log says of it waits for the life that both sign, and the proposal goes on waiting for the
// partner's signature: a life that we began by ourselves could be another than one that the partner began. The same again changes nothing.
// fault.Precondition before the books were forked for 14 days, and where the document is not true of our side.
func (s *Service) Alone(ctx context.Context, partner, id, digest string, w act.Word) (r Record, err error) {
	var d Document
	err = s.Work.View(ctx, func(tx Tx) (err error) {
		if r, err = find(tx, partner, id, true); err == nil {
			d, err = Parse(r.Payload)
		}
		return err
	})
	if err == nil && signed.Digest(r.Payload) != digest {
		err = fault.New(fault.Conflict, "life_differs", "proposal %s is another document than the one that was shown", id).Do("hanse ledger fork show " + partner)
	}
	if err != nil {
		return Record{}, err
	}
	err = unit.Fresh(func() error {
		open, err := s.Retail.OpenAbout(ctx, partner, d.ended(partner))
		if err != nil {
			return err
		}
		return s.Work.Do(ctx, func(tx Tx) (err error) {
			now := s.Now().UTC()
			if r, err = find(tx, partner, id, true); err != nil || !r.Alone.IsZero() {
				return err
			}
			if r.State != Proposed {
				return fault.New(fault.Precondition, "life_"+string(r.State), "proposal %s is %s", id, r.State).Do("hanse ledger fork show " + partner)
			}
			if err := s.mayAlone(tx, partner, now); err != nil {
				return err
			}
			if err := s.check(tx, partner, d); err != nil {
				return err
			}
			if err := s.ends(tx, partner, d, opening(d, r.Payload).Digest, open); err != nil {
				return err
			}
			r.Alone = now
			if err := tx.Lives().Put(r); err != nil {
				return err
			}
			return tx.Acts().Add(w.On(now, "ledger fork sign alone", partner, id, fmt.Sprintf("life %d, digest %s", d.Life, digest)))
		})
	})
	if err != nil {
		return Record{}, fmt.Errorf("end what runs with %s alone: %w", partner, err)
	}
	return r, nil
}

// mayAlone refuses before it is time, and has the books doubt this store no more: what winds down goes on under the last word that the partner
// countersigned, for a store that lacks what it signed signs nothing anew of that log.
func (s *Service) mayAlone(tx Tx, partner string, now time.Time) error {
	books, err := tx.Ledger().Books(partner)
	if err != nil {
		return err
	}
	from := AloneFrom(books)
	if from.IsZero() {
		return fault.New(fault.Precondition, "books_not_forked", "the books with %s are %s (%s): nobody ends anything alone", partner, books.State, books.Reason).
			Do("hanse partner show " + partner)
	}
	if now.Before(from) {
		return fault.New(fault.Precondition, "life_alone_early", "the books with %s are forked since %s: one side alone ends what runs from %s on", partner,
			books.Since.Format(time.RFC3339), from.Format(time.RFC3339)).Do("speak to the partner's operator until then")
	}
	if !books.Doubted {
		return nil
	}
	return ledger.Undoubted(tx, partner)
}

// alone are the subscriptions that we supplied and ended alone before a life.
func (s *Service) alone(tx Tx, partner string, life int64) (map[string]bool, error) {
	records, err := tx.Lives().List(partner)
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool)
	for _, r := range records {
		if r.Alone.IsZero() || r.Life != life {
			continue
		}
		d, err := Parse(r.Payload)
		if err != nil {
			return nil, err
		}
		for id := range d.ended(s.Self) {
			all[id] = true
		}
	}
	return all, nil
}
