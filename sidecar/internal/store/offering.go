package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
)

// offerings is the catalog's store: own offerings here, feeds in feed.go, partners' offerings in foreign.go.
type offerings struct{ tx *Tx }

func (s offerings) Current(id string) (catalog.Offering, error) {
	return s.one(`SELECT superseded_at, record FROM offering WHERE id = $1 AND superseded_at = 0`, id)
}

func (s offerings) Revision(id string, revision int64) (catalog.Offering, error) {
	return s.one(`SELECT superseded_at, record FROM offering WHERE id = $1 AND revision = $2`, id, revision)
}

func (s offerings) one(query string, args ...any) (catalog.Offering, error) {
	all, err := s.list(query, args...)
	if err != nil {
		return catalog.Offering{}, err
	}
	if len(all) == 0 {
		return catalog.Offering{}, fault.New(fault.NotFound, "offering_not_found", "there is no offering %v", args[0])
	}
	return all[0], nil
}

func (s offerings) List(afterID string, limit int) ([]catalog.Offering, error) {
	return s.list(`SELECT superseded_at, record FROM offering WHERE superseded_at = 0 AND id > $1 ORDER BY id LIMIT $2`,
		afterID, orMost(limit))
}

func (s offerings) list(query string, args ...any) ([]catalog.Offering, error) {
	var all []catalog.Offering
	var superseded int64
	var raw []byte
	err := s.tx.rows(query, args, func() []any { return []any{&superseded, &raw} }, func() error {
		var rec storepb.Offering
		if err := decode(raw, &rec); err != nil {
			return err
		}
		all = append(all, offeringOf(&rec, superseded))
		return nil
	})
	return all, err
}

// PutRevision never changes a revision that exists: orders name it and its digest.
func (s offerings) PutRevision(o catalog.Offering) error {
	var current int64
	found, err := s.tx.row(`SELECT revision FROM offering WHERE id = $1 AND superseded_at = 0`, []any{o.ID}, &current)
	if err != nil {
		return err
	}
	if found && current >= o.Revision {
		return fault.New(fault.Conflict, "offering_changed", "offering %s is at revision %d already", o.ID, current)
	}
	if found {
		// At least 1, because 0 marks the current one.
		if _, err := s.tx.exec(`UPDATE offering SET superseded_at = $3 WHERE id = $1 AND revision = $2`,
			o.ID, current, max(ns(o.CreatedAt), 1)); err != nil {
			return err
		}
	}
	raw, err := proto.Marshal(&storepb.Offering{
		Id: o.ID, Revision: o.Revision, State: string(o.State), Document: o.Document, Digest: o.Digest[:],
		Binding: o.Binding, Source: o.Source[:], Name: o.Name, Category: o.Category, Currency: o.Currency,
		CreatedAt: ns(o.CreatedAt),
	})
	if err != nil {
		return fmt.Errorf("write offering %s: %w", o.ID, err)
	}
	_, err = s.tx.exec(`INSERT INTO offering (id, revision, superseded_at, record) VALUES ($1, $2, 0, $3)`, o.ID, o.Revision, raw)
	return err
}

func offeringOf(rec *storepb.Offering, superseded int64) catalog.Offering {
	return catalog.Offering{
		ID: rec.Id, Revision: rec.Revision, State: catalog.State(rec.State), Document: rec.Document,
		Digest: digest(rec.Digest), Binding: rec.Binding, Source: digest(rec.Source),
		Name: rec.Name, Category: rec.Category, Currency: rec.Currency,
		CreatedAt: at(rec.CreatedAt), SupersededAt: at(superseded),
	}
}
