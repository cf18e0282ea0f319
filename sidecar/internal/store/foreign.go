package store

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hanse-market/hanse/sidecar/internal/catalog"
	"github.com/hanse-market/hanse/sidecar/internal/fault"
	"github.com/hanse-market/hanse/sidecar/internal/store/storepb"
	"github.com/hanse-market/hanse/sidecar/internal/unit"
)

const (
	foreignColumns = `partner, id, listing, revision, tombstone, sweep, change, updated_at, record`
	selectForeign  = `SELECT ` + foreignColumns + ` FROM foreign_offering `
)

func (s offerings) Foreign(partner, id string) (catalog.Foreign, error) {
	all, err := s.foreign(selectForeign+`WHERE partner = $1 AND id = $2`, partner, id)
	if err != nil {
		return catalog.Foreign{}, err
	}
	if len(all) == 0 {
		return catalog.Foreign{}, fault.New(fault.NotFound, "offering_not_found", "the partner has no offering %s", id)
	}
	return all[0], nil
}

// PutForeign takes one statement for an offering not seen before, which is what a cold sync consists of. One that comes again
// as it is stored gets its sweep and no change number: a reader of the changes has nothing to do.
func (s offerings) PutForeign(f catalog.Foreign) (bool, error) {
	change, err := s.nextChange()
	if err != nil {
		return false, err
	}
	raw, err := proto.Marshal(&storepb.ForeignOffering{Document: f.Document, Digest: f.Digest[:]})
	if err != nil {
		return false, fmt.Errorf("write offering %s: %w", f.ID, err)
	}
	n, err := s.tx.exec(`INSERT INTO foreign_offering (`+foreignColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (partner, id) DO NOTHING`, f.Partner, f.ID, catalog.ListingID(f.Partner, f.ID), f.Revision,
		flag(f.Tombstone), f.Sweep, change, ns(f.UpdatedAt), raw)
	if err != nil {
		return false, err
	}
	if n == 1 {
		s.tx.wake(unit.Listings)
		return true, nil
	}
	return s.replaceForeign(f, change)
}

func (s offerings) replaceForeign(f catalog.Foreign, change int64) (bool, error) {
	var revision, tombstone, sweep int64
	var raw []byte
	if _, err := s.tx.row(`SELECT revision, tombstone, sweep, record FROM foreign_offering WHERE partner = $1 AND id = $2`,
		[]any{f.Partner, f.ID}, &revision, &tombstone, &sweep, &raw); err != nil {
		return false, err
	}
	var rec storepb.ForeignOffering
	if err := decode(raw, &rec); err != nil {
		return false, err
	}
	sweep = max(sweep, f.Sweep)
	same := f.Revision == revision && f.Tombstone == (tombstone != 0) && digest(rec.Digest) == f.Digest
	if same || f.Revision < revision {
		// Even of old news the snapshot says that the offering is there: it must not be swept.
		_, err := s.tx.exec(`UPDATE foreign_offering SET sweep = $3 WHERE partner = $1 AND id = $2`, f.Partner, f.ID, sweep)
		return same && err == nil, err
	}
	rec.Document, rec.Digest = f.Document, f.Digest[:]
	raw, err := proto.Marshal(&rec)
	if err != nil {
		return false, fmt.Errorf("write offering %s: %w", f.ID, err)
	}
	if _, err = s.tx.exec(`UPDATE foreign_offering SET revision = $3, tombstone = $4, sweep = $5, change = $6, updated_at = $7,
		record = $8 WHERE partner = $1 AND id = $2`,
		f.Partner, f.ID, f.Revision, flag(f.Tombstone), sweep, change, ns(f.UpdatedAt), raw); err != nil {
		return false, err
	}
	s.tx.wake(unit.Listings)
	return true, nil
}

// changeBlock is how many change numbers a transaction takes at a time; what it does not use is a gap.
const changeBlock = 256

func (s offerings) nextChange() (int64, error) {
	if s.tx.change == s.tx.changeEnd {
		if _, err := s.tx.row(`UPDATE foreign_change SET last = last + $1 WHERE name = 'foreign_offering' RETURNING last`,
			[]any{changeBlock}, &s.tx.changeEnd); err != nil {
			return 0, err
		}
		s.tx.change = s.tx.changeEnd - changeBlock
	}
	s.tx.change++
	return s.tx.change, nil
}

func (s offerings) ListForeign(afterPartner, afterID string, limit int) ([]catalog.Foreign, error) {
	return s.foreign(selectForeign+`WHERE (partner, id) > ($1, $2) AND tombstone = 0 ORDER BY partner, id LIMIT $3`,
		afterPartner, afterID, orMost(limit))
}

func (s offerings) ForeignChanged(afterChange int64, limit int) ([]catalog.Foreign, error) {
	return s.foreign(selectForeign+`WHERE change > $1 ORDER BY change LIMIT $2`, afterChange, orMost(limit))
}

func (s offerings) ForeignByListing(ids []string) ([]catalog.Foreign, error) {
	const most = 64 // parameters of one statement; it is padded, so that there are few texts to prepare
	var all []catalog.Foreign
	for chunk := range slices.Chunk(ids, most) {
		width := 1
		for width < len(chunk) {
			width *= 2
		}
		marks, args := make([]string, width), make([]any, width)
		for i := range width {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), chunk[min(i, len(chunk)-1)]
		}
		found, err := s.foreign(selectForeign+`WHERE listing IN (`+strings.Join(marks, ", ")+`)`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// SweepForeign goes row by row, because each needs a change number of its own.
func (s offerings) SweepForeign(partner string, generation int64, now time.Time) ([]catalog.Foreign, error) {
	gone, err := s.foreign(selectForeign+`WHERE partner = $1 AND sweep < $2 AND tombstone = 0 ORDER BY id`, partner, generation)
	if err != nil {
		return nil, err
	}
	for i := range gone {
		change, err := s.nextChange()
		if err != nil {
			return nil, err
		}
		f := &gone[i]
		f.Tombstone, f.Change, f.UpdatedAt = true, change, at(ns(now))
		if _, err := s.tx.exec(`UPDATE foreign_offering SET tombstone = 1, change = $3, updated_at = $4
			WHERE partner = $1 AND id = $2`, f.Partner, f.ID, change, ns(now)); err != nil {
			return nil, err
		}
	}
	if len(gone) > 0 {
		s.tx.wake(unit.Listings)
	}
	return gone, nil
}

func (s offerings) CountForeign(partner string) (int64, error) {
	var n int64
	_, err := s.tx.row(`SELECT count(*) FROM foreign_offering WHERE partner = $1 AND tombstone = 0`, []any{partner}, &n)
	return n, err
}

func (s offerings) foreign(query string, args ...any) ([]catalog.Foreign, error) {
	var all []catalog.Foreign
	var f catalog.Foreign
	var tombstone, updated int64
	var raw []byte
	err := s.tx.rows(query, args,
		func() []any {
			return []any{&f.Partner, &f.ID, &f.Listing, &f.Revision, &tombstone, &f.Sweep, &f.Change, &updated, &raw}
		},
		func() error {
			var rec storepb.ForeignOffering
			if err := decode(raw, &rec); err != nil {
				return err
			}
			f.Document, f.Digest, f.Tombstone, f.UpdatedAt = rec.Document, digest(rec.Digest), tombstone != 0, at(updated)
			all = append(all, f)
			return nil
		})
	return all, err
}
