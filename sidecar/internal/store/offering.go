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

func (s offerings) Revisions(afterID string, afterRevision int64, limit int) ([]catalog.Offering, error) {
	return s.list(`SELECT superseded_at, record FROM offering WHERE (id, revision) > ($1, $2) ORDER BY id, revision LIMIT $3`,
		afterID, afterRevision, orMost(limit))
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

func (s offerings) CurrentOf(ids []string) (all []catalog.Offering, err error) {
	for list, args := range lists(nil, ids) {
		found, err := s.list(`SELECT superseded_at, record FROM offering WHERE superseded_at = 0 AND id IN `+list+` ORDER BY id`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s offerings) RevisionsOf(ids []string) (map[string]int64, error) {
	current := make(map[string]int64, len(ids))
	var id string
	var revision int64
	for list, args := range lists(nil, ids) {
		err := s.tx.rows(`SELECT id, revision FROM offering WHERE superseded_at = 0 AND id IN `+list, args,
			func() []any { return []any{&id, &revision} }, func() error { current[id] = revision; return nil })
		if err != nil {
			return nil, err
		}
	}
	return current, nil
}

func (s offerings) OnOffer(afterID string, limit int) (ids []string, err error) {
	var id string
	err = s.tx.rows(`SELECT id FROM offering WHERE superseded_at = 0 AND id > $1 AND on_offer = 1 ORDER BY id LIMIT $2`,
		[]any{afterID, orMost(limit)}, func() []any { return []any{&id} },
		func() error { ids = append(ids, id); return nil })
	return ids, err
}

// PutRevision never changes a revision that exists: orders name it and its digest.
func (s offerings) PutRevision(o catalog.Offering) error {
	var current int64
	found, err := s.tx.row(`SELECT revision FROM offering WHERE id = $1 AND superseded_at = 0`, []any{o.ID}, &current)
	if err != nil {
		return err
	}
	if found && current >= o.Revision {
		return offeringChanged(o.ID)
	}
	if found {
		if err := s.supersede(o, current); err != nil {
			return err
		}
	}
	return s.addRevisions([]catalog.Offering{o})
}

func (s offerings) PutRevisions(all []catalog.Next) error {
	offerings := make([]catalog.Offering, len(all))
	var begun []string
	for i, n := range all {
		switch offerings[i] = n.Offering; {
		case n.After > 0:
			if err := s.supersede(n.Offering, n.After); err != nil {
				return err
			}
		case n.Revision > 1: // that it is the first says no row by itself
			begun = append(begun, n.ID)
		}
	}
	there, err := s.RevisionsOf(begun)
	if err != nil {
		return err
	}
	for id := range there {
		return offeringChanged(id)
	}
	return s.addRevisions(offerings)
}

func offeringChanged(id string) error {
	return fault.New(fault.Conflict, "offering_changed", "offering %s was changed by someone else in the meantime", id)
}

// supersede notes when the current revision makes way for o: at least 1, because 0 marks the current one.
func (s offerings) supersede(o catalog.Offering, current int64) error {
	n, err := s.tx.exec(`UPDATE offering SET superseded_at = $3 WHERE id = $1 AND revision = $2 AND superseded_at = 0`,
		o.ID, current, max(ns(o.CreatedAt), 1))
	if err == nil && n == 0 {
		err = offeringChanged(o.ID)
	}
	return err
}

var newOffering = newInsertion("offering", "offering", []string{"id", "revision", "superseded_at", "on_offer", "record"}, []string{"id", "revision"}).
	or(fault.New(fault.Conflict, "offering_changed", "an offering was changed by someone else in the meantime"))

func (s offerings) addRevisions(all []catalog.Offering) error {
	return s.tx.Together(func() error {
		for _, o := range all {
			raw, err := proto.Marshal(&storepb.Offering{
				Id: o.ID, Revision: o.Revision, State: string(o.State), Document: o.Document, Digest: o.Digest[:],
				Binding: o.Binding, Source: o.Source[:], Name: o.Name, Category: o.Category, Currency: o.Currency,
				CreatedAt: ns(o.CreatedAt),
			})
			if err != nil {
				return fmt.Errorf("write offering %s: %w", o.ID, err)
			}
			if err := s.tx.insert(&newOffering, o.ID, o.Revision, int64(0), flag(o.State.OnOffer()), raw); err != nil {
				return err
			}
		}
		return nil
	})
}

func offeringOf(rec *storepb.Offering, superseded int64) catalog.Offering {
	return catalog.Offering{
		ID: rec.Id, Revision: rec.Revision, State: catalog.State(rec.State), Document: rec.Document,
		Digest: digest(rec.Digest), Binding: rec.Binding, Source: digest(rec.Source),
		Name: rec.Name, Category: rec.Category, Currency: rec.Currency,
		CreatedAt: at(rec.CreatedAt), SupersededAt: at(superseded),
	}
}
