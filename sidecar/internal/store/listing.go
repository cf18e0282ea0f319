package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/listing"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

var overrideTable = newTable("listing", "listing_override", []string{"listing_id"}, nil, nil)

type listings struct{ tx *Tx }

func (s listings) OverridesOf(listingIDs []string) (map[string]listing.Override, error) {
	of := map[string]listing.Override{}
	for list, args := range lists(nil, listingIDs) {
		found, err := s.overrides(`SELECT version, record FROM listing_override WHERE listing_id IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			of[o.ListingID] = o
		}
	}
	return of, nil
}

func (s listings) Overrides() ([]listing.Override, error) {
	return s.overrides(`SELECT version, record FROM listing_override ORDER BY listing_id`)
}

func (s listings) overrides(query string, args ...any) ([]listing.Override, error) {
	var all []listing.Override
	var version int64
	var raw []byte
	err := s.tx.rows(query, args,
		func() []any { return []any{&version, &raw} },
		func() error {
			var rec storepb.ListingOverride
			if err := decode(raw, &rec); err != nil {
				return err
			}
			all = append(all, overrideOf(&rec, version))
			return nil
		})
	return all, err
}

func (s listings) PutOverride(o listing.Override) (listing.Override, error) {
	var rec storepb.ListingOverride
	version, err := s.tx.put(&overrideTable, []any{o.ListingID}, nil, o.Version, &rec, func() {
		rec.ListingId, rec.Partner, rec.OfferingId = o.ListingID, o.Partner, o.OfferingID
		rec.Name, rec.Summary, rec.Description = o.Name, o.Summary, o.Description
		rec.Hidden, rec.MarkupBp = o.Hidden, o.MarkupBP
	})
	if err != nil {
		return listing.Override{}, err
	}
	s.tx.wake(unit.Listings)
	o.Version = version
	return o, nil
}

func (s listings) Rules() ([]listing.Rule, error) {
	var all []listing.Rule
	var raw []byte
	err := s.tx.rows(`SELECT record FROM listing_rule ORDER BY partner, category`, nil,
		func() []any { return []any{&raw} },
		func() error {
			var rec storepb.ListingRule
			if err := decode(raw, &rec); err != nil {
				return err
			}
			all = append(all, listing.Rule{Partner: rec.Partner, Category: rec.Category, MarkupBP: rec.MarkupBp})
			return nil
		})
	return all, err
}

func (s listings) PutRule(r listing.Rule) error {
	var rec storepb.ListingRule
	var raw []byte
	found, err := s.tx.row(`SELECT record FROM listing_rule WHERE partner = $1 AND category = $2`,
		[]any{r.Partner, r.Category}, &raw)
	if err != nil {
		return err
	}
	if found {
		if err := decode(raw, &rec); err != nil {
			return err
		}
	}
	rec.Partner, rec.Category, rec.MarkupBp = r.Partner, r.Category, r.MarkupBP
	raw, err = proto.Marshal(&rec)
	if err != nil {
		return fmt.Errorf("write rule: %w", err)
	}
	_, err = s.tx.exec(`INSERT INTO listing_rule (partner, category, record) VALUES ($1, $2, $3)
		ON CONFLICT (partner, category) DO UPDATE SET record = excluded.record`, r.Partner, r.Category, raw)
	if err != nil {
		return err
	}
	s.tx.wake(unit.Listings)
	return nil
}

func overrideOf(rec *storepb.ListingOverride, version int64) listing.Override {
	return listing.Override{
		ListingID: rec.ListingId, Partner: rec.Partner, OfferingID: rec.OfferingId,
		Name: rec.Name, Summary: rec.Summary, Description: rec.Description,
		Hidden: rec.Hidden, MarkupBP: rec.MarkupBp, Version: version,
	}
}
