package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/hanse-market/hanse/sidecar/internal/agreement"
	"github.com/hanse-market/hanse/sidecar/internal/job"
)

// viewer is a reseller that sees our offerings in one currency.
type viewer struct{ partner, currency string }

// audience is who sees our catalog: resellers with an active agreement, each once in each currency that was agreed.
func (s *Service) audience(tx Tx) ([]viewer, error) {
	all, err := tx.Agreements().List()
	if err != nil {
		return nil, err
	}
	var out []viewer
	for _, a := range all {
		v := viewer{a.Reseller, a.Terms.Currency}
		if a.Supplier == s.Self && a.State == agreement.Active && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out, nil
}

// publishPage is how many offerings are read at once.
const publishPage = 500

// Publish is the handler of agreement.JobPublish: it puts every visible offering of the agreement's currency into the reseller's
// feed, in batches behind orders. Doing it again changes what it finds changed and repeats the rest, which readers pass over.
func (s *Service) Publish(ctx context.Context, j job.Job) error {
	a, listed, err := s.publishable(ctx, j.Key)
	if err != nil {
		return fmt.Errorf("publish catalog to %s: %w", j.Partner, err)
	}
	pages := slices.Collect(slices.Chunk(listed, writePage))
	err = s.Work.Bulk(ctx, len(pages), func(tx Tx, i int) error {
		items, err := current(tx, pages[i])
		if err != nil {
			return err
		}
		return tx.Catalog().Publish(a.Reseller, items)
	})
	if err != nil {
		return fmt.Errorf("publish catalog to %s: %w", j.Partner, err)
	}
	return nil
}

// current are listed offerings as they are now. Only what was changed since is read again: all wait for the writer meanwhile.
func current(tx Tx, listed []FeedItem) (items []FeedItem, err error) {
	ids := make([]string, 0, len(listed))
	for _, it := range listed {
		ids = append(ids, it.OfferingID)
	}
	now, err := tx.Catalog().RevisionsOf(ids)
	if err != nil {
		return nil, err
	}
	ids = ids[:0]
	for _, it := range listed {
		if now[it.OfferingID] == it.Revision {
			items = append(items, it)
		} else {
			ids = append(ids, it.OfferingID)
		}
	}
	changed, err := tx.Catalog().CurrentOf(ids)
	for _, o := range changed {
		items = append(items, FeedItem{OfferingID: o.ID, Revision: o.Revision, Tombstone: !o.State.Visible()})
	}
	return items, err
}

// publishable lists the offerings that an agreement shows; none where it is not active any more.
func (s *Service) publishable(ctx context.Context, agreementID string) (a agreement.Agreement, listed []FeedItem, err error) {
	err = s.Work.View(ctx, func(tx Tx) error {
		listed = nil
		if a, err = tx.Agreements().Get(s.Self, agreementID); err != nil || a.State != agreement.Active {
			return err
		}
		for after := ""; ; {
			page, err := tx.Catalog().List(after, publishPage)
			if err != nil {
				return err
			}
			for _, o := range page {
				if after = o.ID; o.Currency == a.Terms.Currency && o.State.Visible() {
					listed = append(listed, FeedItem{OfferingID: o.ID, Revision: o.Revision})
				}
			}
			if len(page) < publishPage {
				return nil
			}
		}
	})
	return a, listed, err
}
