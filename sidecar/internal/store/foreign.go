package store

import (
	"fmt"
	"iter"
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

// ForeignOf asks for many with one statement, so that a page of a feed costs few.
func (s offerings) ForeignOf(partner string, ids []string) ([]catalog.Foreign, error) {
	return s.foreignIn(selectForeign+`WHERE partner = $1 AND id IN `, []any{partner}, ids)
}

// foreignIn adds lists of ids to a query that ends in IN.
func (s offerings) foreignIn(query string, args []any, ids []string) ([]catalog.Foreign, error) {
	var all []catalog.Foreign
	for list, args := range lists(args, ids) {
		found, err := s.foreign(query+list, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// lists are ids in pieces, each as the text of a list of parameters behind args, with the arguments. A piece is filled up with its last
// one, so that there are few texts to prepare.
func lists(args []any, ids []string) iter.Seq2[string, []any] {
	const most = 64
	return func(yield func(string, []any) bool) {
		for chunk := range slices.Chunk(ids, most) {
			width := 1
			for width < len(chunk) {
				width *= 2
			}
			all := slices.Clone(args)
			for i := range width {
				all = append(all, chunk[min(i, len(chunk)-1)])
			}
			if !yield(tuples(1, width, len(args)+1), all) {
				return
			}
		}
	}
}

var newForeign = newInsertion("offering", "foreign_offering", strings.Split(foreignColumns, ", "), []string{"partner", "id"})

// AddForeign takes few statements for many: a cold sync consists of it.
func (s offerings) AddForeign(fresh []catalog.Foreign) error {
	if len(fresh) == 0 {
		return nil
	}
	counts := map[string]catalog.Kept{}
	err := s.tx.Together(func() error {
		for i := range fresh {
			f := &fresh[i]
			counts[f.Partner] = plus(counts[f.Partner], keeps(f.Tombstone, 1, len(f.Document)))
			var err error
			if f.Change, err = s.nextChange(); err != nil {
				return err
			}
			f.Listing = catalog.ListingID(f.Partner, f.ID)
			raw, err := proto.Marshal(&storepb.ForeignOffering{Document: documentOf(*f), Digest: f.Digest[:]})
			if err != nil {
				return fmt.Errorf("write offering %s: %w", f.ID, err)
			}
			if err := s.tx.insert(&newForeign, f.Partner, f.ID, f.Listing, f.Revision, flag(f.Tombstone),
				f.Sweep, f.Change, ns(f.UpdatedAt), raw); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for partner, n := range counts {
		if err := s.count(partner, n); err != nil {
			return err
		}
	}
	s.tx.wake(unit.Listings)
	return nil
}

// PutForeign gives one that comes again as it is stored its sweep and no change number: a reader of the changes has nothing to do.
func (s offerings) PutForeign(f catalog.Foreign) (bool, error) {
	var revision, tombstone, sweep int64
	var raw []byte
	found, err := s.tx.row(`SELECT revision, tombstone, sweep, record FROM foreign_offering WHERE partner = $1 AND id = $2`,
		[]any{f.Partner, f.ID}, &revision, &tombstone, &sweep, &raw)
	if err != nil {
		return false, err
	}
	if !found {
		return true, s.AddForeign([]catalog.Foreign{f})
	}
	var rec storepb.ForeignOffering
	if err := decode(raw, &rec); err != nil {
		return false, err
	}
	sweep = max(sweep, f.Sweep)
	same := f.Revision == revision && f.Tombstone == (tombstone != 0) && digest(rec.Digest) == f.Digest
	if same || f.Revision < revision {
		// Even of old news the snapshot says that the offering is there: it must not be swept.
		return same, s.SeeForeign(f.Partner, []string{f.ID}, sweep)
	}
	was := len(rec.Document)
	rec.Document, rec.Digest = documentOf(f), f.Digest[:]
	if raw, err = proto.Marshal(&rec); err != nil {
		return false, fmt.Errorf("write offering %s: %w", f.ID, err)
	}
	change, err := s.nextChange()
	if err != nil {
		return false, err
	}
	if _, err = s.tx.exec(`UPDATE foreign_offering SET revision = $3, tombstone = $4, sweep = $5, change = $6, updated_at = $7,
		record = $8 WHERE partner = $1 AND id = $2`,
		f.Partner, f.ID, f.Revision, flag(f.Tombstone), sweep, change, ns(f.UpdatedAt), raw); err != nil {
		return false, err
	}
	s.tx.wake(unit.Listings)
	return true, s.count(f.Partner, plus(keeps(tombstone != 0, -1, -was), keeps(f.Tombstone, 1, len(f.Document))))
}

// SeeForeign leaves those that were seen later as they are.
func (s offerings) SeeForeign(partner string, ids []string, generation int64) error {
	for list, args := range lists([]any{partner, generation}, ids) {
		if _, err := s.tx.exec(`UPDATE foreign_offering SET sweep = $2 WHERE partner = $1 AND sweep < $2 AND id IN `+list, args...); err != nil {
			return err
		}
	}
	return nil
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

// Changes is answered by an index alone.
func (s offerings) Changes(afterChange int64, limit int) (numbers []int64, err error) {
	var change int64
	err = s.tx.rows(`SELECT change FROM foreign_offering WHERE change > $1 ORDER BY change LIMIT $2`, []any{afterChange, orMost(limit)},
		func() []any { return []any{&change} }, func() error { numbers = append(numbers, change); return nil })
	return numbers, err
}

func (s offerings) ForeignChanged(afterChange int64, limit int) ([]catalog.Foreign, error) {
	return s.foreign(selectForeign+`WHERE change > $1 ORDER BY change LIMIT $2`, afterChange, orMost(limit))
}

// LastChange has the end of the last block that was committed: whoever has a later one holds its row, and is not seen yet.
func (s offerings) LastChange() (last, forgotten int64, err error) {
	_, err = s.tx.row(`SELECT last, forgotten FROM foreign_change WHERE name = 'foreign_offering'`, nil, &last, &forgotten)
	return last, forgotten, err
}

func (s offerings) ForeignByListing(ids []string) ([]catalog.Foreign, error) {
	return s.foreignIn(selectForeign+`WHERE listing IN `, nil, ids)
}

func (s offerings) Unseen(partner string, generation int64, afterID string, limit int) (ids []string, err error) {
	var id string
	err = s.tx.rows(`SELECT id FROM foreign_offering WHERE partner = $1 AND id > $2 AND sweep < $3 AND tombstone = 0 ORDER BY id LIMIT $4`,
		[]any{partner, afterID, generation, orMost(limit)}, func() []any { return []any{&id} },
		func() error { ids = append(ids, id); return nil })
	return ids, err
}

// SweepForeign goes row by row, because each needs a change number of its own, and nothing else of what was its record.
func (s offerings) SweepForeign(partner string, generation int64, ids []string, now time.Time) (gone int, err error) {
	type row struct {
		id     string
		record []byte
	}
	var rows []row
	var bytes int
	for list, args := range lists([]any{partner, generation}, ids) {
		var r row
		err := s.tx.rows(`SELECT id, record FROM foreign_offering WHERE partner = $1 AND sweep < $2 AND tombstone = 0 AND id IN `+list, args,
			func() []any { return []any{&r.id, &r.record} },
			func() error {
				var rec storepb.ForeignOffering
				if err := decode(r.record, &rec); err != nil {
					return err
				}
				bytes += len(rec.Document)
				rec.Document = nil
				raw, err := proto.Marshal(&rec)
				rows = append(rows, row{r.id, raw})
				return err
			})
		if err != nil {
			return 0, err
		}
	}
	for _, r := range rows {
		change, err := s.nextChange()
		if err != nil {
			return 0, err
		}
		if _, err = s.tx.exec(`UPDATE foreign_offering SET tombstone = 1, change = $3, updated_at = $4, record = $5 WHERE partner = $1 AND id = $2`,
			partner, r.id, change, ns(now), r.record); err != nil {
			return 0, err
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	s.tx.wake(unit.Listings)
	n := int64(len(rows))
	return len(rows), s.count(partner, plus(keeps(false, -n, -bytes), keeps(true, n, 0)))
}

// ForgetForeign notes up to where changes may be missing.
func (s offerings) ForgetForeign(partner string, n int64) error {
	var upTo, found int64
	_, err := s.tx.row(`SELECT COALESCE(MAX(change), 0), COUNT(*) FROM (SELECT change FROM foreign_offering
		WHERE partner = $1 AND tombstone = 1 ORDER BY change LIMIT $2) AS oldest`, []any{partner, n}, &upTo, &found)
	if err != nil || found == 0 {
		return err
	}
	if _, err = s.tx.exec(`DELETE FROM foreign_offering WHERE partner = $1 AND tombstone = 1 AND change <= $2`, partner, upTo); err != nil {
		return err
	}
	if _, err = s.tx.exec(`UPDATE foreign_change SET forgotten = $1 WHERE name = 'foreign_offering' AND forgotten < $1`, upTo); err != nil {
		return err
	}
	return s.count(partner, keeps(true, -found, 0))
}

// documentOf is what is kept of an offering's document: nothing of one that is gone.
func documentOf(f catalog.Foreign) []byte {
	if f.Tombstone {
		return nil
	}
	return f.Document
}

// keeps is what n offerings with documents of so many bytes, or n tombstones, add to what is kept.
func keeps(tombstone bool, n int64, bytes int) catalog.Kept {
	if tombstone {
		return catalog.Kept{Gone: n}
	}
	return catalog.Kept{Offerings: n, Bytes: int64(bytes)}
}

func plus(a, b catalog.Kept) catalog.Kept {
	return catalog.Kept{Offerings: a.Offerings + b.Offerings, Bytes: a.Bytes + b.Bytes, Gone: a.Gone + b.Gone}
}

// count adds to what is kept of a partner's offerings.
func (s offerings) count(partner string, more catalog.Kept) error {
	if more == (catalog.Kept{}) {
		return nil
	}
	_, err := s.tx.exec(`INSERT INTO foreign_partner (partner, offerings, bytes, gone, left_out, left_bytes, left_least) VALUES ($1, $2, $3, $4, 0, 0, 0)
		ON CONFLICT (partner) DO UPDATE SET offerings = foreign_partner.offerings + excluded.offerings,
		bytes = foreign_partner.bytes + excluded.bytes, gone = foreign_partner.gone + excluded.gone`, partner, more.Offerings, more.Bytes, more.Gone)
	return err
}

func (s offerings) Kept(partner string) (k catalog.Kept, err error) {
	_, err = s.tx.row(`SELECT offerings, bytes, gone, left_out, left_bytes, left_least FROM foreign_partner WHERE partner = $1`, []any{partner},
		&k.Offerings, &k.Bytes, &k.Gone, &k.LeftOut.Changes, &k.LeftOut.Bytes, &k.LeftOut.Least)
	return k, err
}

func (s offerings) SetLeftOut(partner string, left catalog.LeftOut) error {
	_, err := s.tx.exec(`INSERT INTO foreign_partner (partner, offerings, bytes, gone, left_out, left_bytes, left_least) VALUES ($1, 0, 0, 0, $2, $3, $4)
		ON CONFLICT (partner) DO UPDATE SET left_out = excluded.left_out, left_bytes = excluded.left_bytes, left_least = excluded.left_least`,
		partner, left.Changes, left.Bytes, left.Least)
	return err
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
